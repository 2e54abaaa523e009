# SPDX-License-Identifier: Apache-2.0
"""The services, one row a runtime, and the mesh that they form: gateway -> front -> cart -> stock, each with its
sidecar.
"""
import json
import os
import pathlib
import shutil
import subprocess

from harness import tools
from harness.env import Skip
from harness.proxies import Nginx

from .sidecars import Listener, Proxy

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"  # Debian's, which has Debian's packages
NAMES = ("front", "cart", "stock")

# What each route of a service calls: steps in turn, of each step all (service, route) in parallel.
CALLS = {
    "front": {"home": [[("cart", "items")], [("stock", "left")]],
              "buy": [[("cart", "order")]],
              "look": [[("stock", "left"), ("cart", "items")]]},
    "cart": {"items": [[("stock", "price")]],
             "order": [[("stock", "left")], [("stock", "price")]]},
    "stock": {"left": [], "price": []},
}
DELAY_MS = {"front": 0, "cart": 0, "stock": 2}


def argv_of(runtime):
    """The command of a service; Skip if the runtime is not there."""
    if runtime == "node":
        return [tools.system("node"), HERE / "node_service.js"]
    if runtime == "asyncio":
        if subprocess.run([PYTHON, "-c", "import aiohttp"], capture_output=True).returncode:
            raise Skip("python3-aiohttp is not installed (make deps)")
        return [PYTHON, HERE / "asyncio_service.py"]
    if runtime == "go":
        return [_go_service()]
    return [PYTHON, HERE / "threads_service.py"]


def go_is_there():
    return shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/lib/go/bin:/usr/local/go/bin") is not None


def _go_service():
    """Built once, into the cache; `go` is no package that tests install."""
    source = HERE / "go" / "main.go"
    product = tools.cache_dir() / "mesh" / "go_service"
    if product.exists() and product.stat().st_mtime > source.stat().st_mtime:
        return product
    go = shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/lib/go/bin:/usr/local/go/bin")
    product.parent.mkdir(parents=True, exist_ok=True)
    new = product.with_suffix(f".{os.getpid()}")
    done = subprocess.run([go, "build", "-o", new, source], capture_output=True, text=True, cwd=source.parent,
                          env={**os.environ, "GO111MODULE": "off", "GOFLAGS": "", "GOTOOLCHAIN": "local"})
    if done.returncode:
        raise Skip(f"the service in Go does not build: {done.stderr.strip()[-300:]}")
    new.rename(product)
    return product


class Service:
    """An application and its sidecar. `.proxy.pid` and `.pid` are what an agent would observe in its pod."""

    def __init__(self, env, name, runtime, ports, tracer_port, tls):
        self.name, self.runtime = name, runtime
        called = sorted({target for steps in CALLS[name].values() for step in steps for target, _ in step})
        outbound = {target: env.free_port() for target in called}
        app_port = env.free_port()
        self.proxy = Proxy(env, f"{name}-proxy", [Listener("in", ports[name], app_port)] + [
            Listener("out", outbound[target], ports[target], upstream_tls=True) for target in called], tracer_port, tls)
        self.log_path = env.tmp / f"{name}-calls.log"
        routes = {route: [[(outbound[target], f"/{path}") for target, path in step] for step in steps]
                  for route, steps in CALLS[name].items()}
        self.process = env.start(name, argv_of(runtime), port=app_port, env={
            "OTEL_SERVICE_NAME": name, "LISTEN_PORT": str(app_port), "ROUTES": json.dumps(routes),
            "DELAY_MS": str(DELAY_MS[name]), "CALL_LOG": str(self.log_path)})
        self.pid = self.process.pid

    def call_log(self):
        """What it was asked and what it called therefor; it must have ended."""
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]


class Mesh:
    """`runtimes`: those of front, cart and stock."""

    def __init__(self, env, runtimes, tls):
        self.env = env
        tracer = Nginx(env, body="", name="tracer", log=False)
        ports = {name: env.free_port() for name in NAMES}
        self.services = [Service(env, name, runtime, ports, tracer.port, tls)
                         for name, runtime in reversed(list(zip(NAMES, runtimes)))]
        self.gateway = Proxy(env, "gateway", [Listener("gateway", env.free_port(), ports["front"], upstream_tls=True)],
                             tracer.port, tls)
        self.port = self.gateway._listeners[0].port

    @property
    def pids(self):
        return [self.gateway.pid] + [pid for one in self.services for pid in (one.pid, one.proxy.pid)]

    def stop(self):
        """Ends everything, so that the logs are complete."""
        for process in [self.gateway.process] + [p for one in self.services for p in (one.process, one.proxy.process)]:
            process.stop()

    def load(self, clients, total, tokens, seed, think_ms=5):
        """(answered with 200, otherwise)."""
        out = self.env.tmp / f"client-{seed}.out"
        with open(out, "wb") as file:
            subprocess.run([PYTHON, HERE / "client.py", *map(str, (self.port, clients, total, int(tokens), think_ms,
                                                                   seed)), *CALLS["front"]],
                           stdout=file, check=True, timeout=120)
        ok, bad = out.read_text().split()
        return int(ok), int(bad)
