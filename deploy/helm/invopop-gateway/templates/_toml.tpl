{{/* Values as TOML. JSON's strings are TOML's, too; whole numbers come as floats and lose nothing. */}}
{{- define "invopop-gateway.toml.value" -}}
{{- if kindIs "string" . -}}{{ toJson . }}
{{- else if kindIs "bool" . -}}{{ . }}
{{- else if kindIs "slice" . -}}
[{{ range $i, $v := . }}{{ if $i }}, {{ end }}{{ include "invopop-gateway.toml.value" $v }}{{ end }}]
{{- else if kindIs "map" . -}}
{ {{- $first := true }}{{ range $k, $v := . }}{{ if not $first }},{{ end }} {{ toJson $k }} = {{ include "invopop-gateway.toml.value" $v }}{{ $first = false }}{{ end }} }
{{- else if eq (float64 .) (floor .) -}}{{ printf "%.0f" (float64 .) }}
{{- else -}}{{ . }}
{{- end -}}
{{- end -}}

{{/* The lines of one table. */}}
{{- define "invopop-gateway.toml.lines" -}}
{{- range $key, $value := . }}
{{ toJson $key }} = {{ include "invopop-gateway.toml.value" $value }}
{{- end }}
{{- end -}}

{{/* The tables of gateway.toml as JSON: what the mode needs, under what the values say. */}}
{{- define "invopop-gateway.settings" -}}
{{- $admin := dict "host" "0.0.0.0" "port" 9585 }}
{{- $vault := dict "file" "vault.toml" }}
{{- $needed := dict "admin" $admin "vault" $vault }}
{{- if eq .Values.mode "shared" }}
{{- $_ := set $needed "listen" (dict "host" "0.0.0.0" "port" 8585 "max_connections" 1024 "drain_delay" 10 "drain_timeout" 75) }}
{{- $_ := set $needed "upstream" (dict "max_connections" 128) }}
{{- $_ := set $needed "limits" (dict "max_in_flight" 512) }}
{{- $_ := set $needed "metrics" (dict "max_series" 5000) }}
{{- $_ := set $vault "strict" false }}
{{- else }}
{{- $_ := set $needed "listen" (dict "host" "127.0.0.1" "port" 8585 "max_connections" 128 "drain_timeout" 75) }}
{{- $_ := set $needed "upstream" (dict "max_connections" 32) }}
{{- $_ := set $needed "limits" (dict "max_in_flight" 64) }}
{{- $_ := set $needed "metrics" (dict "max_series" 2000) }}
{{- $_ := set $admin "max_connections" 16 }}
{{- end }}
{{- mergeOverwrite $needed (deepCopy .Values.settings) | toJson }}
{{- end -}}

{{- define "invopop-gateway.gatewayToml" -}}
{{- range $table, $lines := include "invopop-gateway.settings" . | fromJson }}
[{{ $table }}]
{{- include "invopop-gateway.toml.lines" $lines }}
{{ end }}
{{- range .Values.issuers }}
[[issuers]]
{{- include "invopop-gateway.toml.lines" . }}
{{ end }}
{{- range $name, $lines := .Values.callers }}
[callers.{{ toJson $name }}]
{{- include "invopop-gateway.toml.lines" $lines }}
{{ end }}
{{- end -}}

{{- define "invopop-gateway.vaultToml" -}}
{{- if not .Values.tenants }}
[tenants]
{{ end }}
{{- range $name, $lines := .Values.tenants }}
[tenants.{{ toJson $name }}]
{{- include "invopop-gateway.toml.lines" $lines }}
{{ end }}
{{- if .Values.discover }}
[discover]
{{- include "invopop-gateway.toml.lines" .Values.discover }}
{{ end }}
{{- end -}}
