#!/usr/bin/env bash
# Does with a running okmsd what the origin's page about its secrets API says of each endpoint, line by line and twice: with curl and
# with Python's httpx; document.json has the requests and the answers, which are the same for both, to the last member. And asks the
# origin's own client for Python, empowernow-secrets-sdk, what it makes of some thousand URIs: okmsd must make the same of them, or
# differ for one of the reasons in reasons.py.
#
#   source <dir of a new okmsd dev>/env.sh && OKMSD=target/release/okmsd tests/compat/uris/run.sh
#
# SEED and URIS choose which and how many URIs, as SEED and REQUESTS do for the oracle. Secrets stay behind, so the suite has a
# server of its own; OKMSD is started once more, with a file of secrets. The packages go below target/compat. Exits 0 when all is as
# it should be, 1 when it is not, 77 when a client cannot be had (COMPAT_STRICT=1 makes that a failure too).
set -euo pipefail

suite=uris
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../suite.sh
source "$here/../suite.sh"
needs_environment OKMSD KMS_RESTAPI_ENDPOINT KMS_RESTAPI_CA KMS_RESTAPI_CERT KMS_RESTAPI_KEY
needs_tools curl jq
python_packages "$here/requirements.txt"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
clean=(
    PATH="$PATH" HOME="$work" LANG=C.UTF-8 DOCUMENT="$here/document.json" KMS_RESTAPI_ENDPOINT="$KMS_RESTAPI_ENDPOINT"
    SEED="${SEED:-1 $(git -C "$here" rev-parse --short=12 'HEAD^{tree}' 2>/dev/null || true)}" URIS="${URIS:-4000}"
    KMS_RESTAPI_CA="$KMS_RESTAPI_CA" KMS_RESTAPI_CERT="$KMS_RESTAPI_CERT" KMS_RESTAPI_KEY="$KMS_RESTAPI_KEY"
    OKMSD="$OKMSD" PYTHONPATH="$compat"
)
failed=0
# client NAME COMMAND...: with nothing of the environment of the person who runs this.
client() {
    echo "uris: $1"
    env -i "${clean[@]}" "${@:2}" </dev/null || failed=1
}
client curl bash "$here/curl.sh"
client httpx "$python" -B -m unittest discover --start-directory "$here"
client "a file of secrets" "$python" -B "$here/file.py" "$work"
client judge "$python" -B "$here/judge.py"
exit "$failed"
