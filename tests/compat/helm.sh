#!/usr/bin/env bash
# Checks the chart in helm/okmsd: lint, renderings of several sets of values, what a hardened pod
# must say, the refusals, and that okmsd itself accepts the okmsd.toml that the chart renders.
#
#   tests/compat/helm.sh
#
# OKMSD=path names the binary (default target/release/okmsd); HELM=path names helm, which is otherwise
# found on PATH or built with Go into target/compat. Exits 77 when helm cannot be had
# (COMPAT_STRICT=1 makes that a failure).
set -euo pipefail

readonly VERSION=v3.21.4
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
chart=$root/helm/okmsd
OKMSD=${OKMSD:-${CARGO_TARGET_DIR:-$root/target}/release/okmsd}

skip() {
    echo "helm: skipped: $*"
    if [[ ${COMPAT_STRICT:-0} == 1 ]]; then exit 1; fi
    exit 77
}
command -v python3 >/dev/null || skip "python3 reads the renderings here and is not installed"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

helm=${HELM:-$(command -v helm || true)}
if [[ -z $helm ]]; then
    helm=${CARGO_TARGET_DIR:-$root/target}/compat/helm-$VERSION/helm
    if [[ ! -x $helm ]]; then
        command -v go >/dev/null || skip "there is neither helm nor Go to build it with (or set HELM)"
        if ! GOBIN=$work/bin GOFLAGS=-mod=mod GOTOOLCHAIN=local \
            go install "helm.sh/helm/v3/cmd/helm@$VERSION" >"$work/install.log" 2>&1; then
            tail -n 3 "$work/install.log" >&2
            skip "helm $VERSION could not be installed (set HELM to a helm that is there)"
        fi
        mkdir -p "$(dirname "$helm")"
        mv "$work/bin/helm" "$helm"
    fi
fi
# Nothing of the caller's own helm or cluster configuration.
export HELM_CONFIG_HOME=$work/config HELM_CACHE_HOME=$work/cache HELM_DATA_HOME=$work/data KUBECONFIG=/dev/null

cat >"$work/least.yaml" <<'YAML'
rootKey: {existingSecret: okmsd-root-key}
tls: {existingSecret: okmsd-tls}
regionCa: {existingSecret: okmsd-region-ca}
YAML
cat >"$work/most.yaml" <<'YAML'
rootKey: {existingSecret: okmsd-root-key, key: k}
tls:
  certManager:
    enabled: true
    issuerRef: {name: region, kind: ClusterIssuer}
    dnsNames: [okms.example.com]
    ipAddresses: [192.0.2.7]
regionCa: {existingSecret: okmsd-region-ca, privateKeyKey: region_ca_privatekey.pem}
customerCas:
  - {domain: 5b1d7c3e-2f5a-4c57-9b3e-0d8f6a1c2e44, existingSecret: customer-a, crl: [http://pki.example.com/a.crl], crlStale: accept}
  - {domain: 8f4c1a52-63b7-4d0e-a1c9-7e5d2b90f611, existingSecret: customer-b, key: b.pem}
auditDevices:
  - {kind: file, path: /var/lib/okmsd/audit.log, rotate_bytes: 64MiB, keep: 9, compress: true}
  - {kind: stdout, format: vault, required: false}
config:
  region: eu-west-1
  audit: {folder: /var/lib/okmsd/audit, reads: required}
  server: {client_auth: required}
  limits: {connections: 20000}
  log: {format: text, filter: "info,okmsd=debug"}
image: {repository: registry.example.com/okmsd, digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
persistence: {storageClass: fast, size: 50Gi, annotations: {a: b}}
service: {type: LoadBalancer, port: 8443, annotations: {lb: internal}, loadBalancerSourceRanges: [192.0.2.0/24]}
serviceAccount: {annotations: {who: okmsd}}
serviceMonitor: {enabled: true, namespace: monitoring, labels: {release: prometheus}}
podDisruptionBudget: {enabled: true}
networkPolicy:
  enabled: true
  apiFrom: [{namespaceSelector: {}}]
extraLabels: {team: platform, app.kubernetes.io/name: cannot-break-the-selector}
extraAnnotations: {note: here}
podLabels: {pod: label}
podAnnotations: {pod: annotation}
extraEnv: [{name: OKMSD_LOG__FILTER, value: debug}]
extraVolumes: [{name: more, emptyDir: {}}]
extraVolumeMounts: [{name: more, mountPath: /more}]
extraManifests:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: "{{ .Release.Name }}-extra"}}
priorityClassName: high
nodeSelector: {disk: ssd}
affinity: {nodeAffinity: {}}
tolerations: [{operator: Exists}]
topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]
YAML
cat >"$work/claim.yaml" <<'YAML'
rootKey: {existingSecret: okmsd-root-key}
tls: {existingSecret: okmsd-tls}
regionCa: {existingSecret: okmsd-region-ca}
persistence: {existingClaim: my-claim}
serviceAccount: {create: false}
fullnameOverride: vault
YAML

cat >"$work/many.yaml" <<'YAML'
rootKey: {existingSecret: okmsd-root-key}
tls: {existingSecret: okmsd-tls}
regionCa: {existingSecret: okmsd-region-ca}
replicas: 3
config:
  store:
    engine: postgres
    postgres: {hosts: ["db-0:5432", "db-1:5432"], password_file: /db/password, ca: /db/ca.pem, commit_time: 3s}
extraVolumes: [{name: db, secret: {secretName: db}}]
extraVolumeMounts: [{name: db, mountPath: /db}]
YAML

failures=0
bad() {
    failures=$((failures + 1))
    echo "FAILED: $*"
}

# has FILE TEXT...: each text stands in the rendering as lines, whatever their indentation.
has() {
    local file=$1 text
    shift
    for text in "$@"; do
        python3 - "$file" "$text" <<'PY' || bad "$(basename "$file") lacks: ${text//$'\n'/ | }"
import sys
squeeze = lambda s: [" ".join(line.split()) for line in s.splitlines()]
lines, want = squeeze(open(sys.argv[1]).read()), squeeze(sys.argv[2])
sys.exit(not any(lines[i:i + len(want)] == want for i in range(len(lines))))
PY
    done
}
lacks() {
    if grep -qF -- "$2" "$1"; then bad "$(basename "$1") has: $2"; fi
}
refuses() {
    local text=$1
    shift
    if "$helm" template release "$chart" "$@" >"$work/refused" 2>&1; then
        bad "helm template $* was not refused"
    elif ! grep -qF -- "$text" "$work/refused"; then
        bad "helm template $* was refused without saying «$text»:"
        cat "$work/refused"
    fi
}

for values in least most claim many; do
    if ! "$helm" lint --strict "$chart" -f "$work/$values.yaml" >"$work/lint" 2>&1; then
        bad "helm lint with $values.yaml"
        cat "$work/lint"
    fi
    if ! "$helm" template release "$chart" --namespace secrets -f "$work/$values.yaml" >"$work/$values.out" 2>"$work/err"; then
        bad "helm template with $values.yaml"
        cat "$work/err"
        exit 1
    fi
    # What no values may take away by accident.
    has "$work/$values.out" \
        'automountServiceAccountToken: false' 'enableServiceLinks: false' \
        'runAsNonRoot: true' 'readOnlyRootFilesystem: true' 'allowPrivilegeEscalation: false' 'privileged: false' \
        $'capabilities:\ndrop:\n- ALL' $'seccompProfile:\ntype: RuntimeDefault' 'runAsUser: 65532' 'fsGroup: 65532' \
        $'httpGet:\npath: /livez\nport: admin' $'httpGet:\npath: /readyz\nport: admin' \
        $'- name: admin\ncontainerPort: 9464' $'- name: https\ncontainerPort: 8443' \
        'terminationGracePeriodSeconds: 60' 'defaultMode: 0440' \
        'admin_listen = "0.0.0.0:9464"' 'listen = "0.0.0.0:8443"' 'root_key = "/etc/okmsd/keys/root.key"' \
        $'- name: store\nmountPath: /var/lib/okmsd' 'path = "/var/lib/okmsd/okmsd.redb"' \
        'clusterIP: None' 'namespace: secrets'
done

has "$work/least.out" 'image: "okmsd:0.1.0"' 'secretName: okmsd-root-key' 'secretName: okmsd-tls' 'secretName: okmsd-region-ca' \
    'volumeClaimTemplates:' 'storage: 10Gi' 'type: ClusterIP' 'port: 443' 'whenDeleted: Retain'
for kind in ServiceMonitor NetworkPolicy PodDisruptionBudget Certificate; do
    lacks "$work/least.out" "kind: $kind"
    has "$work/most.out" "kind: $kind"
done
lacks "$work/least.out" region_ca_key
lacks "$work/most.out" cannot-break-the-selector
has "$work/most.out" \
    'image: "registry.example.com/okmsd@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"' \
    'region = "eu-west-1"' 'client_auth = "required"' 'connections = 20000' 'filter = "info,okmsd=debug"' \
    'region_ca_key = "/etc/okmsd/trust/region_ca_privatekey.pem"' \
    $'[[trust.customer_ca]]\ncertificate = "/etc/okmsd/customer-ca/1/ca.pem"\ndomain = "8f4c1a52-63b7-4d0e-a1c9-7e5d2b90f611"' \
    $'crl = ["http://pki.example.com/a.crl"]\ncrl_stale = "accept"' \
    $'[[audit.device]]\ncompress = true\nkeep = 9\nkind = "file"\npath = "/var/lib/okmsd/audit.log"\nrotate_bytes = "64MiB"' \
    $'[audit]\nfolder = "/var/lib/okmsd/audit"\nreads = "required"' \
    $'- key: k\npath: root.key' $'- key: b.pem\npath: ca.pem' 'storageClassName: fast' 'type: LoadBalancer' 'team: platform' \
    'note: here' 'pod: label' 'pod: annotation' "name: 'release-extra'" '- okms.example.com' 'release: prometheus' \
    'path: /metrics' 'priorityClassName: high' '- mountPath: /more' '- name: OKMSD_LOG__FILTER' 'topologyKey: zone'
for values in least most claim; do has "$work/$values.out" 'replicas: 1'; done
has "$work/many.out" 'replicas: 3' 'podManagementPolicy: Parallel' 'engine = "postgres"' \
    $'[store.postgres]\nca = "/db/ca.pem"\ncommit_time = "3s"\nhosts = ["db-0:5432", "db-1:5432"]\npassword_file = "/db/password"'
has "$work/claim.out" 'claimName: my-claim' 'name: vault' 'serviceAccountName: default'
lacks "$work/claim.out" volumeClaimTemplates
lacks "$work/claim.out" 'kind: ServiceAccount'

least=(-f "$work/least.yaml")
refuses 'rootKey.existingSecret is not set'
refuses 'rootKey.existingSecret is not set' "${least[@]}" --set rootKey.existingSecret=
refuses 'tls.existingSecret is not set' "${least[@]}" --set tls.existingSecret=
refuses 'regionCa.existingSecret is not set' "${least[@]}" --set regionCa.existingSecret=
refuses 'choose one' "${least[@]}" --set tls.certManager.enabled=true
refuses 'config.server.listen is set by the chart' "${least[@]}" --set config.server.listen=127.0.0.1:1
refuses 'a file, which one process holds open' "${least[@]}" --set replicas=3
refuses 'replicas' "${least[@]}" --set replicas=0
refuses 'client_auth' "${least[@]}" --set config.server.client_auth=never
refuses 'crl' "${least[@]}" --set 'customerCas[0].domain=5b1d7c3e-2f5a-4c57-9b3e-0d8f6a1c2e44' \
    --set 'customerCas[0].existingSecret=a' --set 'customerCas[0].crl[0]=https://pki.example.com/a.crl'
refuses 'digest' "${least[@]}" --set image.digest=latest

# okmsd's own opinion of the rendered configuration, with real files where the pod would have them.
checked=
if [[ ! -x $OKMSD ]]; then
    checked=", okmsd.toml not read by okmsd ($OKMSD is not built)"
    if [[ ${COMPAT_STRICT:-0} == 1 ]]; then bad "$OKMSD is not there"; fi
elif ! command -v openssl >/dev/null; then
    checked=", okmsd.toml not read by okmsd (openssl, which makes its certificates, is not installed)"
    if [[ ${COMPAT_STRICT:-0} == 1 ]]; then bad "openssl is not there"; fi
else
    pod=$work/pod
    mkdir -p "$pod"/etc/okmsd/{config,tls,trust,keys,customer-ca/0,customer-ca/1} "$pod/var/lib/okmsd"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=region CA" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
        -keyout "$pod/etc/okmsd/trust/region_ca_privatekey.pem" -out "$pod/etc/okmsd/trust/region_ca.pem" 2>/dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=okmsd" \
        -keyout "$pod/etc/okmsd/tls/tls.key" -out "$work/server.csr" 2>/dev/null
    printf '%s\n' subjectAltName=DNS:localhost extendedKeyUsage=serverAuth >"$work/server.ext"
    openssl x509 -req -days 2 -in "$work/server.csr" -extfile "$work/server.ext" \
        -CA "$pod/etc/okmsd/trust/region_ca.pem" -CAkey "$pod/etc/okmsd/trust/region_ca_privatekey.pem" \
        -set_serial 0x5a01 -out "$pod/etc/okmsd/tls/tls.crt" 2>/dev/null
    for n in 0 1; do
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=customer $n" \
            -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
            -keyout /dev/null -out "$pod/etc/okmsd/customer-ca/$n/ca.pem" 2>/dev/null
    done
    openssl rand -hex 32 >"$pod/etc/okmsd/keys/root.key"
    chmod 0440 "$pod/etc/okmsd/keys/root.key" "$pod/etc/okmsd/tls/tls.key" "$pod/etc/okmsd/trust/region_ca_privatekey.pem"
    for values in least most claim many; do
        toml=$pod/etc/okmsd/config/okmsd.toml
        python3 - "$work/$values.out" "$pod" >"$toml" <<'PY'
import sys
lines = iter(open(sys.argv[1]).read().splitlines())
for line in lines:
    if line.strip() == "okmsd.toml: |":
        break
else:
    sys.exit("no okmsd.toml in the rendering")
for line in lines:
    if line.strip() and not line.startswith("    "):
        break
    for there in ("/etc/okmsd", "/var/lib/okmsd"):
        line = line.replace('"' + there, '"' + sys.argv[2] + there)
    print(line[4:])
PY
        if [[ $values == many ]]; then
            # It takes what is said, and says that there is no such database here.
            if "$OKMSD" serve --config "$toml" --check >"$work/check" 2>&1 || ! grep -q '/db/' "$work/check"; then
                bad "okmsd serve --check did not look for the database of $values.yaml:"
                cat "$work/check"
            fi
        elif ! "$OKMSD" serve --config "$toml" --check >"$work/check" 2>&1; then
            bad "okmsd serve --check refuses the okmsd.toml of $values.yaml:"
            cat "$work/check" "$toml"
        elif ! grep -qx ok "$work/check"; then
            bad "okmsd serve --check did not print ok for $values.yaml:"
            cat "$work/check"
        fi
    done
    checked=", okmsd.toml accepted by okmsd"
fi

if ((failures > 0)); then
    echo "helm: $failures checks failed"
    exit 1
fi
echo "helm: lint, four renderings and eleven refusals as expected$checked"
