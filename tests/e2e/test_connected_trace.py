# SPDX-License-Identifier: Apache-2.0
"""Envoy, an application that forwards nothing, nginx, HAProxy: three proxies hand their spans off, the kernel sees the
application (and the proxies, or not), and every request is one tree."""
import collections
import os
import sys
import time

from harness import deadline
from harness.adapter_envoy import EnvoyWithAdapter
from harness.adapter_haproxy import HaproxyWithAdapter
from harness.adapter_nginx import NginxWithAdapter
from harness.connected import by_request, check_no_wrong_parent, describe, line_of
from harness.env import REPO, check, check_equal, wait_until
from harness.load import Request, run
from harness.origin import Origin
from harness.sink import OtlpSink
from harness.spantap import Agent

# From the client on. A client span's parent is the server span of its own process.
ORDER = [(service, kind) for service in ("front", "app", "middle", "back") for kind in ("SERVER", "CLIENT")]


class Chain:
    """client -> front (Envoy) -> app -> middle (nginx) -> back (HAProxy) -> origin."""

    def __init__(self, env, observe_proxies, warm_up=True):
        self.env, self.origin, self.sink = env, Origin(env), OtlpSink(env)
        folder = env.tmp / "run"
        folder.mkdir(mode=0o755)
        path = folder / "agent.sock"
        self.back = HaproxyWithAdapter(env, self.origin.port, str(path), service="back")
        self.middle = NginxWithAdapter(env, self.back.port, str(path), service="middle")
        app_port = env.free_port()
        self.app = env.start("app", [sys.executable, REPO / "tests/e2e/harness/app.py", app_port, self.middle.port],
                             env={"OTEL_SERVICE_NAME": "app"}, port=app_port)
        self.front = EnvoyWithAdapter(env, app_port, str(path), service="front")
        observed = [self.app.pid]
        if observe_proxies:
            observed += [self.front.pid, self.middle.pid, self.back.pid]
        self.agent = Agent(env, *[a for pid in observed for a in ("--pid", pid)], "--socket", path,
                           "--endpoint", self.sink.endpoint)
        if warm_up:
            self._warm_up()

    def _warm_up(self):
        """Until every proxy's spans come: those before it was attached are none of the test."""
        sent = 0

        def all_there():
            nonlocal sent
            sent += 1
            run(self.front.port, [Request(f"/ok/warm-{sent}-{i}") for i in range(4)], 2)
            seen = {s["resource"].get("service.name") for s in self.sink.snapshot() if s["kind"] == "SERVER"}
            return seen >= {"front", "middle", "back"}

        wait_until(all_there, 10, "spans of all proxies", interval=0.2)

    def run(self, count, connections):
        """{number of the request: its spans}, and the agent's ledger."""
        requests = [Request(f"/ok/{i}") for i in range(count)]
        run(self.front.port, requests, connections)
        failed = [r for r in requests if r.status != 200]
        check(not failed, f"{len(failed)} requests failed, first {failed[:1]}")
        ledger = self.agent.stop(15)
        check_equal(self.sink.span_count, ledger["acknowledged"], "spans at the sink against the ledger")
        self.env.figure("ledger " + " ".join(f"{k}={v}" for k, v in ledger.items() if v))
        return by_request(self.sink.snapshot(), count), ledger


def judge(env, chain, count, connections):
    """The number of requests whose spans are the one wanted line. Spans that come twice or not at all, and parents of
    another request, are failures whatever the share."""
    groups, _ = chain.run(count, connections)
    check_equal(len(groups), count, "requests that have spans")
    for number, spans in groups.items():
        check_complete(number, spans)
    ids = [s["span_id"] for spans in groups.values() for s in spans]
    check_equal(len(set(ids)), len(ids), "span ids, against spans")
    check_no_wrong_parent(groups)
    whole = [n for n, spans in groups.items() if line_of(spans) == ORDER and len({s["trace_id"] for s in spans}) == 1]
    env.figure(f"{connections} connections: {len(whole)} of {count} requests are one trace of {len(ORDER)} spans")
    for number in [n for n in groups if n not in set(whole)][:3]:
        env.figure(f"not whole: request {number}: {describe(groups[number])}")
    return len(whole)


def check_complete(number, spans):
    """Each process's server and client span, once."""
    seen = collections.Counter((s["resource"].get("service.name"), s["kind"]) for s in spans)
    check_equal(dict(seen), dict(collections.Counter(ORDER)), f"spans of request {number}: {describe(spans)}")


@deadline(60)
def test_every_request_is_one_tree(env):
    """One after the other: nothing is left to guess."""
    count = 100
    check_equal(judge(env, Chain(env, True), count, 1), count, "whole traces")


@deadline(200)
def test_eight_at_a_time(env):
    """Inside the application only its threads tell requests apart; a proxy's spans know their trace themselves."""
    count = 300 * int(os.environ.get("SPANTAP_ROUNDS", "1"))
    check(judge(env, Chain(env, True), count, 8) >= 0.97 * count, "97 % of the traces are whole")


@deadline(60)
def test_the_first_requests(env):
    """A proxy attaches while it answers its first requests: each of their spans is either handed off or seen in the
    kernel, whichever the agent has, and never both."""
    count = 60
    groups, ledger = Chain(env, True, warm_up=False).run(count, 6)
    check_equal(len(groups), count, "requests that have spans")
    for number, spans in groups.items():
        kinds = collections.Counter(s["kind"] for s in spans)
        check_equal(kinds, {"SERVER": 4, "CLIENT": 4}, f"spans of request {number}: {describe(spans)}")
    ids = [s["span_id"] for spans in groups.values() for s in spans]
    check_equal(len(set(ids)), len(ids), "span ids, against spans")
    check_no_wrong_parent(groups)
    whole = sum([kind for _, kind in line_of(spans)] == ["SERVER", "CLIENT"] * 4 for spans in groups.values())
    env.figure(f"from the first request on: {whole} of {count} are one trace; of {8 * count} spans "
               f"{ledger.get('handoff_unmatched_exchanges', 0)} were seen in the kernel and not handed off")


@deadline(60)
def test_the_first_requests_of_each_proxy(env):
    """The same with nothing slow behind the proxies, two threads of each, and pauses: what is dropped before a ring is
    there, and what is read from a ring when the exchange is long over."""
    sink, folder, origin = OtlpSink(env), env.tmp / "run", Origin(env)
    folder.mkdir(mode=0o755)
    path = folder / "agent.sock"
    proxies = [EnvoyWithAdapter(env, origin.port, str(path), service="front", concurrency=2),
               NginxWithAdapter(env, origin.port, str(path), service="middle", workers=2),
               HaproxyWithAdapter(env, origin.port, str(path), service="back", threads=2)]
    agent = Agent(env, *[a for proxy in proxies for a in ("--pid", proxy.pid)], "--socket", path,
                  "--endpoint", sink.endpoint)
    count = 40
    for i, proxy in enumerate(proxies):
        for first in range(i * count, (i + 1) * count, 8):
            run(proxy.port, [Request(f"/ok/{number}") for number in range(first, first + 8)], 4)
            time.sleep(0.1)
    ledger = agent.stop(15)
    groups = by_request(sink.snapshot(), 3 * count)
    check_equal(len(groups), 3 * count, "requests that have spans")
    for number, spans in groups.items():
        check_equal([kind for _, kind in line_of(spans)], ["SERVER", "CLIENT"], f"request {number}: {describe(spans)}")
        check_equal(len(spans), 2, f"spans of request {number}: {describe(spans)}")
    env.figure(f"the first {count} requests of each proxy: {6 * count} spans, once each, "
               f"{ledger.get('handoff_unmatched_exchanges', 0)} of them seen in the kernel and not handed off")


@deadline(60)
def test_proxies_that_nobody_observes(env):
    """Handed-off spans and the application alone. Envoy's header reaches the application; what the application calls
    knows nothing of it and begins a trace of its own."""
    groups, ledger = Chain(env, False).run(100, 1)
    for number, spans in groups.items():
        check_complete(number, spans)
        check_equal((line_of(of_trace(spans, "front")), line_of(of_trace(spans, "back"))), (ORDER[:4], ORDER[4:]),
                    f"request {number}: {describe(spans)}")
    check_equal(ledger.get("handoff_matched", 0), 0, "handed-off spans that met one seen in the kernel")


def of_trace(spans, service):
    """The spans of the trace that this service's belong to."""
    ids = {s["trace_id"] for s in spans if s["resource"].get("service.name") == service}
    return [s for s in spans if s["trace_id"] in ids]
