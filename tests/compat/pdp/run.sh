#!/usr/bin/env bash
# Has Cerbos as the policy decision point (OpenID AuthZEN) of an okmsd of its own, over TLS and without: what Cerbos permits is done,
# and nothing else, in every dialect and spelling; what it is told is told to the member, and no value is; nothing is done where it
# does not answer.
#
#   OKMSD=target/release/okmsd tests/compat/pdp/run.sh
#
# Cerbos comes from npm, for Linux on x86-64, and goes below target/compat. Exits 0 when all is as it should be, 1 when it is not, 77
# when Cerbos cannot be had (COMPAT_STRICT=1 makes that a failure too).
set -euo pipefail

suite=pdp
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../suite.sh
source "$here/../suite.sh"
needs_environment OKMSD
needs_tools python3 openssl
[[ $(uname -sm) == "Linux x86_64" ]] || skip "Cerbos is here for Linux on x86-64"
node_packages "$here"
cerbos=$modules/@cerbos/cerbos-linux-x64/cerbos-linux-x64
chmod +x "$cerbos"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# An authority, and a certificate of it for this machine.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=pdp CA" -keyout "$work/ca.key" -out "$work/ca.pem" 2>/dev/null
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout "$work/cerbos.key" -out "$work/cerbos.csr" 2>/dev/null
openssl x509 -req -in "$work/cerbos.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial -days 2 -out "$work/cerbos.pem" \
    -extfile <(printf 'basicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost\n') 2>/dev/null
# Without what the person who runs this has set.
env -i PATH="$PATH" HOME="$work" LANG=C.UTF-8 OKMSD="$OKMSD" PYTHONPATH="$compat" python3 -B "$here/main.py" "$cerbos" "$work"
