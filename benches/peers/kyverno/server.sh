#!/usr/bin/env bash
# Runs Kyverno's controllers beside a running cluster (KUBECONFIG), outside of it, as its debug mode does. Each stays in the
# foreground. FLAG: more of the program's own, such as -enablePolicyException=true -exceptionNamespace='*'.
# usage: server.sh PROGRAM ADDRESS:PORT [FLAG...]   the admission controller; the API server can reach ADDRESS of this host
#        server.sh --reports PROGRAM [FLAG...]      the reports controller, which scans and writes PolicyReports
#        server.sh --definitions                    only its definitions of objects
#   KYVERNO_FILTERS: what its ConfigMap says as resourceFilters
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
crds() { (cd "$here" && go list -m -f '{{.Dir}}/config/crds' github.com/kyverno/kyverno); }
if [ "$1" != --reports ]; then
  folder=$(crds)
  for d in kyverno policies.kyverno.io policyreport reports; do
    kubectl apply --server-side --force-conflicts -f "$folder/$d" >/dev/null
  done
fi
[ "$1" != --definitions ] || exit 0
make() { kubectl create "$@" --dry-run=client -o yaml | kubectl apply -f - >/dev/null; }
make namespace kyverno
make -n kyverno serviceaccount kyverno
make -n kyverno configmap kyverno-metrics --from-literal=metricsExposure='{}'
selector='{"namespaceSelector":{"matchExpressions":[{"key":"kubernetes.io/metadata.name","operator":"NotIn","values":["kyverno"]}]}}'
make -n kyverno configmap kyverno --from-literal=resourceFilters="${KYVERNO_FILTERS:-[Event,*,*]}" \
  --from-literal=webhooks="$selector"
export KYVERNO_NAMESPACE=kyverno KYVERNO_SERVICEACCOUNT_NAME=kyverno KYVERNO_ROLE_NAME=kyverno KYVERNO_DEPLOYMENT=kyverno
export KYVERNO_SVC=kyverno-svc KYVERNO_POD_NAME=kyverno-0 POD_NAMESPACE=kyverno INIT_CONFIG=kyverno METRICS_CONFIG=kyverno-metrics
account=system:serviceaccount:kyverno:kyverno
common=(-kubeconfig "$KUBECONFIG" -disableMetrics=true -metricsPort=0)
if [ "$1" = --reports ]; then
  export KYVERNO_DEPLOYMENT=kyverno-reports KYVERNO_POD_NAME=kyverno-reports-0
  exec "$2" "${common[@]}" "${@:3}"
fi
exec "$1" "${common[@]}" -serverIP "$2" -webhookServerPort "${2##*:}" \
  -caSecretName kyverno-ca -tlsSecretName kyverno-tls -backgroundServiceAccountName="$account" \
  -reportsServiceAccountName="$account" -controllerRuntimeMetricsAddress=0 "${@:3}"
