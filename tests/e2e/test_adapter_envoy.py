# SPDX-License-Identifier: Apache-2.0
"""libspantap_envoy.so in the release build of Envoy: spans against those of Envoy's own OpenTelemetry tracer on the same
requests, the semantic conventions, configuration, propagation, threads, reloads, and a hostile host under ASan."""
import collections
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request

from harness import Skip, deadline, load, tools
from harness.adapter_envoy import MODULE, EnvoyWithAdapter
from harness.env import REPO, check, check_equal, wait_until
from harness.libspantap import LIBRARY
from harness.load import Request
from harness.origin import Origin
from harness.proxies import Nginx
from harness.sink import OtlpSink
from harness.spantap import Agent

sys.path.insert(0, str(REPO / "tests" / "abi"))
from ring_reader import SPAN, RingReader  # noqa: E402

SIDE_BY_SIDE = True

TRACE = "4bf92f3577b34da6a3ce929d0e0e47"
PARENT = "00f067aa0ba902b7"


class Rig:
    def __init__(self, env):
        self.env, self.sink, self.origin = env, OtlpSink(env), Origin(env)
        folder = env.tmp / "run"
        folder.mkdir(mode=0o755)
        self.path = folder / "agent.sock"
        self.port = env.free_port()
        self.agent = self.start_agent()

    def start_agent(self):
        return Agent(self.env, "--socket", self.path, "--endpoint", self.sink.endpoint, "--batch-delay", 50, "--listen",
                     f"127.0.0.1:{self.port}")

    def envoy(self, **options):
        return EnvoyWithAdapter(self.env, self.origin.port, self.path, **options)

    def warm(self, *envoys):
        """Until spans of each come, and no more."""
        for number, envoy in enumerate(envoys):
            def seen(envoy=envoy, number=number):
                send(envoy, [Request(f"/ok/warm-{number}")])
                return any(f"/warm-{number}" in str(s["attributes"]) for s in self.sink.snapshot())
            wait_until(seen, 5, f"spans of {envoy.name}", interval=0.05)

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            return dict(re.findall(r"^(spantap_handoff\S+) (\d+)$", answer.read().decode(), re.M))


def send(envoy, requests, connections=1):
    load.run(envoy.port, requests, connections)
    return requests


def http2(envoy, path, *headers):
    command = [tools.system("curl"), "-sS", "-o", "/dev/null", "--http2-prior-knowledge", "-A", "curl", "-H", "host: test.local"]
    for header in headers:
        command += ["-H", header]
    subprocess.run([*command, f"http://127.0.0.1:{envoy.port}{path}"], check=True, timeout=10)


# ---------------------------------------------------------------- against Envoy's own tracer

def uuid(number):
    """Of a request whose id says nothing about tracing; the first digits decide as those of any other."""
    return f"{number:08x}-1111-4222-8333-444455556666"


def cases():
    """(name, request): each with a path of its own, and an id of its own unless that is the case."""
    def parent(number, flags, version="00", more=""):
        return ("traceparent", f"{version}-{TRACE}{number:02x}-{PARENT}-{flags}{more}")
    rows = [
        ("plain", Request("/ok/plain?q=1")),
        ("post", Request("/echo/post", "POST", body=b"x" * 3000)),
        ("head", Request("/bytes/100/head", "HEAD")),
        ("404", Request("/status/404/404")),
        ("500", Request("/status/500/500")),
        ("no-content", Request("/nocontent/no-content")),
        ("dead", Request("/dead/dead")),
        ("reset", Request("/reset/reset")),
        ("cut", Request("/cut/50000/cut")),
        ("retry", Request("/retry/retry")),
        ("grpc", Request("/grpc/pkg.Service/Method-grpc", "POST", (("content-type", "application/grpc"),), b"x")),
        ("direct", Request("/direct/direct")),
        ("no-route", Request("/none/no-route")),
        ("abort", Request("/delay/300/abort", abort="request")),
        ("long", Request("/ok/long-" + "a" * 600)),
        ("agent", Request("/ok/agent", headers=(("user-agent", "test/1 (x; y)"), ("x-envoy-downstream-service-cluster", "c")))),
        ("forced", Request("/ok/forced", headers=(("x-client-trace-id", "z"),))),
        ("sampled", Request("/ok/sampled", headers=(parent(1, "01"), ("tracestate", "a=b,c=d")))),
        ("unsampled", Request("/ok/unsampled", headers=(parent(2, "00"), ("tracestate", "a=b")))),
        ("random-flag", Request("/ok/random-flag", headers=(parent(3, "03"),))),
        ("later-version", Request("/ok/later-version", headers=(parent(4, "01", "cc"),))),
        ("no-uuid", Request("/ok/no-uuid", headers=(("x-request-id", "not-a-uuid"),))),
    ]
    for number, (name, request) in enumerate(rows):
        if name != "no-uuid":
            request.headers += (("x-request-id", uuid(number)),)
    return rows + [("no-id", Request("/ok/no-id"))]


# What may differ, all of it. Attributes: the module hands x-request-id off under the agent's own name, too.
MORE_ATTRIBUTES = {"http.request.header.x-request-id"}
# Ids that Envoy or a client makes up.
RANDOM = ("guid:x-request-id",)


def comparable(span):
    attributes = {k: v for k, v in span["attributes"].items() if k not in MORE_ATTRIBUTES}
    if attributes.get("http.url", "").endswith("/no-id"):
        for name in RANDOM:
            check(re.fullmatch(r"[0-9a-f-]{36}", attributes[name]), f"{name} of {attributes}")
            attributes[name] = "random"
    return {"name": span["name"], "kind": span["kind"], "status": span["status"], "status_message": span["status_message"],
            "trace_state": span["trace_state"], "sampled": span["flags"] & 1, "remote": span["flags"] & 0x300,
            "root": not span["parent_span_id"], "attributes": attributes}


def by_case(spans, names):
    """{case: its request's span, then its upstream spans in time}."""
    found = collections.defaultdict(list)
    requests = {}
    for span in sorted(spans, key=lambda s: s["start_ns"]):
        url = span["attributes"].get("http.url")
        if url is not None and "/warm-" not in url:
            name = next(n for n in names if re.search(rf"[/-]{n}(\?|$|-a)", url))
            requests[span["span_id"]] = name
            found[name].insert(0, span)
    for span in sorted(spans, key=lambda s: s["start_ns"]):
        if "http.url" not in span["attributes"] and span["parent_span_id"] in requests:
            found[requests[span["parent_span_id"]]].append(span)
    return found


def settle(sink, seconds=0.4):
    """Until no more spans come for a while: those that should not come would be late, too."""
    count, since = -1, time.monotonic()
    while time.monotonic() - since < seconds:
        if sink.span_count != count:
            count, since = sink.span_count, time.monotonic()
        time.sleep(0.02)
    return sink.snapshot()


def headers_by_path(log):
    seen = collections.defaultdict(list)
    for entry in log:
        seen[entry["headers"].get("x-envoy-original-path", entry["path"])].append(entry["headers"])
    return seen


class Side:
    """An Envoy, an origin of its own, and what became of the cases sent through it."""

    def __init__(self, env, rig, variant, direction, spawn, dead):
        self.origin, self.service = Origin(env), f"{variant}-{direction}-{spawn}"
        self.sink = OtlpSink(env) if variant == "own" else rig.sink
        self.envoy = EnvoyWithAdapter(
            env, self.origin.port, rig.path, variant=variant, name=self.service, service=self.service, span_style="envoy",
            own_port=self.sink.port, dead_port=dead, spawn_upstream_span=spawn, direction=direction,
            decorator="svc.ns:80/*" if direction == "OUTBOUND" else None,
            custom_tags=[{"tag": "istio.mesh_id", "literal": {"value": "mesh1"}},
                         {"tag": "env", "environment": {"name": "HOME", "default_value": "-"}},
                         {"tag": "query", "request_header": {"name": ":path", "default_value": "-"}}])

    def run(self):
        rows, before = cases(), len(self.origin.snapshot())
        send(self.envoy, [request for _, request in rows])
        http2(self.envoy, "/ok/http2", f"x-request-id: {uuid(99)}")
        self.headers = headers_by_path(self.origin.snapshot()[before:])
        self.outcomes = [(name, request.status, request.body_bytes) for name, request in rows]
        self.names = [name for name, _ in rows] + ["http2"]

    def collect(self):
        mine = [s for s in self.sink.snapshot() if s["resource"]["service.name"] == self.service]
        self.cases = by_case(mine, self.names)

    def comparable(self, name):
        here = f":{self.origin.port}"
        found = [comparable(span) for span in self.cases[name]]
        for span in found:
            span["attributes"] = {k: v.replace(here, ":upstream") for k, v in span["attributes"].items()}
        return found


@deadline(60)
def test_spans_equal_those_of_envoys_own_tracer(env):
    """A sidecar's inbound and outbound side, and a gateway, as Istio configures them."""
    rig, dead = Rig(env), env.free_port()
    kinds = [("INBOUND", False), ("OUTBOUND", False), ("OUTBOUND", True)]
    pairs = [[Side(env, rig, variant, *kind, dead) for variant in ("module", "own")] for kind in kinds]
    sides = [side for pair in pairs for side in pair]
    rig.warm(*[module.envoy for module, _ in pairs])
    threads = [threading.Thread(target=side.run) for side in sides]
    for step in (threading.Thread.start, threading.Thread.join):
        for thread in threads:
            step(thread)
    settle(rig.sink)
    for side in sides:
        settle(side.sink, 0.5 if side is sides[1] else 0.1)
        side.collect()
    for (direction, spawn), (module, own) in zip(kinds, pairs):
        compare(module, own, f"{direction}, {'with' if spawn else 'without'} upstream spans")
    spans = [len(found) for module, _ in pairs for found in module.cases.values()]
    env.figure(f"{sum(spans)} spans of {len(spans)} requests equal those of Envoy's own tracer")
    rig.agent.stop()


def compare(module, own, what):
    check_equal(module.outcomes, own.outcomes, f"{what}: what clients got")
    check_equal(sorted(module.cases), sorted(own.cases), f"{what}: requests that have spans")
    check(len(own.cases) == len(own.names) - 2 and not {"unsampled", "no-uuid"} & set(own.cases), "all but those not sampled")
    for name in sorted(own.cases):
        ours, theirs = module.comparable(name), own.comparable(name)
        check_equal(len(ours), len(theirs), f"{name}, {what}: spans")
        for mine, reference in zip(ours, theirs):
            if reference["remote"] == 0:  # Envoy 1.38 and 1.39: no flags in spans
                mine.update(sampled=0, remote=0)
            check_equal(mine, reference, f"{name}, {what}")
    check_propagation(module.cases, module.headers, own.headers)


def check_propagation(found, ours, theirs):
    """The id that goes up is that of the span nearest to the upstream; decisions agree with the own tracer's."""
    check_equal({p: len(h) for p, h in ours.items()}, {p: len(h) for p, h in theirs.items()},
                "requests at the origins")
    for path, requests in theirs.items():
        for mine, reference in zip(ours[path], requests):
            got, wanted = mine["traceparent"].split("-"), reference["traceparent"].split("-")
            check_equal((len(got), int(got[3]) & 1), (4, int(wanted[3]) & 1), f"traceparent of {path}: {got} {wanted}")
            check_equal(mine.get("tracestate", ""), reference.get("tracestate", ""), f"tracestate of {path}")
    for name, spans in found.items():
        sent = [h["traceparent"] for p, hs in ours.items() for h in hs if re.search(rf"[/-]{name}(\?|$|-a)", p)]
        nearest = spans[1:] or spans * len(sent)  # tries share the one span
        check_equal([t.split("-")[1:3] for t in sent], [[s["trace_id"], s["span_id"]] for s in nearest][:len(sent)],
                    f"{name}: ids sent upstream")


# ---------------------------------------------------------------- W3C, where Envoy's own tracer differs

@deadline(60)
def test_traceparents_that_are_malformed_start_anew(env):
    """Envoy's own tracer gives up: no span, the header goes on as it is."""
    rig = Rig(env)
    envoy = rig.envoy(span_style="envoy", log=True)
    rig.warm(envoy)
    bad = ["", "x", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}00-{'0' * 16}-01", f"ff-{TRACE}00-{PARENT}-01",
           f"00-{TRACE.upper()}AA-{PARENT}-01", f"00-{TRACE}00-{PARENT}-01-x", f"cc-{TRACE}00-{PARENT}-01.x"]
    good = f"cc-{TRACE}00-{PARENT}-01-future"
    for number, value in enumerate([*bad, good]):
        send(envoy, [Request(f"/ok/w3c-{number}", headers=(("traceparent", value), ("tracestate", "a=b")))])
    settle(rig.sink)
    parents = {}
    for span in rig.sink.snapshot():
        match = re.search(r"/w3c-(\d+)$", span["attributes"].get("http.url", ""))
        if match:
            parents[int(match[1])] = (span["parent_span_id"], span["trace_id"] == TRACE + "00", span["trace_state"])
    check_equal(parents, {**{n: ("", False, "") for n in range(len(bad))}, len(bad): (PARENT, True, "a=b")}, "parents")
    sent = headers_by_path(rig.origin.snapshot())
    for number, value in enumerate(bad):
        headers = sent[f"/ok/w3c-{number}"][0]
        check(headers["traceparent"] != value and "tracestate" not in headers, f"{value!r}: {headers}")
    envoy.stop()  # flushes its log
    entries = {e["path"]: e for e in envoy.access_log()}
    check_equal(entries["/ok/w3c-0"]["trace_id"], sent["/ok/w3c-0"][0]["traceparent"].split("-")[1], "%TRACE_ID%")
    rig.agent.stop()


@deadline(60)
def test_envoy_samples(env):
    """Its random_sampling decides about requests without traceparent; the others carry on a decision."""
    rig = Rig(env)
    envoy = rig.envoy(span_style="envoy", sampling=50)
    wait_until(lambda: send(envoy, [Request(f"/ok/warm-{i}") for i in range(8)]) and rig.sink.span_count, 5, "spans")
    settle(rig.sink)
    rig.sink.clear()
    low, high = "00000001-1111-4222-8333-444455556666", "ffffffff-1111-4222-8333-444455556666"  # 1 and 7295 of 10000
    rows = [(("x-request-id", low),), (("x-request-id", high),), (("x-request-id", high), ("x-client-trace-id", "z")),
            (("x-request-id", low), ("traceparent", f"00-{TRACE}00-{PARENT}-00")),
            (("x-request-id", high), ("traceparent", f"00-{TRACE}00-{PARENT}-01"))]
    send(envoy, [Request(f"/ok/sample-{n}", headers=h) for n, h in enumerate(rows)])
    urls = [s["attributes"]["http.url"] for s in settle(rig.sink) if s["kind"] == "SERVER"]
    check_equal(sorted(int(u[-1]) for u in urls), [0, 2, 4], "sampled requests")
    flags = [headers_by_path(rig.origin.snapshot())[f"/ok/sample-{n}"][0]["traceparent"][-2:] for n in range(len(rows))]
    check_equal(flags, ["03", "02", "03", "00", "01"], "flags that go upstream")
    rig.agent.stop()


# ---------------------------------------------------------------- the semantic conventions

@deadline(60)
def test_semantic_conventions(env):
    rig = Rig(env)
    envoy = rig.envoy(span_style="otel", service="shop", verbose=True)
    rig.warm(envoy)
    rows = cases()
    send(envoy, [request for _, request in rows])
    http2(envoy, "/ok/http2?token=1", f"x-request-id: {uuid(99)}")
    spans = {}
    for span in settle(rig.sink):
        a = span["attributes"]
        path = (a.get("url.path") or re.sub(r"^http://test\.local|\?.*", "", a["url.full"]))
        spans[path, span["kind"]] = span
    at, peer = spans["/ok/plain", "SERVER"], rig.origin.port
    check_equal((at["name"], at["status"], at["resource"]["service.name"]), ("GET", "UNSET", "shop"), "name, status, service")
    wanted = {"http.request.method": "GET", "url.scheme": "http", "url.path": "/ok/plain", "url.query": "q=1",
              "server.address": "test.local", "server.port": 80, "network.peer.address": "127.0.0.1",
              "client.address": "127.0.0.1", "network.protocol.version": "1.1", "http.request.body.size": 0,
              "http.response.body.size": 5, "http.response.status_code": 200, "node_id": "node-1", "zone": "zone-1",
              "upstream_cluster.name": "up", "http.request.header.x-request-id": ["00000000-1111-9222-8333-444455556666"]}
    check_equal(at["attributes"], wanted, "attributes of a server span")
    client = spans["/ok/plain", "CLIENT"]
    check_equal((client["name"], client["parent_span_id"]), ("GET", at["span_id"]), "name and parent of a client span")
    wanted = {"http.request.method": "GET", "url.full": "http://test.local/ok/plain?q=1", "server.address": "test.local",
              "server.port": 80, "network.peer.address": "127.0.0.1", "network.peer.port": peer,
              "network.protocol.version": "1.1", "http.response.status_code": 200, "upstream_cluster.name": "up"}
    check_equal(client["attributes"], wanted, "attributes of a client span")
    check_equal(spans["/ok/http2", "SERVER"]["attributes"]["network.protocol.version"], "2", "HTTP/2")
    check_equal(spans["/echo/post", "SERVER"]["attributes"]["http.request.body.size"], 3000, "request body")
    facts = {key: (s["status"], s["attributes"].get("http.response.status_code"), s["attributes"].get("error.type"))
             for key, s in spans.items()}
    for key, fact in {
            ("/status/404/404", "SERVER"): ("UNSET", 404, None), ("/status/404/404", "CLIENT"): ("ERROR", 404, "404"),
            ("/status/500/500", "SERVER"): ("ERROR", 500, "500"), ("/dead/dead", "SERVER"): ("ERROR", 503, "503"),
            ("/reset/reset", "SERVER"): ("ERROR", 503, "503"), ("/reset/reset", "CLIENT"): ("ERROR", None, "connection_reset"),
            ("/delay/300/abort", "SERVER"): ("ERROR", None, "connection_reset"), ("/none/no-route", "SERVER"): ("UNSET", 404, None),
            ("/grpc/pkg.Service/Method-grpc", "SERVER"): ("ERROR", 200, "UNAVAILABLE")}.items():
        check_equal(facts.get(key), fact, f"status, code, error.type of {key}")
    grpc = spans["/grpc/pkg.Service/Method-grpc", "SERVER"]["attributes"]
    check_equal((grpc["rpc.system"], grpc["rpc.grpc.status_code"]), ("grpc", 14), "gRPC")
    rig.agent.stop()


# ---------------------------------------------------------------- configuration

BAD = [
    ("/run/agent.sock", 'does not begin with unix: but is "/run/agent.sock"'),
    ("unix:agent.sock", 'no absolute path: "agent.sock"'),
    ("unix:", "no absolute path"),
    ("unix:/" + "x" * 107, "at most 107 bytes"),
    ("unix:/a;service=", "the service has no name"),
    ("unix:/a;color=red", 'unknown setting "color"'),
    ("unix:/a;span_style=zipkin", 'unknown span_style "zipkin"'),
    ("unix:/a;mode=on", 'unknown mode "on"'),
    ("unix:/a;x", 'no NAME=VALUE but "x"'),
    ({"socket": 5}, 'this is no text: "socket"'),
    ({"service_name": ["a"]}, 'this is no text: "service_name"'),
    ({"socket": "agent.sock"}, "no absolute path"),
    ({"sokcet": "/a"}, 'unknown setting "sokcet"'),
    ({"service_name": "x" * 300}, "too long"),
]
ACCEPTED = "accepted: a StringValue"


@deadline(60)
def test_configuration(env):
    rig = Rig(env)
    envoy = rig.envoy(service="text", level="info")
    rig.warm(envoy)
    for number, (config, words) in enumerate(BAD, 1):
        before = len(envoy.process.output())
        envoy.reload(tracer_config=config)
        wait_until(lambda: envoy.process.output().count("config update rejected") == number, 5, f"{config} is refused")
        said = envoy.process.output()[before:]
        check(words in said, f"{config}: {words!r} is not in {said}")
        check(ACCEPTED in said or "accepted: a socket's path" in said, f"{config}: what is accepted is not in {said}")
    rows = [({"socket": str(rig.path), "service_name": "stru\"ct é€\U0001f600 <&>", "span_style": "otel"}, {}),
            ({"socket": f"unix:{rig.path}", "service_name": "prefix"}, {}),
            (f"unix:{rig.path};service=text2;span_style=envoy;mode=handoff", {})]
    for config, _ in rows:
        name = config["service_name"] if isinstance(config, dict) else "text2"
        envoy.reload(tracer_config=config)
        wait_until(lambda: send(envoy, [Request("/ok/x", close=True)]) and
                   any(s["resource"]["service.name"] == name for s in rig.sink.snapshot()), 10, f"spans of {name}", 0.05)
    envoy.stop()
    rig.agent.stop()


@deadline(60)
def test_off_and_the_environment(env):
    rig = Rig(env)
    off = rig.envoy(variant="off", name="off")
    by_variable = rig.envoy(name="off2", extra_env={"SPANTAP_MODE": "off"})
    default = EnvoyWithAdapter(env, rig.origin.port, name="default", tracer_config="", span_style="otel",
                               extra_env={"SPANTAP_SOCKET": str(rig.path), "OTEL_SERVICE_NAME": "named-by-variable"})
    rig_spans = lambda: settle(rig.sink)  # noqa: E731
    parent = f"00-{TRACE}77-{PARENT}-01"
    for envoy in (off, by_variable):
        send(envoy, [Request(f"/ok/{envoy.name}", headers=(("traceparent", parent), ("tracestate", "a=b"))),
                     Request(f"/ok/{envoy.name}-new")])
        seen = headers_by_path(rig.origin.snapshot())
        headers = seen[f"/ok/{envoy.name}"][0]
        check_equal((headers["traceparent"], headers["tracestate"]), (parent, "a=b"), f"headers through {envoy.name}")
        check("traceparent" not in seen[f"/ok/{envoy.name}-new"][0], "a traceparent although it is off")
    check_equal(rig_spans(), [], "spans of what is off")
    wait_until(lambda: send(default, [Request("/ok/x")]) and rig.sink.span_count, 5, "spans by the variable's socket", 0.05)
    check_equal(rig.sink.snapshot()[0]["resource"]["service.name"], "named-by-variable", "service")
    rig.agent.stop()


# ---------------------------------------------------------------- connections, threads, ends

def requests_in(output):
    return int(re.search(r"(\d+) requests in", output)[1])


class ConnectionReader(RingReader):
    def connections(self):
        """(kind, family, local port, peer port, local address, peer address) of each span, as the record has them."""
        found = (SPAN.unpack_from(record) for record in self.records())
        return [(fields[8], *fields[-5:-2], fields[-2][:4], fields[-1][:4]) for fields in found]


@deadline(60)
def test_connections_are_told(env):
    """What the agent gets of spantap.connection, as the ring has it."""
    reader, origin = ConnectionReader(env.tmp / "reader.sock"), Origin(env)
    env.on_exit(reader.close)
    envoy = EnvoyWithAdapter(env, origin.port, env.tmp / "reader.sock")
    requests = []
    wait_until(lambda: requests.append(send(envoy, [Request("/ok/x")])[0]) or len(reader.connections()) >= 2, 5, "spans", 0.05)
    home = socket.inet_aton("127.0.0.1")
    upstream, downstream = reader.connections()[-2:]
    check_equal(downstream, (2, 4, envoy.port, requests[-1].local_port, home, home), "the downstream connection")
    wanted = (3, 4, origin.snapshot()[-1]["peer_port"], origin.port, home, home)
    check_equal(upstream, wanted, "the upstream connection")
    outbound = EnvoyWithAdapter(env, origin.port, env.tmp / "reader.sock", name="outbound", direction="OUTBOUND",
                                spawn_upstream_span=False)
    wait_until(lambda: send(outbound, [Request("/ok/outbound")]) and len(reader.connections()) > len(requests) * 2, 5, "spans", 0.05)
    wanted = (3, 4, origin.snapshot()[-1]["peer_port"], origin.port, home, home)
    check_equal(reader.connections()[-1], wanted, "the upstream connection of a request's one client span")


@deadline(60)
def test_idle_envoy_finds_a_new_agent(env):
    """The first request after an agent's orderly restart has its spans already: they end later than they begin."""
    rig = Rig(env)
    envoy = rig.envoy()
    rig.warm(envoy)
    rig.agent.stop()
    rig.agent = rig.start_agent()
    time.sleep(1.1)  # an attempt a second, once the first ten are used up
    send(envoy, [Request("/delay/150/after")])
    wait_until(lambda: sum("/after" in str(s["attributes"]) for s in rig.sink.snapshot()) == 2, 5, "the request's spans")
    rig.agent.stop()


@deadline(60)
def test_workers_have_rings_of_their_own(env):
    """Four workers under load: every request's two spans arrive, a reload frees what the old tracer held."""
    rig = Rig(env)
    backend = Nginx(env, body="hello", name="backend", log=False)
    rig.sink.keep = "count"
    envoy = EnvoyWithAdapter(env, backend.port, rig.path, concurrency=4)
    wrk = [tools.system("wrk"), "-t1", "-c32", "-d1s", f"http://127.0.0.1:{envoy.port}/w"]
    send(envoy, [Request(f"/w{i}") for i in range(256)], 32)
    rings = wait_until(lambda: int(rig.metrics().get("spantap_handoff_producers", 0)), 5, "producers")
    check(2 <= rings <= 4, f"{rings} rings for four workers")
    out = subprocess.run(wrk, capture_output=True, check=True, text=True, timeout=20).stdout
    check("Non-2xx" not in out and "Socket errors" not in out, out)
    settle(rig.sink)
    before = rig.metrics()
    for number in range(3):
        envoy.reload()
        time.sleep(0.2)
        requests = send(envoy, [Request(f"/w{number}-{i}") for i in range(64)], 16)
        check(all(r.status == 200 for r in requests), f"requests after reload {number}")
    settle(rig.sink)
    after, wanted = rig.metrics(), 3 * 64 * 2
    lost = [int(m['spantap_handoff_dropped_total{reason="no_agent"}']) for m in (before, after)]
    check_equal(int(after["spantap_handoff_spans_total"]) - int(before["spantap_handoff_spans_total"]) + lost[1] - lost[0], wanted,
                "spans of the requests after reloads")
    check_equal(int(after["spantap_handoff_attached_total"]), int(after["spantap_handoff_producers"]), "rings are kept")
    envoy.reload(tracer_config=f"unix:{rig.path};service=another")
    wait_until(lambda: send(envoy, [Request("/w", close=True) for _ in range(8)]) and
               int(rig.metrics()["spantap_handoff_attached_total"]) > rings, 5, "a ring for another service", 0.05)
    wait_until(lambda: int(rig.metrics()["spantap_handoff_producers"]) < int(rig.metrics()["spantap_handoff_attached_total"]),
               10, "the old service's rings are freed")
    envoy.stop()
    ledger = rig.agent.stop()
    env.figure(f"4 workers, {requests_in(out)} requests in a second; {lost[1] - lost[0]} of {wanted} spans "
               f"lost after reloads; in all {ledger['handoff_spans']} handed off, {lost[0]} before the agent was attached")


@deadline(60)
def test_hostile_host(env):
    """NULL, megabytes, any order of calls, ends on other threads: ASan and UBSan find nothing, the agent no lie."""
    rig = Rig(env)
    program, sources = env.tmp / "host", sorted(str(p) for p in (REPO / "packaging" / "envoy").glob("*.c"))
    if subprocess.run(["which", "clang-14"], capture_output=True, check=False).returncode:
        raise Skip("clang-14 is not installed")
    built = subprocess.run(
        ["clang-14", "-std=c11", "-g1", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", f"-I{REPO}",
         f"-I{REPO}/include", "-Wall", "-Wextra", "-Werror", "-o", program, REPO / "tests/packaging/envoy/host.c", *sources,
         LIBRARY, f"-Wl,-rpath,{LIBRARY.parent}", "-pthread"], capture_output=True, text=True, check=False)
    check_equal(built.returncode, 0, f"the host's build: {built.stderr}")
    ran = subprocess.run([program, rig.path, "7", "100000"], capture_output=True, text=True, check=False, timeout=50)
    check_equal(ran.returncode, 0, f"the host: {ran.stdout}{ran.stderr}")
    finished = int(re.search(r"^ok (\d+)$", ran.stdout, re.M)[1])
    counts = collections.Counter()
    for name, value in re.findall(r"(\w+) (\d+)", ran.stdout):
        counts[name] += int(value)
    check_equal((counts["invalid"], counts["too_large"], counts["wrong_thread"]), (0, 0, 2), "invalid, too large, foreign thread")
    check_equal(counts["handed_off"] + counts["full"], finished, "handed off and dropped, against finished")
    check_equal([counts[f"counted_{name}"] for name in ("sent", "no_agent", "full", "other")],
                [counts["handed_off"], 0, counts["full"], 2], "Envoy's own counters: sent, no agent, full, other")
    ledger = rig.agent.stop()
    check_equal((ledger["handoff_spans"], ledger.get("handoff_quarantined", 0)), (counts["handed_off"], 0), "taken, quarantined")
    env.figure(f"{finished} spans by a hostile host, {counts['full']} found the ring full")


def test_the_library_and_the_examples(env):
    if not MODULE.exists():
        raise Skip(f"no {MODULE} (make adapters)")
    example = (REPO / "packaging" / "envoy" / "envoy.yaml").read_text()
    for text, code in ((example, 0), (example.replace("span_style: envoy", "span_style: zipkin"), 1)):
        done = subprocess.run([tools.envoy(), "--mode", "validate", "-c", env.write("example.yaml", text)], capture_output=True,
                              env={"ENVOY_DYNAMIC_MODULES_SEARCH_PATH": str(MODULE.parent)}, text=True, check=False, timeout=20)
        check_equal(done.returncode, code, f"envoy --mode validate: {done.stderr[-500:]}")
    dynamic = subprocess.run(["readelf", "-dW", MODULE], capture_output=True, text=True, check=True).stdout
    needed = set(re.findall(r"NEEDED.*\[(.*)\]", dynamic))
    check("libspantap.so.0" in needed and needed <= {"libspantap.so.0", "libc.so.6", "ld-linux-x86-64.so.2"}, f"needs {needed}")
    check("[$ORIGIN]" in dynamic and "NODELETE" in dynamic, "run path, never unloaded")
    symbols = subprocess.run(["nm", "-D", MODULE], capture_output=True, text=True, check=True).stdout
    names = re.findall(r" T (\S+)", symbols)
    check(len(names) == 18 and all(n.startswith("envoy_dynamic_module_on_") for n in names), f"exports {names}")
    versions = [tuple(map(int, v.split("."))) for v in re.findall(r"@GLIBC_([\d.]+)", symbols)]
    check(max(versions) <= (2, 17), f"needs a C library of {max(versions)}")
