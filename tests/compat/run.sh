#!/usr/bin/env bash
# Runs real foreign clients against a fresh okmsd: OVHcloud's Go SDK and okms CLI; OpenBao's Go client, hvac, vaultrs and
# node-vault; the requests of two documents about KV version 2; curl, httpx and node's fetch with what a page about path
# secrets says, curl and httpx with what one about secrets by URI says, and EmpowerNow's parser of these as a judge; PyJWT as an
# identity provider; Cerbos as the policy decision point; OpenBao's CLI and, as the oracle of random requests, its server; Terraform
# with the vault provider; PostgreSQL with a standby, and three of them under Patroni with its etcd, as docs/ENGINES.md has it;
# Prometheus' linter on the figures; helm on the chart, nginx, HAProxy and Envoy before a server of their own, and Chromium
# (tests/browser); whether early answers arrive at curl, Python, Java and Node; schemathesis on the OpenAPI document.
# Builds nothing of okmsd itself.
#
#   cargo build --release && tests/compat/run.sh [SUITE...]
#
# OKMSD=path names the binary (default target/release/okmsd); KEEP=1 keeps the servers' folders. Suites of one server run
# one after the other, and beside those of another: LANES says how many servers run at once (default 2).
# A suite whose client cannot be had, or a part of one, is skipped with a word; COMPAT_STRICT=1 makes that
# a failure.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
OKMSD=${OKMSD:-${CARGO_TARGET_DIR:-$root/target}/release/okmsd}
if [[ ! -x $OKMSD ]]; then
    echo "run.sh: $OKMSD is not there: cargo build --release, or set OKMSD" >&2
    exit 1
fi
OKMSD=$(cd "$(dirname "$OKMSD")" && pwd)/$(basename "$OKMSD")
export OKMSD

suites=("$@")
all=(sdk okms_cli openbao hvac vaultrs node_vault seeds paths uris jwt pdp promtool helm engines patroni proxies browser early bao oracle schemathesis terraform)
if ((${#suites[@]} == 0)); then suites=("${all[@]}"); fi

# Those that need no server, or start their own.
alone="helm engines patroni proxies jwt pdp"
# Suites with a server of their own, and its settings. The others share one.
declare -A own=(
    [paths]=
    [uris]=
    [early]="OKMSD_LIMITS__BUFFER_BYTES=2MiB OKMSD_LIMITS__BODY_TIME=120s"
    [bao]="OKMSD_ACCESS__USERS_WITHOUT_CERTIFICATE=true"
    [oracle]=
    [schemathesis]=
    [terraform]=
)

work=$(mktemp -d)
finish() {
    local lane
    for lane in $(jobs -rp); do kill -TERM "$lane" 2>/dev/null || true; done
    wait
    if [[ ${KEEP:-0} == 1 ]]; then echo "kept: $work"; else rm -rf "$work"; fi
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Whether something listens on a port of this machine already.
taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
# free_port LANE [OTHER]: each lane has a thousand ports of its own to look among.
free_port() {
    local port
    for _ in $(seq 100); do
        port=$((10000 + $1 * 1000 + RANDOM % 1000))
        if [[ $port != "${2:-}" ]] && ! taken "$port"; then
            echo "$port"
            return
        fi
    done
    echo "run.sh: no free port found" >&2
    return 1
}
# Status line of a plain HTTP GET; no curl needed.
answers_200() {
    local status
    { exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || return 1
    printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' "$2" >&3
    IFS= read -r -t 5 status <&3 || status=
    exec 3<&- 3>&-
    [[ $status == "HTTP/1.1 200"* ]]
}

# start NUMBER [SETTING...]: this lane's server, with its environment.
start() {
    local number=$1 port admin
    shift
    port=$(free_port "$number")
    admin=$(free_port "$number" "$port")
    env "$@" "$OKMSD" dev --dir "$work/server" --listen "127.0.0.1:$port" --admin-listen "127.0.0.1:$admin" \
        >"$work/server.log" 2>&1 </dev/null &
    server=$!
    for _ in $(seq 300); do
        if ! kill -0 "$server" 2>/dev/null; then
            echo "run.sh: okmsd ended at once:" >&2
            tail -n 20 "$work/server.log" >&2
            server=
            return 1
        fi
        if answers_200 "$admin" /readyz && [[ -f $work/server/env.sh ]]; then
            set +u
            # shellcheck disable=SC1090,SC1091 # written by okmsd
            source "$work/server/env.sh"
            set -u
            export OKMSD_ADMIN=127.0.0.1:$admin
            return
        fi
        sleep 0.1
    done
    echo "run.sh: http://127.0.0.1:$admin/readyz did not answer 200 within 30 s:" >&2
    tail -n 20 "$work/server.log" >&2
    return 1
}

# Ends what this lane has started.
stop() {
    local ended=0
    if [[ -n $running ]]; then
        pkill -TERM -P "$running" 2>/dev/null || true
        kill -TERM "$running" 2>/dev/null || true
    fi
    if [[ -n $server ]] && kill -TERM "$server" 2>/dev/null; then
        for _ in $(seq 300); do
            if ! kill -0 "$server" 2>/dev/null; then ended=1; break; fi
            sleep 0.1
        done
        if ((ended == 0)); then
            echo "run.sh: okmsd did not end within 30 s of SIGTERM" >&2
            kill -KILL "$server" 2>/dev/null || true
        fi
        wait "$server" 2>/dev/null || true
    fi
    server=
}

# go_suite NAME: the Go tests in that folder.
go_suite() {
    if ! command -v go >/dev/null; then
        echo "$1: skipped: Go is not installed"
        return 77
    fi
    cd "$here/$1"
    if ! go mod download >"$work/download.log" 2>&1; then
        tail -n 3 "$work/download.log" >&2
        echo "$1: skipped: its modules could not be downloaded"
        return 77
    fi
    # Not ./...: given packages, go test hides what a passing test says, and with it what was skipped.
    go test -count=1 -timeout 10m
}
suite_sdk() { go_suite sdk; }
suite_okms_cli() { "$here/okms_cli.sh"; }
suite_openbao() { go_suite openbao; }
suite_hvac() { "$here/hvac/run.sh"; }
suite_vaultrs() {
    cd "$here/vaultrs"
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}/compat/vaultrs
    if ! cargo fetch --locked >"$work/download.log" 2>&1; then
        tail -n 3 "$work/download.log" >&2
        echo "vaultrs: skipped: its crates could not be downloaded"
        return 77
    fi
    cargo test --locked --quiet
}
suite_node_vault() { "$here/node_vault/run.sh"; }
suite_seeds() { "$here/seeds.sh"; }
suite_paths() { "$here/paths/run.sh"; }
suite_uris() { "$here/uris/run.sh"; }
suite_jwt() { "$here/jwt/run.sh"; }
suite_pdp() { "$here/pdp/run.sh"; }
suite_promtool() { "$here/promtool.sh"; }
suite_engines() { "$here/engines.sh"; }
suite_patroni() { "$here/patroni/run.sh"; }
suite_helm() { "$here/helm.sh"; }
suite_proxies() { "$here/proxies.sh"; }
suite_browser() { "$root/tests/browser/run.sh"; }
suite_early() { "$here/early/run.sh"; }
suite_bao() { "$here/bao.sh"; }
suite_oracle() { "$here/oracle/run.sh"; }
suite_schemathesis() { "$here/schemathesis/run.sh"; }
suite_terraform() { "$here/terraform/run.sh"; }

# lane NUMBER GROUP SUITE...: the suites of one server, one after the other. How each ended is a line of `results`.
lane() {
    local number=$1 group=$2 suite code began results=$work/results
    shift 2
    server=
    running=
    work=$work/$number
    mkdir "$work"
    trap stop EXIT
    trap 'exit 143' TERM
    # shellcheck disable=SC2086 # settings are words
    if [[ " $alone " != *" $group "* ]]; then start "$number" ${own[$group]:-}; fi
    for suite in "$@"; do
        code=0
        began=$SECONDS
        # In the background, so that a signal is acted on at once.
        ("suite_$suite") >"$work/$suite.log" 2>&1 </dev/null &
        running=$!
        wait "$running" || code=$?
        running=
        if [[ $code == 77 && ${COMPAT_STRICT:-0} == 1 ]]; then code=1; fi
        case $code in
        0)
            echo passed >>"$results"
            echo "ok       $suite ($((SECONDS - began)) s)"
            sed -n 's/^[a-z_]*: skipped: /         without /p; s/^[a-z_]*: figure: /         /p' "$work/$suite.log"
            ;;
        77)
            echo skipped >>"$results"
            echo "skipped  $suite: $(grep -m1 'skipped:' "$work/$suite.log" | sed 's/.*skipped: //' || true)"
            ;;
        *)
            echo failed >>"$results"
            echo "FAILED   $suite (exit code $code)"
            sed 's/^/    /' "$work/$suite.log"
            ;;
        esac
        if [[ -n $server ]] && ! kill -0 "$server" 2>/dev/null; then
            echo "run.sh: okmsd ended during $suite:" >&2
            tail -n 20 "$work/server.log" >&2
            server=
            return 1
        fi
    done
}

# Which suites run on which server, in the order in which they were named.
declare -A of=()
groups=()
for suite in "${suites[@]}"; do
    if [[ " ${all[*]} " != *" $suite "* ]]; then
        echo "run.sh: no suite $suite; there are ${all[*]}" >&2
        exit 1
    fi
    group=shared
    if [[ -v own[$suite] || " $alone " == *" $suite "* ]]; then group=$suite; fi
    if [[ ! -v of[$group] ]]; then groups+=("$group"); fi
    of[$group]+=" $suite"
done

: >"$work/results"
number=0
for group in "${groups[@]}"; do
    # How a lane ended is among the results.
    while (($(jobs -rp | wc -l) >= ${LANES:-2})); do wait -n || true; done
    # shellcheck disable=SC2086 # suites are words
    (lane "$number" "$group" ${of[$group]}) &
    number=$((number + 1))
done
wait

count() { grep -cx "$1" "$work/results" || true; }
passed=$(count passed)
echo "$passed passed, $(count failed) failed, $(count skipped) skipped"
# One that a lane did not come to has not passed, either.
((passed + $(count skipped) == ${#suites[@]}))
