#!/usr/bin/env bash
# Drives a running okmsd with Chromium: Swagger UI without and with a certificate, client.p12 as a person
# imports it, and pages of other origins.
#
#   source <dir of okmsd dev>/env.sh && tests/browser/run.sh
#
# CHROMIUM=path names the browser (default /usr/bin/chromium); SHOTS=dir keeps pictures of Swagger UI;
# BROWSER_SECONDS bounds the whole (default 360).
# Exits 0 when all checks hold, 1 when one does not, 77 when node, its one package or Chromium cannot be had.
# A part whose tool is missing is skipped with a word. COMPAT_STRICT=1 makes both a failure.
#
# The part with the browser's own certificate store needs root, for a moment: only a policy of the machine
# lets Chromium choose a certificate without asking. It names this server's port alone, and goes at the end.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
policies=/etc/chromium/policies/managed

skip() {
    echo "browser: skipped: $*"
    if [[ ${COMPAT_STRICT:-0} == 1 ]]; then exit 1; fi
    exit 77
}

for name in OKMS_ID KMS_RESTAPI_ENDPOINT KMS_RESTAPI_CA KMS_RESTAPI_CERT KMS_RESTAPI_KEY; do
    if [[ -z ${!name:-} ]]; then
        echo "browser: $name is not set: source the env.sh of okmsd dev, or start through tests/compat/run.sh" >&2
        exit 1
    fi
done
[[ -x $CHROMIUM ]] || skip "$CHROMIUM is not there (apt-get install chromium, or set CHROMIUM)"
command -v node >/dev/null || skip "node is not installed"
major=$(node -p 'process.versions.node.split(".")[0]')
((major >= 20)) || skip "node $(node --version) is too old: playwright-core needs 20"

work=$(mktemp -d)
tests=
policy=
made=()
finish() {
    if [[ -n $tests ]] && kill -TERM "$tests" 2>/dev/null; then wait "$tests" 2>/dev/null || true; fi
    if [[ -n $policy ]]; then rm -f "$policy"; fi
    for dir in "${made[@]}"; do rmdir "$dir" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

pinned() { node -p "require('$here/$1').version" 2>/dev/null; }
wanted=$(node -p "require('$here/package.json').devDependencies['playwright-core']")
if [[ $(pinned node_modules/playwright-core/package.json) != "$wanted" ]]; then
    command -v npm >/dev/null || skip "npm is not installed"
    if ! (cd "$here" && timeout 120 npm ci --ignore-scripts --no-audit --no-fund) >"$work/npm.log" 2>&1; then
        tail -n 3 "$work/npm.log" >&2
        skip "playwright-core $wanted could not be downloaded"
    fi
fi

# Makes the folder of policies, remembering what was not there before.
make_policies() {
    local dir
    for dir in /etc/chromium /etc/chromium/policies "$policies"; do
        if [[ ! -d $dir ]]; then
            mkdir -m 755 "$dir" || return 1
            made=("$dir" "${made[@]}")
        fi
    done
    policy=$(mktemp "$policies/okmsd-browser-test-XXXXXX.json") && chmod 644 "$policy"
}
if make_policies 2>/dev/null; then
    printf '{"AutoSelectCertificateForUrls": ["{\\"pattern\\":\\"%s\\",\\"filter\\":{}}"]}\n' \
        "$KMS_RESTAPI_ENDPOINT" >"$policy"
fi

# In the background, so that a signal to this script is acted on at once.
OKMSD_BROWSER_POLICY=$policy OKMSD_BROWSER_WORK=$work TMPDIR=$work \
    timeout --kill-after=5 "${BROWSER_SECONDS:-360}" node --test-reporter=spec "$here/browser.test.js" </dev/null &
tests=$!
code=0
wait "$tests" || code=$?
tests=
if ((code == 124 || code == 137)); then echo "browser: the tests did not end within ${BROWSER_SECONDS:-360} s" >&2; fi
((code == 0)) || exit 1
