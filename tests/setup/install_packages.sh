#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages named on the command line (name=version-prefix), if any is missing.
# Services that a package brings (nginx, haproxy) are not started.
set -eu

missing=
for pin in "$@"; do
  name=${pin%%=*}
  status=$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null || true)
  [ "$status" = installed ] || missing="$missing ${pin}"
done
[ -n "$missing" ] || exit 0

[ "$(id -u)" = 0 ] || { echo "make deps: these packages are missing, and only root can install them:$missing" >&2; exit 1; }
echo "  APT     installing:$missing"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT INT TERM
fi
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
pins=
for pin in $missing; do
  case "$pin" in *=*) pins="$pins ${pin}*" ;; *) pins="$pins $pin" ;; esac
done
set -f
if ! { apt-get update -q && apt-get install -y -q --no-install-recommends $pins; } >"$log" 2>&1; then
  tail -n 30 "$log" >&2
  rm -f "$log"
  echo "make deps: apt-get failed (above); this needs Debian 12 (bookworm) and its package index" >&2
  exit 1
fi
rm -f "$log"
