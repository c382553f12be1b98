#!/usr/bin/env bash
# Patroni for real, as docs/ENGINES.md has it: an etcd, three PostgreSQL that Debian's patroni manages, three okmsd over them, and
# clients that write and read through all of them while the primary is switched over, killed, passed over alive, and while the
# etcd is away. What was acknowledged is there, what was refused is not, nobody is shown the past. How long writes waited is
# told.
#
#   OKMSD=target/release/okmsd tests/compat/patroni/run.sh
#
# Exits 0 when all is as it should be, 77 where patroni, etcd or PostgreSQL cannot be had (COMPAT_STRICT=1 makes that a failure too).
set -euo pipefail

suite=patroni
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../suite.sh
source "$here/../suite.sh"
needs_environment OKMSD
# Debian has them in the packages patroni, etcd-server, util-linux and openssl.
needs_tools python3 patroni patronictl etcd setpriv openssl
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[[ -x $bin/initdb ]] || skip "PostgreSQL is not installed (apt-get install postgresql)"

work=$(mktemp -d)
trap 'if [[ ${KEEP:-0} == 1 ]]; then echo "kept: $work"; else rm -rf "$work"; fi' EXIT
main=
trap 'if [[ -n $main ]]; then kill -TERM "$main" 2>/dev/null || true; wait "$main" || true; fi; exit 143' TERM INT
# Without what the person who runs this has set.
env -i PATH="$PATH" HOME="$work" LANG=C.UTF-8 OKMSD="$OKMSD" POSTGRES="$bin" python3 -B "$here/main.py" "$work" &
main=$!
wait "$main"
