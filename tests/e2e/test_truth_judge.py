# SPDX-License-Identifier: Apache-2.0
"""The judge of test_truth_envoy.py judged: perfect spans pass, and each planted fault is found.

The perfect spans are made from Envoy's own and from the upstream's log, for real traffic; in passing this
proves that Envoy, the upstream and the client agree with each other about the mix.
"""
import copy

import truth
from harness import deadline
from harness.env import check, check_equal, wait_until
from harness.load import run
from harness.mix import check_load, mix
from harness.origin import Origin
from harness.proxies import Envoy
from harness.sink import OtlpSink


def ideal_spans(envoy_spans, origin_log):
    spans, by_id = [], {}
    for number, span in enumerate(envoy_spans):
        view = truth.envoy_view(span)
        tags = {"http.request.method": view["method"], "url.path": view["path"], "network.peer.port": view["port"]}
        if view["status"]:
            tags["http.response.status_code"] = view["status"]
        by_id[view["id"]] = f"{number + 1:016x}"
        spans.append(dict(trace_id=view["trace"], span_id=f"{number + 1:016x}", parent_span_id="", kind="SERVER",
                          start_ns=view["start"], end_ns=view["end"], attributes=tags))
    for entry in origin_log:
        trace, parent = truth.split_traceparent(entry["headers"]["traceparent"])
        tags = {"http.request.method": entry["method"], "url.full": "http://test.local" + entry["path"],
                "spantap.link.rule": "proxy", "spantap.link.confidence": 0.99}
        if entry["status"]:
            tags["http.response.status_code"] = entry["status"]
        spans.append(dict(trace_id=trace, span_id=parent, parent_span_id=by_id[parent], kind="CLIENT",
                          start_ns=entry["time_ns"], end_ns=entry["time_ns"], attributes=tags))
    return spans


def find(spans, kind, part):
    return next(s for s in spans if s["kind"] == kind and part in str(s["attributes"]))


def planted(spans):
    """(field of the verdict, spans with one fault)."""
    def changed(function):
        copied = copy.deepcopy(spans)
        function(copied)
        return copied

    def swap_parents(s):
        a, b = [x for x in s if x["kind"] == "CLIENT"][:2]
        a["parent_span_id"], b["parent_span_id"] = b["parent_span_id"], a["parent_span_id"]

    yield "missing", changed(lambda s: s.remove(find(s, "SERVER", "/ok/same")))
    yield "missing", changed(lambda s: s.remove(find(s, "SERVER", "/echo/")))
    yield "extra", changed(lambda s: s.append(dict(find(s, "SERVER", "/echo/"), span_id="77" * 8)))
    yield "different", changed(lambda s: find(s, "SERVER", "/echo/")["attributes"].update(
        {"http.response.status_code": 299}))
    yield "different", changed(lambda s: find(s, "SERVER", "'HEAD'")["attributes"].update(
        {"http.request.method": "GET"}))
    yield "wrong_trace", changed(lambda s: find(s, "SERVER", "/echo/").update(trace_id=s[0]["trace_id"]))
    yield "no_trace", changed(lambda s: find(s, "SERVER", "/echo/").update(trace_id="ab" * 16))
    yield "client_missing", changed(lambda s: s.remove(find(s, "CLIENT", "/echo/")))
    yield "client_extra", changed(lambda s: s.append(dict(find(s, "CLIENT", "/echo/"), span_id="78" * 8)))
    yield "client_different", changed(lambda s: find(s, "CLIENT", "/echo/").update(trace_id="ab" * 16))
    yield "wrong_links", changed(swap_parents)
    yield "no_links", changed(lambda s: find(s, "CLIENT", "/echo/").update(parent_span_id=""))


@deadline(60)
def test_the_judge(env):
    origin, sink = Origin(env), OtlpSink(env)
    envoy = Envoy(env, [("/nowhere/", env.free_port()), ("/", origin.port)], tracer_port=sink.port)
    requests = mix(500, 0, 9)
    env.note(f"load {run(envoy.port, requests, 8):.2f} s")
    check_load(requests)
    wait_until(lambda: sink.span_count >= len(requests), 10, "Envoy's spans")
    envoy_spans, log = sink.snapshot(), origin.snapshot()
    check_equal(len(envoy_spans), len(requests), "Envoy's spans")
    seen = {r.path: r.status for r in requests}
    for view in map(truth.envoy_view, envoy_spans):
        check_equal(view["status"], seen[view["path"]], f"Envoy against the client: {view['path']}")
    spans = ideal_spans(envoy_spans, log)
    fields = ("missing", "extra", "different", "wrong_trace", "no_trace", "client_missing", "client_extra",
              "client_different", "wrong_links", "no_links")
    perfect = truth.judge(envoy_spans, log, spans)
    check_equal({f: getattr(perfect, f) for f in fields}, {f: [] for f in fields}, "verdict on perfect spans")
    for field, faulty in planted(spans):
        check(getattr(truth.judge(envoy_spans, log, faulty), field), f"a planted fault is not found: {field}")
