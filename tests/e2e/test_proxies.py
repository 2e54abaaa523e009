# SPDX-License-Identifier: Apache-2.0
"""nginx and HAProxy observed like Envoy, judged by their own access logs and their upstream's."""
import collections
import random
import socket
import time

import truth
from harness import deadline
from harness.env import check, check_equal
from harness.load import Request, run
from harness.mix import check_load, parent, unique_mix
from harness.origin import Origin, read_headers
from harness.proxies import HAProxy, Nginx
from harness.sink import OtlpSink
from harness.spantap import Agent

NO_RESPONSE = {499: 0, -1: 0}  # what nginx and HAProxy log when the client left before the answer


def observe(env, kind, requests, hooks):
    """Returns (access log, origin log, views of SERVER spans, views of CLIENT spans)."""
    origin, sink = Origin(env), OtlpSink(env)
    proxy = kind(env, [("/nowhere/", env.free_port()), ("/", origin.port)])
    agent = Agent(env, "--pid", proxy.pid, "--endpoint", sink.endpoint, "--hooks", hooks)
    run(proxy.port, requests[: len(requests) // 4], 1)
    run(proxy.port, requests[len(requests) // 4:], 8)
    ledger = agent.stop(15)
    proxy.process.stop()
    check_equal(sink.span_count, ledger["acknowledged"], "spans at the sink against the ledger")
    check_equal(ledger["created"], ledger["acknowledged"], "created against acknowledged")
    spans = [dict(truth.spantap_view(s), kind=s["kind"]) for s in sink.snapshot()]
    servers = [s for s in spans if s["kind"] == "SERVER"]
    clients = [s for s in spans if s["kind"] == "CLIENT"]
    return proxy.access_log(), origin.snapshot(), servers, clients


def one_per_path(views, wanted_paths, what):
    """{path: view}; Fail unless every wanted path has exactly one."""
    counts = collections.Counter(v["path"] for v in views)
    wanted = collections.Counter(wanted_paths)
    missing, extra = wanted - counts, counts - wanted
    check(not missing and not extra, f"{what}: missing {list(missing)[:8]}, left over {list(extra)[:8]} "
                                     f"({sum(missing.values())} and {sum(extra.values())})")
    return {v["path"]: v for v in views}


def check_proxy(env, kind, requests, hooks="socket"):
    access, asked, servers, clients = observe(env, kind, requests, hooks)
    check_load([r for r in requests if "/nowhere/" not in r.path])  # nginx says 502 where others say 503
    logged = {e["path"]: NO_RESPONSE.get(int(e["status"]), int(e["status"])) for e in access}
    # HAProxy neither answers nor logs a request whose reused upstream connection was reset.
    unlogged = [r for r in requests if r.path not in logged]
    check(all("/reset/" in r.path and kind is HAProxy for r in unlogged), "every request is in the access log")
    by_path = one_per_path(servers, [r.path for r in requests], "server spans")
    different = []
    for request in requests:
        got = by_path[request.path]
        if (got["method"], got["status"]) != (request.method, logged.get(request.path, request.status)):
            different.append(f"{truth.text(vars(request))}, logged {logged.get(request.path)}: {truth.text(got)}")
    client_of = one_per_path(clients, [e["path"] for e in asked], "client spans")
    check_upstream(different, asked, client_of)
    rules, wrong, traces = check_links(requests, by_path, client_of)
    env.figure(f"{kind.__name__}: {len(servers)} server and {len(clients)} client spans for {len(access)} requests, "
               f"{len(asked)} of them sent on; different {len(different)}; links {dict(rules)}, wrong {len(wrong)}")
    check(not different, f"different: {len(different)}, first {different[:8]}")
    check(not wrong, f"not linked to its server span: {len(wrong)}, first {wrong[:8]}")
    check(set(rules) <= {"wire", "proxy"}, f"rules {dict(rules)}")
    check(not traces, f"trace context: {len(traces)}, first {traces[:8]}")


def check_upstream(different, asked, client_of):
    for entry in asked:
        got = client_of[entry["path"]]
        statuses = {entry["status"]} | ({0} if "/abort" in entry["path"] else set())
        if got["method"] != entry["method"] or got["status"] not in statuses:
            different.append(f"client {truth.text(entry)}: {truth.text(got)}")


def check_links(requests, by_path, client_of):
    """Every client span hangs on its server span; a traceparent passed on verbatim names no span of ours."""
    rules, wrong, traces = collections.Counter(), [], []
    for path, client in client_of.items():
        server = by_path[path]
        rules[client["rule"]] += 1
        if client["parent"] != server["id"] or client["trace"] != server["trace"] or client["confidence"] < 0.9:
            wrong.append(f"{path} rule {client['rule']!r} confidence {client['confidence']}")
    for request in requests:
        header = dict(request.headers).get("traceparent")
        if not header:
            continue
        trace, parent_id = truth.split_traceparent(header)
        server, client = by_path[request.path], client_of.get(request.path)
        if (server["trace"], server["parent"], server["rule"]) != (trace, parent_id, "wire"):
            traces.append(f"{request.path}: server span {server['trace']} below {server['parent']} "
                          f"by {server['rule']!r}")
        if client and client["id"] in (parent_id, server["id"]):
            traces.append(f"{request.path}: the client span has the id of another span")
    return rules, wrong, traces


@deadline(60)
def test_nginx(env):
    check_proxy(env, Nginx, unique_mix(600, 11, without=("hints",)))


@deadline(60)
def test_haproxy(env):
    check_proxy(env, HAProxy, unique_mix(600, 12))


@deadline(60)
def test_nginx_syscall_hooks(env):
    check_proxy(env, Nginx, unique_mix(400, 13, without=("hints",)), hooks="syscall")


@deadline(60)
def test_haproxy_syscall_hooks(env):
    check_proxy(env, HAProxy, unique_mix(400, 14), hooks="syscall")


@deadline(30)
def test_one_traceparent_for_many(env):
    """Concurrent calls of one span share a traceparent, passed on verbatim: it names no exchange by itself."""
    dice = random.Random(15)
    parents = [parent(dice) for _ in range(4)]
    requests = [Request(f"/delay/{i % 5}/{i}", headers=(parents[i % 4],)) for i in range(400)]
    origin, sink = Origin(env), OtlpSink(env)
    nginx = Nginx(env, origin.port)
    agent = Agent(env, "--pid", nginx.pid, "--endpoint", sink.endpoint)
    run(nginx.port, requests, 16)
    agent.stop(15)
    spans = [dict(truth.spantap_view(s), kind=s["kind"]) for s in sink.snapshot()]
    paths = [r.path for r in requests]
    servers = one_per_path([s for s in spans if s["kind"] == "SERVER"], paths, "server spans")
    clients = one_per_path([s for s in spans if s["kind"] == "CLIENT"], paths, "client spans")
    rules, wrong, traces = check_links(requests, servers, clients)
    env.figure(f"links {dict(rules)}, wrong or missing {len(wrong)}")
    check(not wrong, f"not linked to its server span: {len(wrong)}, first {wrong[:8]}")
    check(not traces, f"trace context: {len(traces)}, first {traces[:8]}")


def talk(port, text):
    """Sends raw bytes, reads until the peer closes; returns what came."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(text)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


@deadline(30)
def test_pipelining_and_http10(env):
    """Twenty requests in one write, split heads, and HTTP/1.0: what the load client does not do."""
    origin, sink = Origin(env), OtlpSink(env)
    nginx = Nginx(env, origin.port)
    agent = Agent(env, "--pid", nginx.pid, "--endpoint", sink.endpoint)
    codes = [200, 404, 503, 301]
    lines = [b"GET /status/%d/p-%d HTTP/1.1\r\nhost: x\r\n\r\n" % (codes[i % 4], i) for i in range(19)]
    answer = talk(nginx.port, b"".join(lines) + b"GET /ok/p-19 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    check_equal(answer.count(b"HTTP/1.1 "), 20, "answers to pipelined requests")
    check(talk(nginx.port, b"GET /ok/old-0 HTTP/1.0\r\n\r\n").endswith(b"fine\n"), "an answer to HTTP/1.0")
    with socket.create_connection(("127.0.0.1", nginx.port), timeout=10) as slow:
        for byte in b"GET /ok/slow-0 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n":
            slow.send(bytes([byte]))
            time.sleep(0.001)
        while slow.recv(4096):
            pass
    agent.stop(15)
    spans = [dict(truth.spantap_view(s), kind=s["kind"]) for s in sink.snapshot()]
    wanted = {f"/status/{codes[i % 4]}/p-{i}": codes[i % 4] for i in range(19)}
    wanted.update({"/ok/p-19": 200, "/ok/old-0": 200, "/ok/slow-0": 200})
    for kind in ("SERVER", "CLIENT"):
        got = one_per_path([s for s in spans if s["kind"] == kind], list(wanted), f"{kind} spans")
        check_equal({path: view["status"] for path, view in got.items()}, wanted, f"status of the {kind} spans")


def tunnel(port, head, inside):
    """Opens a tunnel, sends `inside` once the answer's head has come, reads it back."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head)
        reader = connection.makefile("rb")
        status = int(reader.readline().split()[1])
        read_headers(reader)
        connection.sendall(inside)
        check_equal(reader.read(len(inside)), inside, "what came back through the tunnel")
    return status


@deadline(30)
def test_tunnels_are_opaque(env):
    """Behind 101, and behind 200 to CONNECT, nothing is HTTP, however much it looks like it."""
    origin, sink = Origin(env), OtlpSink(env)
    haproxy = HAProxy(env, origin.port)
    agent = Agent(env, "--pid", haproxy.pid, "--endpoint", sink.endpoint)
    inside = b"GET /inside/tunnel HTTP/1.1\r\nhost: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    upgrade = b"GET /upgrade/u HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n"
    connect = b"CONNECT there.test:443 HTTP/1.1\r\nhost: there.test:443\r\n\r\n"
    check_equal(tunnel(haproxy.port, upgrade, inside * 3), 101, "status of the upgrade")
    check_equal(tunnel(haproxy.port, connect, inside * 3), 200, "status of CONNECT")
    agent.stop(15)
    seen = sorted((s["kind"], s["attributes"]["http.request.method"],
                   s["attributes"].get("http.response.status_code")) for s in sink.snapshot())
    check_equal(seen, [("CLIENT", "CONNECT", 200), ("CLIENT", "GET", 101), ("SERVER", "CONNECT", 200),
                       ("SERVER", "GET", 101)], "spans of two tunnels")
