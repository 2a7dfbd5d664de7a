{{- define "project-vault.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "project-vault.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "project-vault.labels" -}}
{{ include "project-vault.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "project-vault.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* What restricted pod security asks for, and more. */}}
{{- define "project-vault.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "project-vault.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* The settings that servers and migrate share. Secrets are files. */}}
{{- define "project-vault.env" -}}
- { name: DATABASE_URL_FILE, value: /etc/project-vault/database/url }
- { name: VAULT_AUTHZ, value: openfga }
- { name: OPENFGA_URL, value: {{ required "openfga.url: give OpenFGA's gRPC endpoint, such as http://openfga:8081" .Values.openfga.url | quote }} }
- { name: OPENFGA_STORE, value: {{ .Values.openfga.store | quote }} }
{{- if .Values.openfga.token.existingSecret }}
- { name: OPENFGA_TOKEN_FILE, value: /etc/project-vault/openfga/token }
{{- end }}
- { name: VAULT_KEY_PROVIDER, value: {{ .Values.keys.provider }} }
{{- if .Values.keys.keyring.existingSecret }}
- { name: VAULT_KEYRING_FILE, value: /etc/project-vault/keyring/keyring.toml }
{{- end }}
{{- with .Values.keys.transit }}
{{- if .url }}
- { name: VAULT_TRANSIT_URL, value: {{ .url | quote }} }
- { name: VAULT_TRANSIT_KEY, value: {{ .key | quote }} }
- { name: VAULT_TRANSIT_TOKEN_FILE, value: /etc/project-vault/transit/token }
{{- end }}
{{- end }}
- { name: VAULT_LOG_FORMAT, value: json }
- { name: RUST_LOG, value: {{ .Values.settings.log | quote }} }
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The Secrets that servers and migrate share; group readable, since the vault refuses a keyring
     that others can read. */}}
{{- define "project-vault.volumes" -}}
- name: database
  secret:
    secretName: {{ .Values.database.existingSecret }}
    defaultMode: 0440
    items:
      - { key: {{ .Values.database.key | quote }}, path: url }
      {{- with .Values.database.caKey }}
      - { key: {{ . | quote }}, path: ca.crt }
      {{- end }}
{{- with .Values.openfga.token }}
{{- if .existingSecret }}
- name: openfga
  secret:
    secretName: {{ .existingSecret }}
    defaultMode: 0440
    items: [{ key: {{ .key | quote }}, path: token }]
{{- end }}
{{- end }}
{{- with .Values.keys.keyring }}
{{- if .existingSecret }}
- name: keyring
  secret:
    secretName: {{ .existingSecret }}
    defaultMode: 0440
    items: [{ key: {{ .key | quote }}, path: keyring.toml }]
{{- end }}
{{- end }}
{{- with .Values.keys.transit }}
{{- if .url }}
- name: transit
  secret:
    secretName: {{ .existingSecret }}
    defaultMode: 0440
    items: [{ key: {{ .tokenKey | quote }}, path: token }]
{{- end }}
{{- end }}
{{- end }}

{{- define "project-vault.mounts" -}}
- { name: database, mountPath: /etc/project-vault/database, readOnly: true }
{{- if .Values.openfga.token.existingSecret }}
- { name: openfga, mountPath: /etc/project-vault/openfga, readOnly: true }
{{- end }}
{{- if .Values.keys.keyring.existingSecret }}
- { name: keyring, mountPath: /etc/project-vault/keyring, readOnly: true }
{{- end }}
{{- if .Values.keys.transit.url }}
- { name: transit, mountPath: /etc/project-vault/transit, readOnly: true }
{{- end }}
{{- end }}

{{/* A string of TOML: JSON's escapes are among TOML's. */}}
{{- define "project-vault.issuers" -}}
{{- range .Values.issuers }}
[[issuer]]
iss = {{ .iss | toJson }}
jwks_url = {{ .jwksUrl | toJson }}
kinds = {{ .kinds | toJson }}
{{- if .subjectPrefix }}
subject_prefix = {{ .subjectPrefix | toJson }}
{{- end }}
{{ end }}
{{- end }}
