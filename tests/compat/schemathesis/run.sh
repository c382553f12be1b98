#!/usr/bin/env bash
# Sends a running okmsd what schemathesis makes of its OpenAPI document, with a domain's certificate, with the operator's and
# with none: no answer is a 5xx, and each has a status, a content type, headers and a body that the document promises.
#
#   source <dir of okmsd dev>/env.sh && tests/compat/schemathesis/run.sh
#
# The folder must hold the operator's certificate, as that of okmsd dev does. SEED chooses the requests, EXAMPLES how many
# (of each operation). The packages of requirements.txt go into a virtual environment below target/compat. Exits 0 when
# nothing was found, 1 when something was, 77 when schemathesis cannot be had (COMPAT_STRICT=1 makes that a failure too).
set -euo pipefail

suite=schemathesis
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../suite.sh
source "$here/../suite.sh"
needs_environment OKMS_ID KMS_RESTAPI_ENDPOINT KMS_RESTAPI_CA KMS_RESTAPI_CERT KMS_RESTAPI_KEY
python_packages "$here/requirements.txt"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# It leaves files where it runs, and reads its configuration there.
cd "$work"
# Of all domains and mounts only these are there; anything else is 404 over and over.
cat >schemathesis.toml <<TOML
[parameters]
okmsId = "$OKMS_ID"
mount = "secret"

# It reads a file for development, and is not implemented for anything else.
[[operations]]
include-name = "GET /api/secrets"
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 501]
TOML
# What is promised of answers. Whether good requests are taken and bad ones refused depends on what is there; and Vault's
# PUT and LIST, which the document does not repeat beside POST and GET, would be taken for methods that should be refused.
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance
checks+=,response_schema_conformance

# run WHO PHASES [ARGUMENTS OF SCHEMATHESIS...]
run() {
    local who=$1 phases=$2
    shift 2
    if ! "$python" -m schemathesis.cli --no-color run "$KMS_RESTAPI_ENDPOINT/openapi.json" --tls-verify "$KMS_RESTAPI_CA" \
        --seed "${SEED:-1}" --max-examples "${EXAMPLES:-10}" --phases "$phases" --checks "$checks" \
        --request-timeout 20 --continue-on-failure --warnings off "$@" >"$work/log" 2>&1 </dev/null; then
        echo "schemathesis: with $who:" >&2
        cat "$work/log" >&2
        exit 1
    fi
    # Nothing found among no requests would be nothing proven.
    local sent
    sent=$(sed -n 's/^ *\([0-9]*\) generated.*/\1/p' "$work/log")
    ((sent > 20)) || { cat "$work/log" >&2; exit 1; }
    echo "schemathesis: $sent requests with $who"
}
folder=$(dirname "$KMS_RESTAPI_CA")
run "a domain's certificate" examples,coverage,fuzzing --request-cert "$KMS_RESTAPI_CERT" --request-cert-key "$KMS_RESTAPI_KEY"
run "the operator's certificate" examples,coverage,fuzzing --include-path-regex '^/v2/okms/resource' \
    --request-cert "$folder/operator_certificate.pem" --request-cert-key "$folder/operator_privatekey.pem"
run "no certificate" examples
