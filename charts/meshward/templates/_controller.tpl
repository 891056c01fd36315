{{- define "meshward.control" -}}
{{ include "meshward.fullname" . }}-control
{{- end -}}

{{/* ClusterRoles have no namespace: two releases must not share one. */}}
{{- define "meshward.controlClusterName" -}}
{{ include "meshward.control" . }}.{{ .Release.Namespace }}
{{- end -}}

{{- define "meshward.controlServiceAccount" -}}
{{- with .Values.controller.serviceAccount -}}
{{- if .create -}}
{{- default (include "meshward.control" $) .name -}}
{{- else -}}
{{- required "controller.serviceAccount.name is needed when controller.serviceAccount.create is false" .name -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "meshward.controlSelector" -}}
app.kubernetes.io/name: {{ include "meshward.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: control
{{- end -}}

{{- define "meshward.controlLabels" -}}
{{ include "meshward.controlSelector" . }}
{{ include "meshward.commonLabels" . }}
{{- end -}}

{{/* Labels of what belongs to no component. */}}
{{- define "meshward.commonLabels" -}}
app.kubernetes.io/part-of: {{ include "meshward.name" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "meshward.controlImage" -}}
{{- with .Values.controller.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "meshward.controlIdentity" -}}
- name: MESHWARD_NAMESPACE
  value: {{ .Release.Namespace }}
- name: MESHWARD_POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: MESHWARD_SERVICE_NAME
  value: {{ include "meshward.control" . }}
- name: MESHWARD_CLUSTER_ROLE
  value: {{ include "meshward.controlClusterName" . }}
{{- with .Values.controller.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The controller's environment: who it is, and .Values.controller.config. What is empty is left to its default. */}}
{{- define "meshward.controlEnv" -}}
{{ include "meshward.controlIdentity" . }}
- name: MESHWARD_LISTEN
  value: "[::]:{{ .Values.controller.ports.webhooks }}"
- name: MESHWARD_ADMIN_LISTEN
  value: "[::]:{{ .Values.controller.ports.admin }}"
{{- if .Values.controller.podSecurityConfig }}
- name: MESHWARD_POD_SECURITY_CONFIG
  value: /etc/meshward/config/pod-security.yaml
{{- end }}
{{- if .Values.controller.certManager.enabled }}
- name: MESHWARD_TLS_CERT
  value: /etc/meshward/tls/tls.crt
- name: MESHWARD_TLS_KEY
  value: /etc/meshward/tls/tls.key
- name: MESHWARD_CA_FILE
  value: /etc/meshward/tls/ca.crt
{{- end }}
{{- range $name, $value := .Values.controller.config }}
{{- if ne (toString $value) "" }}
- name: MESHWARD_{{ $name | upper | replace "-" "_" }}
  value: {{ toString $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* No privilege at all. On OpenShift the user is one of the namespace's own. */}}
{{- define "meshward.controlPodSecurity" -}}
runAsNonRoot: true
{{- if ne .Values.distribution "openshift" }}
runAsUser: 65532
runAsGroup: 65532
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "meshward.controlContainerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
privileged: false
readOnlyRootFilesystem: true
{{- end -}}

{{/* Whether a definition is ours to write: there is none yet, or it is of this release. Empty if it is not. */}}
{{- define "meshward.mayDefine" -}}
{{- $there := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" .name -}}
{{- $annotations := dig "metadata" "annotations" dict ($there | default dict) | default dict -}}
{{- $name := get $annotations "meta.helm.sh/release-name" -}}
{{- $namespace := get $annotations "meta.helm.sh/release-namespace" -}}
{{- if or (not $there) (and (eq $name .release.Name) (eq $namespace .release.Namespace)) -}}
yes
{{- end -}}
{{- end -}}

{{/* The controller's webhook configurations are named after its Service where that has another name than usual. */}}
{{- define "meshward.configurations" -}}
{{- $control := include "meshward.control" .context -}}
{{- $names := list -}}
{{- range .of -}}
{{- $names = append $names (eq $control "meshward-control" | ternary . (printf "%s.%s" . $control)) -}}
{{- end -}}
{{- printf "[%s]" (join ", " $names) -}}
{{- end -}}
