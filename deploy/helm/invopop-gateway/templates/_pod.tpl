{{- define "invopop-gateway.name" -}}
{{ .Values.fullnameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "invopop-gateway.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "invopop-gateway.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: ["ALL"] }
{{- end -}}

{{/* What the gateway's container has in both modes; `admin` is the port of probes and Prometheus. */}}
{{- define "invopop-gateway.container" -}}
{{- $settings := include "invopop-gateway.settings" . | fromJson -}}
name: invopop-gateway
image: {{ include "invopop-gateway.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.extraEnv }}
env: {{ toYaml . | nindent 2 }}
{{- end }}
ports:
  {{- if eq .Values.mode "shared" }}
  - { name: callers, containerPort: {{ $settings.listen.port }} }
  {{- end }}
  - { name: gateway-admin, containerPort: {{ $settings.admin.port }} }
startupProbe:
  httpGet: { path: /readyz, port: gateway-admin }
  periodSeconds: 1
  failureThreshold: 60
{{- if eq .Values.mode "shared" }}
readinessProbe:
  httpGet: { path: /readyz, port: gateway-admin }
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end }}
livenessProbe:
  httpGet: { path: /livez, port: gateway-admin }
  periodSeconds: 10
  timeoutSeconds: 3
resources: {{ include "invopop-gateway.resources" . | nindent 2 }}
volumeMounts: {{ include "invopop-gateway.mounts" . | nindent 2 }}
{{- end -}}

{{/* Sidecar mode: one of the `initContainers` of your pod. */}}
{{- define "invopop-gateway.sidecar" -}}
{{ include "invopop-gateway.container" . }}
restartPolicy: Always
securityContext:
  {{- include "invopop-gateway.securityContext" . | nindent 2 }}
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "invopop-gateway.mounts" -}}
- { name: invopop-gateway, mountPath: /etc/invopop-gateway, readOnly: true }
{{- if or .Values.keys.existingSecret .Values.keys.csi.secretProviderClass }}
- { name: invopop-keys, mountPath: /run/secrets/invopop, readOnly: true }
{{- end }}
{{- if and .Values.serviceAccount.apiServerToken (eq .Values.mode "shared") }}
- { name: api-server, mountPath: /run/secrets/api-server, readOnly: true }
{{- end }}
- { name: audit, mountPath: /var/log/invopop-gateway }
{{- end -}}

{{/* The pod's volumes, in both modes. The pod needs `fsGroup: 65532`. */}}
{{- define "invopop-gateway.volumes" -}}
- name: audit
  {{- toYaml .Values.auditVolume | nindent 2 }}
- name: invopop-gateway
  configMap: { name: {{ include "invopop-gateway.name" . }} }
{{- if .Values.keys.csi.secretProviderClass }}
- name: invopop-keys
  csi:
    driver: secrets-store.csi.k8s.io
    readOnly: true
    volumeAttributes: { secretProviderClass: {{ .Values.keys.csi.secretProviderClass }} }
{{- else if .Values.keys.existingSecret }}
- name: invopop-keys
  secret: { secretName: {{ .Values.keys.existingSecret }}, defaultMode: 0440 }
{{- end }}
{{- if and .Values.serviceAccount.apiServerToken (eq .Values.mode "shared") }}
- name: api-server
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken: { path: token, expirationSeconds: 3600 }
      - configMap: { name: kube-root-ca.crt, items: [{ key: ca.crt, path: ca.crt }] }
{{- end }}
{{- end -}}

{{/* Above the worst case that `check` prints for the mode's limits. No CPU limit: one process uses one
core at most. */}}
{{- define "invopop-gateway.resources" -}}
{{- if .Values.resources }}
{{- toYaml .Values.resources }}
{{- else if eq .Values.mode "shared" }}
requests: { cpu: 500m, memory: 128Mi }
limits: { memory: 1Gi }
{{- else }}
requests: { cpu: 100m, memory: 96Mi }
limits: { memory: 320Mi }
{{- end }}
{{- end -}}
