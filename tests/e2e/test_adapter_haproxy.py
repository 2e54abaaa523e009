# SPDX-License-Identifier: Apache-2.0
"""HAProxy's adapter in a stock HAProxy with chroot and user haproxy: what spans say, whose children they are, and that
nothing of it ever fails a request."""
import collections
import os
import re
import socket
import struct
import time

import hpack

from harness import deadline
from harness.adapter_haproxy import EXAMPLE, SCRIPT, HaproxyWithAdapter, check_configuration
from harness.env import check, check_equal, wait_until
from harness.fault_load import FaultLoad
from harness.load import Request, get, run
from harness.origin import Origin
from harness.proxies import Nginx
from harness.sink import OtlpSink
from harness.spantap import Agent

SIDE_BY_SIDE = True

ROUNDS = int(os.environ.get("SPANTAP_ROUNDS", "1"))
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class Rig:
    """An origin, a sink, a chroot with the socket's folder, HAProxy, and an agent once it is asked for."""

    def __init__(self, env, agent=True, origin_port=None, **options):
        self.env, self.sink = env, OtlpSink(env)
        self.origin = Origin(env) if origin_port is None else None
        chroot = env.tmp / "chroot"
        for folder in (chroot, chroot / "run"):
            folder.mkdir(mode=0o755)
        self.path = chroot / "run" / "agent.sock"
        self.agent = None
        if agent:
            self.start_agent()
        self.proxy = HaproxyWithAdapter(env, origin_port or self.origin.port, self.path, **options)
        if agent:
            self.wait_attached(options.get("threads", 2))

    def start_agent(self, *more):
        self.agent = Agent(self.env, "--socket", self.path, "--endpoint", self.sink.endpoint, "--batch-delay", 50, *more)

    def wait_attached(self, threads=2, older=()):
        """Every thread of a worker (none of the older ones) has a ring: from now on nothing is dropped, and what has
        been dropped before is known to the agent."""
        def rings(pid):
            try:
                with open(f"/proc/{pid}/maps") as maps:
                    return sum("memfd:spantap-ring" in line for line in maps)
            except (FileNotFoundError, ProcessLookupError):
                return 0
        wait_until(lambda: any(rings(pid) >= threads for pid in self.proxy.workers() if pid not in older), 5,
                   f"{threads} threads of HAProxy are attached")

    def get(self, path, **how):
        """The request, and the traceparent that the origin got last."""
        done = get(self.proxy.port, path, **how)
        log = self.origin.snapshot()
        return done, log[-1]["headers"] if log else {}

    def spans(self, count):
        """{(path, kind): span}, when `count` have come."""
        return {(path_of(s), s["kind"]): s for s in self.sink.wait_spans(count)}


def http2_gets(port, paths):
    """All paths at once on one connection; returns how many were answered with 200."""
    encoder, decoder, good, open_streams = hpack.Encoder(), hpack.Decoder(), 0, set()
    out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + struct.pack(">I", 0)[1:] + b"\x04\0" + bytes(4)
    for stream, path in zip(range(1, 2 * len(paths), 2), paths):
        block = encoder.encode([(":method", "GET"), (":scheme", "http"), (":authority", "test.local"), (":path", path),
                                ("traceparent", SAMPLED)])
        out += struct.pack(">I", len(block))[1:] + b"\x01\x05" + struct.pack(">I", stream) + block
        open_streams.add(stream)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(out)
        reader = connection.makefile("rb")
        while open_streams:
            head = reader.read(9)
            size, kind, flags, stream = int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:], "big")
            payload = reader.read(size)
            if kind == 1:
                good += (":status", "200") in decoder.decode(payload)
            if kind in (0, 1) and flags & 1:
                open_streams.discard(stream)
    return good


def path_of(span):
    a = span["attributes"]
    return a["url.path"] if span["kind"] == "SERVER" else re.sub(r"^https?://[^/]*([^?]*).*", r"\1", a["url.full"])


@deadline(20)
def test_span_content_and_propagation(env):
    log = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    log.bind(("127.0.0.1", 0))
    log.settimeout(3)
    rig = Rig(env, log_port=log.getsockname()[1])
    begin = time.time_ns()
    done, upstream = rig.get("/delay/50/x?q=1", headers=(
        ("traceparent", SAMPLED), ("tracestate", "v=1"), ("x-request-id", "rid-1"), ("user-agent", "tests/1"),
        ("cookie", "c" * 3000)))
    check_equal(done.status, 200, "status")
    line = log.recv(8192).decode()
    spans = rig.spans(2)
    server, client = spans[("/delay/50/x", "SERVER")], spans[("/delay/50/x", "CLIENT")]
    check_equal((server["trace_id"], server["parent_span_id"], server["trace_state"]), (TRACE, PARENT, "v=1"), "extracted")
    check_equal((client["trace_id"], client["parent_span_id"], client["trace_state"]), (TRACE, server["span_id"], "v=1"),
                "below the server span")
    check_equal((upstream["traceparent"], upstream["tracestate"]), (f"00-{TRACE}-{client['span_id']}-01", "v=1"), "injected")
    check(f'trace_id="{TRACE}"]' in line, f"the trace is in HAProxy's own log line: {line!r}")
    for span in (server, client):
        check(begin <= span["start_ns"] and span["end_ns"] <= time.time_ns(), "times lie within the test")
        check(50e6 <= span["end_ns"] - span["start_ns"] < 1e9, "the time that the upstream took")
    host = {"server.address": "test.local", "http.request.method": "GET", "http.response.status_code": 200,
            "network.protocol.version": "1.1", "http.request.header.x-request-id": ["rid-1"],
            "haproxy.backend": "up", "haproxy.server": "s1", "network.peer.address": "127.0.0.1"}
    sent, received = (server["attributes"].pop(f"haproxy.bytes_{w}") for w in ("sent", "received"))
    check(sent > 20 and received > 3000, f"bytes sent and received: {sent} {received}")
    check_equal(server["attributes"], {
        **host, "server.port": 80, "client.address": "127.0.0.1", "network.peer.port": done.local_port, "url.path": "/delay/50/x",
        "url.query": "q=1", "url.scheme": "http", "user_agent.original": "tests/1", "haproxy.frontend": "front"}, "server span")
    check(50 <= client["attributes"].pop("haproxy.response_ms") < 900, "time until the response")
    check(0 <= client["attributes"].pop("haproxy.connect_ms") < 900, "time until the connection")
    check_equal(client["attributes"], {
        **host, "server.port": rig.origin.port, "network.peer.port": rig.origin.port, "haproxy.queue_ms": 0,
        "url.full": "http://test.local/delay/50/x?q=1"}, "client span")
    check_equal((server["name"], client["name"], server["status"], server["resource"]["service.name"]),
                ("GET", "GET", "UNSET", "haproxy"), "names, status, service")


@deadline(20)
def test_propagation_of_all_kinds(env):
    rig = Rig(env)
    other = f"00-{TRACE[::-1]}-{PARENT}-01"
    rows = [  # headers, whether it is a new trace, whether it is sampled
        ((), True, True),
        ((("traceparent", UNSAMPLED), ("tracestate", "a=1")), False, False),
        ((("traceparent", SAMPLED.upper()), ("tracestate", "a=1")), True, True),
        ((("traceparent", "garbage\x1f\tx"), ("tracestate", "a=1")), True, True),
        ((("traceparent", SAMPLED), ("traceparent", other), ("tracestate", "a=1")), True, True),
        ((("traceparent", f"cc-{TRACE}-{PARENT}-01-later"), ("tracestate", "a=1")), False, True),
        ((("traceparent", f"ff-{TRACE}-{PARENT}-01"),), True, True)]
    wanted = 0
    for number, (headers, new, sampled) in enumerate(rows):
        _, upstream = rig.get(f"/ok/{number}", headers=headers)
        found = TRACEPARENT.fullmatch(upstream["traceparent"])
        check(found, f"row {number}: one valid traceparent upstream, not {upstream['traceparent']!r}")
        check_equal((found[1] != TRACE, int(found[3], 16) & 1), (new, int(sampled)), f"row {number}: new trace, sampled")
        check(found[2] != PARENT, f"row {number}: a span of its own")
        check_equal("tracestate" in upstream, not new and len(headers) > 1, f"row {number}: tracestate upstream")
        wanted += 2 * sampled
        if sampled:
            client = rig.spans(wanted)[(f"/ok/{number}", "CLIENT")]
            check_equal((client["trace_id"], client["span_id"]), (found[1], found[2]), f"row {number}: the span upstream")
    check_equal(rig.agent.stop()["handoff_spans"], wanted, "spans, none of the unsampled")


@deadline(25)
def test_every_ending(env):
    rig = Rig(env)
    port = rig.proxy.port
    requests = [Request(path) for path in (
        "/status/404/x", "/status/500/x", "/none/x", "/dead/x", "/reset/x", "/late/delay/900/x", "/cut/90000/x",
        "/direct/x", "/denied/x", "/move/ok/x", "/quiet/x")]
    check_equal(get(port, "/limited/x").status, 200, "the first request of a path")
    check_equal(len(rig.sink.wait_spans(2)), 2, "its spans")
    rig.sink.clear()
    requests.append(Request("/limited/x"))
    requests += [Request("/delay/500/gone", abort="request"), Request("/bytes/20000000/x", abort="response"),
                 Request("/ok/odd", method="BREW"), Request("/echo/x", method="POST", body=b"x" * 5000)]
    run(port, requests, len(requests))
    with socket.create_connection(("127.0.0.1", port)) as raw:  # never becomes a stream: in HAProxy's log only
        raw.sendall(b"GET / HTTP/1.1\r\nbroken\r\n\r\n")
        check_equal(raw.recv(64)[:12], b"HTTP/1.1 400", "answer to what is no request")
    wanted = {  # path: server's and client's (status code, error.type), None: no such span; end of the stream
        "/status/404/x": ((404, None), (404, "404"), None),
        "/status/500/x": ((500, "500"), (500, "500"), None),
        "/none/x": ((503, "503"), None, "SC"),
        "/dead/x": ((503, "503"), (None, "connection_reset"), "SC"),
        "/reset/x": ((502, "502"), (None, "connection_reset"), "SH"),
        "/late/delay/900/x": ((504, "504"), (None, "timeout"), "sH"),
        "/cut/90000/x": ((200, "response_aborted"), (200, "response_aborted"), "SD"),
        "/direct/x": ((200, None), None, "LR"),
        "/denied/x": ((403, None), None, "PR"),
        "/limited/x": ((429, None), None, "PR"),
        "/move/ok/x": ((200, None), (200, None), None),
        "/delay/500/gone": ((200, "response_aborted"), (200, "response_aborted"), "CD"),
        "/bytes/20000000/x": ((200, "response_aborted"), (200, "response_aborted"), "CD"),
        "/ok/odd": ((200, None), (200, None), None),
        "/echo/x": ((200, None), (200, None), None)}
    spans = rig.spans(sum(1 + (row[1] is not None) for row in wanted.values()))
    for path, (server, client, state) in wanted.items():
        for kind, expected in (("SERVER", server), ("CLIENT", client)):
            span = spans.get((path, kind))
            if expected is None:
                check(span is None, f"{path}: no {kind} span")
                continue
            check(span is not None, f"{path}: a {kind} span among {sorted(spans)}")
            a = span["attributes"]
            check_equal((a.get("http.response.status_code"), a.get("error.type"), span["status"]),
                        (*expected, "ERROR" if expected[1] else "UNSET"), f"{path} {kind}")
        check_equal(spans[(path, "SERVER")]["attributes"].get("haproxy.termination_state"), state, f"{path}: end")
    moved, odd = spans[("/move/ok/x", "CLIENT")]["attributes"], spans[("/ok/odd", "SERVER")]
    check_equal((moved["http.request.resend_count"], moved["haproxy.redispatched"], moved["haproxy.server"]),
                (1, True, "s1"), "the request that went to another server")
    check_equal((odd["name"], odd["attributes"]["http.request.method"], odd["attributes"]["http.request.method_original"]),
                ("HTTP", "_OTHER", "BREW"), "a method that nobody knows")
    check_equal(rig.agent.stop()["dropped"], 0, "dropped")


@deadline(20)
def test_queue_http2_and_many_connections(env):
    rig = Rig(env, threads=4)
    run(rig.proxy.port, [Request(f"/single/delay/120/{i}") for i in range(2)], 2)
    spans = rig.sink.wait_spans(4)
    queued = sorted(s["attributes"]["haproxy.queue_ms"] for s in spans if s["kind"] == "CLIENT")
    check(queued[0] < 60 <= queued[1], f"one of two requests waited for its server: {queued} ms")
    late = max((s for s in spans if s["kind"] == "CLIENT"), key=lambda s: s["start_ns"])
    first = next(s for s in spans if s["span_id"] == late["parent_span_id"])
    check(late["start_ns"] - first["start_ns"] >= 60e6, "its client span begins when it left the queue")
    check_equal(http2_gets(rig.proxy.h2_port, [f"/ok/h2-{i}" for i in range(20)]), 20, "answers by HTTP/2, all at once")
    spans = [s for s in rig.sink.wait_spans(44) if "/h2-" in path_of(s)]
    versions = collections.Counter((s["kind"], s["attributes"]["network.protocol.version"]) for s in spans)
    check_equal(dict(versions), {("SERVER", "2"): 20, ("CLIENT", "1.1"): 20}, "spans of HTTP/2 and behind it")
    check_equal({s["trace_id"] for s in spans}, {TRACE}, "trace")
    requests = [Request(f"/ok/k{i}") for i in range(1200)]
    run(rig.proxy.port, requests, 12)
    check(all(r.status == 200 for r in requests), "all answered")
    spans = [s for s in rig.sink.wait_spans(44 + 2400) if "/k" in path_of(s)]
    check_equal(collections.Counter(path_of(s) for s in spans), collections.Counter({r.path: 2 for r in requests}),
                "two spans a request, on 12 kept connections and 4 threads")
    seen = {e["path"]: TRACEPARENT.fullmatch(e["headers"]["traceparent"])[2] for e in rig.origin.snapshot()
            if e["path"].startswith("/ok/k")}
    check_equal({path_of(s): s["span_id"] for s in spans if s["kind"] == "CLIENT"}, seen, "each upstream request's span")
    check_equal(rig.agent.stop()["handoff_attached"], 4, "producers")


@deadline(30 + 30 * ROUNDS)
def test_reload_under_load(env):
    rig = Rig(env, origin_port=Nginx(env, body="fine", name="origin", log=False).port)
    load = FaultLoad(env, rig.proxy.port, "r", 4, 400)
    rounds = 5 * ROUNDS
    for _ in range(rounds):
        time.sleep(0.2)
        older = rig.proxy.workers()
        rig.proxy.reload()
        rig.wait_attached(older=older)
    time.sleep(0.3)
    done = load.stop()
    failed = [d for d in done if d.outcome not in ("ok", "again")]
    check(not failed, f"failed: {failed[:3]}")
    check_equal(len(rig.proxy.workers()), 1, "workers in the end")
    rig.sink.wait_spans(2 * sum(d.outcome == "ok" for d in done) - 4 * rounds * 100, 5)
    ledger = rig.agent.stop()
    spans = collections.Counter(path_of(s) for s in rig.sink.snapshot())
    missing = sum(2 - spans[f"/ok/{d.key}"] for d in done if d.outcome == "ok")
    env.figure(f"{rounds} reloads under load: {len(done)} requests, 0 failed; {ledger['created']} spans, {missing} missing, "
               f"{ledger.get('handoff_dropped.no_agent', 0)} counted as dropped")
    check_equal(missing, ledger.get("handoff_dropped.no_agent", 0), "missing spans, against those counted")


@deadline(20)
def test_agent_absent_late_and_off(env):
    rig = Rig(env, agent=False)
    done, upstream = rig.get("/ok/1", headers=(("traceparent", SAMPLED), ("tracestate", "a=1")))
    check_equal((done.status, upstream["traceparent"], upstream["tracestate"]), (200, SAMPLED, "a=1"), "passed as it came")
    done, upstream = rig.get("/ok/2")
    check_equal((done.status, "traceparent" in upstream), (200, False), "nothing added")
    rig.start_agent()
    rig.wait_attached()  # without a request: by the timer
    rig.get("/ok/3")
    check_equal(set(rig.spans(2)), {("/ok/3", "SERVER"), ("/ok/3", "CLIENT")}, "spans since the agent is there")
    rig.agent.stop()
    off = HaproxyWithAdapter(env, rig.origin.port, rig.path, variant="off", name="off")
    get(off.port, "/ok/4", headers=(("traceparent", SAMPLED), ("tracestate", "a=1")))
    headers = rig.origin.snapshot()[-1]["headers"]
    check_equal((headers["traceparent"], headers["tracestate"]), (SAMPLED, "a=1"), "off: passed as it came")
    roots = HaproxyWithAdapter(env, rig.origin.port, rig.path, settings={"SPANTAP_SAMPLE_RATIO": "0"}, name="ratio")
    check_equal(get(roots.port, "/ok/5").status, 200, "status without an agent")


@deadline(20)
def test_bad_configuration(env):
    good = HaproxyWithAdapter(env, 1, env.tmp / "run" / "agent.sock")
    good.stop()
    text = good.config.read_text()
    rows = [("SPANTAP_SAMPLE_RATIO", "2", "a number from 0 to 1, such as 0.1"),
            ("SPANTAP_SAMPLE_RATIO", "0.5x", "a number from 0 to 1, such as 0.1"),
            ("SPANTAP_MODE", "maybe", "handoff or off"),
            ("SPANTAP_SOCKET", "run/agent.sock", "from / on, at most 107 bytes"),
            ("SPANTAP_SOCKET", "/" + "x" * 107, "from / on, at most 107 bytes"),
            ("SPANTAP_SERVICE_NAME", "s" * 256, "a name of at most 255 bytes")]
    for number, (name, value, accepted) in enumerate(rows):
        path = env.write(f"bad{number}.cfg", text.replace("  lua-load", f"  setenv {name} {value}\n  lua-load", 1))
        code, said = check_configuration(path)
        check(code != 0 and f"spantap: {name} is" in said and accepted in said, f"{name} {value[:9]}: {code} {said!r}")
    check_equal(check_configuration(good.config)[0], 0, "the good one")
    example = re.sub(r"(lua-load-per-thread) .*", rf"\1 {SCRIPT}", EXAMPLE.read_text())
    check_equal(check_configuration(env.write("example.cfg", example))[0], 0, "the example")


@deadline(20)
def test_hostile_requests(env):
    """What a client may send, it may send in any form: HAProxy stays up, and every request that it takes has its spans."""
    rig = Rig(env, origin_port=Nginx(env, body="fine", name="origin", log=False, extra="large_client_header_buffers 4 32k;").port)
    requests = [
        Request("/ok/" + "p" * 6000 + "?" + "q" * 6000, headers=(("user-agent", "u" * 2000),)),
        Request("/ok/2?]%5B{}|", headers=(("x-request-id", "a\x1fb\tc\x01]"), ("empty", ""))),
        Request("/ok/3", headers=(("tracestate", "=,;" * 300), ("traceparent", SAMPLED))),
        Request("/ok/4", headers=tuple((f"h{i}", "v") for i in range(90))),
        Request("http://test.local/ok/5"), Request("*", method="OPTIONS")]
    run(rig.proxy.port, requests)
    with socket.create_connection(("127.0.0.1", rig.proxy.port)) as raw:
        raw.sendall(b"GET /ok/6 HTTP/1.0\r\n\r\n")
        raw.recv(64)
    check(all(r.status for r in requests), f"all are answered: {[(r.path[:9], r.status) for r in requests]}")

    def servers():
        return [s["attributes"] | s for s in rig.sink.snapshot() if s["kind"] == "SERVER"]
    wait_until(lambda: len(servers()) >= 7, 5, "a server span for each")
    spans = {s.get("url.path", "")[:6]: s for s in servers()}
    check_equal(len(spans["/ok/pp"]["url.path"]), 4096, "a long path is cut")
    check_equal((spans["/ok/3"]["trace_id"], spans["/ok/3"]["trace_state"]), (TRACE, ""), "a tracestate that is none")
    check_equal(spans["/ok/5"]["server.address"], "test.local", "a target with an authority")
    check_equal(get(rig.proxy.port, "/ok/end").status, 200, "HAProxy goes on")
    check_equal(rig.agent.stop()["dropped"], 0, "dropped")
