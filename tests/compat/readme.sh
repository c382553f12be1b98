#!/usr/bin/env bash
# Does what the README says: starts the server with its command, runs the lines that it prints, as printed, and the
# README's own five minutes with curl. Prints a line for each step, and exits non-zero at the first that fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

folder=okmsd-dev
output=$(mktemp)
server=
pdp=
finish() {
    for one in $server $pdp; do
        kill "$one" 2>/dev/null || true
        wait "$one" 2>/dev/null || true
    done
    rm -rf "$folder" "$output"
}
trap finish EXIT

if [ -e "$folder" ]; then
    trap - EXIT
    echo "readme: $folder exists; move it away, this test makes its own" >&2
    exit 1
fi

# cargo replaces itself by the program that it runs, so that this is the server's own process.
$(sed -n '/^cargo run/{p;q}' README.md) >"$output" &
server=$!
# On a new machine it is built first.
end=$((SECONDS + 1200))
until grep -q '^curl .*includeData' "$output"; do
    kill -0 "$server" || { echo "readme: the server ended" >&2; exit 1; }
    [ "$SECONDS" -lt "$end" ] || { echo "readme: the server does not run after 20 minutes" >&2; exit 1; }
    sleep 0.1
done
echo "ok       the server runs"

# shellcheck source=/dev/null
printed=$(sed -n '/^source /p; /^curl /p' "$output")
[ "$(wc -l <<<"$printed")" -eq 3 ] || { echo "readme: not three lines were printed" >&2; exit 1; }
answers=$(cd / && bash -euo pipefail -c "$printed")
grep -q '"currentVersion":1' <<<"$answers" && grep -q '"data":{"password":"correct horse"}' <<<"$answers"
echo "ok       the printed lines create and read a secret"

# The lines of the block that the README, or another file, marks with this name.
block() { sed -n "/^<!-- ci: $1 -->\$/,/^\`\`\`\$/p" "${2:-README.md}" | sed '1,2d;$d'; }

answers=$(bash -euo pipefail -c "$(block dev)")
grep -q '"password": "correct horse"' <<<"$answers"
[ "$(grep -c '"state":"deleted"' <<<"$answers")" -ge 2 ]
grep -q '"customMetadata":{"owner":"billing"}' <<<"$answers"
echo "ok       the README's five minutes with curl"

answers=$(bash -euo pipefail -c "$(block vault)")
grep -q '"data":{"data":{"user": "web", "password": "correct horse"}' <<<"$answers"
grep -q '"subkeys":{"password":null}' <<<"$answers"
grep -q '"keys":\["database","web"\]' <<<"$answers"
[ "$(grep -c '"current_version":2' <<<"$answers")" -eq 1 ]
echo "ok       the README's lines for KV version 2"

answers=$(PATH="$PWD/target/release:$PATH" bash -euo pipefail -c "$(block access docs/ACCESS.md)")
[ "$(grep -c '"password": "correct horse"' <<<"$answers")" -eq 1 ]
[ "$(grep -c 'does not permit this action' <<<"$answers")" -eq 2 ]
[ "$(grep -c '"pin"' <<<"$answers")" -eq 0 ]
grep -q '"secret/data/billing/mail":\["delete","patch","read","update"\],"secret/data/payroll/bank":\["deny"\]' <<<"$answers"
# The list tells of the one that it may see.
[ "$(grep -c '^\[{"path":"billing/mail",[^]]*}\]$' <<<"$answers")" -eq 1 ]
[ "$(grep -c '^\[{.*payroll' <<<"$answers")" -eq 0 ]
answers=$(PATH="$PWD/target/release:$PATH" bash -euo pipefail -c "$(block access-vault docs/ACCESS.md)")
[ "$(grep -c '"data":{"password":"correct horse"}\|"password": "correct horse"' <<<"$answers")" -eq 1 ]
[ "$(grep -c 'does not permit this action' <<<"$answers")" -eq 2 ]
answers=$(PATH="$PWD/target/release:$PATH" bash -euo pipefail -c "$(block access-users docs/ACCESS.md)")
[ "$(grep -c '"pin": "1234"' <<<"$answers")" -eq 1 ]
[ "$(grep -c '"error_code":16924673' <<<"$answers")" -eq 1 ]
answers=$(PATH="$PWD/target/release:$PATH" bash -euo pipefail -c "$(block access-authorities docs/ACCESS.md)" 2>/dev/null)
[ "$(grep -c '  CN=shop CA$' <<<"$answers")" -eq 2 ]
[ "$(grep -c '^shop  READY .*  domain  ' <<<"$answers")" -eq 1 ]
[ "$(grep -c '^\[{"path"' <<<"$answers")" -eq 1 ]
[ "$(grep -c 'does not permit this action' <<<"$answers")" -eq 1 ]
answers=$(PATH="$PWD/target/release:$PATH" bash -euo pipefail -c "$(block access-authorities-list docs/ACCESS.md)" 2>/dev/null)
[ "$(grep -c '^\[{"path"' <<<"$answers")" -eq 1 ]
[ "$(grep -c '^[01] revoked, the next list is due ' <<<"$answers")" -eq 2 ]
[ "$(grep -c 'certificate was revoked' <<<"$answers")" -eq 1 ]
echo "ok       the lines of docs/ACCESS.md"

answers=$(PATH="$PWD/target/release:$PATH" bash -euo pipefail -c "$(block audit docs/AUDIT.md)")
grep -q 'are as they were written, signed up to' <<<"$answers"
grep -q 'billing/mail' <<<"$answers" && ! grep -q 'correct horse' <<<"$answers"
grep -q ' deny ' <<<"$answers"
questions=$(bash -euo pipefail -c "$(block audit-jq docs/AUDIT.md)")
[ "$(grep -c '^## ' <<<"$questions")" -eq 10 ]
# Each has an answer, of which a fact is known, but the last: nothing is left open.
asked() { sed -n "/^## $1/,/^## /p" <<<"$questions" | sed '1d;/^## /d'; }
has() { asked "$1" | grep -q -- "$2" || { echo "readme: '$1' is not answered with $2" >&2; exit 1; }; }
has 'who has read' '"billing","permit"\]$'
has 'what was refused' '^\["[^"]*","billing","[0-9a-f]*","GetSecretV2","payroll/bank"\]$'
has 'what has a certificate' '"PutSecretVersionV2","billing/mail","deny"\]$'
has 'what was changed' '"billing/mail","secrets.create"\]$'
has 'who may say' '"PutRule","billing","permit"\]$'
has 'who may say' '"PostPolicy","[0-9a-f-]*","billing","permit"\]$'
has 'which certificates' '"[0-9a-f-]\{36\}","[0-9a-f]*","billing"\]$'
has 'who has acted' '"operator","[0-9a-f-]*","PostCredential"\]$'
has 'how often' '^ *[0-9]* GetSecretV2$'
has 'which requests' '^\[[0-9]*,"[A-Za-z0-9]*"\]$'
[ -z "$(asked 'of which changes')" ]
answers=$(bash -euo pipefail -c "$(block audit-feed docs/AUDIT.md)" 2>/dev/null)
grep -q '^retry: ' <<<"$answers" && grep -q '^id: ' <<<"$answers"
[ "$(grep -c '^data: {.*"effect":"deny"' <<<"$answers")" -eq "$(grep -c '^data: ' <<<"$answers")" ]
echo "ok       the lines of docs/AUDIT.md"

answers=$(bash -euo pipefail -c "$(block paths docs/PATHS.md)")
[ "$(grep -c '"code":"secret_not_found"' <<<"$answers")" -eq 1 ]
[ "$(grep -c '"data":{"password": "correct horse"}' <<<"$answers")" -eq 2 ]
[ "$(grep -c '"total_count":1' <<<"$answers")" -eq 2 ]
[ "$(grep -c '"days_remaining":90' <<<"$answers")" -eq 1 ]
[ "$(grep -c '"access_count_30d":1,' <<<"$answers")" -ge 1 ]
[ "$(tail -1 <<<"$answers")" = '{"path":"app/db/password","deleted":true,"permanent":true}' ]
# It goes on in the same shell.
both="$(block paths docs/PATHS.md)
$(block paths-rotation docs/PATHS.md)"
answers=$(bash -euo pipefail -c "$both")
[ "$(grep -c '"policy_id":"rot_every_two_months"' <<<"$answers")" -eq 2 ]
grep -q '^{"data":{"password":"[^"]\{24\}"}}$' <<<"$answers"
[ "$(grep -c '"status":"success","old_version":1,"new_version":2,' <<<"$answers")" -eq 2 ]
grep -q '"detached":1' <<<"$(tail -1 <<<"$answers")"
both="$(block paths docs/PATHS.md)
$(block paths-rotate docs/PATHS.md)"
answers=$(bash -euo pipefail -c "$both")
[ "$(grep -c '"version":2,"previous_version":1,.*"auto_generated":false' <<<"$answers")" -eq 1 ]
[ "$(grep -c '"version":3,"previous_version":2,.*"auto_generated":true' <<<"$answers")" -eq 1 ]
grep -q '"data":{"user": "shop", "password": "[^"]\{32\}"}' <<<"$(tail -1 <<<"$answers")"
both="$(block paths docs/PATHS.md)
$(block paths-partners docs/PATHS.md)"
answers=$(bash -euo pipefail -c "$both")
[ "$(grep -c '^{"path":"app/db".*"data":{"password": "correct horse"}' <<<"$answers")" -eq 2 ]
grep -q '"tenant_id":"acme","partner_id":null,.*"roles":\["partner_admin"\]' <<<"$(tail -1 <<<"$answers")"
echo "ok       the lines of docs/PATHS.md"

answers=$(PATH="$PWD/target/release:$PATH" bash -euo pipefail -c "$(block events docs/EVENTS.md)")
told=$(grep '^\["' <<<"$answers")
[ "$told" = '["created","events/demo",1]
["updated","events/demo",2]
["destroyed","events/demo",0]
["created","events/b/key",1]
["destroyed","events/a/key",0]' ]
grep -q '^moved: 1 secrets, 1 versions$' <<<"$answers"
echo "ok       the lines of docs/EVENTS.md"

answers=$(bash -euo pipefail -c "$(block uris docs/URIS.md)")
at() { sed -n "$1p" <<<"$answers"; }
[ "$(at 2)" = '{"uri":"openbao+kv2://secret/app/api#/db/password","version":2,"created":false,"created_at":"'"$(at 2 | grep -o '20[^"]*Z')"'"}' ]
[ "$(at 3)" = '{"token": "s3cr3t", "db": {"user": "shop","password":"correct horse"}}' ]
[ "$(at 4)" = '{"value":"s3cr3t"}' ]
[ "$(at 5)" = '{"token": "s3cr3t", "db": {"user": "shop"}}' ]
[ "$(at 6)" = '{"uri":"openbao+kv2://secret/app/api#db","version":2,"keys":["password","user"]}' ]
grep -q '"version":3,"previous_version":2,' <<<"$(at 7)"
[ "$(grep -c '"owner":"team:shop"' <<<"$answers")" -eq 4 ]
grep -q '"source_deleted":true' <<<"$answers"
grep -q '"succeeded":1,"failed":1' <<<"$answers"
[ "$(tail -1 <<<"$answers")" = '{"uri":"openbao+kv2://secret/app/api","deleted":true,"destroyed":true,"version":null,"changed":true}' ]
[ "$(grep -c '"code"' <<<"$answers")" -eq 1 ]
echo "ok       the lines of docs/URIS.md"

stop() {
    kill "$server"
    wait "$server" || { echo "readme: the server did not stop cleanly" >&2; exit 1; }
}
start() {
    : >"$output"
    target/release/okmsd dev >"$output" &
    server=$!
    for _ in $(seq 1 100); do
        grep -q '^curl .*includeData' "$output" && break
        sleep 0.1
    done
}

# A second start keeps everything.
id=$(bash -c "source $folder/env.sh; echo \$OKMS_ID")
stop
start
grep -q "okmsId *$id" "$output"
echo "ok       a second start keeps the domain"

# And a third asks the policy decision point of docs/PDP.md, which is in Python and does as the page says.
stop
python3 -c "$(block pdp-python docs/PDP.md)" 2>/dev/null &
pdp=$!
for _ in $(seq 1 100); do
    (exec 3<>/dev/tcp/127.0.0.1/9999) 2>/dev/null && break
    sleep 0.1
done
{ echo; block pdp-toml docs/PDP.md; } >>"$folder/okmsd.toml"
start
answers=$(bash -euo pipefail -c "$(block pdp docs/PDP.md)")
grep -q '"uri":"openbao+kv2://secret/team/a","version":1,"created":true' <<<"$answers"
[ "$(grep -c 'd-1' <<<"$answers")" -eq 4 ]
grep -q '"code":"SECRET_AUTHZ_FAILED".*"decision_id":"d-1"' <<<"$answers"
if grep -q 'correct horse' <<<"$answers"; then
    echo "readme: the policy decision point's word does not count" >&2
    exit 1
fi
echo "ok       the lines of docs/PDP.md, and its policy decision point"
