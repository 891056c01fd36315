#!/usr/bin/env bash
# Builds Kyverno's command line, of the version in go.mod, into OUT: what `cargo bench-peers` runs beside ours.
# usage: build.sh OUT    (some minutes on 2 cores, 320 MB), then MESHWARD_KYVERNO=OUT/kyverno cargo bench-peers
set -euo pipefail
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")"
version=$(go list -m -f '{{.Version}}' github.com/kyverno/kyverno)
go build -trimpath -ldflags "-s -w -X github.com/kyverno/kyverno/pkg/version.BuildVersion=$version" \
  -o "$out/kyverno" github.com/kyverno/kyverno/cmd/cli/kubectl-kyverno
