#!/usr/bin/env bash
# Builds Kyverno, of the version in go.mod, into OUT: its command line and its admission controller, which
# `cargo bench-peers` runs beside ours.
# usage: build.sh OUT [kyverno|kyverno-admission]    (both: some minutes on 2 cores, 520 MB)
#   MESHWARD_KYVERNO=OUT/kyverno cargo bench-peers --only policy-apply,policy-start-up
#   MESHWARD_KYVERNO_ADMISSION=OUT/kyverno-admission cargo bench-peers --only admission
set -euo pipefail
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")"
version=$(go list -m -f '{{.Version}}' github.com/kyverno/kyverno)
build() { # PROGRAM PACKAGE
  go build -trimpath -ldflags "-s -w -X github.com/kyverno/kyverno/pkg/version.BuildVersion=$version" \
    -o "$out/$1" "github.com/kyverno/kyverno/cmd/$2"
}
case ${2:-all} in kyverno | all) build kyverno cli/kubectl-kyverno ;; esac
case ${2:-all} in kyverno-admission | all) build kyverno-admission kyverno ;; esac
