# SPDX-License-Identifier: Apache-2.0
"""Truth against Envoy itself: its own tracer at 100 % to one sink, spantap's spans of it to another."""
import collections
import os

import truth
from harness import deadline
from harness.env import check, check_equal, wait_until
from harness.load import Connection, Request, run
from harness.mix import check_load, mix, unique_mix
from harness.origin import Origin
from harness.proxies import Envoy
from harness.sink import OtlpSink
from harness.spantap import Agent

MEDIAN_MS, P999_MS = 2.0, 20.0
ROUNDS = int(os.environ.get("SPANTAP_ROUNDS", "1"))


def observe(env, concurrency, phases, hooks, **envoy_settings):
    """Runs the phases [(connections, requests)]; returns (sinks' spans, origin log, ledger, envoy sink)."""
    origin, envoy_sink, our_sink = Origin(env), OtlpSink(env), OtlpSink(env)
    envoy = Envoy(env, [("/nowhere/", env.free_port()), ("/", origin.port)], tracer_port=envoy_sink.port,
                  concurrency=concurrency, **envoy_settings)
    agent = Agent(env, "--pid", envoy.pid, "--endpoint", our_sink.endpoint, "--hooks", hooks)
    total = 0
    for connections, requests in phases:
        seconds = run(envoy.port, requests, connections)
        env.note(f"{len(requests)} requests over {connections} connections in {seconds:.1f} s")
        check_load(requests)
        total += len(requests)
    wait_until(lambda: envoy_sink.span_count >= total, 20, f"{total} spans of Envoy's own tracer")
    ledger = agent.stop(15)
    check_equal(envoy_sink.span_count, total, "spans of Envoy's own tracer")
    check_equal(our_sink.bad_requests, [], "bodies of spantap that do not decode")
    check_equal(our_sink.span_count, ledger["acknowledged"], "spans at the sink against the ledger")
    check_equal(ledger["created"], ledger["acknowledged"], "created against acknowledged")
    return envoy_sink, our_sink.snapshot(), origin.snapshot(), ledger


def report(env, verdict, spans, requests):
    status = collections.Counter(f"{r.status // 100}xx" if r.status else "none" for r in requests)
    env.figure(f"requests {len(requests)} by status {dict(sorted(status.items()))}")
    env.figure(f"server spans {verdict.servers}, missing {len(verdict.missing)}, left over {len(verdict.extra)}, "
               f"different {len(verdict.different)}")
    for what, offsets in (("start", verdict.start_off_ms), ("end", verdict.end_off_ms)):
        median, p999, worst = truth.describe_offsets(offsets)
        env.figure(f"{what} against Envoy's: median {median:.3f} ms, p99.9 {p999:.2f} ms; "
                   f"over 2 ms: {sum(abs(ms) > 2 for ms, _ in offsets)} {worst}")
    env.figure(f"trace ids wrong {len(verdict.wrong_trace)}, not taken {len(verdict.no_trace)}, "
               f"left open among equal heads {verdict.doubtful}, sent on after the client had gone {verdict.late}")
    env.figure(f"client spans {verdict.clients}, missing {len(verdict.client_missing)}, "
               f"left over {len(verdict.client_extra)}, different {len(verdict.client_different)}")
    confidences = collections.Counter(
        round(s["attributes"].get("spantap.link.confidence", 0), 2) for s in spans if s["kind"] == "CLIENT")
    env.figure(f"links right {dict(verdict.right_links)}, wrong {len(verdict.wrong_links)}, "
               f"not linked {len(verdict.no_links)}, client confidences {dict(confidences)}")


def check_verdict(verdict):
    for what in ("missing", "extra", "different", "wrong_trace", "no_trace", "client_missing", "client_extra",
                 "client_different", "no_links"):
        found = getattr(verdict, what)
        check(not found, f"{what}: {len(found)}, first {found[:8]}")
    sure = [w for w in verdict.wrong_links if w[0] > 0.9]
    check(not sure, f"wrong links above confidence 0.9: {sure[:8]}")


def slow_times(verdict):
    """What of the times is over the limits, as text; empty if nothing."""
    found = []
    for what, offsets in (("start", verdict.start_off_ms), ("end", verdict.end_off_ms)):
        median, p999, worst = truth.describe_offsets(offsets)
        if median > MEDIAN_MS or p999 > P999_MS:
            found.append(f"{what}: median {median:.2f} ms, p99.9 {p999:.2f} ms: {worst}")
    return "; ".join(found)


def compare(env, concurrency, phases, hooks="socket", **envoy_settings):
    """`phases` is a function that makes [(connections, requests)]. Returns what is wrong with the times."""
    traffic = phases()
    envoy_sink, spans, origin_log, ledger = observe(env, concurrency, traffic, hooks, **envoy_settings)
    requests = [r for _, part in traffic for r in part]
    env.figure("ledger " + " ".join(f"{k}={v}" for k, v in ledger.items()))
    verdict = truth.judge(envoy_sink.snapshot(), origin_log, spans)
    report(env, verdict, spans, requests)
    exports = [s for s in spans if "/v1/traces" in str(s["attributes"])]
    env.figure(f"Envoy's own export requests {len(envoy_sink.requests)}, counted by spantap "
               f"{ledger.get('own_export_skipped')}, spans of them {len(exports)}")
    check_equal(len(exports), 0, "spans of Envoy's own export requests")
    check_equal(ledger["own_export_skipped"], len(envoy_sink.requests), "Envoy's own export requests counted")
    check_verdict(verdict)
    return slow_times(verdict)


def compare_timed(env, *args, **kwargs):
    """Identity must hold at once. Envoy takes its times before it writes and may lose the CPU in between, which
    looks like a wrong time: so it runs before everything else, and times get a second run."""
    slow = compare(env, *args, **kwargs, realtime=True)
    if slow:
        env.figure(f"second run, because of {slow}")
        slow = compare(env, *args, **kwargs, realtime=True)
    check(not slow, f"times against Envoy's, twice: {slow}")


@deadline(120)
def test_truth_one_worker(env):
    """2,112 requests at 1, 4 and 16 connections, one worker thread, so that all meet in one thread."""
    compare_timed(env, 1, lambda: [(1, mix(400, 0, 1)), (4, mix(700, 10_000, 2)), (16, mix(1000, 20_000, 3))])


@deadline(90)
def test_truth_two_workers(env):
    compare_timed(env, 2, lambda: [(4, mix(600, 30_000, 4)), (16, mix(1500, 40_000, 5))])


@deadline(90)
def test_truth_syscall_hooks(env):
    compare_timed(env, 1, lambda: [(1, mix(400, 50_000, 6)), (16, mix(1700, 60_000, 7))], hooks="syscall")


def equal_heads(rounds):
    once = [(16, [Request(f"/delay/{i % 4}/same") for i in range(600)]), (16, [Request("/ok/same") for _ in range(400)]),
            (5, [Request(f"/delay/{i % 2}/same") for i in range(300)])]
    return [(1, [Request("/ok/same") for _ in range(50)])] + rounds * once


@deadline(60 + 20 * ROUNDS)
def test_truth_equal_heads(env):
    """Only equal requests, up to 16 at a time: turns, order and connections tell. No wrong link may look sure."""
    compare(env, 1, lambda: equal_heads(ROUNDS))


@deadline(60 + 20 * ROUNDS)
def test_truth_equal_heads_that_wait(env):
    """The same with four connections to the upstream: most requests wait for one."""
    compare(env, 1, lambda: equal_heads(ROUNDS), upstream_connections=4)


@deadline(60)
def test_truth_joins_open_connections(env):
    """The agent comes when the keep-alive connections are already in use, both sides of Envoy."""
    origin, envoy_sink, our_sink = Origin(env), OtlpSink(env), OtlpSink(env)
    envoy = Envoy(env, [("/nowhere/", env.free_port()), ("/", origin.port)], tracer_port=envoy_sink.port)
    connections = [Connection(envoy.port) for _ in range(4)]
    before = [Request(f"/ok/before-{i}") for i in range(40)]
    after = [r for r in unique_mix(220, 8) if not r.abort][:200]
    for i, request in enumerate(before):
        connections[i % 4].send(request)
    agent = Agent(env, "--pid", envoy.pid, "--endpoint", our_sink.endpoint)
    for i, request in enumerate(after):
        connections[i % 4].send(request)
    wait_until(lambda: envoy_sink.span_count >= len(before) + len(after), 10, "Envoy's spans")
    agent.stop(15)
    theirs = [s for s in envoy_sink.snapshot() if "/before-" not in s["attributes"]["http.url"]]
    log = [e for e in origin.snapshot() if "/before-" not in e["path"]]
    verdict = truth.judge(theirs, log, our_sink.snapshot())
    report(env, verdict, our_sink.snapshot(), after)
    check_verdict(verdict)
