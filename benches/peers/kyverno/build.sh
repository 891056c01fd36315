#!/usr/bin/env bash
# Builds Kyverno, of the version in go.mod, into OUT: its command line and its admission controller, which
# `cargo bench-peers` and `cargo bench-admission` run beside ours, and its reports controller, for the end-to-end case that
# switches from Kyverno.
# usage: build.sh OUT [kyverno|kyverno-admission|kyverno-reports]...    (all: 710 MB)
#   MESHWARD_KYVERNO=OUT/kyverno cargo bench-peers --only policy-apply,policy-start-up
#   MESHWARD_KYVERNO_ADMISSION=OUT/kyverno-admission cargo bench-peers --only admission
# Cold, both controllers take some five minutes on 2 cores.
set -euo pipefail
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")"
version=$(go list -m -f '{{.Version}}' github.com/kyverno/kyverno)
build() { # PROGRAM PACKAGE
  go build -trimpath -ldflags "-s -w -X github.com/kyverno/kyverno/pkg/version.BuildVersion=$version" \
    -o "$out/$1.new" "github.com/kyverno/kyverno/cmd/$2"
  mv "$out/$1.new" "$out/$1"
}
for program in "${@:-all}"; do
  case $program in kyverno | all) build kyverno cli/kubectl-kyverno ;; esac
  case $program in kyverno-admission | all) build kyverno-admission kyverno ;; esac
  case $program in kyverno-reports | all) build kyverno-reports reports-controller ;; esac
done
