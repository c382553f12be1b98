#!/usr/bin/env bash
# Drives a running okmsd with hvac, Python's client of Vault: all that it offers for KV version 2, logins by
# certificate, tokens, mounts, wrapping, and the server's state.
#
#   source <dir of okmsd dev>/env.sh && tests/compat/hvac/run.sh [ARGUMENTS OF UNITTEST...]
#
# The packages of requirements.txt go into a virtual environment below target/compat. Exits 0 when all tests
# pass, 1 when one does not, 77 when hvac cannot be had (COMPAT_STRICT=1 makes that a failure too).
set -euo pipefail

suite=hvac
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../suite.sh
source "$here/../suite.sh"
needs_environment KMS_RESTAPI_ENDPOINT VAULT_ADDR VAULT_CACERT VAULT_CLIENT_CERT VAULT_CLIENT_KEY
python_packages "$here/requirements.txt"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A configuration of the person who runs this must not leak in: no token of theirs, neither here nor at home.
unset VAULT_TOKEN VAULT_NAMESPACE VAULT_CAPATH
export HOME=$work
# hvac warns of what its own next version will do.
"$python" -B -W ignore -m unittest discover --start-directory "$here" "$@" </dev/null || exit 1
