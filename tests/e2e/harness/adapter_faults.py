# SPDX-License-Identifier: Apache-2.0
"""Proxies with their adapters under load while agents come and go, and the account of their spans.

Three proxies ("lanes") at once with one agent, as on a node. Every request has a path of its own, so that each span
belongs to one request and one of its kinds (server, client), and what is missing is known by name, not only by number.
"""
import collections
import importlib
import json
import os
import re
import signal
import struct
import time
import urllib.request

from .env import Fail, Skip, check, check_equal, wait_until
from .fault_load import BODY, FaultLoad
from .handoff import RING_MAGIC
from .proxies import Nginx
from .sink import OtlpSink
from .spantap import Agent

ADAPTERS = {"nginx": ("adapter_nginx", "NginxWithAdapter"), "envoy": ("adapter_envoy", "EnvoyWithAdapter"),
            "haproxy": ("adapter_haproxy", "HaproxyWithAdapter")}
GROWTH_BYTES = 2 << 20
THREADS = 2  # that serve requests, of each proxy
OPTIONS = {"nginx": {"workers": THREADS}, "envoy": {"concurrency": THREADS}, "haproxy": {"threads": THREADS}}
_KEY = re.compile(r"/ok/(probe|\w+-\d+-\d+)")


class Lane:
    """One proxy with its adapter, its load, and the kinds of spans that a request of it has."""

    def __init__(self, rig, name, **options):
        module, klass = ADAPTERS[name]
        self.rig, self.name, self.kinds, self.load = rig, name, frozenset(), None
        self._start = lambda **more: getattr(importlib.import_module(f"harness.{module}"), klass)(
            rig.env, rig.origin.port, str(rig.path), **{**OPTIONS[name], **options, **more})
        self.proxy = self._start()

    def kill9(self):
        """What serves requests, by the kill that leaves no time for anything; returns when it is dead."""
        workers = self.proxy.workers()
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(_alive(pid) for pid in workers), 10, f"workers of {self.name} die", interval=0.005)

    def start_again(self, **more):
        self.proxy = self._start(port=self.proxy.port, **more)

    def begin(self, connections=4, per_second=250):
        self.load = FaultLoad(self.rig.env, self.proxy.port, self.name, connections, per_second)

    # -- what its processes hold
    def processes(self):
        return sorted({self.proxy.pid, *self.proxy.workers()})

    def holds(self):
        """Anonymous memory, descriptors that are no TCP, and rings of all its processes."""
        total = collections.Counter()
        for pid in self.processes():
            with open(f"/proc/{pid}/status") as status:
                total["rss"] += sum(int(l.split()[1]) * 1024 for l in status if l.startswith("RssAnon"))
            with open(f"/proc/{pid}/maps") as maps:
                total["rings"] += sum("memfd:spantap-ring" in line for line in maps)
            total["descriptors"] += _descriptors(pid)
        return total


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _descriptors(pid):
    """Open descriptors but for TCP, whose number is the load's."""
    tcp = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{table}") as lines:
            tcp |= {line.split()[9] for line in list(lines)[1:]}
    count = 0
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            what = os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            continue
        # A TCP socket that is closing has the inode 0 in the table: those of the kernel's own are left out alike.
        count += not (what.startswith("socket:[") and what[8:-1] in tcp)
    return count


class Rig:
    """An origin in C, a sink, a folder for the socket, the lanes, and one agent at a time."""

    def __init__(self, env, folder=True, names=tuple(ADAPTERS), **options):
        self.env, self.sink = env, OtlpSink(env)
        self.origin = Nginx(env, body=BODY.decode(), name="origin", log=False)
        self.folder = env.tmp / "run"
        self.path = self.folder / "agent.sock"
        if folder:
            self.make_folder()
        self.agent = self.port = None
        self.producers = 0  # attached when all was well
        self.claims = collections.Counter()  # what agents that have ended said of producers' drops
        self.lanes, reasons = [], []
        wanted = os.environ.get("SPANTAP_PROXIES", ",".join(ADAPTERS)).split(",")
        check(set(wanted) <= set(ADAPTERS), f"SPANTAP_PROXIES={','.join(wanted)}: accepted are {', '.join(ADAPTERS)}")
        for name in [n for n in names if n in wanted]:
            try:
                self.lanes.append(Lane(self, name, **options))
            except Skip as skip:
                reasons.append(str(skip))
                env.figure(f"without {name}: {skip}")
        if not self.lanes:
            raise Skip("; ".join(reasons) or "SPANTAP_PROXIES leaves none")

    def make_folder(self):
        self.folder.mkdir(mode=0o755)

    # -- the agent
    def start_agent(self, *more):
        self.port = self.env.free_port()
        self.agent = Agent(self.env, "--socket", self.path, "--endpoint", self.sink.endpoint, "--batch-delay", 50,
                           "--queue-spans", 65536, "--listen", f"127.0.0.1:{self.port}", *more)

    def ledger(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ledger", timeout=5) as answer:
            return json.loads(answer.read())

    def stop_agent(self):
        """In order. Its ledger; nothing of what it has created may be lost."""
        ledger = self.agent.stop()
        self.agent = None
        check_equal((ledger["dropped"], ledger["created"]), (0, ledger["acknowledged"]),
                    f"dropped and created by the agent ({ledger})")
        check_equal(ledger.get("handoff_quarantined", 0), 0, "quarantined")
        self._claim(ledger)
        return ledger

    def kill_agent(self, hang=False):
        """kill -9; hang: rings run full before. Returns when it read no more. The drops that it has taken note of are
        counted here, because its ledger dies with it; producers tell the next agent of all others. What full rings of
        an earlier hang brought it has sent by then, so that what dies with it is young."""
        time.sleep(0.4)  # /ledger is up to a quarter of a second old
        wait_until(lambda: self.ledger()["in_flight"] < 300, 20, "the agent has sent what was waiting")
        self.agent.process.send(signal.SIGSTOP)
        wait_until(lambda: _stopped(self.agent.pid), 5, "the agent stops", interval=0.001)
        stopped = time.monotonic()
        self.claims.update(_taken_notes(self.agent.pid))
        if hang:
            self.hang_agent(0.7)
        self.agent.process.kill()
        self.agent = None
        return stopped

    def hang_agent(self, seconds):
        """The agent reads no more, and all lanes go as fast as they can: 1 MiB of a ring is about 2,600 spans."""
        self.agent.process.send(signal.SIGSTOP)
        for lane in self.lanes:
            lane.load.fast()
        time.sleep(seconds)
        for lane in self.lanes:
            lane.load.fast(False)

    def _claim(self, ledger):
        self.claims.update({k.split(".", 1)[1]: v for k, v in ledger.items() if k.startswith("handoff_dropped.")})

    # -- the load
    def begin(self, **load):
        for lane in self.lanes:
            lane.begin(**load)

    def count_of(self, lane):
        return sum((key_of(s) or "").startswith(lane.name + "-") for s in self.sink.snapshot())

    def learn_kinds(self):
        """From spans at the sink: those of most requests."""
        spans = by_key(self.sink.snapshot())
        for lane in self.lanes:
            seen = collections.Counter(frozenset(kinds) for key, kinds in spans.items()
                                       if (key or "").startswith(lane.name + "-"))
            check(seen, f"spans of {lane.name}")
            lane.kinds = seen.most_common(1)[0][0]

    def wait_flowing(self, seconds=15.0):
        """Until spans of requests that began after this call have come from every lane."""
        before, names = time.time_ns(), {lane.name for lane in self.lanes}
        seen, at = set(), len(self.sink.snapshot())

        def all_came():
            nonlocal at
            spans = self.sink.snapshot()
            for span in spans[at:]:
                key = key_of(span)
                if key and span["start_ns"] > before:
                    seen.add(key.split("-")[0])
            at = len(spans)
            return seen >= names

        began = time.monotonic()
        wait_until(all_came, seconds, f"spans of all of {sorted(names)}; came: {seen}")
        return time.monotonic() - began

    @classmethod
    def flowing(cls, env, **options):
        """Under load, with an agent, when spans of all come."""
        rig = cls(env, **options)
        rig.start_agent()
        rig.begin()
        rig.wait_flowing()
        time.sleep(0.3)
        rig.learn_kinds()
        rig.producers = rig.ledger()["handoff_producers"]
        return rig

    def finish(self):
        """Ends load and agent; {lane: its requests}, and their account."""
        self._wait_attached()
        done = {lane: lane.load.stop() for lane in self.lanes}
        self.stop_agent()
        return done, Account(self, done)

    def growth(self, before):
        """Fails if a lane's processes hold more than before, and go on to; what they do as text."""
        texts = []
        for lane in self.lanes:
            now, old = None, before[lane]

            def as_before():  # connections that are being closed are in no table, and workers may still be ending
                nonlocal now
                now = lane.holds()
                return now["rings"] <= THREADS and now["descriptors"] <= old["descriptors"] + THREADS

            try:
                wait_until(as_before, 10, "", interval=0.2)
            except Fail:
                raise Fail(f"{lane.name} holds more: {dict(old)}, then {dict(now)}") from None
            check(now["rss"] - old["rss"] <= GROWTH_BYTES, f"memory of {lane.name}: {dict(old)}, then {dict(now)}")
            texts.append(f"{lane.name} {(now['rss'] - old['rss']) // 1024:+d} KiB, "
                         f"{now['descriptors'] - old['descriptors']:+d} descriptors")
        return "; ".join(texts)

    def _wait_attached(self):
        """A thread notices within 2 s under load that its agent was killed; until then it may hold what is not counted.
        One that has no connections any more need not come back."""
        end = time.monotonic() + 3
        while self.ledger()["handoff_producers"] < self.producers and time.monotonic() < end:
            time.sleep(0.05)


def _stopped(pid):
    states = set()
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat") as stat:
            states.add(stat.read().rsplit(")", 1)[1].split()[0])
    return states == {"T"}


def _taken_notes(pid):
    """taken_* of the rings that an agent has mapped (exporter/handoff/ring_layout.h)."""
    notes = collections.Counter()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            if "memfd:spantap-ring" in line:
                words = struct.unpack("=13Q", os.pread(memory.fileno(), 104, int(line.split("-")[0], 16)))
                check_equal(words[0], RING_MAGIC, "magic number of a ring")
                notes.update(dict(zip(("full", "too_large", "no_agent", "invalid"), words[9:13])))
    return notes


def key_of(span):
    attributes = span["attributes"]
    for name in ("url.path", "url.full", "http.url", "http.target"):
        found = _KEY.search(str(attributes.get(name, "")))
        if found:
            return found[1]
    found = _KEY.search(span["name"])
    return found[1] if found else None


def by_key(spans):
    """{key: kinds of its spans}."""
    kinds = collections.defaultdict(list)
    for span in spans:
        kinds[key_of(span)].append(span["kind"])
    return kinds


class Account:
    """Requests against spans: every request's kinds once, nothing else. `missing` is what did not come."""

    def __init__(self, rig, done):
        spans = rig.sink.snapshot()
        ids = collections.Counter(s["span_id"] for s in spans)
        twice = [i for i, count in ids.items() if count > 1]
        check(not twice, f"{len(twice)} span ids came twice")
        kinds = by_key(spans)
        kinds.pop("probe", None)
        check(None not in kinds, f"spans of no request: {[s for s in spans if key_of(s) is None][:2]}")
        self.requests = self.again = 0
        self.spans, self.missing, self.failed = len(spans), [], []
        for lane, requests in done.items():
            for request in requests:
                found = collections.Counter(kinds.pop(request.key, ()))
                too_many = found - collections.Counter(lane.kinds)
                check(not too_many, f"{request.key} has the spans {dict(found)}, wanted {sorted(lane.kinds)}")
                if request.outcome == "again":  # cut off by a proxy that ends: it may have a span, or none
                    self.again += 1
                    continue
                self.requests += 1
                if request.outcome != "ok":
                    self.failed.append((lane, request))
                    continue
                self.missing += [(lane, request, kind) for kind in lane.kinds if kind not in found]
        check(not kinds, f"spans of requests that nobody made: {list(kinds.items())[:4]}")

    def check_no_failures(self):
        check(not self.failed, f"{len(self.failed)} of {self.requests} requests failed, first: "
              f"{[(l.name, r.key, r.outcome) for l, r in self.failed[:4]]}")

    def check_counted(self, claims):
        check_equal(len(self.missing), sum(claims.values()), f"missing spans, against the counted {dict(claims)}")

    def missing_by_lane(self):
        return dict(collections.Counter(lane.name for lane, _, _ in self.missing))


def percentile(done, share, since=0.0, until=float("inf")):
    """Seconds that this share of the answered requests which ended in this time took at most."""
    took = sorted(d.end - d.start for d in done if d.outcome == "ok" and since <= d.end < until)
    return took[min(len(took) - 1, int(share * len(took)))] if took else float("inf")
