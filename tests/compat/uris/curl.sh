# shellcheck shell=bash disable=SC2016 # jq's variables, not the shell's
# The document with curl, from the top to the bottom. Started by run.sh.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# All steps, each line's as if nothing of it had ever been there.
steps='
def steps: . as $document | .lines[] | .[0] as $line
| ({ask: "POST /bulk", body: {operations: [$document.secrets[] | {op: "destroy", uri: "openbao+kv2://secret/\(.)"}]}}, .[1][])
| {line: $line} + .;'
# What curl is told to ask for: names and values, to which it adds the escapes; or a query as somebody has typed it.
asked='
steps | . as {$ask, $query, $body} | ($ask | split(" ")) as [$method, $route]
| (if $method == "HEAD" then ["--head"] else ["--request", $method] end)
+ ($query | if type == "object" then ["--get", (to_entries[] | "--data-urlencode", "\(.key)=\(.value)")] else [] end)
+ ($body | if . == null then [] else ["--header", "Content-Type: application/json", "--data-raw", if type == "string" then . else tojson end] end)
+ [$secrets + ($route // "") + ($query | if type == "string" then "?" + . else "" end)]
| @sh'
while IFS= read -r arguments; do
    : >answer
    eval "curl -q -sS --noproxy '*' --max-time 20 --cacert '$KMS_RESTAPI_CA' --cert '$KMS_RESTAPI_CERT' --key '$KMS_RESTAPI_KEY' \
        -D head -o answer -w '%{http_code}\n' $arguments" >>answers
    # Asked for the head, curl tells it as the answer, too.
    if cmp -s head answer; then : >answer; fi
    base64 -w 0 head >>answers
    echo >>answers
    base64 -w 0 answer >>answers
    echo >>answers
done < <(jq -r --arg secrets "$KMS_RESTAPI_ENDPOINT/api/secrets" "$steps $asked" "$DOCUMENT")

# Each answer beside what it should be; what is never the same twice is told by its kind.
told='
def masked($key; $id):
    if type == "object" then with_entries(.key as $key | .value |= masked($key; $id))
    elif type == "array" then map(masked(null; $id))
    elif $key == "total" and type == "number" then "<count>"
    elif type != "string" or . == $id then .
    elif $key == "next_cursor" or $key == "resource_ref" then "<opaque>"
    elif $key == "message" and . != "" then "<prose>"
    elif test("^cert:[0-9a-f]+$") then "<caller>"
    elif test("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$") then "<id>"
    elif test("^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?Z$")
        and (sub("\\.\\d+"; "") | fromdate - now | fabs < 600) then if contains(".") then "<now, in parts>" else "<now>" end
    else . end;
def wanted($document; $id): (.status // 200) as $status | {
    status: $status, head: ($document.head + .head),
    body: (if .code then
        {error: $document.reasons[$status | tostring], code, message: "<prose>", request_id: $id} + if .details then {details} else {} end
        else .text // .is end)
};
. as $document | [$answers | split("\n") | .[:-1] | _nwise(3)] as $answers | [steps] as $steps
| [range([$steps, $answers | length] | max) as $at | $steps[$at] as $step | $answers[$at] as [$status, $head, $answer]
    | ($head | @base64d | [scan("(?m)^([A-Za-z-]+): (.*?)\r?$") | {key: .[0] | ascii_downcase, value: .[1]}] | from_entries) as $head
    | ($answer | @base64d) as $answer
    | $head["x-request-id"] as $id | ($step | wanted($document; $id)) as $wanted
    | {
        status: ($status | tonumber), head: ($head | with_entries(select(.key | in($wanted.head))) | masked(null; null)),
        body: ($wanted.body | if type == "object" then ($answer | fromjson? | masked(null; $id)) elif . == null then . else $answer end)
    } as $got
    | select($wanted != $got) | "FAILED: \($step)\n  want \($wanted)\n  got  \($got)"]
| .[], "curl: \(($steps | length) - length) checks passed, \(length) failed"'
jq -r --rawfile answers answers "$steps $told" "$DOCUMENT" >told
cat told
[[ $(tail -n 1 told) == "curl: "*" checks passed, 0 failed" ]]
