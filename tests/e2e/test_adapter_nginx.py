# SPDX-License-Identifier: Apache-2.0
"""The nginx module: what each request becomes, trace context, tries of upstreams, odd requests, reload, no agent."""
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

from harness import deadline, load
from harness.adapter_nginx import MODULE, Rig, of_kind, raw, server_of
from harness.certificates import Certificates
from harness.env import check, check_equal, need, wait_until
from harness.origin import Origin
from harness.tools import system

SIDE_BY_SIDE = True

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
ROUNDS = int(os.environ.get("SPANTAP_ROUNDS", "1"))


# ---------------------------------------------------------------- content

@deadline(30)
def test_spans_say_what_happened(env):
    rig = Rig(env)
    nginx = rig.start(http="spantap_resource_attr deployment.environment test;", locations="""
      location = /made { return 503 no; }
      location /named/ { spantap_span_name "$request_method of $http_host"; spantap_span_attr my.own "a$arg_x";
                         spantap_span_attr empty "$arg_none"; return 201 done; }""")
    begin = time.time_ns()
    request = rig.get("/echo/a/b?q=1&r=2", ("x-request-id", "id-1"), ("user-agent", "tests/1"), method="POST",
                      body=b"x" * 20000)
    end = time.time_ns()
    client, server = rig.spans(2)
    port = request.local_port
    check_equal((server["kind"], server["name"], server["status"], server["parent_span_id"]),
                ("SERVER", "POST /", "UNSET", ""), "server span")
    check_equal(server["attributes"], {
        "http.request.method": "POST", "url.path": "/echo/a/b", "url.query": "q=1&r=2", "url.scheme": "http",
        "server.address": "test.local", "server.port": 80, "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1", "network.peer.port": port, "network.protocol.version": "1.1",
        "http.request.body.size": 20000, "http.response.body.size": request.body_bytes, "http.route": "/",
        "user_agent.original": "tests/1", "http.request.header.x-request-id": ["id-1"],
        "http.response.status_code": 200}, "attributes of the server span")
    upstream = rig.origin.port
    check_equal((client["kind"], client["name"], client["status"], client["parent_span_id"], client["trace_id"]),
                ("CLIENT", "POST", "UNSET", server["span_id"], server["trace_id"]), "client span")
    check_equal({k: v for k, v in client["attributes"].items() if not k.endswith("_ms")}, {
        "http.request.method": "POST", "url.full": f"http://127.0.0.1:{upstream}/echo/a/b?q=1&r=2",
        "nginx.upstream.name": f"up{upstream}", "server.address": "127.0.0.1", "server.port": upstream,
        "network.peer.address": "127.0.0.1", "network.peer.port": upstream, "http.response.status_code": 200,
        "http.response.body.size": request.body_bytes}, "attributes of the client span")
    check(begin <= server["start_ns"] <= client["start_ns"] < client["end_ns"] <= server["end_ns"] <= end + 50_000_000,
          "the client span lies inside the server span, and both inside what the client of nginx saw")
    check_equal([server["resource"][k] for k in ("service.name", "deployment.environment", "process.pid")],
                ["nginx", "test", nginx.workers()[0]], "resource")
    rig.get("/made")
    span = rig.one()
    check_equal((span["name"], span["status"], span["attributes"]["error.type"], span["attributes"]["http.route"]),
                ("GET /made", "ERROR", "503", "/made"), "a 503 of nginx's own")
    rig.get("/named/x?x=7", method="BREW")
    span = rig.one()
    check_equal((span["name"], span["status"]), ("BREW of test.local", "UNSET"), "the name as configured")
    check_equal([span["attributes"].get(k) for k in ("my.own", "empty", "http.request.method",
                                                     "http.request.method_original")],
                ["a7", "", "_OTHER", "BREW"], "own attributes, an unknown method")
    rig.get("/status/404/x")
    client, server = rig.spans(2)
    check_equal([(s["status"], s["attributes"].get("error.type")) for s in (client, server)],
                [("ERROR", "404"), ("UNSET", None)], "a 404 is the client's error, not the server's")
    rig.get("/bytes/9000/x", method="HEAD")
    check_equal([s["attributes"]["http.response.body.size"] for s in rig.spans(2)], [0, 0], "no body after HEAD")
    rig.end()


@deadline(30)
def test_times_are_nanoseconds(env):
    rig = Rig(env)
    nginx = rig.start()
    rig.get("/delay/120/x")
    client, server = rig.spans(2)
    for span in (client, server):
        took = (span["end_ns"] - span["start_ns"]) / 1e6
        check(120 <= took < 600, f"{span['kind']} took {took} ms")
    check(118 <= client["attributes"]["nginx.upstream.header_time_ms"] < 600, f"time to the header: {client}")
    with socket.create_connection(("127.0.0.1", nginx.port)) as slow:
        slow.sendall(b"GET /ok/x HTTP/1.1\r\n")
        time.sleep(0.1)
        slow.sendall(b"host: a\r\nconnection: close\r\n\r\n")
        slow.recv(65536)
    client, server = rig.spans(2)
    check(client["start_ns"] - server["start_ns"] > 95e6, "a request whose head was slow begins with its first byte")
    for _ in range(20):
        rig.get("/ok/x")
    odd = [s for s in rig.spans(40) if s["start_ns"] % 1000000 and s["end_ns"] % 1000000]
    check(len(odd) > 35, f"{40 - len(odd)} of 40 spans have times of whole milliseconds")
    rig.end()


# ---------------------------------------------------------------- trace context

@deadline(40)
def test_trace_context(env):
    rig = Rig(env)
    rig.start(context="ignore", http="""
      map $arg_on $arg_trace { "" on; default $arg_on; }
      split_clients $spantap_trace_id $half { 50% on; * off; }
      """, extra="""
      add_header x-ids "$spantap_trace_id $spantap_span_id $spantap_parent_id $spantap_parent_sampled" always;
      """, locations="".join(f"""
      location /{mode}/ {{ spantap_trace_context {mode}; proxy_pass http://127.0.0.1:{rig.origin.port}/ok/; }}"""
                             for mode in ("ignore", "extract", "inject", "propagate")) + f"""
      location /value/ {{ spantap_trace $arg_trace; spantap_trace_context propagate;
                          proxy_pass http://127.0.0.1:{rig.origin.port}/ok/; }}
      location /parent/ {{ spantap_trace $spantap_parent_sampled; spantap_trace_context propagate;
                           proxy_pass http://127.0.0.1:{rig.origin.port}/ok/; }}
      location /half/ {{ spantap_trace $half; return 200; }}
      location /own/ {{ spantap_trace_context propagate; proxy_pass_request_headers off;
                        proxy_set_header x-mine $spantap_traceparent;
                        proxy_pass http://127.0.0.1:{rig.origin.port}/ok/; }}
      location /off/ {{ spantap_trace off; spantap_trace_context propagate;
                        proxy_pass http://127.0.0.1:{rig.origin.port}/ok/; }}""")

    def ask(path, *headers, spans=2):
        request = rig.get(path, *headers)
        check_equal(request.status, 200, f"{path}: status")
        sent = rig.origin.snapshot()[-1]["headers"] if "/half" not in path else {}
        found = rig.spans(spans) if spans else []
        return found, sent, request.response_headers["x-ids"]

    both = (("traceparent", TRACEPARENT), ("tracestate", "a=1,b=2"))
    (client, server), sent, ids = ask("/propagate/x", *both)
    check_equal((server["trace_id"], server["parent_span_id"], server["trace_state"], server["flags"] & 0x301),
                (TRACE, PARENT, "a=1,b=2", 0x301), "a child of who sent it, remote")
    check_equal((sent["traceparent"], sent["tracestate"]), (f"00-{TRACE}-{client['span_id']}-01", "a=1,b=2"),
                "upstream gets the client span's id")
    check_equal(ids, f"{TRACE} {server['span_id']} {PARENT} 1", "variables")
    (client, server), sent, _ = ask("/extract/x", *both)
    check_equal((server["parent_span_id"], sent["traceparent"]), (PARENT, TRACEPARENT), "extract changes no header")
    (client, server), sent, ids = ask("/inject/x", *both)
    check_equal((server["parent_span_id"], server["trace_id"] != TRACE, "tracestate" in sent), ("", True, False),
                "inject begins a trace")
    check_equal(sent["traceparent"][:52], f"00-{client['trace_id']}-{client['span_id']}", "and tells it")
    check(re.fullmatch(r"[0-9a-f]{32} [0-9a-f]{16}  0", ids), f"variables without a parent: {ids!r}")
    (client, server), sent, _ = ask("/ignore/x", *both)
    check_equal((server["parent_span_id"], sent["traceparent"]), ("", TRACEPARENT), "ignore")
    # Odd headers.
    for what, headers, state in (
            ("several traceparents", (*both, ("traceparent", f"00-{TRACE}-{'a' * 16}-01")), None),
            ("upper case", (("traceparent", TRACEPARENT.upper()), both[1]), None),
            ("version ff", (("traceparent", "ff" + TRACEPARENT[2:]), both[1]), None),
            ("empty", (("traceparent", ""), both[1]), None),
            ("tracestate alone", (both[1],), None),
            ("a tracestate that is none", (both[0], ("tracestate", "=,=")), None),
            ("a later version", (("traceparent", f"01-{TRACE}-{PARENT}-01-more"), both[1]), "a=1,b=2"),
            ("several tracestates", (both[0], ("tracestate", "a=1"), ("tracestate", "b=2")), "a=1,b=2")):
        (client, server), sent, _ = ask("/propagate/x", *headers)
        kept = state is not None or "that is none" in what
        check_equal((server["trace_id"] == TRACE, server["trace_state"]), (kept, state or ""), f"{what}: continued")
        check_equal(sent["traceparent"][3:52], f"{server['trace_id']}-{client['span_id']}", f"{what}: sent")
        check_equal(sent.get("tracestate", "").replace(", ", ","), state or "", f"{what}: tracestate sent")
    # Who decides: `on` means on, a value may look at the parent, `off` keeps out.
    unsampled = ("traceparent", TRACEPARENT[:-1] + "0")
    (client, server), sent, _ = ask("/propagate/x", unsampled)
    check_equal(sent["traceparent"][-2:], "01", "on means on")
    _, sent, _ = ask("/parent/x", unsampled, spans=0)
    check(re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-00", sent["traceparent"]), f"not recorded: {sent['traceparent']}")
    ask("/parent/x", both[0])
    _, sent, _ = ask("/value/x?on=off", both[0], spans=0)
    check_equal(sent["traceparent"][-2:], "00", "the value says off")
    ask("/value/x?on=1", both[0])
    _, sent, _ = ask("/off/x", both[0], spans=0)
    check_equal(sent["traceparent"], TRACEPARENT, "off lets headers through")
    (client, server), sent, _ = ask("/own/x", both[0])
    check_equal((sent.get("traceparent"), sent["x-mine"]), (None, f"00-{TRACE}-{client['span_id']}-01"),
                "$spantap_traceparent")
    for _ in range(40):
        rig.get("/half/x")
    wait_until(lambda: 5 <= rig.sink.span_count <= 35, 5, "about half of 40 requests")
    rig.end()


@deadline(20)
def test_sample_ratio_follows_parents(env):
    rig = Rig(env)
    rig.start(http="spantap_sample_ratio 0;", locations="location /x { return 200; }", upstream=False)
    for flags, spans in (("01", 1), ("00", 0)):
        rig.get("/x", ("traceparent", TRACEPARENT[:-2] + flags))
        if spans:
            check_equal(rig.one()["trace_id"], TRACE, "a sampled parent's child")
    rig.get("/x")
    time.sleep(0.1)
    check_equal(rig.sink.span_count, 0, "spans of roots at ratio 0 and of an unsampled parent")
    rig.end()


# ---------------------------------------------------------------- upstreams

@deadline(40)
def test_each_try_is_a_span(env):
    rig = Rig(env)
    other = Origin(env)
    dead, good = env.free_port(), rig.origin.port
    unix, grpc = str(env.tmp / "no.sock"), env.free_port()
    rig.start(upstream=False, http=f"""
      upstream three {{ server 127.0.0.1:{dead} max_fails=0; server 127.0.0.1:{good} max_fails=0;
                        server 127.0.0.1:{other.port} max_fails=0 backup; }}
      upstream none {{ server 127.0.0.1:{dead} max_fails=1 fail_timeout=60s;
                       server 127.0.0.1:{env.free_port()} max_fails=1 fail_timeout=60s; }}
      upstream calls {{ server 127.0.0.1:{dead} max_fails=0; server 127.0.0.1:{grpc} max_fails=0; }}
      server {{ listen 127.0.0.1:{grpc} http2; spantap_trace off; location / {{ return 200 $http_traceparent; }} }}
      upstream fallback {{ server unix:{unix}; server 127.0.0.1:{good} backup; keepalive 4; }}
      proxy_next_upstream error timeout http_503 non_idempotent;
      """, locations=f"""
      location / {{ proxy_pass http://three; proxy_http_version 1.1; proxy_set_header Connection ""; }}
      location /delay/ {{ proxy_pass http://three; proxy_read_timeout 200ms; }}
      location /none/ {{ proxy_pass http://none; }}
      location /unix/ {{ proxy_pass http://fallback/ok/; }}
      location /call/ {{ grpc_pass grpc://calls; }}
      location /once/ {{ proxy_pass http://127.0.0.1:{dead}; }}
      location /plain/ {{ spantap_upstream_spans off; proxy_pass http://three/ok/; }}
      location /unseen/ {{ set $to 127.0.0.1:{good}; proxy_pass http://$to/delay/30/; }}""")

    def tries(path, count, status, **options):
        request = rig.get(path, **options)
        check_equal(request.status, status, f"{path}: status")
        spans = rig.spans(count + 1)
        server, clients = server_of(spans), sorted(of_kind(spans, "CLIENT"), key=lambda s: s["start_ns"])
        for number, client in enumerate(clients):
            check_equal((client["parent_span_id"], client["attributes"].get("http.request.resend_count")),
                        (server["span_id"], number or None), f"{path}: parent, resend count")
        check(all(a["end_ns"] <= b["start_ns"] for a, b in zip(clients, clients[1:])), "one try after the other")
        return server, clients

    seen = set()
    for _ in range(4):  # round robin: either server comes first
        server, clients = tries("/status/503/x", 3, 503)
        by_port = {c["attributes"]["server.port"]: c for c in clients}
        check_equal(set(by_port), {dead, good, other.port}, "servers tried")
        failed = by_port[dead]
        check_equal((failed["status"], failed["attributes"]["error.type"],
                     "http.response.status_code" in failed["attributes"]), ("ERROR", "connection_failed", False),
                    "a server that is not there")
        for origin in (rig.origin, other):
            answered = by_port[origin.port]
            check_equal((answered["attributes"]["http.response.status_code"], answered["attributes"]["error.type"]),
                        (503, "503"), "a server that refuses")
            check_equal(origin.snapshot()[-1]["headers"]["traceparent"],
                        f"00-{server['trace_id']}-{answered['span_id']}-03", "each server gets its own span's id")
        seen.add(clients[0]["attributes"]["server.port"])
    check_equal(len(seen), 2, "servers that came first")
    body = b"traceparent: 00-" * 5000
    for _ in range(2):
        request = rig.get("/echo/x", method="POST", body=body)
        answer = f"{hashlib.sha256(body).hexdigest()} {len(body)}\n".encode()
        check_equal((request.body_bytes, request.sha256), (len(answer), hashlib.sha256(answer).hexdigest()),
                    "the body that a second server got")
    wait_until(lambda: len(of_kind(rig.sink.snapshot(), "SERVER")) == 2, 5, "their spans")
    rig.sink.clear()
    _, clients = tries("/delay/400/x", 3, 504)
    check_equal(sorted(c["attributes"]["error.type"] for c in clients), ["connection_failed", "timeout", "timeout"],
                "servers that are slow")
    _, clients = tries("/reset/x", 3, 502)
    check_equal(sorted(c["attributes"]["error.type"] for c in clients),
                ["connection_closed", "connection_closed", "connection_failed"], "servers that reset")
    tries("/none/x", 2, 502)
    tries("/none/x", 0, 502)  # none is alive: nothing is tried
    _, clients = tries("/unix/x", 2, 200)
    check_equal([c["attributes"]["server.address"] for c in clients], [f"unix:{unix}", "127.0.0.1"], "a Unix socket")
    check_equal(clients[0]["attributes"]["url.full"], f"http://unix:{unix}:/ok/x", "its URL")
    for _ in range(4):  # compressed headers, of which nothing can be replaced
        request = rig.get("/call/x")
        wait_until(lambda: of_kind(rig.sink.snapshot(), "SERVER"), 5, "spans of a gRPC request")
        last = of_kind(rig.sink.snapshot(), "CLIENT")[-1]
        check_equal((last["attributes"]["server.port"], request.body_bytes), (grpc, 55), "a second server, its answer")
        check_equal(request.sha256, hashlib.sha256(f"00-{last['trace_id']}-{last['span_id']}-03".encode()).hexdigest(),
                    "its parent is the try that reached it")
        rig.sink.clear()
    _, clients = tries("/once/x", 1, 502)
    check_equal(clients[0]["attributes"].get("nginx.upstream.name"), None, "no group")
    server, _ = tries("/plain/x", 0, 200)
    check_equal(rig.origin.snapshot()[-1]["headers"]["traceparent"][3:52],
                f"{server['trace_id']}-{server['span_id']}", "without upstream spans the server span is the parent")
    server, clients = tries("/unseen/x", 1, 200)
    check_equal(rig.origin.snapshot()[-1]["headers"]["traceparent"][36:52], clients[0]["span_id"],
                "an upstream that only the request knows")
    check(clients[0]["end_ns"] - clients[0]["start_ns"] >= 25e6, "its time")
    rig.end()


@deadline(40)
def test_subrequests_and_redirects(env):
    rig = Rig(env)
    files = env.tmp / "files"
    files.mkdir()
    (files / "page.html").write_text("page <!--# include virtual=\"/part/1\" --><!--# include virtual=\"/part/2\" -->")
    port = rig.origin.port
    rig.start(upstream=False, locations=f"""
      root {files}; default_type text/html;
      location /authorized/ {{ auth_request /check; proxy_pass http://127.0.0.1:{port}/ok/; }}
      location = /check {{ internal; proxy_pass http://127.0.0.1:{port}/nocontent/check; }}
      location /refused/ {{ auth_request /deny; proxy_pass http://127.0.0.1:{port}/ok/; }}
      location = /deny {{ internal; proxy_pass http://127.0.0.1:{port}/status/403/deny; }}
      location /mirrored/ {{ mirror /mirror; proxy_pass http://127.0.0.1:{port}/ok/; }}
      location = /mirror {{ internal; proxy_pass http://127.0.0.1:{port}/ok/mirror; }}
      location = /page.html {{ ssi on; }}
      location /part/ {{ proxy_pass http://127.0.0.1:{port}/ok/; }}
      location = /added {{ addition_types *; add_before_body /part/before; add_after_body /part/after;
                            proxy_pass http://127.0.0.1:{port}/ok/; }}
      location /moved/ {{ rewrite ^ /part/moved last; }}
      location /tried/ {{ try_files /nothing @fallback; }}
      location @fallback {{ proxy_pass http://127.0.0.1:{port}; }}
      location /errors/ {{ error_page 404 502 = /part/error; proxy_intercept_errors on;
                           proxy_pass http://127.0.0.1:{port}/status/404/; }}
      location /missing {{ error_page 404 /gone; }}
      location = /gone {{ return 410; }}
      location /loop {{ rewrite ^ /loop last; }}
      location /dir/ {{ index nothing.html; }}""")

    def ask(path, clients, status=200, *headers):
        request = rig.get(path, ("traceparent", TRACEPARENT), *headers)
        check_equal(request.status, status, f"{path}: status")
        spans = rig.spans(clients + 1)
        server = server_of(spans)
        check_equal((server["trace_id"], server["parent_span_id"], server["attributes"]["url.path"]),
                    (TRACE, PARENT, path), f"{path}: one server span, of the request as it came")
        found = {}
        for client in of_kind(spans, "CLIENT"):
            check_equal(client["parent_span_id"], server["span_id"], f"{path}: parent of a client span")
            found.setdefault(client["attributes"].get("nginx.subrequest.uri", "main"), []).append(client)
        log = rig.origin.snapshot()[len(before):]
        check_equal(sorted(e["headers"]["traceparent"] for e in log), sorted(
            f"00-{TRACE}-{c['span_id']}-01" for c in of_kind(spans, "CLIENT")), f"{path}: parents that upstreams see")
        before.extend(log)
        return server, found

    before = []
    for path, names, status in (
            ("/authorized/x", ["/check", "main"], 200), ("/refused/x", ["/deny"], 403),
            ("/mirrored/x", ["/mirror", "main"], 200), ("/page.html", ["/part/1", "/part/2"], 200),
            ("/added", ["/part/after", "/part/before", "main"], 200), ("/moved/x", ["main"], 200),
            ("/tried/x", ["main"], 200), ("/errors/x", ["main", "main"], 200), ("/missing", [], 410),
            ("/loop", [], 500), ("/dir/", [], 404)):
        server, found = ask(path, len(names), status)
        check_equal(sorted(n for n, spans in found.items() for _ in spans), names, f"{path}: upstream requests")
    rig.end()


@deadline(30)
def test_cache_and_addresses(env):
    rig = Rig(env)
    port = rig.origin.port
    rig.start(upstream=False, http=f"""
      proxy_cache_path {env.tmp}/cache keys_zone=z:1m; proxy_cache_valid 200 1s;""", locations=f"""
      location /cached/ {{ proxy_cache z; proxy_cache_use_stale updating; proxy_cache_background_update on;
                           proxy_pass http://127.0.0.1:{port}/ok/; }}
      location /plain/ {{ return 200; }}""", extra="set_real_ip_from 127.0.0.1; real_ip_header x-real;"
              " listen [::1]:%d;" % (v6 := env.free_port()))
    rig.get("/cached/x")
    check_equal(len(rig.spans(2)), 2, "the cache is filled")
    rig.get("/cached/x")
    check_equal(rig.one()["kind"], "SERVER", "a hit asks nobody")
    time.sleep(2.1)  # nginx counts whole seconds
    rig.get("/cached/x")
    client, server = rig.spans(2)
    sent = rig.origin.snapshot()[-1]["headers"]["traceparent"]
    check_equal((sent[36:52], client["parent_span_id"]), (client["span_id"], server["span_id"]),
                "an update in the background")
    for path, headers, client, peer in (
            ("/plain/", (("x-forwarded-for", "192.0.2.7, 10.1.1.1"),), "192.0.2.7", "127.0.0.1"),
            ("/plain/", (("x-real", "192.0.2.9"),), "192.0.2.9", "127.0.0.1")):
        request = rig.get(path, *headers)
        attributes = rig.one()["attributes"]
        check_equal([attributes[k] for k in ("client.address", "network.peer.address", "network.peer.port")],
                    [client, peer, request.local_port], f"{path}: addresses")
    with socket.create_connection(("::1", v6)) as connection:
        connection.sendall(b"GET /plain/ HTTP/1.0\r\nhost: [::1]:77\r\n\r\n")
        connection.recv(1000)
    attributes = rig.one()["attributes"]
    check_equal([attributes[k] for k in ("network.peer.address", "server.address", "server.port",
                                         "network.protocol.version")], ["::1", "[::1]", 77, "1.0"], "IPv6, HTTP/1.0")
    rig.end()


# ---------------------------------------------------------------- odd requests

@deadline(40)
def test_odd_requests(env):
    rig = Rig(env)
    nginx = rig.start(http="""
      limit_req_zone $server_port zone=l:1m rate=1r/m; client_header_buffer_size 1k; large_client_header_buffers 2 2k;
      """, extra="client_header_timeout 200ms; client_body_timeout 200ms; lingering_close off;", locations=f"""
      location /limited {{ limit_req zone=l; proxy_pass http://127.0.0.1:{rig.origin.port}/ok/; }}
      location /small {{ client_max_body_size 10; proxy_pass http://127.0.0.1:{rig.origin.port}/ok/; }}
      location /whole/ {{ proxy_pass http://127.0.0.1:{rig.origin.port}/ok/; }}
      location /made {{ return 200 made; }}
      location /nothing {{ return 444; }}
      location /up/ {{ proxy_pass http://127.0.0.1:{rig.origin.port}/upgrade/; proxy_http_version 1.1;
                       proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }}""")
    port = nginx.port

    def status(data, count=1, **options):
        raw(port, data, **options)
        found = of_kind(rig.spans(count), "SERVER")
        check_equal(found[-1]["start_ns"] <= found[-1]["end_ns"], True, "start, end")
        return found[-1]["attributes"].get("http.response.status_code"), found[-1]

    host = b" HTTP/1.1\r\nhost: a\r\nconnection: close\r\n"
    for what, data, wanted, method in (
            ("no request line", b"garbage\r\n\r\n", 400, "_OTHER"),
            ("a method that is none", b"\x16\x03\x01\x00\xff\x01\r\n\r\n", 400, "_OTHER"),
            ("HTTP/1.1 without host", b"GET /made HTTP/1.1\r\n\r\n", 400, "GET"),
            ("a header that is none", b"GET /made HTTP/1.1\r\nhost: a b\r\n\r\n", 400, "GET"),
            ("HTTP/3 in text", b"GET /made HTTP/3.0\r\n\r\n", 505, "GET"),
            ("a long URI", b"GET /" + b"u" * 5000 + host + b"\r\n", 414, "GET"),
            ("a long header", b"GET /made" + host + b"x: " + b"y" * 5000 + b"\r\n\r\n", 400, "GET"),
            ("many headers", b"GET /made" + host + (b"x: " + b"y" * 1500 + b"\r\n") * 9 + b"\r\n", 400, "GET"),
            ("a large body", b"POST /small" + host + b"content-length: 11\r\n\r\n" + b"x" * 11, 413, "POST"),
            ("a late header", b"GET /made HTTP/1.1\r\nhost:", 408, "GET"),
            ("a late body", b"POST /whole/x" + host + b"content-length: 5\r\n\r\nab", 408, "POST"),
            ("444", b"GET /nothing" + host + b"\r\n", 444, "GET"),
            ("OPTIONS *", b"OPTIONS *" + host + b"\r\n", 400, "OPTIONS")):
        code, span = status(data)
        check_equal((code, span["attributes"]["http.request.method"]), (wanted, method), what)
    for path, spans in (("/made", 1), ("/ok/x", 2)):
        raw(port, f"GET {path}\r\n".encode())
        server = server_of(rig.spans(spans))
        check_equal(server["attributes"]["network.protocol.version"], "0.9", "HTTP/0.9")
    codes = [status(b"GET /limited" + host + b"\r\n", count)[0] for count in (2, 1)]
    check_equal(codes, [200, 503], "limit_req")
    raw(port, b"GET /made?1 HTTP/1.1\r\nhost: a\r\n\r\n"
              b"GET /ok/2 HTTP/1.1\r\nhost: a\r\n\r\nGET /made?3" + host + b"\r\n")
    spans = rig.spans(4)
    check_equal([s["attributes"].get("url.query") for s in of_kind(spans, "SERVER")], ["1", None, "3"], "pipelined")
    check_equal(len({s["trace_id"] for s in spans}), 3, "traces of pipelined requests")
    request = rig.get("/delay/300/x", abort="request")
    check_equal(request.status, 0, "the client went away")
    client, server = rig.spans(2)
    check_equal((server["attributes"]["http.response.status_code"], server["status"], client["status"]),
                (499, "UNSET", "UNSET"), "a client that goes away is no error")
    request = rig.get("/cut/200000/x")
    client, server = rig.spans(2)
    check_equal((client["status"], client["attributes"]["error.type"]), ("ERROR", "connection_closed"),
                "a response that breaks off")
    with socket.create_connection(("127.0.0.1", port)) as tunnel:
        tunnel.sendall(b"GET /up/x HTTP/1.1\r\nhost: a\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n")
        tunnel.recv(1000)
        tunnel.sendall(b"ping")
        check_equal(tunnel.recv(1000), b"ping", "the tunnel's echo")
    spans = rig.spans(2)
    check_equal({s["attributes"]["http.response.status_code"] for s in spans}, {101}, "101")
    with socket.create_connection(("127.0.0.1", port)):
        pass
    time.sleep(0.1)
    check_equal(rig.sink.span_count, 0, "spans of a connection without a request")
    rig.end()


@deadline(30)
def test_http2_and_tls(env):
    curl = need("curl", "curl")
    rig = Rig(env)
    port, tls_port = env.free_port(), env.free_port()
    certificates = Certificates(env)
    chain, key = certificates.server()
    rig.start(extra=f"listen 127.0.0.1:{port} http2; listen 127.0.0.1:{tls_port} ssl http2; ssl_certificate {chain};"
                    f" ssl_certificate_key {key};")
    done = subprocess.run([curl, "-s", "--cacert", certificates.ca, "-o", "/dev/null", "-w",
                           "%{http_version} %{http_code}", f"https://localhost:{tls_port}/ok/x"],
                          capture_output=True, text=True, timeout=20)
    check_equal(done.stdout, "2 200", "HTTP/2 over TLS")
    attributes = server_of(rig.spans(2))["attributes"]
    check_equal([attributes[k] for k in ("url.scheme", "server.address", "server.port", "network.protocol.version")],
                ["https", "localhost", tls_port, "2"], "attributes over TLS")
    raw(tls_port, b"GET /ok/x HTTP/1.1\r\nhost: a\r\n\r\n")
    span = rig.one()
    check_equal((span["attributes"]["http.response.status_code"], span["attributes"]["url.path"]), (400, "/ok/x"),
                "plain HTTP to a port of TLS")
    urls = [f"http://127.0.0.1:{port}/{'bytes/70000' if i % 2 else 'delay/20'}/x?{i}" for i in range(10)]
    several = shutil.which("nghttp")  # all streams at once; curl sends one after the other
    command = [several, "-n"] if several else [curl, "-s", "--http2-prior-knowledge", "-o", "/dev/null"]
    done = subprocess.run([*command, "-H", f"traceparent: {TRACEPARENT}", *urls], capture_output=True, timeout=20)
    check_equal(done.returncode, 0, f"exit code: {done.stderr}")
    spans = rig.spans(20)
    servers = of_kind(spans, "SERVER")
    check_equal({(s["trace_id"], s["parent_span_id"], s["attributes"]["network.protocol.version"],
                  s["attributes"]["server.port"]) for s in servers}, {(TRACE, PARENT, "2", port)}, "streams")
    check_equal(sorted(s["attributes"]["url.query"] for s in servers), [str(i) for i in range(10)], "queries")
    check_equal({c["parent_span_id"] for c in of_kind(spans, "CLIENT")}, {s["span_id"] for s in servers}, "parents")
    check_equal(sorted({s["attributes"]["http.response.body.size"] for s in servers}), [5, 70000], "sizes")
    rig.end()


# ---------------------------------------------------------------- configuration, life

@deadline(30)
def test_wrong_configuration_says_what_is_accepted(env):
    def run(text):
        path = env.write("nginx-test.conf", f"""load_module {MODULE}; pid {env.tmp}/pid;
error_log stderr notice; events {{ }}
http {{ access_log off; client_body_temp_path {env.tmp}/b; proxy_temp_path {env.tmp}/p; fastcgi_temp_path {env.tmp}/f;
uwsgi_temp_path {env.tmp}/u; scgi_temp_path {env.tmp}/s; {text} server {{ listen 127.0.0.1:{env.free_port()}; }} }}""")
        done = subprocess.run([system("nginx"), "-t", "-c", path], capture_output=True, text=True, timeout=20)
        return done.returncode, done.stderr

    for text, words in (
            ("spantap_trace maybe;", "accepted: on, off, or a value with a variable"),
            ("spantap_trace_context always;", "accepted: extract, inject, propagate, ignore"),
            ("spantap_sample_ratio 2;", "accepted: 0 to 1"), ("spantap_sample_ratio 0.5x;", "accepted: 0 to 1"),
            ("spantap_exporter { socket agent.sock; }", "accepted: socket /path/to/agent.sock;"),
            ("spantap_exporter { socket /%s; }" % ("x" * 107), "at most 107 bytes"),
            ("spantap_exporter { endpoint localhost:4317; }", "is the spantap agent's option (--endpoint URL)"),
            ("spantap_exporter { trusted_certificate x.pem; }", "belongs to the spantap agent"),
            ("spantap_exporter { sockets /x; }", "accepted: socket PATH;"),
            ("spantap_exporter { socket /a; } spantap_exporter { socket /b; }", "is duplicate"),
            ("spantap_trace on; spantap_trace on;", "is duplicate"),
            ("spantap_span_attr '' x;", "accepted: 1 to 255"),
            ("spantap_trace on; spantap_service_name %s;" % ("x" * 3000) +
             "".join(f"spantap_resource_attr a{i} {'y' * 3000};" for i in range(6)), "accepted: 16 KB in all"),
            ("spantap_trace $none;", 'unknown "none" variable')):
        code, said = run(text)
        check(code != 0 and words in said, f"{text}: {said}")
    code, said = run("spantap_exporter { endpoint unix:/run/x.sock; interval 5s; batch_size 512; batch_count 4; } "
                     "spantap_trace on; spantap_trace_context propagate; spantap_resource_attr a b;")
    check_equal((code, said.count("is ignored: the spantap agent batches")), (0, 3), f"a renamed configuration: {said}")


@deadline(60)
def test_reload_under_load_loses_nothing(env):
    rig = Rig(env, keep="count")
    # A request whose worker had no ring yet (a machine that is very busy) has nothing injected, and says so.
    nginx = rig.start(workers=2, log=False, extra="add_header x-traced $spantap_traceparent;")
    rounds, stop, requests, traced, failed = 5 * ROUNDS, threading.Event(), [0] * 4, [0] * 4, []

    def work(index):
        connection = load.Connection(nginx.port)
        while not stop.is_set():
            request = load.Request("/ok/x", close=index < 2)
            connection.send(request)
            if index >= 2 and request.status == 0 and ("closed before" in request.error or "reset" in request.error):
                continue  # a worker that ends closes idle connections; its client asks again
            requests[index] += 1
            traced[index] += "x-traced" in (request.response_headers or {})
            if request.error or request.status != 200:
                failed.append(request.error or request.status)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(rounds):
        nginx.reload()
        time.sleep(0.15)
    stop.set()
    for thread in threads:
        thread.join()
    time.sleep(0.2)
    ledger = rig.end()
    full = ledger.get("handoff_dropped.full", 0)
    env.figure(f"{rounds} reloads: {sum(requests)} requests, {len(failed)} failed, {sum(traced)} traced, "
               f"{ledger['created']} spans, {full} dropped by full rings")
    check_equal(failed, [], "failed requests")
    check(2 * sum(traced) <= ledger["created"] + full <= 2 * sum(requests), "two spans for each traced request")
    check_equal(rig.sink.span_count, ledger["created"], "spans at the collector")


@deadline(30)
def test_without_an_agent_all_passes_through(env):
    rig = Rig(env, agent=False)
    rig.start()
    for headers in ((("traceparent", TRACEPARENT),), ()):
        check_equal(rig.get("/ok/x", *headers).status, 200, "status")
        check_equal(rig.origin.snapshot()[-1]["headers"].get("traceparent"), headers[0][1] if headers else None,
                    "the client's own header goes through")
    rig.agent = rig.start_agent()
    rig.nginx.wait_attached()
    rig.get("/ok/x")
    rig.spans(2)
    rig.agent.process.send(signal.SIGKILL)
    rig.agent.process.wait(5)
    for _ in range(5):
        check_equal(rig.get("/ok/x").status, 200, "status without the agent")
    rig.end_of = rig.start_agent()
    rig.agent = rig.end_of
    wait_until(lambda: rig.get("/ok/x").status == 200 and rig.sink.span_count > 0, 5, "a span at the new agent")
    rig.nginx.stop()
    rig.agent.stop()


@deadline(30)
def test_loaded_but_off_hooks_nothing(env):
    rig = Rig(env)
    rig.start(variant="off", extra='add_header x-ids "$spantap_trace_id";')
    request = rig.get("/ok/x", ("traceparent", TRACEPARENT))
    check_equal((request.status, "x-ids" in request.response_headers), (200, False), "status, no id")
    check_equal(rig.origin.snapshot()[-1]["headers"]["traceparent"], TRACEPARENT, "headers as they came")
    check_equal(rig.end()["handoff_attached"], 0, "rings")
