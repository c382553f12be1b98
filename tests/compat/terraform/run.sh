#!/usr/bin/env bash
# Drives a running okmsd with Terraform and its vault provider: a mount, its settings, a secret that is read again, changed and
# taken away, and a token. What was applied must need no change when it is planned again.
#
#   source <dir of okmsd dev>/env.sh && tests/compat/terraform/run.sh
#
# TERRAFORM=path names terraform or tofu; otherwise one on PATH is taken, or OpenTofu is built with Go into target/compat,
# as the provider is. Exits 0 when all went well, 1 when something did not, 77 when they cannot be had (COMPAT_STRICT=1
# makes that a failure too).
set -euo pipefail

suite=terraform
readonly OPENTOFU=v1.10.10
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../suite.sh
source "$here/../suite.sh"
needs_environment OKMS_ID KMS_RESTAPI_ENDPOINT VAULT_CACERT VAULT_CLIENT_CERT VAULT_CLIENT_KEY
needs_tools go curl jq

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

terraform=${TERRAFORM:-$(command -v terraform || command -v tofu || true)}
if [[ -z $terraform ]]; then
    terraform=$packages/opentofu-$OPENTOFU/tofu
    if [[ ! -x $terraform ]]; then
        # Not go install: it has replacements of its own. Some minutes, once.
        mkdir "$work/opentofu"
        if ! (
            cd "$work/opentofu" &&
            go mod init opentofu &&
            go mod edit -require="github.com/opentofu/opentofu@$OPENTOFU" \
                -replace=github.com/hashicorp/hcl/v2@v2.20.1=github.com/opentofu/hcl/v2@v2.20.2-0.20251021132045-587d123c2828 &&
            GOFLAGS=-mod=mod GOTOOLCHAIN=local go build -o "$terraform" github.com/opentofu/opentofu/cmd/tofu
        ) >"$work/install.log" 2>&1; then
            tail -n 3 "$work/install.log" >&2
            skip "there is no terraform, and OpenTofu $OPENTOFU could not be built (set TERRAFORM)"
        fi
    fi
fi
plugins=$packages/terraform
mkdir -p "$plugins"
if ! (cd "$here/provider" && go build -o "$plugins/terraform-provider-vault" .) >"$work/build.log" 2>&1; then
    tail -n 3 "$work/build.log" >&2
    skip "the vault provider could not be built"
fi

# Nothing of the person who runs this, and no registry.
cat >"$work/terraformrc" <<RC
provider_installation {
  dev_overrides {
    "hashicorp/vault" = "$plugins"
  }
}
RC
export HOME=$work TF_CLI_CONFIG_FILE=$work/terraformrc CHECKPOINT_DISABLE=1 TF_IN_AUTOMATION=1 TF_INPUT=0
export TF_VAR_endpoint=$KMS_RESTAPI_ENDPOINT TF_VAR_ca=$VAULT_CACERT
export TF_VAR_certificate=$VAULT_CLIENT_CERT TF_VAR_key=$VAULT_CLIENT_KEY
unset VAULT_ADDR VAULT_NAMESPACE
mkdir "$work/state"
cp "$here/main.tf" "$work/state"
cd "$work/state"

ask() { curl -sS --fail --max-time 20 --cacert "$TF_VAR_ca" --cert "$TF_VAR_certificate" --key "$TF_VAR_key" "$@"; }
# The provider insists on a token.
VAULT_TOKEN=$(ask -X POST "$KMS_RESTAPI_ENDPOINT/v1/auth/cert/login" | jq -r .auth.client_token)
export VAULT_TOKEN

passed=0
# run CODE PASSWORD ARGUMENTS...: that exit code of terraform.
run() {
    local wanted=$1 code=0
    export TF_VAR_password=$2
    shift 2
    timeout 60 "$terraform" "$@" >"$work/out" 2>&1 </dev/null || code=$?
    if ((code != wanted)); then
        echo "terraform: FAILED: $* with exit code $code, not $wanted:" >&2
        cat "$work/out" >&2
        exit 1
    fi
    passed=$((passed + 1))
}
# holds PATH EXPRESSION: what jq says of what okmsd has there.
holds() {
    local answer
    answer=$(ask "$KMS_RESTAPI_ENDPOINT/v1/$1")
    jq -e "$2" <<<"$answer" >/dev/null || { echo "terraform: FAILED: want $2 of $1, which is $answer" >&2; exit 1; }
    passed=$((passed + 1))
}

run 2 one plan -detailed-exitcode
run 0 one apply -auto-approve
run 0 one plan -detailed-exitcode
[[ $("$terraform" output -raw password) == one ]]
holds terraform/data/app/database '.data.data == {user: "app", password: "one", "ü": "a b"} and .data.metadata.version == 1'
holds terraform/config '.data.max_versions == 5'
holds sys/mounts '.data["terraform/"] | .type == "kv" and .options.version == "2" and .description == "made by Terraform"'
# A change makes one version, and what was changed by others is found and undone.
run 0 two apply -auto-approve
holds terraform/data/app/database '.data.data.password == "two" and .data.metadata.version == 2'
ask -o "$work/out" "$KMS_RESTAPI_ENDPOINT/v1/terraform/data/app/database" -d '{"data": {"password": "another"}}'
run 2 two plan -detailed-exitcode
run 0 two apply -auto-approve
holds terraform/data/app/database '.data.data == {user: "app", password: "two", "ü": "a b"} and .data.metadata.version == 4'
run 0 two plan -detailed-exitcode
run 0 two state rm vault_generic_secret.database
run 0 two import vault_generic_secret.database terraform/app/database
# The provider leaves a secret's metadata, and the mount goes all the same; what was in it can be had back.
run 0 two destroy -auto-approve
holds sys/mounts '.data | has("terraform/") | not'
ask -X POST "$KMS_RESTAPI_ENDPOINT/v1/secrets/terraform/app/database/restore"
holds secret/metadata/terraform/app/database '.data.current_version == 4'
echo "terraform: $passed checks passed with $("$terraform" version | head -n 1) and its vault provider"
