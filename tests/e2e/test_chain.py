# SPDX-License-Identifier: Apache-2.0
"""Four proxies and an application that forwards nothing: every request is one connected trace."""
import collections
import sys

import truth
from harness import deadline
from harness.env import REPO, check, check_equal
from harness.load import Request, run
from harness.origin import Origin
from harness.proxies import Envoy, HAProxy, Nginx
from harness.sink import OtlpSink
from harness.spantap import Agent

COUNT, CONNECTIONS = 300, 6
# Without ids a process must be known before a link of it is believed: the first ones may stay apart.
WHOLE_SHARE = 0.97


class Chain:
    """client -> Envoy -> HAProxy -> nginx -> app -> last proxy -> origin, all but the ends observed."""

    def __init__(self, env, tracer_port, last):
        self.origin, self.sink = Origin(env), OtlpSink(env)
        self.last = last(self.origin.port)
        app_port = env.free_port()
        self.app = env.start("app", [sys.executable, REPO / "tests/e2e/harness/app.py", app_port, self.last.port],
                             port=app_port)
        self.nginx = Nginx(env, app_port, name="middle")
        self.haproxy = HAProxy(env, self.nginx.port)
        self.envoy = Envoy(env, self.haproxy.port, name="front", tracer_port=tracer_port)
        self.ports = [self.envoy.port, self.haproxy.port, self.nginx.port, app_port, self.last.port]
        targets = [self.envoy.pid, self.haproxy.pid, self.nginx.pid, self.app.pid, self.last.pid]
        self.agent = Agent(env, *[a for pid in targets for a in ("--pid", pid)], "--endpoint", self.sink.endpoint)

    def run(self, path):
        requests = [Request(f"/{path}/{i}") for i in range(COUNT)]
        run(self.envoy.port, requests, CONNECTIONS)
        check(all(r.status == 200 for r in requests), "every request is answered with 200")
        self.ledger = self.agent.stop(15)
        check_equal(self.sink.span_count, self.ledger["acknowledged"], "spans at the sink against the ledger")
        return self.sink.snapshot()


def by_request(spans):
    """{number of the request: its spans}; the number is the last word of the path."""
    groups = collections.defaultdict(list)
    for span in spans:
        groups[int(truth.spantap_view(span)["path"].rsplit("/", 1)[1])].append(span)
    return groups


def walk(spans):
    """The spans of one request from the root down, as a list; Fail if they are no single line."""
    ids = {s["span_id"] for s in spans}
    children = collections.defaultdict(list)
    for span in spans:
        children[span["parent_span_id"] if span["parent_span_id"] in ids else ""].append(span)
    line, at = [], ""
    while children[at]:
        check_equal(len(children[at]), 1, f"spans below {at or 'no observed span'}: {names(children[at])}")
        line.append(children[at][0])
        at = line[-1]["span_id"]
    return line


def names(spans):
    return [f"{s['kind']} {s['resource'].get('service.name')} {s['attributes'].get('spantap.link.rule', '')}"
            for s in spans]


def check_line(line, wanted_rules, seen):
    check_equal(len(line), len(wanted_rules), f"length of the line {names(line)}")
    check_equal(len({s["trace_id"] for s in line}), 1, "trace ids")
    for span, (what, rules), counter in zip(line, wanted_rules, seen):
        rule = span["attributes"].get("spantap.link.rule", "")
        counter[rule] += 1
        check(rule in rules, f"{what} linked by {rule!r}")
        confidence = span["attributes"].get("spantap.link.confidence", 0)
        check(not rule or confidence >= 0.9, f"{what}: confidence {confidence} by {rule}")


def check_chain(env, spans, wanted_rules):
    groups = by_request(spans)
    check_equal(len(groups), COUNT, "requests that have spans")
    broken, seen = [], [collections.Counter() for _ in wanted_rules]
    for number, group in groups.items():
        try:
            check_line(walk(group), wanted_rules, seen)
        except AssertionError as error:
            broken.append(f"request {number}: {error}")
    env.figure(f"whole traces {COUNT - len(broken)} of {COUNT}; rules "
               + ", ".join(f"{what} {dict(s)}" for (what, _), s in zip(wanted_rules, seen)))
    for text in broken[:4]:
        env.figure(f"not whole: {text}")
    check_no_wrong_link(groups)
    check(len(broken) <= COUNT * (1 - WHOLE_SHARE), f"{len(broken)} of {COUNT} traces are not whole")
    return {number: group for number, group in groups.items() if len({s["trace_id"] for s in group}) == 1}


def check_no_wrong_link(groups):
    """However little is known, no span may hang below another request's."""
    owner = {span["span_id"]: number for number, group in groups.items() for span in group}
    wrong = [f"{names([span])} of request {number} below request {owner[span['parent_span_id']]}"
             for number, group in groups.items() for span in group
             if owner.get(span["parent_span_id"], number) != number]
    check(not wrong, f"wrong links: {len(wrong)}, first {wrong[:4]}")


# Inside Envoy nothing but the heads and their order tell; behind it an x-request-id is on every request.
INSIDE = {"proxy", "calm"}
WITH_ID = INSIDE | {"request-id", "wire"}
BELOW = {"connection"}
APP = {"thread", "calm"}


@deadline(60)
def test_chain_without_any_trace_header(env):
    chain = Chain(env, None, lambda port: Nginx(env, port, name="last"))
    spans = chain.run("ok")
    check_chain(env, spans, [
        ("Envoy server", {""}), ("Envoy client", INSIDE), ("HAProxy server", BELOW), ("HAProxy client", WITH_ID),
        ("nginx server", BELOW), ("nginx client", WITH_ID), ("app server", BELOW), ("app client", APP),
        ("last server", BELOW), ("last client", INSIDE)])
    check_equal(chain.ledger["created"], 10 * COUNT, "spans")


@deadline(60)
def test_chain_adopts_the_id_minted_behind_the_app(env):
    """Both Envoys trace for themselves. The app breaks their traces in two; spantap's stays whole."""
    tracer = OtlpSink(env)
    chain = Chain(env, tracer.port, lambda port: Envoy(env, port, name="last", tracer_port=tracer.port))
    spans = chain.run("ok")
    below = {"connection", "wire"}
    groups = check_chain(env, spans, [
        ("Envoy server", {""}), ("Envoy client", INSIDE), ("HAProxy server", below), ("HAProxy client", WITH_ID),
        ("nginx server", below), ("nginx client", WITH_ID), ("app server", below), ("app client", APP),
        ("last server", BELOW), ("last client", INSIDE)])
    minted = {e["path"].rsplit("/", 1)[1]: truth.split_traceparent(e["headers"]["traceparent"])[0]
              for e in chain.origin.snapshot()}
    front = {e["path"].rsplit("/", 1)[1]: truth.split_traceparent(e["traceparent"])[0]
             for e in chain.haproxy.access_log()}
    for number, group in groups.items():
        line = walk(group)
        check_equal(line[0]["trace_id"], front[str(number)], f"trace id of request {number}: the first Envoy's")
        last = line[-1]
        check_equal(last["attributes"].get("spantap.wire.trace_id"), minted[str(number)],
                    f"wire trace id kept on the last client span of request {number}")
        check(minted[str(number)] in {l["trace_id"] for l in last["links"]},
              f"request {number}: a span link names the trace that the last Envoy minted")
