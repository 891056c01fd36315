#!/usr/bin/env bash
# Runs Kyverno's admission controller beside a running cluster (KUBECONFIG), outside of it, as its debug mode does.
# usage: server.sh PROGRAM ADDRESS:PORT    ADDRESS: one of this host that the API server can reach; stays in the foreground
#        server.sh --definitions           only its definitions of objects
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
crds=$(cd "$here" && go list -m -f '{{.Dir}}' github.com/kyverno/kyverno)/config/crds
for d in kyverno policies.kyverno.io policyreport reports; do
  kubectl apply --server-side --force-conflicts -f "$crds/$d" >/dev/null
done
[ "$1" != --definitions ] || exit 0
program=$1 address=${2%:*} port=${2##*:}
make() { kubectl create "$@" --dry-run=client -o yaml | kubectl apply -f - >/dev/null; }
make namespace kyverno
make -n kyverno serviceaccount kyverno
make -n kyverno configmap kyverno-metrics --from-literal=metricsExposure='{}'
selector='{"namespaceSelector":{"matchExpressions":[{"key":"kubernetes.io/metadata.name","operator":"NotIn","values":["kyverno"]}]}}'
make -n kyverno configmap kyverno --from-literal=resourceFilters='[Event,*,*]' --from-literal=webhooks="$selector"
export KYVERNO_NAMESPACE=kyverno KYVERNO_SERVICEACCOUNT_NAME=kyverno KYVERNO_ROLE_NAME=kyverno KYVERNO_DEPLOYMENT=kyverno
export KYVERNO_SVC=kyverno-svc KYVERNO_POD_NAME=kyverno-0 POD_NAMESPACE=kyverno INIT_CONFIG=kyverno METRICS_CONFIG=kyverno-metrics
account=system:serviceaccount:kyverno:kyverno
exec "$program" -kubeconfig "$KUBECONFIG" -serverIP "$address:$port" -webhookServerPort "$port" \
  -caSecretName kyverno-ca -tlsSecretName kyverno-tls -backgroundServiceAccountName="$account" \
  -reportsServiceAccountName="$account" -disableMetrics=true -controllerRuntimeMetricsAddress=0
