{{- define "okmsd.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "okmsd.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "okmsd.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "okmsd.headless" -}}
{{ include "okmsd.fullname" . }}-headless
{{- end -}}

{{- define "okmsd.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "okmsd.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "okmsd.selector" -}}
app.kubernetes.io/name: {{ include "okmsd.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- /* Labels of every object. Our own win: the selectors depend on them. */ -}}
{{- define "okmsd.labels" -}}
{{- $own := include "okmsd.selector" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- mergeOverwrite (deepCopy .Values.extraLabels) $own | toYaml -}}
{{- end -}}

{{- /* metadata: annotations of an object. Call with (dict "root" $ "own" map). */ -}}
{{- define "okmsd.annotations" -}}
{{- $all := mergeOverwrite (deepCopy .root.Values.extraAnnotations) (default dict .own) -}}
{{- with $all }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "okmsd.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "okmsd.tlsSecret" -}}
{{- if .Values.tls.existingSecret -}}
{{ .Values.tls.existingSecret }}
{{- else -}}
{{ include "okmsd.fullname" . }}-tls
{{- end -}}
{{- end -}}

{{- /* What cannot be made up: fail with a sentence. */ -}}
{{- define "okmsd.check" -}}
{{- if not .Values.rootKey.existingSecret -}}
{{- fail "\n\nrootKey.existingSecret is not set. okmsd needs a root key, and this chart never makes one. Create it and name it:\n  openssl rand -hex 32 > root.key\n  kubectl create secret generic okmsd-root-key --from-file=root.key\n  helm … --set rootKey.existingSecret=okmsd-root-key\n" -}}
{{- end -}}
{{- if not (or .Values.tls.existingSecret .Values.tls.certManager.enabled) -}}
{{- fail "\n\ntls.existingSecret is not set. Name a Secret of type kubernetes.io/tls with the server's certificate, or set tls.certManager.enabled and tls.certManager.issuerRef.name.\n" -}}
{{- end -}}
{{- if and .Values.tls.certManager.enabled .Values.tls.existingSecret -}}
{{- fail "\n\ntls.existingSecret and tls.certManager.enabled are both set: choose one.\n" -}}
{{- end -}}
{{- if and .Values.tls.certManager.enabled (not .Values.tls.certManager.issuerRef.name) -}}
{{- fail "\n\ntls.certManager.enabled is set, but tls.certManager.issuerRef.name is not.\n" -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) (ne (toString (dig "store" "engine" "redb" .Values.config)) "postgres") -}}
{{- fail "\n\nreplicas is more than 1, but the store is a file, which one process holds open: a second pod would have a volume, and so a truth, of its own. Set config.store.engine to postgres and config.store.postgres.hosts (docs/ENGINES.md).\n" -}}
{{- end -}}
{{- if not .Values.regionCa.existingSecret -}}
{{- fail "\n\nregionCa.existingSecret is not set. Name a Secret that holds the CA certificate (key region_ca.pem) that access certificates must chain to.\n" -}}
{{- end -}}
{{- end -}}

{{- /* A scalar or a list of scalars as TOML. YAML's whole numbers arrive here as floats. */ -}}
{{- define "okmsd.toml.value" -}}
{{- if kindIs "string" . -}}
{{ . | toJson }}
{{- else if kindIs "bool" . -}}
{{ . }}
{{- else if kindIs "float64" . -}}
{{- if eq . (floor .) -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- else if or (kindIs "int64" .) (kindIs "int" .) -}}
{{ . }}
{{- else if kindIs "slice" . -}}
[{{ range $i, $v := . }}{{ if $i }}, {{ end }}{{ include "okmsd.toml.value" $v }}{{ end }}]
{{- else -}}
{{- fail (printf "\n\nconfig: %v is neither text, number, true/false nor a list of these.\n" .) -}}
{{- end -}}
{{- end -}}

{{- /* The whole okmsd.toml: what the chart sets, and the values of `config` beside it. */ -}}
{{- define "okmsd.toml" -}}
{{- $trust := dict "region_ca" "/etc/okmsd/trust/region_ca.pem" -}}
{{- if .Values.regionCa.privateKeyKey -}}
{{- $_ := set $trust "region_ca_key" "/etc/okmsd/trust/region_ca_privatekey.pem" -}}
{{- end -}}
{{- $own := dict
  "server" (dict "listen" "0.0.0.0:8443" "admin_listen" "0.0.0.0:9464" "certificate" "/etc/okmsd/tls/tls.crt" "private_key" "/etc/okmsd/tls/tls.key")
  "trust" $trust
  "keys" (dict "root_key" "/etc/okmsd/keys/root.key")
  "store" (dict "path" "/var/lib/okmsd/okmsd.redb") -}}
{{- range $section, $keys := $own -}}
{{- range $key, $_ := $keys -}}
{{- if hasKey (default dict (get $.Values.config $section)) $key -}}
{{- fail (printf "\n\nconfig.%s.%s is set by the chart and cannot be given in values.\n" $section $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if hasKey (default dict (get .Values.config "audit")) "device" -}}
{{- fail "\n\nconfig.audit.device is a list of its own here: auditDevices.\n" -}}
{{- end -}}
{{- $all := mergeOverwrite (deepCopy .Values.config) $own -}}
# Rendered by the okmsd chart.
{{- range $key := keys $all | sortAlpha }}
{{- $value := get $all $key }}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) }}
{{ $key }} = {{ include "okmsd.toml.value" $value }}
{{- end }}
{{- end }}
{{- range $section := keys $all | sortAlpha }}
{{- $keys := get $all $section }}
{{- if and (kindIs "map" $keys) $keys }}

[{{ $section }}]
{{- range $key := keys $keys | sortAlpha }}
{{- $value := get $keys $key }}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) }}
{{ $key }} = {{ include "okmsd.toml.value" $value }}
{{- end }}
{{- end }}
{{- range $key := keys $keys | sortAlpha }}
{{- $inner := get $keys $key }}
{{- if kindIs "map" $inner }}

[{{ $section }}.{{ $key }}]
{{- range $name := keys $inner | sortAlpha }}
{{- $value := get $inner $name }}
{{- if not (kindIs "invalid" $value) }}
{{ $name }} = {{ include "okmsd.toml.value" $value }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- range .Values.auditDevices }}

[[audit.device]]
{{- $device := . }}
{{- range $key := keys $device | sortAlpha }}
{{ $key }} = {{ include "okmsd.toml.value" (get $device $key) }}
{{- end }}
{{- end }}
{{- range $i, $ca := .Values.customerCas }}

[[trust.customer_ca]]
certificate = {{ printf "/etc/okmsd/customer-ca/%d/ca.pem" $i | toJson }}
domain = {{ $ca.domain | toJson }}
{{- with $ca.crl }}
crl = {{ toJson . }}
{{- end }}
{{- with $ca.crlIssuers }}
crl_issuers = {{ toJson . }}
{{- end }}
{{- with $ca.crlStale }}
crl_stale = {{ toJson . }}
{{- end }}
{{- end }}
{{ end -}}
