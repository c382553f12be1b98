#!/usr/bin/env bash
# Drives a running okmsd with hvac, Python's client of Vault: all that it offers for KV version 2, logins by
# certificate, tokens, mounts, wrapping, and the server's state.
#
#   source <dir of okmsd dev>/env.sh && tests/compat/hvac/run.sh [ARGUMENTS OF UNITTEST...]
#
# The packages of requirements.txt go into a virtual environment below target/compat. Exits 0 when all tests
# pass, 1 when one does not, 77 when hvac cannot be had (COMPAT_STRICT=1 makes that a failure too).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)

skip() {
    echo "hvac: skipped: $*"
    if [[ ${COMPAT_STRICT:-0} == 1 ]]; then exit 1; fi
    exit 77
}

for name in KMS_RESTAPI_ENDPOINT VAULT_ADDR VAULT_CACERT VAULT_CLIENT_CERT VAULT_CLIENT_KEY; do
    if [[ -z ${!name:-} ]]; then
        echo "hvac: $name is not set: source the env.sh of okmsd dev, or start through tests/compat/run.sh" >&2
        exit 1
    fi
done
command -v python3 >/dev/null || skip "python3 is not installed"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The copy of requirements.txt comes last: it marks the environment as complete.
venv=${CARGO_TARGET_DIR:-$root/target}/compat/hvac
if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
    rm -rf "$venv"
    if ! python3 -m venv "$venv" >"$work/log" 2>&1; then
        tail -n 3 "$work/log" >&2
        skip "python3 makes no virtual environment here (Debian has it in the package python3-venv)"
    fi
    if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --requirement "$here/requirements.txt" >"$work/log" 2>&1; then
        tail -n 3 "$work/log" >&2
        skip "the packages of requirements.txt could not be installed"
    fi
    cp "$here/requirements.txt" "$venv/"
fi

# A configuration of the person who runs this must not leak in: no token of theirs, neither here nor at home.
unset VAULT_TOKEN VAULT_NAMESPACE VAULT_CAPATH
export HOME=$work
# hvac warns of what its own next version will do.
"$venv/bin/python" -B -W ignore -m unittest discover --start-directory "$here" "$@" </dev/null || exit 1
