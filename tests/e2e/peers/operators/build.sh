#!/usr/bin/env bash
# What the chart's options need of other projects, from their Go modules, for the case about them: cert-manager's
# controllers, and the definitions of cert-manager and of PodMonitor.
#   build.sh OUT    into OUT: cert-manager (the program), definitions.yaml
# Cold, one and a half minutes on 2 cores.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# = 1 ] || { sed -n '4s/^# *//p' "$0" >&2; exit 2; }
out=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$here"
export CGO_ENABLED=0 GOFLAGS=-mod=readonly GOTOOLCHAIN=local
stamp=$(find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16)
if [ "$(cat "$out/.stamp" 2>/dev/null)" = "$stamp" ]; then
  echo "build: $out is up to date"
  exit 0
fi
rm -f "$out/.stamp"
folder() { # OF MODULE: where its files are, fetched if need be and held against go.sum
  (cd "$1" && go mod download "$2" && go list -m -f '{{.Dir}}' "$2")
}
certificates=$(folder cert-manager github.com/cert-manager/cert-manager)
monitors=$(folder prometheus-operator github.com/prometheus-operator/prometheus-operator)
for file in "$certificates"/deploy/crds/*.yaml \
  "$monitors"/example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml; do
  echo ---
  cat "$file"
done >"$out/definitions.yaml"
(cd cert-manager && go build -trimpath -buildvcs=false -ldflags '-s -w' -o "$out/cert-manager.new" .)
mv "$out/cert-manager.new" "$out/cert-manager"
echo "$stamp" >"$out/.stamp"
ls -l "$out"
