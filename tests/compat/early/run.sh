#!/usr/bin/env bash
# Whether what a running okmsd answers early arrives: it refuses requests before it has read their bodies, handshakes
# after the client took them for done, and what is no TLS at all. curl, Python (urllib, requests, httpx, hvac), Java and
# Node must see the status and the body, over both protocols, with small and with large bodies, chunked or not.
#
#   source <dir of okmsd dev>/env.sh && tests/compat/early/run.sh [ARGUMENTS OF UNITTEST...]
#
# The folder must hold the region CA's key and client.p12, as that of okmsd dev does. 429 needs a server with
# OKMSD_LIMITS__BUFFER_BYTES=2MiB and OKMSD_LIMITS__BODY_TIME=120s, as tests/compat/run.sh starts it.
# The packages of requirements.txt go into a virtual environment below target/compat. Exits 0 when all tests
# pass, 1 when one does not, 77 when a client cannot be had (COMPAT_STRICT=1 makes that a failure too).
set -euo pipefail

suite=early
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../suite.sh
source "$here/../suite.sh"
needs_environment OKMS_ID KMS_RESTAPI_ENDPOINT KMS_RESTAPI_CA KMS_RESTAPI_CERT KMS_RESTAPI_KEY
needs_tools curl openssl java javac node
curl --version | grep -q HTTP2 || skip "this curl does not speak HTTP/2"
python_packages "$here/requirements.txt"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A client certificate that ended long ago, and one that nobody signed.
ca=$(dirname "$KMS_RESTAPI_CA")
cat >"$work/ca.conf" <<'CONF'
[ca]
default_ca = region
[region]
database = $ENV::WORK/index
new_certs_dir = $ENV::WORK
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = client
[any]
commonName = supplied
[client]
keyUsage = digitalSignature
extendedKeyUsage = clientAuth
CONF
: >"$work/index"
key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
openssl req -new "${key[@]}" -subj /CN=expired -keyout "$work/expired.key" -out "$work/expired.csr" 2>>"$work/log"
WORK=$work openssl ca -batch -notext -config "$work/ca.conf" -cert "$ca/region_ca.pem" \
    -keyfile "$ca/region_ca_privatekey.pem" -startdate 20200101000000Z -enddate 20200201000000Z \
    -in "$work/expired.csr" -out "$work/expired.pem" 2>>"$work/log" || { cat "$work/log" >&2; exit 1; }
openssl req -x509 "${key[@]}" -days 2 -subj /CN=stranger -addext basicConstraints=CA:FALSE \
    -addext keyUsage=digitalSignature -addext extendedKeyUsage=clientAuth \
    -keyout "$work/stranger.key" -out "$work/stranger.pem" 2>>"$work/log"

javac -d "$work" "$here/Early.java"

# A configuration of the person who runs this must not leak in.
unset VAULT_TOKEN VAULT_NAMESPACE VAULT_CAPATH
export HOME=$work WORK=$work
"$python" -B -W ignore -m unittest discover --start-directory "$here" "$@" </dev/null || exit 1
