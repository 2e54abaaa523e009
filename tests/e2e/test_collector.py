# SPDX-License-Identifier: Apache-2.0
"""The real OpenTelemetry Collector receives what spantap says it acknowledged: exactly."""
from harness import deadline
from harness.collector import Collector
from harness.env import check, check_equal, wait_until
from harness.load import Request, run
from harness.origin import Origin
from harness.proxies import Envoy, Nginx
from harness.sink import OtlpSink
from harness.spantap import Agent

SIDE_BY_SIDE = True

RECEIVED, REFUSED = "otelcol_receiver_accepted_spans", "otelcol_receiver_refused_spans"


def collect(env, proxy_class):
    origin, sink = Origin(env), OtlpSink(env)
    collector = Collector(env, sink)
    proxy = proxy_class(env, origin.port)
    agent = Agent(env, "--pid", proxy.pid, "--endpoint", collector.endpoint)
    requests = [Request(f"/ok/{i}") for i in range(1000)]
    run(proxy.port, requests, 8)
    check(all(r.status == 200 for r in requests), "every request is answered with 200")
    ledger = agent.stop(15)
    wait_until(lambda: collector.counter(RECEIVED) >= ledger["acknowledged"], 5, "the Collector's counter")
    received = collector.counter(RECEIVED)
    env.figure(f"Collector accepted {received}, refused {collector.counter(REFUSED)}; ledger acknowledged "
               f"{ledger['acknowledged']}, dropped {ledger['dropped']}; passed on {sink.span_count}")
    check_equal(received, ledger["acknowledged"], "the Collector's count against the ledger's acknowledged")
    check_equal(ledger["acknowledged"], 2 * len(requests), "one server and one client span for every request")
    check_equal(sink.span_count, received, "spans that the Collector passed on")
    check_equal(collector.counter(REFUSED), 0, "spans that the Collector refused")
    return sink.snapshot()


@deadline(60)
def test_collector_counts_envoy(env):
    spans = collect(env, Envoy)
    kinds = sorted(s["kind"] for s in spans)
    check_equal(kinds, ["CLIENT"] * 1000 + ["SERVER"] * 1000, "kinds of the spans that went through the Collector")
    ids = {s["span_id"] for s in spans}
    check_equal(len(ids), len(spans), "distinct span ids")
    check(all(len(s["trace_id"]) == 32 and len(s["span_id"]) == 16 for s in spans), "ids have their full length")
    check(all(s["resource"].get("service.name") for s in spans), "every span has a service name")


@deadline(60)
def test_collector_counts_nginx(env):
    collect(env, Nginx)


@deadline(60)
def test_collector_goes_and_comes_back(env):
    """Down when the first spans come, up within the retry time: nothing is lost, nothing counted twice."""
    origin, sink = Origin(env), OtlpSink(env)
    first = Collector(env, sink)
    proxy = Nginx(env, origin.port)
    agent = Agent(env, "--pid", proxy.pid, "--endpoint", first.endpoint)
    first.process.stop()
    run(proxy.port, [Request(f"/ok/{i}") for i in range(200)], 4)
    second = Collector(env, sink, name="otelcol2", port=first.port)
    wait_until(lambda: second.counter(RECEIVED) >= 400, 20, "the spans, after the Collector came back")
    ledger = agent.stop(15)
    check_equal(second.counter(RECEIVED), ledger["acknowledged"], "the Collector's count against the ledger")
    check_equal((ledger["created"], ledger["dropped"]), (400, 0), "created, dropped")
