#!/usr/bin/env bash
# The API suite over a real PostgreSQL of its own, which ends with it: each server of a test has a database there.
#
#   tests/postgres.sh [NAME...]      only the tests whose names have one of these in them
#
# Exits 77 where PostgreSQL cannot be had (apt-get install postgresql); COMPAT_STRICT=1 makes that a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
if [[ ! -x $bin/initdb ]]; then
    echo "postgres.sh: skipped: PostgreSQL is not installed (apt-get install postgresql)"
    if [[ ${COMPAT_STRICT:-0} == 1 ]]; then exit 1; fi
    exit 77
fi
# PostgreSQL refuses root.
as=()
if [[ $(id -u) == 0 ]]; then as=(setpriv --reuid postgres --regid postgres --clear-groups); fi
work=$(mktemp -d)
server=
finish() {
    if [[ -n $server ]]; then
        kill -INT "$server" 2>/dev/null || true
        wait "$server" || true
    fi
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if [[ $(id -u) == 0 ]]; then chown postgres "$work"; fi
"${as[@]}" "$bin/initdb" --no-sync --auth=trust --username=owner --encoding=UTF8 --locale=C -D "$work/data" >"$work/initdb.log"
port=$((20000 + RANDOM % 10000))
# What is lost with its machine is lost with its test.
"${as[@]}" "$bin/postgres" -D "$work/data" -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories="$work" \
    -c fsync=off -c full_page_writes=off -c max_connections=300 2>"$work/log" &
server=$!
for _ in $(seq 200); do
    if "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"; then break; fi
    kill -0 "$server" 2>/dev/null || { cat "$work/log"; exit 1; }
    sleep 0.1
done

# What is about a file: its layouts, its damage, its log, its engine in a place of its own; large answers at once, as here
# a server has one connection for them; and one that counts all commits, as those that come late count in it.
of_files=(
    layouts:: restart:: namesakes a_change_whose_client_hung_up however_much_it_has_missed
    tokens_outlive tokens_that_are_over wrapping_outlives many_lists_at_once large_answers_and_bodies_at_once
    only_a_login_writes_a_token
)
skips=()
for name in "${of_files[@]}"; do skips+=(--skip "$name"); done
OKMSD_TEST_POSTGRES=127.0.0.1:$port cargo test --locked --test api -- "${skips[@]}" "$@"
