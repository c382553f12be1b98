#!/usr/bin/env bash
# Does what docs/ENGINES.md says, with a real PostgreSQL and its standby: the roles, the settings, the schema, and two servers over
# it, of which one shows what the other was told. Then the primary is killed and its standby is promoted.
#
#   tests/compat/engines.sh
#
# OKMSD=path names the binary (default target/release/okmsd). Exits 77 when PostgreSQL cannot be had (COMPAT_STRICT=1 makes that a
# failure).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
OKMSD=${OKMSD:-${CARGO_TARGET_DIR:-$root/target}/release/okmsd}
page=$root/docs/ENGINES.md

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
if [[ ! -x $bin/initdb ]]; then
    echo "engines: skipped: PostgreSQL is not installed (apt-get install postgresql)"
    if [[ ${COMPAT_STRICT:-0} == 1 ]]; then exit 1; fi
    exit 77
fi

work=$(mktemp -d)
running=()
finish() {
    local one
    for one in "${running[@]}"; do
        # okmsd ends by the first one; whoever started this may have told that the second one is ignored. PostgreSQL waits
        # for nobody by the second one.
        kill -TERM "$one" 2>/dev/null || true
        kill -QUIT "$one" 2>/dev/null || true
        wait "$one" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
fail() {
    echo "engines: $*" >&2
    tail -n 20 "$work"/*.log >&2
    exit 1
}
# The lines of the block that the page marks with this name.
block() { sed -n "/^<!-- ci: $1 -->\$/,/^\`\`\`\$/p" "$page" | sed '1,2d;$d'; }
soon() {
    local what=$1
    shift
    for _ in $(seq 300); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    fail "never: $what"
}
free_port() {
    local port
    while :; do
        port=$((21000 + RANDOM % 9000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
}

# PostgreSQL refuses root.
as=()
if [[ $(id -u) == 0 ]]; then as=(setpriv --reuid postgres --regid postgres --clear-groups); fi
databases=$work/databases
mkdir "$databases"
if [[ $(id -u) == 0 ]]; then
    chmod 711 "$work"
    chown postgres "$databases"
fi
first=$(free_port)
second=$(free_port)

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=database CA" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
    -keyout "$work/db_ca.key" -out "$work/db_ca.pem" 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=database" \
    -keyout "$databases/server.key" -out "$work/db.csr" 2>/dev/null
printf '%s\n' subjectAltName=IP:127.0.0.1 extendedKeyUsage=serverAuth >"$work/db.ext"
openssl x509 -req -days 2 -in "$work/db.csr" -extfile "$work/db.ext" -CA "$work/db_ca.pem" -CAkey "$work/db_ca.key" \
    -set_serial 0x5a02 -out "$databases/server.crt" 2>/dev/null
chmod 600 "$databases/server.key"
if [[ $(id -u) == 0 ]]; then chown postgres "$databases"/server.*; fi

start() { # folder, port, name: what was started is the last one that runs
    "${as[@]}" "$bin/postgres" -D "$databases/$1" -p "$2" -c listen_addresses=127.0.0.1 -c unix_socket_directories="$databases" \
        -c ssl=on -c ssl_cert_file="$databases/server.crt" -c ssl_key_file="$databases/server.key" -c cluster_name="$1" \
        -c synchronous_standby_names='*' -c wal_keep_size=128MB 2>>"$work/$1.log" &
    running+=($!)
    soon "$1 answers" "$bin/pg_isready" -q -h 127.0.0.1 -p "$2"
}
sql() { # port, more
    local port=$1
    shift
    "${as[@]}" psql -XqAt -v ON_ERROR_STOP=1 -h "$databases" -U postgres -p "$port" "$@"
}
"${as[@]}" "$bin/initdb" --no-sync --auth=trust --username=postgres --encoding=UTF8 --locale=C -D "$databases/first" >"$work/initdb.log"
printf '%s\n' 'local all all trust' 'local replication all trust' 'hostssl all okmsd,okmsd_owner 127.0.0.1/32 scram-sha-256' |
    "${as[@]}" tee "$databases/first/pg_hba.conf" >/dev/null
start first "$first"
primary=${running[0]}
"${as[@]}" "$bin/pg_basebackup" -h "$databases" -U postgres -p "$first" -R -X stream --checkpoint=fast --no-sync -D "$databases/second"
start second "$second"

block engines-sql | sql "$first" -d postgres
echo owned >"$work/owner.password"
echo served >"$work/db.password"
sql "$first" -d postgres -c "alter role okmsd_owner password 'owned'" -c "alter role okmsd password 'served'"

# Two servers of one region: each has its own folder.
one=$(free_port)
two=$(free_port)
"$OKMSD" init --dir "$work/one" --region eu-west --listen "127.0.0.1:$one" --server-name localhost >"$work/init.log"
cp "$work"/{db_ca.pem,owner.password,db.password} "$work/one"
{
    grep -v '^\[store\]$\|^path = "okmsd.redb"$\|^endpoint' "$work/one/okmsd.toml"
    block engines-toml | sed "s/^hosts = .*/hosts = [\"127.0.0.1:$first\", \"127.0.0.1:$second\"]/"
} >"$work/okmsd.toml"
sed "s/^admin_listen.*/admin_listen = \"127.0.0.1:$(free_port)\"/" "$work/okmsd.toml" >"$work/one/okmsd.toml"
mkdir "$work/two"
cp "$work"/one/*.{pem,key,password} "$work/two"
sed "s/127.0.0.1:$one/127.0.0.1:$two/; s/^admin_listen.*/admin_listen = \"127.0.0.1:$(free_port)\"/" "$work/okmsd.toml" >"$work/two/okmsd.toml"
okmsd() { "$OKMSD" "$@"; }

init=$(block engines | sed -n 1p)
serve=$(block engines | sed -n 2p)
status=$(block engines | sed -n 3p)
refused=$(cd "$work/one" && $serve 2>&1) && fail "it served without a store"
grep -q 'run `okmsd store init`' <<<"$refused" || fail "it does not say what to do: $refused"
(cd "$work/one" && $init >"$work/store.log" && $init >>"$work/store.log") || fail "store init"
grep -q '^made a store in the database okmsd$' "$work/store.log" || fail "store init does not say so"
for each in one two; do
    (cd "$work/$each" && exec "$OKMSD" ${serve#okmsd }) >"$work/$each.log" 2>&1 &
    running+=($!)
done
soon "one serves" curl -fsS --cacert "$work/one/region_ca.pem" "https://localhost:$one/openapi.json"
soon "two serves" curl -fsS --cacert "$work/one/region_ca.pem" "https://localhost:$two/openapi.json"
told=$(cd "$work/one" && $status)
grep -q '^durable *yes$' <<<"$told" && [[ $(grep -c '^process' <<<"$told") == 2 ]] || fail "status: $told"
echo "ok       the lines of docs/ENGINES.md"

okmsd domain create billing --dir "$work/one" --endpoint "https://localhost:$one" >"$work/domain.log"
id=$(okmsd domain list --dir "$work/one" --endpoint "https://localhost:$two" | grep -o '^[0-9a-f-]\{36\}')
okmsd cert issue --domain "$id" --dir "$work/one" --endpoint "https://localhost:$one" --out "$work/client" >"$work/cert.log"
ask() { # port, more
    local port=$1 path=$2
    shift 2
    curl -fsS --cacert "$work/one/region_ca.pem" --cert "$work/client/${id}_certificate.pem" --key "$work/client/${id}_privatekey.pem" \
        "https://localhost:$port/api/$id/v2/secret$path" "$@"
}
ask "$one" "" -d '{"path": "mail", "version": {"data": {"n": 1}}}' >"$work/written.log"
shows() { # port, number
    ask "$1" "/mail?includeData=true" >"$work/read.log" 2>&1 && grep -q "\"n\": *$2" "$work/read.log"
}
shows "$two" 1 || fail "two does not show what one was told: $(cat "$work/read.log")"
echo "ok       one writes, and two reads"

kill -QUIT "$primary"
wait "$primary" 2>/dev/null || true
sql "$second" -d postgres -c "select pg_promote(true, 30)" >/dev/null
# Nothing is acknowledged until it has a standby, too.
"${as[@]}" rm -rf "$databases/first"
"${as[@]}" "$bin/pg_basebackup" -h "$databases" -U postgres -p "$second" -R -X stream --checkpoint=fast --no-sync -D "$databases/first"
start first "$first"
soon "one writes again" ask "$one" "/mail" -X PUT -d '{"version": {"data": {"n": 2}}}'
shows "$two" 2 || fail "two does not show what one was told after the failover"
echo "ok       the standby was promoted, and both went on"

# A server that has outgrown its file.
three=$(free_port)
"$OKMSD" init --dir "$work/three" --region eu-west --listen "127.0.0.1:$three" --server-name localhost >>"$work/init.log"
cp "$work"/{db_ca.pem,owner.password,db.password} "$work/three"
sed -i "s/^admin_listen.*/admin_listen = \"127.0.0.1:$(free_port)\"/" "$work/three/okmsd.toml"
{
    grep -v '^\[store\]$\|^path = "okmsd.redb"$' "$work/three/okmsd.toml"
    block engines-toml | sed "s/^hosts = .*/hosts = [\"127.0.0.1:$second\"]/; s/^database = .*/database = \"moved\"/"
} >"$work/three/moved.toml"
sql "$second" -d postgres -c "create database moved owner okmsd_owner"
serve_three() { # config: what was started is the last one that runs
    (cd "$work/three" && exec "$OKMSD" serve --config "$1") >>"$work/three.log" 2>&1 &
    running+=($!)
    soon "three serves" curl -fsS --cacert "$work/three/region_ca.pem" "https://localhost:$three/openapi.json"
}
domains() { okmsd domain list --dir "$work/three" --endpoint "https://localhost:$three"; }
serve_three okmsd.toml
okmsd domain create moving --dir "$work/three" --endpoint "https://localhost:$three" >"$work/domain.log"
before=$(domains)
kill -TERM "${running[-1]}"
wait "${running[-1]}" || fail "three did not stop"
(cd "$work/three" && ${init/okmsd.toml/moved.toml} && eval "$(block engines-move)") >"$work/move.log" 2>&1 || fail "it does not move"
serve_three moved.toml
[[ -n $before && $(domains) == "$before" ]] || fail "what has moved is another one"
echo "ok       a store moved out of its file"
