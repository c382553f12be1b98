#!/usr/bin/env bash
# Attacks a release build of okmsd as a stranger and as a tenant would, and holds it to figures: how long honest
# clients and /livez wait, resident memory, processor time, and what is ended in which time. Builds nothing.
#
#   cargo build --release && tests/attack/run.sh [WORD...]
#
# Only attacks whose name contains one of the words are run; --list shows the names. OKMSD=path names the binary
# (default target/release/okmsd); KEEP=1 keeps the servers' folder, VERBOSE=1 shows more figures. The one package of
# requirements.txt goes into a virtual environment below target/attack. All load goes to loopback, and every attack is
# bounded in count and time.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
OKMSD=${OKMSD:-${CARGO_TARGET_DIR:-$root/target}/release/okmsd}
if [[ ! -x $OKMSD ]]; then
    echo "run.sh: $OKMSD is not there: cargo build --release, or set OKMSD" >&2
    exit 1
fi
OKMSD=$(cd "$(dirname "$OKMSD")" && pwd)/$(basename "$OKMSD")
export OKMSD

# The copy of requirements.txt comes last: it marks the environment as complete.
venv=${CARGO_TARGET_DIR:-$root/target}/attack
if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/"
fi

# Thousands of connections need as many descriptors.
ulimit -n "$(ulimit -Hn)"
exec "$venv/bin/python" -B "$here/main.py" "$@" </dev/null
