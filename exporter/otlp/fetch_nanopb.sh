#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# fetch_nanopb.sh ARCHIVE DIR: unpacks nanopb's original source archive into DIR, after checking its
# pinned hash. If ARCHIVE (a cache) is missing it is downloaded first, as Debian's source package and by
# apt itself (which checks the archive's signature). Changes nothing in the system: own source list,
# package lists and cache. The mirror is the one that this machine already uses for Debian packages.
set -eu

version=0.4.7
sha256=e1d89b166367a3c42d42311bdc2ed57ff78f86aede9a66828516e45490d48c81
archive=$1
dir=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

check() { echo "$sha256  $1" | sha256sum --check --quiet; }

apt() {
    apt-get -qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User="$(id -un)" "$@"
}

fetch() {
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$(dirname "$archive")"
    # shellcheck disable=SC2016 # apt replaces these, not the shell
    apt-get indextargets --format 'deb-src $(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' |
        grep ' main$' | grep -v -e '-updates ' -e '-security ' | sort -u >"$work/sources.list"
    if ! [ -s "$work/sources.list" ]; then
        echo "nanopb: apt knows no Debian mirror (run apt-get update), or put nanopb_$version.orig.tar.gz at $archive" >&2
        exit 1
    fi
    apt update
    (cd "$work" && apt source --download-only "nanopb=$version-2")
    check "$work/nanopb_$version.orig.tar.gz"
    mv "$work/nanopb_$version.orig.tar.gz" "$archive.$$"
    mv "$archive.$$" "$archive"
}

[ -e "$archive" ] || fetch
if ! check "$archive"; then
    echo "nanopb: $archive is not the pinned archive; delete it and run make again" >&2
    exit 1
fi
rm -rf "$dir"
mkdir -p "$dir"
tar xzf "$archive" --strip-components=1 -C "$dir"
