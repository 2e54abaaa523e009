#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Unpacks opentelemetry-cpp, a rival in the benches, into the cache: opentelemetry-cpp-$VERSION/usr. Not installed: Debian 12
# has it in its backports only, and nothing of ours may come to depend on it.
set -eu
VERSION=1.19.0
DEBIAN=1.19.0-3~bpo12+1
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/spantap
TARGET=$CACHE/opentelemetry-cpp-$VERSION

[ -e "$TARGET/usr/include/opentelemetry/version.h" ] && exit 0
[ "$(dpkg --print-architecture)" = amd64 ] || { echo "get_opentelemetry_cpp: hashes are known for amd64 only" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

apt() {
    apt-get -qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User="$(id -un)" "$@"
}

mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/root"
# shellcheck disable=SC2016 # apt replaces these, not the shell
apt-get indextargets --format 'deb $(SITE) bookworm-backports $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' |
    grep ' main$' | grep -v -e '-security ' | sort -u >"$work/sources.list"
[ -s "$work/sources.list" ] || { echo "get_opentelemetry_cpp: apt knows no Debian mirror (run apt-get update)" >&2; exit 1; }
apt update
cd "$work"
apt download "opentelemetry-cpp=$DEBIAN" "opentelemetry-cpp-dev=$DEBIAN"
sha256sum --quiet --check <<HASHES
aed1af6f7c0295c0b25a6d377b742da6751cd2ae5031cad2d4e945589ef1a26d  opentelemetry-cpp_${DEBIAN}_amd64.deb
3b6e3a2d9cd23e003679244f156ef0067a9607afddd58570b7840c8389c95441  opentelemetry-cpp-dev_${DEBIAN}_amd64.deb
HASHES
for package in *.deb; do dpkg -x "$package" "$work/root"; done
mkdir -p "$CACHE"
rm -rf "$TARGET"
mv "$work/root" "$TARGET"
