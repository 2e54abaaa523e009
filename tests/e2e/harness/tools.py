# SPDX-License-Identifier: Apache-2.0
"""Where the programs under observation are: Debian's from PATH, Envoy and the Collector from the cache.

`make deps` fills the cache (tests/setup); SPANTAP_ENVOY and SPANTAP_OTELCOL name others.
"""
import os
import pathlib
import shutil

from .env import Skip


def cache_dir():
    base = os.environ.get("XDG_CACHE_HOME") or str(pathlib.Path.home() / ".cache")
    return pathlib.Path(base) / "spantap"


def _cached(variable, relative):
    path = os.environ.get(variable) or str(cache_dir() / relative)
    if not os.access(path, os.X_OK):
        raise Skip(f"no {path} (make deps)")
    return path


def envoy():
    return _cached("SPANTAP_ENVOY", "envoy-1.40.0/envoy")


def otelcol():
    return _cached("SPANTAP_OTELCOL", "otelcol-0.162.0/otelcol")


def system(name):
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
    if not found:
        raise Skip(f"{name} is not installed (make deps)")
    return found
