{{- define "meshward.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{- define "meshward.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- else if contains (include "meshward.name" .) .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "meshward.name" .) | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "meshward.agent" -}}
{{ include "meshward.fullname" . }}-node
{{- end -}}

{{/* ClusterRoles and SCCs have no namespace: two releases must not share one. */}}
{{- define "meshward.clusterName" -}}
{{ include "meshward.agent" . }}.{{ .Release.Namespace }}
{{- end -}}

{{- define "meshward.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "meshward.agent" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "meshward.selector" -}}
app.kubernetes.io/name: {{ include "meshward.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: node
{{- end -}}

{{- define "meshward.labels" -}}
{{ include "meshward.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "meshward.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Folders of the node that hold the runtime's CRI socket. */}}
{{- define "meshward.socketFolders" -}}
{{- if .Values.runtime.socket -}}
{{- list (dir .Values.runtime.socket) | toJson -}}
{{- else -}}
{{- .Values.runtime.socketFolders | uniq | toJson -}}
{{- end -}}
{{- end -}}

{{/* The agent's configuration file: what shapes the manifests here, and .Values.config. */}}
{{- define "meshward.config" -}}
{{- $config := dict -}}
{{- range $name, $value := .Values.config -}}
{{- if kindIs "bool" $value -}}
{{- $_ := set $config $name (ternary "on" "off" $value) -}}
{{- else -}}
{{- $_ := set $config $name (toString $value) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $config "admin-address" (printf "[::]:%d" (int .Values.admin.port)) -}}
{{- $_ := set $config "socket" (printf "%s/admin.sock" .Values.runFolder) -}}
{{- $_ := set $config "nri" .Values.nri.mode -}}
{{- $_ := set $config "nri-socket" (printf "%s/nri.sock" .Values.nri.folder) -}}
{{- $_ := set $config "cri-socket" (default "auto" .Values.runtime.socket) -}}
{{- $_ := set $config "cni" (ternary "on" "off" .Values.cni.enabled) -}}
{{- if .Values.cni.enabled -}}
{{- $_ := set $config "cni-conf-dir" "/host/cni/net.d" -}}
{{- $_ := set $config "cni-bin-dir" "/host/cni/bin" -}}
{{- $_ := set $config "cni-socket" (printf "%s/cni.sock" .Values.runFolder) -}}
{{- end -}}
{{- $_ := set $config "proc" (ternary "on" "off" .Values.proc.enabled) -}}
{{- $_ := set $config "taint" (ternary "on" "off" .Values.taint.enabled) -}}
{{- $_ := set $config "taint-key" .Values.taint.key -}}
{{- toJson $config -}}
{{- end -}}

{{/* Changes with every setting that takes a restart; the agent reads the others again itself. */}}
{{- define "meshward.configChecksum" -}}
{{- $config := include "meshward.config" . | fromJson -}}
{{- range list "log-level" "recheck-interval" "exclude-namespaces" "status" "events" "seed-compatibility" -}}
{{- $_ := unset $config . -}}
{{- end -}}
{{- toJson $config | sha256sum -}}
{{- end -}}
