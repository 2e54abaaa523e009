# SPDX-License-Identifier: Apache-2.0
"""What the adapters cost Envoy, nginx and HAProxy: without them, with them loaded but off, on, and on without an agent.

    wrk -t1 -c32 ─► proxy (one worker) ─► nginx `return 200`;  proxy ─ring─► agent ─► Collector or sink

All share the machine's cores, unless the proxy has one of its own: then its own cost is seen, as on a node that is not
saturated, and else that of the agent and the sink as well, which take what the proxy could use. Two processes of one program differ by a per cent or two for their whole life (addresses, where
memory came to lie), which is what is to be measured here: so each generation starts all variants anew, runs them in turn for a
second each (A B C, C B A, ...), and yields one value per variant; intervals are over generations.
"""
import collections
import os

from bench_proxies import Sink, wrk
from harness import Env, Skip
from harness.adapter_envoy import EnvoyWithAdapter
from harness.adapter_haproxy import HaproxyWithAdapter
from harness.adapter_nginx import NginxWithAdapter
from harness.collector import Collector
from harness.proxies import Nginx
from harness.spantap import Agent
from measure import cpu_seconds, interval, print_interval

PATH = "/w/items/1?page=2"
TURNS = 4  # of a second, for each variant in a generation, beside one to warm up
NARROW = 0.01  # half an interval that has to lie within 2 %


class Generation:
    """All variants beside each other; `start(env, variant, upstream port, socket)` makes a proxy. `own_core`: the proxy's
    workers have the first core, all others the rest."""

    def __init__(self, number, start, variants, collector=False, own_core=False):
        self._env = Env("bench")
        self._cores = sorted(os.sched_getaffinity(0))
        self._own_core = own_core
        if own_core and len(self._cores) < 2:
            raise Skip("a proxy with a core of its own needs two")
        try:
            if own_core:
                os.sched_setaffinity(0, self._cores[1:])  # inherited by all that is started
            self._run(number, start, variants, collector)
        finally:
            os.sched_setaffinity(0, self._cores)
            self._env.close(False)

    def _pin(self, proxy):
        for pid in proxy.workers() if self._own_core else []:
            os.sched_setaffinity(pid, self._cores[:1])

    def _run(self, number, start, variants, collector):
        env = self._env
        root = env.tmp / "root"  # of a proxy that chroots
        for folder in (root, root / "run", root / "absent"):
            folder.mkdir(mode=0o755)
        sink = Sink(env)
        self.backend = Collector(env, sink) if collector else None
        endpoint = f"http://127.0.0.1:{self.backend.port}" if collector else sink.endpoint
        agent = Agent(env, "--socket", root / "run" / "agent.sock", "--endpoint", endpoint)
        upstream = Nginx(env, name="upstream", body="fine", log=False)
        # Every second generation the other way round: who starts first has the better memory.
        order = variants[::-1 if number % 2 else 1]
        proxies = {v: start(env, v, upstream.port, root / ("absent" if v == "absent" else "run") / "agent.sock", self)
                   for v in order}
        rates, costs, agents = (collections.defaultdict(list) for _ in range(3))
        for variant in order:
            self._pin(proxies[variant])
            wrk(proxies[variant].port, 1, PATH)
        for turn in range(TURNS):
            for variant in order[::-1 if turn % 2 else 1]:
                before = [cpu_seconds([process.pid]) for process in (proxies[variant], agent)]
                requests, seconds = wrk(proxies[variant].port, 1, PATH)
                after = [cpu_seconds([process.pid]) for process in (proxies[variant], agent)]
                costs[variant].append((after[0] - before[0]) / requests * 1e6)
                agents[variant].append((after[1] - before[1]) / requests * 1e6)
                rates[variant].append(requests / seconds)
        self.rate = {v: sum(found) / TURNS for v, found in rates.items()}
        self.cost = {v: sum(found) / TURNS for v, found in costs.items()}
        self.agent = {v: sum(found) / TURNS for v, found in agents.items()}  # of the proxy's requests; 0.05: at rest
        for proxy in proxies.values():
            proxy.stop()
        self.ledger = agent.stop()


def generations(count, start, variants, **options):
    return [Generation(number, start, variants, **options) for number in range(count)]


def narrow_enough(found, variant, base):
    """Whether the interval of a ratio of requests/s is narrower than half of what it has to lie in. Nothing but its width
    decides, so that stopping does not favour a result."""
    return interval([g.rate[variant] / g.rate[base] for g in found])[1] <= NARROW


def report(name, found, variants, base, goals):
    """`goals`: {(variant, figure): keyword arguments of print_interval}; figures are ratio, cpu_ratio and added."""
    for variant in variants:
        those = [g for g in found if variant in g.rate]  # further ones may lack some
        print_interval(f"{name} {variant}", [g.rate[variant] for g in those], "requests/s", digits=0)
        print_interval(f"{name} {variant}", [g.cost[variant] for g in those], "us CPU/request", digits=2)
    for variant in variants:
        if variant == base:
            continue
        those = [g for g in found if variant in g.rate]
        print_interval(f"  requests/s {variant}/{base}", [g.rate[variant] / g.rate[base] for g in those], digits=4,
                       **goals.get((variant, "ratio"), {}))
        print_interval(f"  CPU/request {variant}/{base}", [g.cost[variant] / g.cost[base] for g in those], digits=4,
                       **goals.get((variant, "cpu_ratio"), {}))
        print_interval(f"  CPU {variant} - {base}", [g.cost[variant] - g.cost[base] for g in those], "us/request", digits=2,
                       **goals.get((variant, "added"), {}))
        if variant in ("module", "on"):
            print_interval(f"  CPU of the agent, {variant} - {base}", [g.agent[variant] - g.agent[base] for g in those],
                           "us/request", digits=2)
    ledgers = [g.ledger for g in found]
    dropped = sum(v for ledger in ledgers for k, v in ledger.items() if k.startswith("handoff_dropped."))
    print(f"  agent: {sum(l['created'] for l in ledgers)} spans taken, {sum(l['acknowledged'] for l in ledgers)} acknowledged, "
          f"{dropped} dropped by producers", flush=True)


def envoy(count, upstream_span):
    """One span a request, or with `upstream_span` two. Envoy's own tracer sends to the Collector itself; the adapter's spans go
    there by the agent."""
    variants = ["none", "own", "module", "untagged", "off", "absent"]  # untagged: without the tag that tells the connection

    def start(env, variant, upstream, socket, generation):
        kind = "module" if variant in ("absent", "untagged") else variant
        return EnvoyWithAdapter(env, upstream, str(socket), variant=kind, name=f"envoy-{variant}",
                                spawn_upstream_span=upstream_span, connection_tag=variant != "untagged",
                                own_port=generation.backend.port if variant == "own" else None)

    found = generations(count, start, variants, collector=True)
    name = f"envoy, {'two spans' if upstream_span else 'one span'} a request,"
    report(name, found, variants, "none", {("module", "added"): {"goal": ("<=", 5)}})
    print_interval("  requests/s module/own", [g.rate["module"] / g.rate["own"] for g in found], digits=4,
                   goal=(">=", 1.25))
    added = {v: interval([g.cost[v] - g.cost["none"] for g in found])[0] for v in ("own", "module")}
    print(f"  the own tracer adds {added['own']:.2f} us, the module {added['module']:.2f} us", flush=True)


def file_of_4_kib(env):
    """As a distribution has it: sendfile, and a line of the access log for each request."""
    path = env.tmp / "files" / PATH.partition("?")[0].lstrip("/")
    if not path.exists():
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * 4096)
    return {"locations": f"    location / {{ root {env.tmp}/files; }}\n", "http": "sendfile on; tcp_nopush on;",
            "extra": f"access_log {env.tmp}/distribution.log;"}


# What one worker does; whether it proxies, and has a core of its own.
NGINX_WORK = {"return 200, own core": (lambda env: {"body": "fine"}, False, True),
              "4 KiB file, own core": (file_of_4_kib, False, True),
              "4 KiB file": (file_of_4_kib, False, False),
              "proxying": (lambda env: {}, True, False)}


def nginx(work, count, at_most=0):
    """`at_most`: generations, if the interval of loaded-but-off takes as many; 0: it is what it is."""
    variants = ["none", "off", "on", "absent"]
    options, proxies, own_core = NGINX_WORK[work]

    def start(env, variant, upstream, socket, _):
        kind = {"on": "module", "absent": "module"}.get(variant, variant)
        return NginxWithAdapter(env, upstream if proxies else None, str(socket), variant=kind, name=f"nginx-{variant}",
                                log=False, **options(env))

    found = generations(count, start, variants, own_core=own_core)
    while not narrow_enough(found, "off", "none") and len(found) < at_most:
        found.append(Generation(len(found), start, ["none", "off"], own_core=own_core))
    goals = {("on", "ratio"): {"goal": (">=", 0.98)}, ("off", "ratio"): {"within": (0.98, 1.02)} if at_most else {}}
    report(f"nginx, {work},", found, variants, "none", goals)
    if own_core:  # well below 1: something else was the limit, or took the core, and requests/s say nothing
        print_interval(f"  of its core nginx, {work}, used without the module", [g.rate["none"] * g.cost["none"] / 1e6 for g in found],
                       digits=2)


def haproxy(count):
    variants = ["none", "off", "on", "absent"]

    def start(env, variant, upstream, socket, _):
        kind = {"on": "module", "absent": "module"}.get(variant, variant)
        return HaproxyWithAdapter(env, upstream, str(socket), variant=kind, name=f"haproxy-{variant}", threads=1)

    report("haproxy", generations(count, start, variants), variants, "none", {})
