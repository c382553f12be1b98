#!/usr/bin/env bash
# Runs each fuzz target for a while: fuzz/run.sh [SECONDS] [TARGET...]
#
# As `cargo fuzz run -s none` does, which works here too, but in a minute: no code of ours is unsafe, so that no sanitizer is
# needed, and without one any compiler will do.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

seconds=${1:-30}
shift || true
targets=("$@")
if [ "${#targets[@]}" -eq 0 ]; then
    for file in targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi

# Ours is instrumented, and nothing else: the dependencies are there already where the tests were built.
cp ../Cargo.lock .
RUSTC_WRAPPER="$PWD/instrumented.sh" CARGO_TARGET_DIR=../target cargo build --quiet

# What is not found by chance: a certificate with the names that are read, and an address of each base.
mkdir -p corpus/{address,body,duration,identity,member,outline,record,uri}
[ -s corpus/identity/leaf ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null \
    -subj /CN=billing -days 1 -outform DER -out corpus/identity/leaf \
    -addext 'subjectAltName=otherName:1.3.6.1.4.1.311.20.2.3;UTF8:okms.domain:0f8b6c1e-4a55-4a7e-9d43-1c2f6a7b8c9d' 2>/dev/null
for url in /v1/secret/data/a%2Fb /api/0f8b6c1e-4a55-4a7e-9d43-1c2f6a7b8c9d/v2/secret/a/version/1 /v1/auth/token/lookup /v1/secrets/a/b/versions \
    '/v1/rotation/policies?limit=1'; do
    printf '\0%s' "$url" >"corpus/address/${url//\//_}"
done
printf 'openbao+kv2://secret/my%%20app/%%C3%%BC#/db/a~1b?version=3' >corpus/uri/whole
printf '/a/b\n{ "a" : {"b":1, "c":[1.0]},"d":null}\n{"e":2}' >corpus/member/pointer
printf '{"a":{"b":1},"c":null}\n{"a":{"b":null,"d":[1.0]}}' >corpus/outline/patch

fuzz() {
    # A finding stays in artifacts/, and ends the run.
    local target=$1
    mkdir -p "artifacts/$target"
    "../target/debug/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="artifacts/$target/" "corpus/$target" >"artifacts/$target/log" 2>&1 \
        || { tail -n 40 "artifacts/$target/log"; return 255; }
    printf '%s: %s runs, %s\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: *//p' "artifacts/$target/log")" \
        "$(grep -o 'cov: [0-9]*' "artifacts/$target/log" | tail -n 1)"
}
export -f fuzz
export seconds
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I {} bash -c 'fuzz {}'
