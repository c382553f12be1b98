# shellcheck shell=bash disable=SC2016 # jq's variables, not the shell's
# The page with curl, from the top to the bottom. Started by run.sh.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
v1=$KMS_RESTAPI_ENDPOINT/v1
secrets=$v1/secrets
credentials=$secrets/environments/production/salesforce/api-credentials
password=$secrets/app/db/password
auth=(-H "Authorization: Bearer $TOKEN")
partner_auth=(-H "Authorization: Bearer $PARTNER_ADMIN_TOKEN")
tenant_auth=(-H "Authorization: Bearer $TENANT_TOKEN")
json=(-H "Content-Type: application/json")

passed=0
failed=0
# Leaves $status, and the answer in the files answer and head.
curl() {
    for what in "$@"; do if [[ $what == "$v1"* ]]; then break; fi; done
    status=$(command curl -sS --max-time 20 --cacert "$KMS_RESTAPI_CA" --cert "$KMS_RESTAPI_CERT" --key "$KMS_RESTAPI_KEY" \
        -D head -o answer -w '%{http_code}' "$@")
}
tenant() { curl --cert "$TENANT_CERT" --key "$TENANT_KEY" "${tenant_auth[@]}" "$@"; }
put() { curl -X PUT "$1" "${auth[@]}" "${json[@]}" -d "$2"; }

# holds WHAT EXPRESSION: what jq says of the answer, with the expected answers as $expected.
holds() {
    if jq -e --slurpfile expected "$EXPECTED" --argjson status "$status" "$masked $2" answer >/dev/null; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED: %s: want %s\n  %s ' "$what" "$1" "$status"
        jq -c "$masked masked" answer || cat answer
    fi
}
# What is never the same twice is told by its kind.
masked='
def masked($key):
    if type == "object" then with_entries(.key as $key | .value |= masked($key))
    elif type == "array" then map(masked(null))
    elif $key == "access_count_30d" and type == "number" then "<count>"
    elif type != "string" then .
    elif $key == "next_rotation" and endswith("T00:00:00Z") then "<midnight>"
    elif $key == "cursor" or $key == "request_id" or startswith("cert:") then "<opaque>"
    elif test("^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ$") then "<now +\((fromdate - now) / 3600 | round + 0) h>"
    elif contains(" ") then "<prose>"
    else . end;
def masked: masked(null);'
declare -A seen=()
# is NAME: the whole answer is the one of this name.
is() {
    seen[$1]=1
    holds "$1" "[\$status, masked] == \$expected[0].answers[\"$1\"]"
}
fresh() {
    local path
    while read -r path; do
        curl -X DELETE "${auth[@]}" "$secrets/$path?permanent=true"
    done < <(jq -r '.paths[]' "$EXPECTED")
    curl -X DELETE "${auth[@]}" "$v1/t/tnt_acme_dev/secrets/app/db/password?permanent=true"
}
etag() { sed -n 's/^etag: \(.*\)\r$/\1/ip' head; }
# Three versions of the page's second secret.
three() {
    put "$password" '{"data": {"password": "one"}, "metadata": {"description": "PostgreSQL", "tags": ["postgres", "production"]},
        "options": {"rotation_policy_id": "rot_quarterly"}}'
    put "$password" '{"data": {"password": "two"}}'
    put "$password" '{"data": {"password": "three"}}'
}

# Reading and writing
fresh
curl -X PUT "$credentials" "${auth[@]}" "${json[@]}" -d '{
    "data": {"client_id": "3MVG9...", "client_secret": "REDACTED"}, "secret_type": "json",
    "metadata": {"description": "Salesforce", "tags": ["salesforce", "oauth", "production"]},
    "options": {"max_versions": 10, "expires_in": "90d", "rotation_policy_id": "rot_quarterly"}}'
is created
for n in 2 3 4; do
    put "$credentials" '{"data": {"client_id": "3MVG9...", "client_secret": "REDACTED-'$n'"}, "secret_type": "json",
        "metadata": {"tags": ["salesforce", "production"]}, "options": {"max_versions": 10}}'
done
is updated
curl "${auth[@]}" "$credentials"
is read
curl "${auth[@]}" "$credentials?version=2"
is 'version read'

while read -r type data; do
    put "$secrets/test/type-$type" '{"data": '"$data"', "secret_type": "'"$type"'"}'
    holds "$type" "[\$status, .secret_type] == [201, \"$type\"]"
done < <(jq -r '.types | to_entries[] | "\(.key) \(.value | tojson)"' "$EXPECTED")
put "$secrets/test/every-field" '{"data": {"key": "k"}, "secret_type": "api_key",
    "metadata": {"description": "everything", "tags": ["one"], "owner": "team:shop"},
    "options": {"max_versions": 100, "expires_at": "'"$(date -u -d '24 hours' +%FT%TZ)"'", "rotation_policy_id": "rot_quarterly",
        "secret_policy_id": "sp_generated"}}'
curl "${auth[@]}" "$secrets/metadata/test/every-field"
is 'every field'
put "$password" '{}'
is 'no data'
put "$password" '{"data": {}, "options": {"max_versions": 101}}'
is 'too many versions'

# What is said of a secret
fresh
three
curl "${auth[@]}" "$password"
before=$(etag)
curl -X PATCH "$password" "${auth[@]}" "${json[@]}" \
    -d '{"metadata": {"tags": ["postgres", "production", "critical"]}, "options": {"max_versions": 25}}'
is patched
# What somebody has kept is good still.
curl "${auth[@]}" -H "If-None-Match: $before" "$password"
echo null >answer
holds 'what is kept' '$status == 304'

# Lists
fresh
put "$secrets/test/ended" '{"data": {"n": 1}, "options": {"expires_in": "1s"}}'
put "$credentials" '{"data": {"client_id": "3MVG9..."}, "secret_type": "json",
    "metadata": {"tags": ["salesforce", "oauth", "production"]}, "options": {"expires_in": "90d"}}'
put "$secrets/test/oauth-token" '{"data": {"n": 1}, "options": {"expires_in": "9d"}}'
put "$secrets/test/type-certificate" '{"data": {"cert_pem": "..."}, "secret_type": "certificate"}'
three
sleep 2
curl "${auth[@]}" "$secrets?prefix=environments/production/&limit=50"
holds 'entries alike' '(.secrets | length) == 50 and all(.secrets[]; keys == ($expected[0].answers.listed[1].secrets[0] | keys))'
cp answer page
jq '.secrets |= .[:1]' page >answer
is listed
jq -r '.secrets[].path' page >listed
while [[ $(jq .has_more page) == true ]]; do
    curl "${auth[@]}" --get --data-urlencode prefix=environments/production/ \
        --data-urlencode cursor="$(jq -r .cursor page)" "$secrets"
    cp answer page
    jq -r '.secrets[].path' page >>listed
done
jq '.secrets = []' page >answer
is 'last page'
jq -Rn '[inputs]' listed >answer
holds 'all of them once, in order' 'length == 127 and . == unique'
while read -r query; do
    curl "${auth[@]}" "$secrets?$query"
    holds "what $query finds" "[.secrets[].path] as \$found | any(\$expected[0].filters[]; . == [\"$query\", \$found])"
done < <(jq -r '.filters[][0]' "$EXPECTED")
curl "${auth[@]}" "$password"
curl "${auth[@]}" "$secrets?prefix=app/&include_metadata=true"
is 'listed with metadata'

# What ends
curl "${auth[@]}" "$secrets/expiring?days=30"
is expiring
curl "${auth[@]}" "$secrets/test/ended"
is secret_expired

# Versions and metadata
fresh
three
curl "${auth[@]}" "$password/versions"
is versions
curl "${auth[@]}" "$secrets/metadata/app/db/password"
before=$(jq .access_count_30d answer)
curl "${auth[@]}" "$password"
curl "${auth[@]}" "$password?version=1"
curl "${auth[@]}" "$secrets/metadata/app/db/password"
is metadata
holds 'both reads counted' ".access_count_30d == $before + 2"

# Deleting and restoring
fresh
three
curl "${auth[@]}" "$password"
curl -X DELETE "$password" "${auth[@]}"
is deleted
curl "${auth[@]}" "$password"
is 'gone for now'
put "$password" '{"data": {"password": "four"}}'
is secret_exists
curl -X POST "$password/restore" "${auth[@]}"
is restored
curl -X DELETE "$password?version=2" "${auth[@]}"
is 'version deleted'
curl "${auth[@]}" "$password?version=2"
is version_not_found
curl "${auth[@]}" "$password"
holds 'the newest' '.data.password == "three"'
curl -X DELETE "$password?permanent=true" "${auth[@]}"
is 'deleted for good'
curl -X POST "$password/restore" "${auth[@]}"
is secret_not_found

# Rotation
fresh
three
curl -X POST "$password/rotate" "${auth[@]}" "${json[@]}" \
    -d '{"reason": "a laptop was lost", "new_value": {"password": "new-strong-password"}, "grace_period": "1h"}'
is rotated
curl "${auth[@]}" "$password"
holds 'the new value' '.data.password == "new-strong-password"'
curl "${auth[@]}" "$password?version=3"
holds 'the one before' '.data.password == "three"'
put "$secrets/test/generated" '{"data": {"password": "x"},
    "options": {"rotation_policy_id": "rot_generated", "secret_policy_id": "sp_generated"}}'
curl -X POST "$secrets/test/generated/rotate" "${auth[@]}" "${json[@]}" -d '{"reason": "a laptop was lost"}'
is generated
curl "${auth[@]}" "$secrets/test/generated"
holds 'a value by the policy' '.data.password | test("^[0-9a-f]{16}$")'

# Partners and their tenants
fresh
curl -X PUT "$v1/partner/secrets/shared/trust-anchor" "${partner_auth[@]}" "${json[@]}" \
    -d '{"data": {"cert_pem": "..."}, "secret_type": "certificate"}'
is shared
tenant "$v1/partner/secrets/shared/trust-anchor"
is 'shared, as a tenant reads it'
tenant -X PUT "$v1/partner/secrets/shared/trust-anchor" "${json[@]}" -d '{"data": {"cert_pem": "mine"}, "secret_type": "certificate"}'
is access_denied
tenant -X PUT "$password" "${json[@]}" -d '{"data": {"password": "acme"}}'
three
for address in "$v1/t/tnt_acme_dev/secrets/app/db/password" "-H X-Tenant-ID:tnt_acme_dev $password"; do
    # shellcheck disable=SC2086 # the header is a word of its own
    curl "${partner_auth[@]}" $address
    is "the tenant's"
done
curl "${partner_auth[@]}" "$v1/t/tnt_of_nobody/secrets/app/db/password"
is access_denied

# Errors
fresh
curl "${auth[@]}" "$password"
is secret_not_found
put "$secrets/app//password" '{"data": {"password": "x"}}'
is invalid_path
three
curl "${auth[@]}" "$password?version=9"
is version_not_found
# Somebody else has written in between: read again, and once more.
curl -X PUT "$password" "${auth[@]}" "${json[@]}" -H 'If-Match: "2"' -d '{"data": {"password": "four"}}'
is version_conflict
curl "${auth[@]}" "$password"
curl -X PUT "$password" "${auth[@]}" "${json[@]}" -H "If-Match: $(etag)" -d '{"data": {"password": "four"}}'
holds 'the fourth version' '[$status, .version] == [200, 4]'
# Old versions go with a new one.
curl -X PATCH "$password" "${auth[@]}" "${json[@]}" -d '{"options": {"max_versions": 1}}'
put "$password" '{"data": {"password": "five"}}'
curl "${auth[@]}" "$password?version=4"
is version_not_found

what='all of it'
jq -n '$ARGS.positional | sort' --args "${!seen[@]}" >answer
holds 'each of the expected answers' '. == ($expected[0].answers | keys)'
echo "curl: $passed checks passed, $failed failed"
((failed == 0))
