# SPDX-License-Identifier: Apache-2.0
"""`make demo` as a user would run it: it ends by itself, every trace is whole, the same spans reach a Collector."""
import collections
import re
import subprocess

from harness import bpf_objects, deadline
from harness.env import check, check_equal
from harness.sink import OtlpSink
from harness.spantap import parse_ledger

SERVICES = ("gateway", "frontend-proxy", "frontend", "orders-proxy", "orders", "stock-proxy", "stock")


@deadline(60)
def test_demo(env):
    before = bpf_objects.snapshot()
    sink = OtlpSink(env)
    demo = subprocess.run(["/usr/bin/python3", env.repo / "tests" / "demo" / "demo.py", "--seconds", "4",
                           "--endpoint", sink.endpoint], capture_output=True, text=True, timeout=40)
    check_equal(demo.returncode, 0, f"exit code of the demo: {demo.stdout[-3000:]}{demo.stderr[-1000:]}")
    requests, failed, printed, whole = map(int, re.search(
        r"(\d+) requests were sent, (\d+) of them .* (\d+) trace trees were printed,\s+(\d+) of them whole",
        demo.stdout, re.S).groups())
    env.figure(f"{requests} requests, {failed} failed as arranged, {printed} trees, {whole} whole")
    check(failed > 0, "no request failed with 503")
    check_equal((printed, whole), (requests, requests), "trees printed, trees whole")
    ledger = parse_ledger("\n".join(line for line in demo.stdout.splitlines() if line.startswith("ledger ")))
    spans = sink.snapshot()
    check_equal((ledger["acknowledged"], len(spans)), (ledger["created"], ledger["created"]), "acknowledged, at the sink")
    check_traces(spans, requests)
    bpf_objects.check_nothing_left(before)


def check_traces(spans, requests):
    """Each trace is one chain through all seven services, as the requests went."""
    traces = collections.defaultdict(list)
    for span in spans:
        traces[span["trace_id"]].append(span)
    check_equal(len(traces), requests, "trace ids at the sink")
    for trace in traces.values():
        by_parent = {span["parent_span_id"]: span for span in trace}
        check_equal(len(by_parent), len(trace), "a chain has no two spans with one parent")
        chain, parent = [], ""
        while parent in by_parent:
            span = by_parent.pop(parent)
            chain.append((span["resource"]["service.name"], span["kind"]))
            parent = span["span_id"]
        wanted = [(name, kind) for name in SERVICES for kind in ("SERVER", "CLIENT")][:-1]
        check_equal(chain, wanted, "the chain of spans")
