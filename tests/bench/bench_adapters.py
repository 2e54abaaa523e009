# SPDX-License-Identifier: Apache-2.0
"""What the adapters cost Envoy, nginx and HAProxy: without them, with them loaded but off, on, and on without an agent.

    wrk -t1 -c32 ─► proxy (one worker) ─► nginx `return 200`;  proxy ─ring─► agent ─► Collector or sink

All share the machine's cores. Two processes of one program differ by a per cent or two for their whole life (addresses, where
memory came to lie), which is what is to be measured here: so each generation starts all variants anew, runs them in turn for a
second each (A B C, C B A, ...), and yields one value per variant; intervals are over generations.
"""
import collections

from bench_proxies import Sink, wrk
from harness import Env
from harness.adapter_envoy import EnvoyWithAdapter
from harness.adapter_haproxy import HaproxyWithAdapter
from harness.adapter_nginx import NginxWithAdapter
from harness.collector import Collector
from harness.proxies import Nginx
from harness.spantap import Agent
from measure import cpu_seconds, interval, print_interval

PATH = "/w/items/1?page=2"
TURNS = 4  # of a second, for each variant in a generation, beside one to warm up


class Generation:
    """All variants beside each other; `start(env, variant, upstream port, socket)` makes a proxy."""

    def __init__(self, number, start, variants, collector=False):
        self._env = Env("bench")
        try:
            self._run(number, start, variants, collector)
        finally:
            self._env.close(False)

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
        rates, costs = collections.defaultdict(list), collections.defaultdict(list)
        for variant in order:
            wrk(proxies[variant].port, 1, PATH)
        for turn in range(TURNS):
            for variant in order[::-1 if turn % 2 else 1]:
                before = cpu_seconds([proxies[variant].pid])
                requests, seconds = wrk(proxies[variant].port, 1, PATH)
                costs[variant].append((cpu_seconds([proxies[variant].pid]) - before) / requests * 1e6)
                rates[variant].append(requests / seconds)
        self.rate = {v: sum(found) / TURNS for v, found in rates.items()}
        self.cost = {v: sum(found) / TURNS for v, found in costs.items()}
        for proxy in proxies.values():
            proxy.stop()
        self.ledger = agent.stop()


def generations(count, start, variants, collector=False):
    return [Generation(number, start, variants, collector) for number in range(count)]


def report(name, found, variants, base, goals):
    """`goals`: {(variant, figure): keyword arguments of print_interval}; figures are ratio, cpu_ratio and added."""
    for variant in variants:
        print_interval(f"{name} {variant}", [g.rate[variant] for g in found], "requests/s", digits=0)
        print_interval(f"{name} {variant}", [g.cost[variant] for g in found], "us CPU/request", digits=2)
    for variant in variants:
        if variant == base:
            continue
        print_interval(f"  requests/s {variant}/{base}", [g.rate[variant] / g.rate[base] for g in found], digits=4,
                       **goals.get((variant, "ratio"), {}))
        print_interval(f"  CPU/request {variant}/{base}", [g.cost[variant] / g.cost[base] for g in found], digits=4,
                       **goals.get((variant, "cpu_ratio"), {}))
        print_interval(f"  CPU {variant} - {base}", [g.cost[variant] - g.cost[base] for g in found], "us/request", digits=2,
                       **goals.get((variant, "added"), {}))
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


def nginx(count):
    variants = ["none", "off", "on", "absent"]

    def start(env, variant, upstream, socket, _):
        kind = {"on": "module", "absent": "module"}.get(variant, variant)
        return NginxWithAdapter(env, upstream, str(socket), variant=kind, name=f"nginx-{variant}", log=False)

    report("nginx", generations(count, start, variants), variants, "none",
           {("on", "ratio"): {"goal": (">=", 0.98)}, ("off", "ratio"): {"within": (0.98, 1.02)}})


def haproxy(count):
    variants = ["none", "off", "on", "absent"]

    def start(env, variant, upstream, socket, _):
        kind = {"on": "module", "absent": "module"}.get(variant, variant)
        return HaproxyWithAdapter(env, upstream, str(socket), variant=kind, name=f"haproxy-{variant}", threads=1)

    report("haproxy", generations(count, start, variants), variants, "none", {})
