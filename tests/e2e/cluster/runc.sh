#!/usr/bin/env bash
# Builds runc at the version of runc/go.mod into $RIG_BIN, with libseccomp from
# the distribution. Pods with hostUsers: false need 1.2 or newer, and
# distributions' are often older. Does nothing when it is there already.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[ "$RIG_RUNC" = built ] || { say "runc is the distribution's"; exit 0; }
cd "$RIG_HERE/runc"
version=$(awk '$1 == "github.com/opencontainers/runc" && $2 ~ /^v/ {print substr($2, 2)}' go.mod)
stamp=$(cat go.mod go.sum ../runc.sh | sha256sum | cut -c1-16)
if [ "$(cat "$RIG_BIN/.runc-stamp" 2>/dev/null)" = "$stamp" ] && [ -x "$RIG_BIN/runc" ]; then
  say "$RIG_BIN/runc is up to date ($version)"
  exit 0
fi
command -v go >/dev/null || die "no go toolchain"
mkdir -p "$RIG_BIN"
export CGO_ENABLED=1 GOFLAGS=-mod=readonly GOTOOLCHAIN=local
go build -trimpath -buildvcs=false -tags seccomp -ldflags "-s -w -X main.version=$version" \
  -o "$RIG_BIN/runc.new" github.com/opencontainers/runc
mv "$RIG_BIN/runc.new" "$RIG_BIN/runc"
echo "$stamp" >"$RIG_BIN/.runc-stamp"
say "built $RIG_BIN/runc, $version"
