#!/usr/bin/env bash
# Has Prometheus' own linter read the server's figures: those of the admin listener, and those that an operator's
# certificate sees under Vault's path.
#
#   tests/compat/run.sh promtool
#
# run.sh sets OKMSD_ADMIN and what env.sh says. PROMTOOL=path names promtool, which is otherwise found on PATH. Exits 77
# where it cannot be had (COMPAT_STRICT=1 makes that a failure).
set -euo pipefail

promtool=${PROMTOOL:-$(command -v promtool || true)}
if [[ -z $promtool ]]; then
    echo "promtool: skipped: it is not installed (Debian has it in the package prometheus)"
    if [[ ${COMPAT_STRICT:-0} == 1 ]]; then exit 1; fi
    exit 77
fi

vault() { # path, certificate without its ending, more arguments of curl
    local path=$1 pair=$2
    shift 2
    curl --silent --show-error --cacert "$VAULT_CACERT" --cert "${pair}_certificate.pem" --key "${pair}_privatekey.pem" \
        "$@" "$KMS_RESTAPI_ENDPOINT/v1/$path"
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
folder=$(dirname "$VAULT_CACERT")
tenant=${VAULT_CLIENT_CERT%_certificate.pem}

# Something of every kind, so that every metric has a value.
vault secret/data/promtool "$tenant" --data '{"data": {}}' >"$work/written"
vault secret/data/promtool "$tenant" >"$work/read"

curl --silent --show-error --fail "http://$OKMSD_ADMIN/metrics" >"$work/admin"
vault 'sys/metrics?format=prometheus' "$folder/operator" --fail >"$work/operator"
for figures in admin operator; do
    for metric in okmsd_requests_total okmsd_commits_total process_cpu_seconds_total process_resident_memory_bytes; do
        grep -q "^$metric" "$work/$figures" || { echo "promtool: $figures has no $metric" >&2; exit 1; }
    done
    "$promtool" check metrics <"$work/$figures"
done
grep -qx '# TYPE process_cpu_seconds_total counter' "$work/admin"

status=$(vault 'sys/metrics?format=prometheus' "$tenant" --output "$work/tenant" --write-out '%{http_code}')
[[ $status == 403 ]] || { echo "promtool: a domain's certificate is answered $status" >&2; exit 1; }
echo "promtool: both sets of figures pass"
