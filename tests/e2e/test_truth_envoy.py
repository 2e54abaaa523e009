# SPDX-License-Identifier: Apache-2.0
"""Truth against Envoy itself: its own tracer at 100 % to one sink, spantap's spans of it to another."""
import collections
import random

import truth
from harness import deadline
from harness.env import check, check_equal, wait_until
from harness.load import Request, run
from harness.origin import Origin, body_of
from harness.proxies import Envoy
from harness.sink import OtlpSink
from harness.spantap import Agent

BIG = 10 * 1024 * 1024
MEDIAN_MS, P999_MS = 2.0, 20.0


def kinds():
    """(weight, function of an id) for every kind of request in the mix."""
    post = dict(method="POST")
    return [
        (30, lambda i: Request(f"/ok/{i}")),
        (6, lambda i: Request(f"/ok/{i}", method="HEAD")),
        (3, lambda i: Request(f"/ok/{i}", method="DELETE")),
        (8, lambda i: Request(f"/status/{(301, 302, 307)[i % 3]}/{i}")),
        (10, lambda i: Request(f"/status/{(400, 404, 418, 429)[i % 4]}/{i}")),
        (8, lambda i: Request(f"/status/{(500, 502, 503)[i % 3]}/{i}")),
        (2, lambda i: Request(f"/nocontent/{i}")),
        (2, lambda i: Request(f"/notmodified/{i}")),
        (8, lambda i: Request(f"/echo/{i}", body=body_of(i % 5000), **post)),
        (5, lambda i: Request(f"/echo/{i}", body=body_of(100_000 + i), method="PUT")),
        (5, lambda i: Request(f"/echo/{i}", body=body_of(20_000), expect=True, **post)),
        (5, lambda i: Request(f"/echo/{i}", body=body_of(60_000), chunked=True, **post)),
        (2, lambda i: Request(f"/chunked/90000/{i}", body=body_of(30_000), chunked=True, expect=True, **post)),
        (8, lambda i: Request(f"/chunked/{(1, 5_000, 300_000)[i % 3]}/{i}")),
        (3, lambda i: Request(f"/lines/4000/{i}")),
        (6, lambda i: Request(f"/bytes/{(0, 100, 200_000)[i % 3]}/{i}")),
        (3, lambda i: Request(f"/close/{(0, 70_000)[i % 2]}/{i}")),
        (4, lambda i: Request(f"/delay/{i % 15}/{i}")),
        (3, lambda i: Request(f"/slow/{i % 15}/{i}")),
        (2, lambda i: Request(f"/hints/{i}")),
        (2, lambda i: Request(f"/reset/{i}")),
        (2, lambda i: Request(f"/cut/40000/{i}")),
        (3, lambda i: Request(f"/nowhere/{i}")),
        (2, lambda i: Request(f"/delay/150/abort-{i}", abort="request")),
        (2, lambda i: Request(f"/bytes/4000000/abort-{i}", abort="response")),
    ]


def mix(count, first, seed, equal_share=0.12):
    """`count` requests with unique paths, apart from `equal_share` that are all the same."""
    dice = random.Random(seed)
    weights, makers = zip(*kinds())
    requests = []
    for i in range(first, first + count):
        if dice.random() < equal_share:
            requests.append(Request("/ok/same"))
            continue
        request = dice.choices(makers, weights)[0](i)
        if dice.random() < 0.25:
            request.headers = (("traceparent", f"00-{dice.getrandbits(128) | 1:032x}-{dice.getrandbits(64) | 1:016x}-01"),)
        requests.append(request)
    big = [Request(f"/bytes/{BIG}/big-{first}"), Request(f"/chunked/{BIG}/big-{first}"),
           Request(f"/echo/big-{first}", method="POST", body=body_of(BIG)),
           Request(f"/echo/bigc-{first}", method="PUT", body=body_of(BIG), chunked=True)]
    for place, request in enumerate(big):
        requests.insert((place + 1) * count // 6, request)
    return requests


def check_load(requests):
    """The traffic itself is as intended; otherwise the comparison would judge something else."""
    for r in requests:
        what = r.path.split("/")[1]
        may_fail = r.abort or what in ("reset", "cut")
        check(may_fail or not r.error, f"the load itself failed: {r.method} {r.path}: {r.error}")
        if what == "nowhere":
            check_equal(r.status, 503, f"status of {r.path}")


def observe(env, concurrency, phases):
    """Runs the phases [(connections, requests)]; returns (sinks' spans, origin log, ledger, envoy sink)."""
    origin, envoy_sink, our_sink = Origin(env), OtlpSink(env), OtlpSink(env)
    envoy = Envoy(env, [("/nowhere/", env.free_port()), ("/", origin.port)], tracer_port=envoy_sink.port,
                  concurrency=concurrency)
    agent = Agent(env, "--pid", envoy.pid, "--endpoint", our_sink.endpoint)
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
               f"left open among equal heads {verdict.doubtful}")
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
    for what, offsets in (("start", verdict.start_off_ms), ("end", verdict.end_off_ms)):
        median, p999, worst = truth.describe_offsets(offsets)
        check(median <= MEDIAN_MS, f"median {what} offset {median:.2f} ms is over {MEDIAN_MS}")
        check(p999 <= P999_MS, f"p99.9 {what} offset {p999:.2f} ms is over {P999_MS}: {worst}")


def compare(env, concurrency, phases):
    envoy_sink, spans, origin_log, ledger = observe(env, concurrency, phases)
    requests = [r for _, part in phases for r in part]
    env.figure("ledger " + " ".join(f"{k}={v}" for k, v in ledger.items()))
    verdict = truth.judge(envoy_sink.snapshot(), origin_log, spans)
    report(env, verdict, spans, requests)
    exports = [s for s in spans if "/v1/traces" in str(s["attributes"])]
    env.figure(f"Envoy's own export requests {len(envoy_sink.requests)}, spans of them {len(exports)}")
    check_equal(len(exports), 0, "spans of Envoy's own export requests")
    check_verdict(verdict)


@deadline(90)
def test_truth_one_worker(env):
    """2,100 requests at 1, 4 and 16 connections, one worker thread, so that all meet in one thread."""
    compare(env, 1, [(1, mix(400, 0, 1)), (4, mix(700, 10_000, 2)), (16, mix(1000, 20_000, 3))])


@deadline(60)
def test_truth_two_workers(env):
    compare(env, 2, [(4, mix(300, 30_000, 4)), (16, mix(500, 40_000, 5))])


@deadline(60)
def test_truth_equal_heads(env):
    """Only equal requests, 16 at a time: nothing but order tells them apart. No wrong link may look sure."""
    compare(env, 1, [(1, [Request("/ok/same") for _ in range(50)]),
                     (16, [Request(f"/delay/{i % 4}/same") for i in range(600)]),
                     (16, [Request("/ok/same") for _ in range(400)])])
