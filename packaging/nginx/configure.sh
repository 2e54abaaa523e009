#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Prepares the build of the module: configure.sh NGINX_SRC BUILD_DIR MODULE_DIR. Copies nginx's tree, because configure
# writes into it, and runs configure there, with the distribution's options (conf_flags) or those in NGINX_FLAGS.
set -eu

source_dir=$1
build=$2
module=$3
rm -rf "$build/src" "$build/objs"
mkdir -p "$build"
cp -r "$source_dir" "$build/src"
cd "$build/src"
flags=()
if [ -n "${NGINX_FLAGS:-}" ]; then
  eval "flags=($NGINX_FLAGS)"
elif [ -f conf_flags ]; then
  . ./conf_flags
  flags=("${NGX_CONF_FLAGS[@]}")
else
  flags=(--with-compat)
fi
log="$build/configure.log"
if ! ./configure "${flags[@]}" --with-cc-opt='-g1 -O2 -fPIC -std=gnu11 -fno-plt' \
    --with-ld-opt='-Wl,-z,relro -Wl,-z,now' --add-dynamic-module="$module" \
    --builddir="$build/objs" >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "nginx's configure failed; the whole output is in $log" >&2
  exit 1
fi
