# SPDX-License-Identifier: Apache-2.0
"""What every end-to-end test uses: processes, sinks, origins, proxies, load, and spantap itself.

A test is a function `test_*(env)` in tests/e2e/test_*.py; `env` is harness.env.Env. Standard library
and python3-protobuf only. See tests/e2e/README.md for the map.
"""
from .env import Env, Fail, Skip, deadline  # noqa: F401
