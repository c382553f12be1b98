#!/usr/bin/env bash
# Does with a running okmsd what ScaiVault's page about managing secrets tells its readers to do with theirs, line by line and
# three times: with curl, with Python's httpx and with node's own fetch. expected.json has the answers, which are the same
# for all three, to the last member.
#
#   source <dir of a new okmsd dev>/env.sh && tests/compat/paths/run.sh
#
# The folder must hold the operator's certificate and audit.log, as that of okmsd dev does. Secrets, policies and a tenant of the
# domain stay behind, so the suite has a server of its own. The packages go below target/compat. Exits 0 when all tests pass, 1 when
# one does not, 77 when a client cannot be had (COMPAT_STRICT=1 makes that a failure too).
set -euo pipefail

suite=paths
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../suite.sh
source "$here/../suite.sh"
needs_environment OKMS_ID KMS_RESTAPI_ENDPOINT KMS_RESTAPI_CA KMS_RESTAPI_CERT KMS_RESTAPI_KEY
needs_tools curl jq
python_packages "$here/requirements.txt"
node_packages "$here"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
folder=$(dirname "$KMS_RESTAPI_CA")
domains=$KMS_RESTAPI_ENDPOINT/v2/okms/resource

# call CERTIFICATE KEY [ARGUMENTS OF CURL...]; without the settings of the person who runs this.
call() { curl -q -sS --noproxy '*' --max-time 20 --cacert "$KMS_RESTAPI_CA" --cert "$1" --key "$2" "${@:3}"; }
operator() { call "$folder/operator_certificate.pem" "$folder/operator_privatekey.pem" "$@"; }
own() { call "$KMS_RESTAPI_CERT" "$KMS_RESTAPI_KEY" "$@"; }
token() { "$@" -X POST "$KMS_RESTAPI_ENDPOINT/v1/auth/cert/login" | jq -re .auth.client_token; }

# A tenant, whose partner the domain is, with a certificate. What is there from a run before is refused, and as good.
operator "$domains" -d "{\"name\": \"acme dev\", \"tenant\": \"tnt_acme_dev\", \"partner\": \"$OKMS_ID\"}" >/dev/null
tenant=$(operator "$domains" | jq -re '.[] | select(.tenant == "tnt_acme_dev").id')
operator "$domains/$tenant/credential" -d '{"name": "backend"}' >"$work/credential"
jq -re .certificatePEM "$work/credential" >"$work/tenant.pem"
jq -re .privateKeyPEM "$work/credential" >"$work/tenant.key"

# What the page takes for granted: policies that make values, and enough secrets for three pages of a list.
own "$KMS_RESTAPI_ENDPOINT/v1/secret-policies" -d '{"name": "generated", "fields": [
    {"name": "password", "generator": "hex", "config": {"length": 16}}]}' >/dev/null
own "$KMS_RESTAPI_ENDPOINT/v1/rotation/policies" -d '{"name": "generated", "interval": "90d", "auto_generate": true}' >/dev/null
own -X PUT "$KMS_RESTAPI_ENDPOINT/v1/secrets/environments/production/service-[001-126]" -d '{"data": {"n": 1}}' >/dev/null

own_token=$(token own)
partner_token=$(token own)
tenant_token=$(token call "$work/tenant.pem" "$work/tenant.key")
clean=(
    PATH="$PATH" HOME="$work" LANG=C.UTF-8 NODE_PATH="$modules" EXPECTED="$here/expected.json"
    KMS_RESTAPI_ENDPOINT="$KMS_RESTAPI_ENDPOINT" KMS_RESTAPI_CA="$KMS_RESTAPI_CA"
    KMS_RESTAPI_CERT="$KMS_RESTAPI_CERT" KMS_RESTAPI_KEY="$KMS_RESTAPI_KEY" TENANT_CERT="$work/tenant.pem" TENANT_KEY="$work/tenant.key"
    TOKEN="$own_token" PARTNER_ADMIN_TOKEN="$partner_token" TENANT_TOKEN="$tenant_token"
)

# How many records of the audit trail say that somebody of the domain has read a secret of the tenant.
acted() {
    jq -s --arg partner "$OKMS_ID" --arg tenant "$tenant" 'map(select(.operation == "PathReadSecret"
        and .resource == "app/db/password" and .tenant == $tenant and .acting_tenant == $partner
        and .common_name == "dev" and .token_accessor != null)) | length' "$folder/audit.log"
}

failed=0
# client NAME COMMAND...: with nothing of the environment of the person who runs this.
client() {
    local before after
    echo "paths: $1"
    before=$(acted)
    env -i "${clean[@]}" "${@:2}" </dev/null || failed=1
    after=$(acted)
    if ((after <= before)); then
        echo "paths: the audit trail does not tell who read the tenant's secret with $1" >&2
        failed=1
    fi
}
client curl bash "$here/curl.sh"
client httpx "$python" -B -m unittest discover --start-directory "$here"
client fetch node --test-reporter=spec "$here/fetch.test.js"
exit "$failed"
