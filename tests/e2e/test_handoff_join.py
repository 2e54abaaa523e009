# SPDX-License-Identifier: Apache-2.0
"""A proxy that hands its spans off and is observed as well: each request's spans once, in one tree with the others'."""
import collections
import sys

from harness import deadline
from harness.env import REPO, check, check_equal
from harness.joining_proxy import Proxy
from harness.load import Request, run
from harness.origin import Origin
from harness.sink import OtlpSink
from harness.spantap import Agent


class Rig:
    """client -> proxy -> app -> origin; the proxy and the app are observed, and the proxy hands off."""

    def __init__(self, env, app=True, **options):
        self.env, self.sink, self.origin = env, OtlpSink(env), Origin(env)
        folder = env.tmp / "run"
        folder.mkdir(mode=0o755)
        self.path = folder / "agent.sock"
        upstream = self.origin.port
        pids = []
        if app:
            upstream = env.free_port()
            process = env.start("app", [sys.executable, REPO / "tests/e2e/harness/app.py", upstream, self.origin.port],
                                port=upstream)
            pids.append(process.pid)
        self.proxy = Proxy(env, upstream, self.path, "front", **options)
        pids.append(self.proxy.pid)
        self.agent = Agent(env, *[a for pid in pids for a in ("--pid", pid)], "--socket", self.path, "--endpoint",
                           self.sink.endpoint)

    def run(self, count, connections, headers=lambda i: ()):
        requests = [Request(f"/ok/{i}", headers=headers(i)) for i in range(count)]
        run(self.proxy.port, requests, connections)
        check(all(r.status == 200 for r in requests), "every request is answered with 200")
        self.ledger = self.agent.stop(15)
        check_equal(self.sink.span_count, self.ledger["acknowledged"], "spans at the sink against the ledger")
        return self.sink.snapshot()


def by_request(spans):
    groups = collections.defaultdict(dict)
    for span in spans:
        path = span["attributes"].get("url.path") or span["attributes"].get("url.full")
        key = (span["resource"]["service.name"], span["kind"], span["name"].split()[0])
        group = groups[int(path.rsplit("/", 1)[1])]
        check(key not in group, f"two spans {key} of one request: {span['name']}")
        group[key] = span
    return groups


@deadline(40)
def test_each_request_once_and_the_app_below_the_proxy(env):
    rig = Rig(env)
    count = 400
    spans = rig.run(count, 8)
    for key, value in sorted(rig.ledger.items()):
        if "handoff" in key or key in ("created", "exchanges"):
            print(key, value)
    check_equal(len(spans), 4 * count, "spans")
    check_equal(len({s["span_id"] for s in spans}), 4 * count, "span ids")
    for group in by_request(spans).values():
        print(sorted(group))
        break
