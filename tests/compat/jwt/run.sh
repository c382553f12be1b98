#!/usr/bin/env bash
# Is an identity provider in Python: PyJWT makes the keys, publishes them as a JWKS over TLS and signs tokens, and a client with
# and without a certificate brings them to an okmsd of its own, good ones and others. PyJWT has nothing in common with what is
# under test.
#
#   OKMSD=target/release/okmsd tests/compat/jwt/run.sh
#
# The packages go below target/compat. Exits 0 when all is as it should be, 77 when they cannot be had (COMPAT_STRICT=1 makes
# that a failure too).
set -euo pipefail

suite=jwt
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../suite.sh
source "$here/../suite.sh"
needs_environment OKMSD
python_packages "$here/requirements.txt"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Without what the person who runs this has set.
env -i PATH="$PATH" HOME="$work" LANG=C.UTF-8 OKMSD="$OKMSD" PYTHONPATH="$compat" "$python" -B "$here/main.py" "$work"
