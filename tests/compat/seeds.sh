#!/usr/bin/env bash
# Sends a running okmsd what two documents tell their readers to send:
#
#   IBM Cloud, "Managing key-value secrets with Vault API": each of its requests, below /v1/ibmcloud/kv, with
#   and without a token.
#   A guide to secrets management with Vault's KV engine: each of its commands, as the requests that the vault
#   command line makes of it.
#
#   source <dir of okmsd dev>/env.sh && tests/compat/seeds.sh
#
# VAULT_CLI=path names a vault or a bao, with which the guide's commands are run as well.
# Exits 0 when all checks hold, 1 when one does not, 77 when curl or jq is missing (COMPAT_STRICT=1 makes that a
# failure too).
set -euo pipefail

suite=seeds
# shellcheck source=suite.sh
source "$(dirname "${BASH_SOURCE[0]}")/suite.sh"
needs_environment OKMS_ID KMS_RESTAPI_ENDPOINT VAULT_ADDR VAULT_CACERT VAULT_CLIENT_CERT VAULT_CLIENT_KEY
needs_tools curl jq
binary=${VAULT_CLI:-}
if [[ -n $binary ]]; then
    binary=$(command -v "$binary") || { echo "seeds: VAULT_CLI=$VAULT_CLI is not there" >&2; exit 1; }
    binary=$(realpath "$binary")
fi

work=$(mktemp -d)
config=
finish() {
    if [[ -n $config ]]; then
        send PUT "$VAULT_ADDR/v2/secretConfig" -d "$config"
        if [[ $status != 200 ]]; then echo "seeds: the domain did not get its config back: $config" >&2; fi
    fi
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A configuration of the person who runs this must not leak in: no token of theirs, neither here nor at home.
unset VAULT_TOKEN VAULT_NAMESPACE VAULT_FORMAT
export HOME=$work
cd "$work"

passed=0
failed=0
what=
status=
tls=(--cacert "$VAULT_CACERT" --cert "$VAULT_CLIENT_CERT" --key "$VAULT_CLIENT_KEY")
# What the checks say more than once, in jq's words.
# shellcheck disable=SC2016 # jq's variables, not the shell's
words='
def moment: test("^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d{1,9})?Z$");
def envelope:
    (["request_id", "lease_id", "renewable", "lease_duration", "data", "wrap_info", "warnings", "auth"] - keys) == []
    and (.request_id | test("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"))
    and [.lease_id, .renewable, .lease_duration, .wrap_info, .warnings, .auth] == ["", false, 0, null, null, null];
def version($n):
    .version == $n and (.created_time | moment) and .deletion_time == "" and .destroyed == false;
def deleted: .data == null and (.metadata.deletion_time | moment) and .metadata.destroyed == false;
def destroyed: .data == null and .metadata.destroyed == true;
def error: (.error_code | type) == "number" and has("error_id") and has("request_id");
def absent: error and .errors == [];
def refused($pattern): error and (.errors | length) == 1 and (.errors[0] | test($pattern; "i"));
'

# send METHOD URL [ARGUMENTS OF CURL...]: leaves $status, and the answer in the files answer.head and answer.
send() {
    local method=$1 url=$2
    shift 2
    what="$method ${url#"$KMS_RESTAPI_ENDPOINT"}"
    : >answer.head
    : >answer
    status=$(curl -sS --max-time 20 "${tls[@]}" -X "$method" -D answer.head -o answer -w '%{http_code}' \
        "$@" "$url") || true
}
ok() { passed=$((passed + 1)); }
bad() {
    failed=$((failed + 1))
    echo "FAILED: $what: $1"
    echo "  status: $status"
    sed 's/^/  body: /' answer
    echo
}
# check STATUS [EXPRESSION]: the status of the answer, and what jq says of its body; without one there is no body.
check() {
    if [[ $status != "$1" ]]; then
        bad "want status $1"
    elif ! grep -qix $'cache-control: no-store\r' answer.head; then
        bad "want cache-control: no-store"
    elif [[ -z ${2:-} && -s answer ]]; then
        bad "want no body"
    elif [[ -n ${2:-} ]] && ! grep -qix $'content-type: application/json\r' answer.head; then
        bad "want content-type: application/json"
    elif [[ -n ${2:-} ]] && ! jq -e "$words $2" answer >/dev/null; then
        bad "want $2"
    else
        ok
    fi
}
# The documents show an envelope around nothing where Vault itself answers 204; their readers can do with both.
check_done() { if [[ $status == 204 ]]; then check 204; else check 200 'envelope and .data == null'; fi; }

# Suites share the server: versions that expire on their own, or a CAS that another suite asked for, would spoil
# what is checked here. The native API keeps the domain's config as it was typed.
send GET "$VAULT_ADDR/v2/secretConfig"
check 200 'has("casRequired")'
((failed == 0)) || exit 1
config=$(<answer)
send PUT "$VAULT_ADDR/v2/secretConfig" -d '{"casRequired": false, "deactivateVersionAfter": "0s"}'
check 200 '.casRequired == false'

# --- IBM Cloud: Managing key-value secrets with Vault API

# ibm SECRET [HEADER...]: the document from top to bottom, on one secret.
ibm() {
    local secret=$1 base=$KMS_RESTAPI_ENDPOINT/v1/ibmcloud/kv header headers=(-H 'Accept: application/json')
    shift
    for header in "$@"; do headers+=(-H "$header"); done
    local json=("${headers[@]}" -H 'Content-Type: application/json')

    # Create or update a key-value secret
    send POST "$base/data/$secret" "${json[@]}" -d '{"data": {"key": "value"}}'
    check 200 'envelope and (.data | version(1))'
    send POST "$base/data/$secret" "${json[@]}" -d '{"data": {"key": "value 2", "other": "stays"}}'
    check 200 'envelope and (.data | version(2))'

    # Read a version of a key-value secret
    send GET "$base/data/$secret?version=1" "${headers[@]}"
    check 200 'envelope and .data.data == {key: "value"} and (.data.metadata | version(1))'
    send GET "$base/data/$secret" "${headers[@]}"
    check 200 'envelope and .data.data.key == "value 2" and (.data.metadata | version(2))'

    # Patch a key-value secret
    send PATCH "$base/data/$secret" "${headers[@]}" -H 'Content-Type: application/merge-patch+json' \
        -d '{"data": {"key": "value 3"}}'
    check 200 'envelope and (.data | version(3))'
    send GET "$base/data/$secret" "${headers[@]}"
    check 200 '.data.data == {key: "value 3", other: "stays"}'

    # Delete the latest version of a key-value secret
    send DELETE "$base/data/$secret" "${headers[@]}"
    check 204
    send GET "$base/data/$secret" "${headers[@]}"
    check 404 '.data | deleted'

    # Delete specified versions of a key-value secret; as in the document, without a Content-Type of JSON
    send POST "$base/delete/$secret" "${headers[@]}" -d '{"versions": [1, 2]}'
    check_done
    send GET "$base/data/$secret?version=1" "${headers[@]}"
    check 404 '.data | deleted'

    # Undelete a key-value secret
    send POST "$base/undelete/$secret" "${json[@]}" -d '{"versions": [1, 2]}'
    check 204
    send GET "$base/data/$secret?version=1" "${headers[@]}"
    check 200 '.data.data == {key: "value"} and (.data.metadata | version(1))'

    # Destroy versions of a secret
    send POST "$base/destroy/$secret" "${json[@]}" -d '{"versions": [1, 3]}'
    check 204
    for version in 1 3; do
        send GET "$base/data/$secret?version=$version" "${headers[@]}"
        check 404 '.data | destroyed'
    done
    send GET "$base/data/$secret?version=2" "${headers[@]}"
    check 200 '.data.metadata | version(2)'

    # Create or update key-value secret metadata
    send POST "$base/metadata/$secret" "${json[@]}" -d '{"custom_metadata": {"meta1": "data1", "meta2": "data2"}}'
    check 204

    # Read metadata of key-value secret
    send GET "$base/metadata/$secret" "${headers[@]}"
    check 200 'envelope and (.data | .cas_required == false and .current_version == 3 and .oldest_version == 0
        and .max_versions == 0 and .delete_version_after == "0s"
        and .custom_metadata == {meta1: "data1", meta2: "data2"}
        and (.created_time | moment) and (.updated_time | moment) and (.versions | keys) == ["1", "2", "3"])'
    check 200 '.data.versions | [.[] | .destroyed] == [true, false, true] and all(.[]; .created_time | moment)
        and .["2"].deletion_time == ""'

    # List key names of a key-value secret
    send GET "$base/metadata/?list=true" "${headers[@]}"
    check 200 "envelope and any(.data.keys[]; . == \"${secret%%/*}\" or . == \"${secret%%/*}/\")"
    if [[ $secret == */* ]]; then
        send GET "$base/metadata/${secret%/*}?list=true" "${headers[@]}"
        check 200 "envelope and .data == {keys: [\"${secret##*/}\"]}"
    fi

    # Delete the metadata and all versions of a key-value secret
    send DELETE "$base/metadata/$secret" "${headers[@]}"
    check_done
    for kind in data metadata; do
        send GET "$base/$kind/$secret" "${headers[@]}"
        check 404 'absent'
    done
}
# "The maximum file size is 512 KB."
ibm_size() {
    local secret=$KMS_RESTAPI_ENDPOINT/v1/ibmcloud/kv/data/$unique-large
    jq -n '{data: {key: ("x" * (512 * 1024 - 100))}}' >large
    send POST "$secret" -H 'Content-Type: application/json' --data-binary @large
    check 200 '.data | version(1)'
    send GET "$secret"
    check 200 '.data.data.key | length == 512 * 1024 - 100'
    jq -n '{data: {key: ("x" * (512 * 1024 + 100))}}' >large
    send POST "$secret" -H 'Content-Type: application/json' --data-binary @large
    check 400 'error and .errors != []'
    send DELETE "${secret/data/metadata}"
    check_done
}

unique=seeds-$$-$RANDOM$RANDOM
ibm "$unique"
ibm "$unique-group/secret"
# The document gets its token elsewhere; here it comes from the certificate.
send POST "$KMS_RESTAPI_ENDPOINT/v1/auth/cert/login" -H 'Content-Type: application/json' -d '{}'
check 200 '.auth | (.client_token | startswith("okms.")) and .token_type == "service" and .lease_duration > 0'
token=$(jq -r .auth.client_token answer)
ibm "$unique" "X-Vault-Token: $token"
ibm "$unique-group/secret" "Authorization: Bearer $token"
send POST "$KMS_RESTAPI_ENDPOINT/v1/ibmcloud/kv/data/$unique" -H "X-Vault-Token: ${token}x" -d '{"data": {}}'
check 403 'refused("^permission denied$")'
send POST "$KMS_RESTAPI_ENDPOINT/v1/auth/token/revoke-self" -H "X-Vault-Token: $token"
check 204
ibm_size

# --- The guide, in the requests of the command line

# cli METHOD PATH [BODY]: as the command line sends it, which names no Content-Type but that of a patch.
cli() {
    local type=
    if [[ $1 == PATCH ]]; then type=' application/merge-patch+json'; fi
    send "$1" "$VAULT_ADDR/v1/$2" -H 'X-Vault-Request: true' -H 'Accept:' -H "Content-Type:$type" ${3:+-d "$3"}
}
# at KIND PATH: secret/a/b is read at secret/data/a/b.
at() { echo "${2%%/*}/$1${2#"${2%%/*}"}"; }
# Every kv command asks first which mount a path belongs to, and of which version it is: as text, or it crashes.
preflight() {
    cli GET "sys/internal/ui/mounts/$1"
    check 200 ".data.path == \"${1%%/*}/\" and .data.type == \"kv\" and .data.options.version == \"2\""
}
# kv COMMAND PATH VERSION...: `kv delete`, `kv undelete` and `kv destroy` with -versions, which are sent as text.
kv() {
    preflight "$2"
    cli PUT "$(at "$1" "$2")" "$(jq -nc '{versions: $ARGS.positional}' --args "${@:3}")"
    check 204
}
# The secrets that the guide wrote.
declare -A written
# kv_put PATH VALUE VERSION
kv_put() {
    preflight "$1"
    cli PUT "$(at data "$1")" "{\"data\":$2,\"options\":{}}"
    check 200 "envelope and (.data | version($3) and has(\"custom_metadata\") and length == 5)"
    written[$1]=1
}
# kv_patch PATH CHANGE VERSION
kv_patch() {
    preflight "$1"
    cli PATCH "$(at data "$1")" "{\"data\":$2,\"options\":{}}"
    check 200 "envelope and (.data | version($3) and length == 5)"
}
# kv_get PATH VALUE [VERSION]: also for -field and -format, which do not change the request.
kv_get() {
    preflight "$1"
    cli GET "$(at data "$1")${3:+?version=$3}"
    check 200 "envelope and .data.data == $2
        and (.data.metadata | version(${3:-.version}) and .custom_metadata == null and length == 5)"
}
# kv_gone PATH VERSION STATE: what is deleted or destroyed has metadata still, which the command line prints.
kv_gone() {
    preflight "$1"
    cli GET "$(at data "$1")${2:+?version=$2}"
    check 404 ".errors == [] and (.data | $3)"
}
# kv_list PATH NAME...: the names are listed, in this order.
kv_list() {
    local names
    names=$(jq -nc '$ARGS.positional' --args "${@:2}")
    preflight "$1"
    cli GET "$(at metadata "$1")?list=true"
    check 200 "envelope and (.data.keys | . - (. - $names)) == $names"
}
# kv_metadata PATH EXPRESSION: `kv metadata get`
kv_metadata() {
    preflight "$1"
    cli GET "$(at metadata "$1")"
    check 200 "envelope and (.data | $2)"
}
# enable TYPE PATH: `secrets enable -path=PATH TYPE`
enable() {
    local config='{"options":null,"default_lease_ttl":"0s","max_lease_ttl":"0s","force_no_cache":false}'
    cli POST "sys/mounts/$2" "{\"type\":\"$1\",\"description\":\"\",\"config\":$config,\"local\":false,
        \"seal_wrap\":false,\"external_entropy_access\":false,\"options\":null}"
}

guide() {
    local keys=secret/$unique/api-keys app=secret/$unique/myapp mount=$unique-mount none=$unique-none path

    # Step 1: Verify and Enable Secrets Engine
    cli GET sys/mounts
    check 200 'envelope and (.data["secret/"] | .type == "kv" and .options == {version: "2"}
        and all(.accessor, .uuid, .description; type == "string")
        and all(.config.default_lease_ttl, .config.max_lease_ttl; type == "number"))'
    # It is there already, which is what the guide wants.
    enable kv-v2 secret
    check 400 'refused("^path is already in use at secret/$")'
    enable kv-v2 "$mount"
    check 204
    cli GET sys/mounts
    check 200 "all(.data[\"secret/\", \"$mount/\"]; .type == \"kv\" and .options == {version: \"2\"})"
    for path in "$mount" "$mount/below" secret/below; do
        enable kv-v2 "$path"
        check 400 "refused(\"^path is already in use at ${path%%/*}/$\")"
    done
    cli PUT "$mount/data/myapp" '{"data":{"n":"1"},"options":{}}'
    check 200 '.data | version(1)'
    kv_get "$mount/myapp" '{n: "1"}'
    kv_get "secret/$mount/myapp" '{n: "1"}'
    kv_list "$mount" myapp
    # vault secrets disable: with what is in it
    cli DELETE "sys/mounts/$mount"
    check 204
    cli GET sys/mounts
    check 200 ".data | has(\"secret/\") and (has(\"$mount/\") | not)"

    # Step 2: Store API Keys and Credentials
    kv_put "$keys/openai" '{"api_key":"sk-proj-your-openai-key-here","organization":"your-org-id"}' 1
    kv_put "$keys/anthropic" '{"api_key":"your-anthropic-key-here"}' 1
    kv_put "$keys/github" '{"token":"ghp_your-github-token","username":"your-github-username"}' 1
    kv_put "$app/database" \
        '{"username":"db_admin","password":"secure_db_password","host":"db.example.com","port":"5432"}' 1
    kv_put "$app/config" \
        '{"app_secret":"your-app-secret-key","jwt_secret":"jwt-signing-key","encryption_key":"aes-256-key"}' 1
    kv_put "$keys/stripe" '{"api_key":"sk_live_your-stripe-key","webhook_secret":"whsec_webhook-secret",
        "created_date":"2025-09-25","environment":"production","owner":"finance-team"}' 1

    # Step 3: Retrieve Secrets
    kv_get "$keys/openai" '{api_key: "sk-proj-your-openai-key-here", organization: "your-org-id"}'
    kv_get "$app/database" \
        '{username: "db_admin", password: "secure_db_password", host: "db.example.com", port: "5432"}'
    kv_list secret "$unique/"
    kv_list "${keys%/*}" api-keys/ myapp/
    kv_list "$keys" anthropic github openai stripe
    kv_list "$app" config database

    # Step 4: Advanced Secrets Management
    kv_metadata "$keys/openai" '.current_version == 1 and .oldest_version == 0 and (.versions | keys) == ["1"]
        and .custom_metadata == null and .max_versions == 0 and .cas_required == false
        and .delete_version_after == "0s" and all(.created_time, .updated_time; moment)'
    kv_get "$keys/openai" '{api_key: "sk-proj-your-openai-key-here", organization: "your-org-id"}' 1
    kv_put "$keys/openai" '{"api_key":"sk-proj-updated-key","organization":"new-org-id"}' 2
    kv_get "$keys/openai" '{api_key: "sk-proj-updated-key", organization: "new-org-id"}'
    kv_get "$keys/openai" '{api_key: "sk-proj-your-openai-key-here", organization: "your-org-id"}' 1
    kv_metadata "$keys/openai" '.current_version == 2 and (.versions | keys) == ["1", "2"]'

    # The guide deletes a service that it never wrote, which is no error.
    preflight "$keys/old-service"
    cli DELETE "$(at data "$keys/old-service")"
    check 204
    kv undelete "$keys/old-service" 3
    for version in 1 2 3; do kv_put "$keys/old-service" "{\"n\":\"$version\"}" "$version"; done
    cli DELETE "$(at data "$keys/old-service")"
    check 204
    kv_gone "$keys/old-service" '' deleted
    kv undelete "$keys/old-service" 3
    kv_get "$keys/old-service" '{n: "3"}'
    kv delete "$keys/openai" 1 2
    kv_gone "$keys/openai" 1 deleted
    kv_gone "$keys/openai" '' deleted
    kv destroy "$keys/openai" 1 2
    kv_gone "$keys/openai" 1 destroyed
    kv_gone "$keys/openai" '' destroyed
    kv undelete "$keys/openai" 1 2
    kv_gone "$keys/openai" '' destroyed
    kv_metadata "$keys/openai" '.current_version == 2 and all(.versions[]; .destroyed)'

    kv_patch "$keys/stripe" '{"api_key":"sk_live_new-stripe-key"}' 2
    kv_get "$keys/stripe" '{api_key: "sk_live_new-stripe-key", webhook_secret: "whsec_webhook-secret",
        created_date: "2025-09-25", environment: "production", owner: "finance-team"}'
    kv_patch "$app/config" '{"redis_url":"redis://cache.example.com:6379"}' 2
    kv_get "$app/config" '{app_secret: "your-app-secret-key", jwt_secret: "jwt-signing-key",
        encryption_key: "aes-256-key", redis_url: "redis://cache.example.com:6379"}'

    # Troubleshooting: permission denied, for an engine that is not there
    cli GET "sys/internal/ui/mounts/$none/api-keys/openai"
    check 403 "error and .errors == [\"preflight capability check returned 403, please ensure client's policies grant\"
        + \" access to path \\\"$none/api-keys/openai/\\\"\"]"
    # No handler for route; and the hint for those who take the path of version 1
    cli GET "$none/mykey"
    check 404 "error and .errors == [\"no handler for route \\\"$none/mykey\\\". route entry not found.\"]"
    cli GET "secret/$unique/mykey"
    check 404 '.data == null and (.warnings | length) == 1
        and (.warnings[0] | startswith("Invalid path for a versioned K/V secrets engine."))'
    # Secret not found
    cli GET "secret/data/$unique/mykey"
    check 404 absent
    cli GET "secret/metadata/$unique/none?list=true"
    check 404 absent

    # Access control
    cli PUT sys/policies/acl/myapp-policy \
        '{"policy":"path \"secret/data/myapp/*\" {\n  capabilities = [\"read\"]\n}\n"}'
    check 204
    cli GET sys/policies/acl/myapp-policy
    check 200 '.data.name == "myapp-policy" and (.data.policy | contains("secret/data/myapp"))'
    cli PUT auth/userpass/users/myapp-user '{"password":"secure-password","policies":"myapp-policy"}'
    check 204
    cli PUT auth/userpass/login/myapp-user '{"password":"secure-password"}'
    check 200 '.auth.metadata.username == "myapp-user" and (.auth.client_token | startswith("okms."))'
    cli PUT auth/userpass/login/myapp-user '{"password":"insecure-password"}'
    check 400 'refused("invalid username or password")'
    cli DELETE auth/userpass/users/myapp-user
    check 204
    cli DELETE sys/policies/acl/myapp-policy
    check 204

    # Audit devices are operators' business (bao.sh enables one as such).
    cli PUT sys/audit/file \
        '{"type":"file","description":"","options":{"file_path":"/vault/logs/audit.log"},"local":false}'
    check 403 'refused("operator")'
    # The database: what is not served says so, by its name.
    enable database database
    check 400 'refused("database")'
    cli PUT database/config/my-database '{"plugin_name":"mysql-database-plugin",
        "connection_url":"root:password@tcp(localhost:3306)/","allowed_roles":"my-role"}'
    check 400 'refused("database")'

    # Secret Templates
    kv_put "secret/$unique/templates/api-service" '{"api_key":"REPLACE_WITH_ACTUAL_KEY",
        "environment":"REPLACE_WITH_ENV","owner":"REPLACE_WITH_TEAM","created_date":"REPLACE_WITH_DATE"}' 1

    # vault kv metadata delete
    for path in "${!written[@]}"; do
        cli DELETE "$(at metadata "$path")"
        check 204
    done
    cli GET "secret/metadata/$unique?list=true"
    check 404 absent
    # vault secrets disable secret: never, it is the domain itself
    cli DELETE sys/mounts/secret
    check 400 'refused("secret/")'
}
guide

# --- The guide, with the command line itself

# vault ARGUMENTS...: leaves $status (the exit code) and the output, of both kinds, in the file answer.
vault() {
    what="vault $*"
    status=0
    "$binary" "$@" >answer 2>&1 </dev/null || status=$?
}
# prints CODE [TEXT...]: the exit code, and each text in the output.
prints() {
    local text out code=$1
    shift
    out=$(<answer)
    if [[ $status != "$code" ]]; then bad "want exit code $code"; return; fi
    for text in "$@"; do
        if [[ $out != *"$text"* ]]; then bad "want «$text»"; return; fi
    done
    ok
}
# value TEXT: the output is this and nothing else.
value() { if [[ $status == 0 && $(<answer) == "$1" ]]; then ok; else bad "want «$1»"; fi; }

guide_itself() {
    local keys=secret/$unique/api-keys app=secret/$unique/myapp mount=$unique-mount none=$unique-none path

    vault status
    prints 0 Initialized
    # "Vault CLI configured and authenticated": the certificate is enough; a login may follow.
    vault kv put "$keys/openai" api_key=sk-proj-your-openai-key-here organization=your-org-id
    prints 0 '== Secret Path ==' "secret/data/$unique/api-keys/openai" '======= Metadata =======' \
        'custom_metadata    <nil>' 'deletion_time      n/a'
    vault login -method=cert
    prints 0 'You are now authenticated'
    vault token lookup
    prints 0 accessor 'type                service'

    vault secrets list
    prints 0 'secret/'
    vault secrets enable -path=secret kv-v2
    prints 2 'Code: 400' 'path is already in use at secret/'
    vault secrets enable -path="$mount" kv-v2
    prints 0 Success
    vault secrets list
    prints 0 'secret/' "$mount/"
    vault kv put -mount="$mount" myapp n=1
    prints 0 "$mount/data/myapp"
    vault secrets disable "$mount"
    prints 0 Success

    vault kv put "$keys/anthropic" api_key=your-anthropic-key-here
    prints 0 "secret/data/$unique/api-keys/anthropic"
    vault kv put "$app/database" username=db_admin password=secure_db_password host=db.example.com port=5432
    prints 0 "secret/data/$unique/myapp/database"
    vault kv put "$app/config" app_secret=your-app-secret-key jwt_secret=jwt-signing-key encryption_key=aes-256-key
    prints 0 "secret/data/$unique/myapp/config"
    vault kv put "$keys/stripe" api_key=sk_live_your-stripe-key owner=finance-team
    prints 0 "secret/data/$unique/api-keys/stripe"

    vault kv get "$keys/openai"
    prints 0 '======== Data ========' 'api_key         sk-proj-your-openai-key-here' 'version            1'
    vault kv get -format=json "$keys/openai"
    if jq -e '.data.data.organization == "your-org-id"' answer >/dev/null; then ok; else bad 'want JSON'; fi
    vault kv get -field=api_key "$keys/openai"
    value sk-proj-your-openai-key-here
    vault kv get -field=password "$app/database"
    value secure_db_password
    vault kv list secret/
    prints 0 Keys "$unique/"
    vault kv list "$keys/"
    prints 0 Keys anthropic openai stripe
    vault kv list "$app/"
    prints 0 Keys config database

    vault kv metadata get "$keys/openai"
    prints 0 '====== Version 1 ======' 'current_version'
    vault kv get -version=1 "$keys/openai"
    prints 0 'sk-proj-your-openai-key-here'
    vault kv put "$keys/openai" api_key=sk-proj-updated-key organization=new-org-id
    prints 0 'version            2'
    vault kv metadata get "$keys/openai"
    prints 0 '====== Version 1 ======' '====== Version 2 ======'
    vault kv put -cas=1 "$keys/openai" api_key=stale
    prints 2 'Code: 400' 'check-and-set parameter did not match the current version'
    vault kv rollback -version=1 "$keys/openai"
    prints 0 'version            3'

    for n in 1 2 3; do
        vault kv put "$keys/old-service" n="$n"
        prints 0 "version            $n"
    done
    vault kv delete "$keys/old-service"
    prints 0 "Success! Data deleted (if it existed) at: secret/data/$unique/api-keys/old-service"
    vault kv get "$keys/old-service"
    prints 0 'deletion_time      2' 'version            3'
    vault kv undelete -versions=3 "$keys/old-service"
    prints 0 "Success! Data written to: secret/undelete/$unique/api-keys/old-service"
    vault kv get -field=n "$keys/old-service"
    value 3
    vault kv delete -versions=1,2 "$keys/openai"
    prints 0 Success
    vault kv destroy -versions=1,2 "$keys/openai"
    prints 0 "Success! Data written to: secret/destroy/$unique/api-keys/openai"
    vault kv get -version=2 "$keys/openai"
    prints 0 'destroyed          true'

    vault kv patch "$keys/stripe" api_key=sk_live_new-stripe-key
    prints 0 'version            2'
    vault kv get -field=owner "$keys/stripe"
    value finance-team
    vault kv patch "$app/config" redis_url=redis://cache.example.com:6379
    prints 0 'version            2'
    vault kv metadata put -max-versions=5 -custom-metadata=owner=billing "$app/config"
    prints 0 Success
    vault kv get "$app/config"
    prints 0 'custom_metadata    map[owner:billing]' 'redis://cache.example.com:6379'

    vault kv get "$none/api-keys/openai"
    prints 2 'preflight capability check returned 403'
    vault read "$none/mykey"
    prints 2 'No value found' "$none/mykey"
    vault write "$none/mykey" n=1
    prints 2 'Code: 404' "no handler for route"
    vault read "secret/$unique/mykey"
    prints 0 'Invalid path for a versioned K/V secrets engine'
    vault kv get "secret/$unique/mykey"
    prints 2 "No value found at secret/data/$unique/mykey"
    vault kv list "secret/$unique/none/"
    prints 2 "No value found at secret/metadata/$unique/none"

    echo 'path "secret/data/myapp/*" { capabilities = ["read"] }' >policy.hcl
    vault policy write myapp-policy policy.hcl
    prints 0 'Success! Uploaded policy: myapp-policy'
    vault policy read myapp-policy
    prints 0 'secret/data/myapp'
    vault policy list
    prints 0 'myapp-policy'
    echo 'path "secret/data/myapp/*"{capabilities=["read"]}' >crooked.hcl
    vault policy fmt crooked.hcl
    prints 0 'Success! Formatted policy: crooked.hcl'
    vault policy write myapp-policy crooked.hcl
    prints 0 'Success! Uploaded policy: myapp-policy'
    vault write auth/userpass/users/myapp-user password=secure-password policies=myapp-policy
    prints 0 'Success! Data written to: auth/userpass/users/myapp-user'
    vault login -no-store -method=userpass username=myapp-user password=secure-password
    prints 0 'Success! You are now authenticated'
    vault delete auth/userpass/users/myapp-user
    prints 0 Success
    # A role of our own certificate, which takes nothing from it meanwhile.
    vault write "auth/cert/certs/$unique-role" "certificate=@$VAULT_CLIENT_CERT" policies=admin token_ttl=1h
    prints 0 "Success! Data written to: auth/cert/certs/$unique-role"
    vault read "auth/cert/certs/$unique-role"
    prints 0 'token_policies' '[admin]' 'token_ttl' '1h'
    vault list auth/cert/certs
    prints 0 Keys "$unique-role"
    vault login -no-store -method=cert "name=$unique-role"
    prints 0 'Success! You are now authenticated' token_meta_cert_name "$unique-role" '["admin" "default"]'
    vault login -no-store -token-only -method=cert "name=$unique-role"
    vault login -no-store -method=token "token=$(<answer)"
    prints 0 'Success! You are now authenticated' token_meta_cert_name "$unique-role"
    vault login -no-store -method=token token=okms.no.such
    prints 2 'Code: 403'
    vault delete "auth/cert/certs/$unique-role"
    prints 0 "Success! Data deleted (if it existed) at: auth/cert/certs/$unique-role"
    vault login -no-store -method=cert "name=$unique-role"
    prints 0 token_meta_cert_name "$unique-role" '["default"]'
    vault policy delete myapp-policy
    prints 0 Success
    vault audit enable file file_path=/vault/logs/audit.log
    prints 2 'Code: 403' operator
    vault secrets enable database
    prints 2 'Code: 400' database
    vault write database/config/my-database plugin_name=mysql-database-plugin \
        connection_url='root:password@tcp(localhost:3306)/' allowed_roles=my-role
    prints 2 'Code: 400' database

    for path in "$keys/openai" "$keys/anthropic" "$keys/stripe" "$keys/old-service" "$app/database" "$app/config"; do
        vault kv metadata delete "$path"
        prints 0 Success
    done
    vault token revoke -self
    prints 0 Success
}
itself="; the guide was not run with a vault, as VAULT_CLI names none"
if [[ -n $binary ]]; then
    guide_itself
    itself=", with $("$binary" version | head -n 1)"
fi

echo "seeds: $passed checks passed, $failed failed$itself"
((failed == 0))
