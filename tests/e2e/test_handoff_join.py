# SPDX-License-Identifier: Apache-2.0
"""A proxy that hands its spans off and is observed as well: each request's spans once, in one tree with the others'."""
import collections
import sys
import time

from harness import deadline
from harness.env import REPO, check, check_equal
from harness.joining_proxy import Proxy
from harness.load import Request, run
from harness.origin import Origin
from harness.sink import OtlpSink
from harness.spantap import Agent

SIDE_BY_SIDE = True

APP = REPO / "tests/e2e/harness/app.py"
UPSTREAM, DOWNSTREAM, GET_SERVER, GET_CLIENT = ("front", "CLIENT"), ("front", "SERVER"), ("app", "SERVER"), ("app", "CLIENT")


class Rig:
    """client -> front -> app -> [back ->] origin; front and back hand off, and all are observed unless `observe` says
    otherwise. The app forwards no header."""

    def __init__(self, env, back=False, observe=("front", "app", "back"), **options):
        self.env, self.sink, self.origin = env, OtlpSink(env), Origin(env)
        folder = env.tmp / "run"
        folder.mkdir(mode=0o755)
        path = folder / "agent.sock"
        pids, next_port = {}, self.origin.port
        if back:
            proxy = Proxy(env, next_port, path, "back", **options)
            pids["back"], next_port = proxy.pid, proxy.port
        app_port = env.free_port()
        pids["app"] = env.start("app", [sys.executable, APP, app_port, next_port], port=app_port,
                                env={"OTEL_SERVICE_NAME": "app"}).pid
        self.front = Proxy(env, app_port, path, "front", **options)
        pids["front"] = self.front.pid
        targets = [a for name, pid in pids.items() if name in observe for a in ("--pid", pid)]
        self.agent = Agent(env, *targets, "--socket", path, "--endpoint", self.sink.endpoint)

    def run(self, count, connections, rest=0.0):
        """{number of the request: {(service, kind): span}}; no request has two of a key."""
        requests = [Request(f"/ok/{i}") for i in range(count)]
        run(self.front.port, requests, connections)
        check(all(r.status == 200 for r in requests), "every request is answered with 200")
        time.sleep(rest)
        self.ledger = self.agent.stop(15)
        spans = self.sink.snapshot()
        check_equal((len(spans), self.ledger["created"]), (self.ledger["acknowledged"],) * 2, "spans at the sink, created")
        ids = collections.Counter(s["span_id"] for s in spans)
        check_equal([i for i, n in ids.items() if n > 1], [], "span ids that came twice")
        groups = collections.defaultdict(dict)
        for span in spans:
            path = span["attributes"].get("url.path") or span["attributes"]["url.full"]
            key = (span["resource"]["service.name"], span["kind"])
            group = groups[int(path.rsplit("/", 1)[1])]
            check(key not in group, f"two spans {key} of one request: {span['name']}")
            group[key] = span
        check_equal(len(groups), count, "requests that have spans")
        return groups

    def check_counts(self, **wanted):
        check_equal({key: self.ledger.get(f"handoff_{key}", 0) for key in wanted}, wanted, "counters of the hand-off")


def check_line(group, *keys):
    """These spans are one line in one trace, and there are no others."""
    check_equal(sorted(group), sorted(keys), "spans of one request")
    line = [group[key] for key in keys]
    check_equal(len({s["trace_id"] for s in line}), 1, f"traces of {keys}")
    for parent, child in zip(line, line[1:]):
        check_equal(child["parent_span_id"], parent["span_id"], f"parent of {child['resource']['service.name']} {child['kind']}")
    return line


@deadline(40)
def test_each_request_once_and_the_app_below_the_proxy(env):
    rig, count = Rig(env), 400
    for number, group in rig.run(count, 8).items():
        line = check_line(group, DOWNSTREAM, UPSTREAM, GET_SERVER, GET_CLIENT)
        check_equal([s["name"] for s in line[:2]], [f"downstream /ok/{number}", f"upstream /ok/{number}"], "names")
        check_equal(line[2]["attributes"]["spantap.link.rule"], "connection", "rule of the app's span")
        for span in line[:2]:
            attributes = span["attributes"]
            check_equal((attributes["proxy.own"], attributes["network.peer.address"]), ("yes", "127.0.0.1"),
                        "the proxy's attribute, the kernel's attribute")
            check("http.response.body.size" in attributes, "the size of the body, which the kernel saw")
    rig.check_counts(matched=2 * count, unmatched_spans=0, unmatched_exchanges=0, late=0, not_joined=0)
    env.figure(f"{2 * count} spans matched of {2 * count} handed off")


@deadline(40)
def test_adoption_behind_an_app_that_forwards_nothing(env):
    rig, count = Rig(env, back=True), 200
    for group in rig.run(count, 4).values():
        line = check_line(group, DOWNSTREAM, UPSTREAM, GET_SERVER, GET_CLIENT, ("back", "SERVER"), ("back", "CLIENT"))
        wire = {s["attributes"].get("spantap.wire.trace_id") for s in line[4:]}
        check(len(wire) == 1 and None not in wire and line[0]["trace_id"] not in wire, f"the trace that back began: {wire}")
        check_equal({link["trace_id"] for s in line[4:] for link in s["links"]}, wire, "span links to it")
    rig.check_counts(matched=4 * count, unmatched_spans=0, unmatched_exchanges=0)


@deadline(60)
def test_whatever_the_spans_say_of_their_connections(env):
    rows = [{"conn": "peer"}, {"conn": "none"}, {"inject": "server"}]
    for number, options in enumerate(rows):
        rig = Rig(env_of(env, number), **options)
        for group in rig.run(60, 3).values():
            check_line(group, DOWNSTREAM, UPSTREAM, GET_SERVER, GET_CLIENT)
        rig.check_counts(matched=120, unmatched_spans=0, unmatched_exchanges=0)


@deadline(40)
def test_exchanges_without_a_span_are_held_emitted_and_counted(env):
    rig, count = Rig(env, every=3), 90
    start = time.monotonic()
    groups = rig.run(count, 1, rest=2.6)
    check(time.monotonic() - start > 2.5, "there was time for two seconds of waiting")
    for group in groups.values():
        check_line(group, DOWNSTREAM, UPSTREAM, GET_SERVER, GET_CLIENT)
    rig.check_counts(matched=2 * count // 3, unmatched_spans=0, unmatched_exchanges=4 * count // 3)
    own = sum("proxy.own" in g[DOWNSTREAM]["attributes"] for g in groups.values())
    check_equal(own, count // 3, "requests whose server span is the proxy's own")


@deadline(40)
def test_a_span_between_stays_between(env):
    rig = Rig(env, internal=1)
    requests = [Request(f"/ok/{i}") for i in range(40)]
    run(rig.front.port, requests, 2)
    ledger = rig.agent.stop(15)
    check_equal((ledger["created"], ledger["handoff_matched"]), (5 * 40, 80), "spans, pairs")
    spans = {s["span_id"]: s for s in rig.sink.snapshot()}
    check_equal(len(spans), 5 * 40, "span ids")
    for client in [s for s in spans.values() if s["name"].startswith("upstream")]:
        between = spans[client["parent_span_id"]]
        check_equal((between["kind"], between["name"].split()[0]), ("INTERNAL", "filter"), "above the upstream span")
        check_equal(spans[between["parent_span_id"]]["name"].split()[0], "downstream", "above that")


@deadline(40)
def test_processes_that_nobody_observes(env):
    rig, count = Rig(env, observe=("app",)), 60
    for group in rig.run(count, 3).values():
        check_equal(sorted(group), sorted([DOWNSTREAM, UPSTREAM, GET_SERVER, GET_CLIENT]), "spans of a request")
        check_equal(group[GET_SERVER]["parent_span_id"], group[UPSTREAM]["span_id"], "the app's parent, by its header")
    rig.check_counts(matched=0, unmatched_spans=0, unmatched_exchanges=0, spans=2 * count)


def env_of(env, number):
    """Another folder for another rig of the same test."""
    env.tmp = env.tmp / f"rig{number}"
    env.tmp.mkdir(mode=0o755)
    return env
