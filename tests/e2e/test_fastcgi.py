# SPDX-License-Identifier: Apache-2.0
"""nginx and PHP-FPM, which calls a backend and forwards nothing: FastCGI is read at both of its ends."""
import json
import subprocess

from harness import deadline
from harness.connected import by_request, check_no_wrong_parent, describe, line_of
from harness.env import check, check_equal
from harness.load import Request, run
from harness.php import SECRET, Php
from harness.proxies import Nginx
from harness.sink import OtlpSink
from harness.spantap import Agent, binary

PHP = "php-fpm8.2"
ORDER = [("nginx", "SERVER"), ("nginx", "CLIENT"), (PHP, "SERVER"), (PHP, "CLIENT"), ("nginx", "SERVER")]


class Site:
    """client -> nginx -> php-fpm -> another nginx, all observed."""

    def __init__(self, env, unix, keep, children=8):
        self.back = Nginx(env, body="ok", name="back")
        self.php = Php(env, {"BACKEND_PORT": str(self.back.port)}, unix=unix, keep=keep, children=children)
        self.targets = [word for process in (self.php.nginx, self.php.fpm, self.back.process)
                        for word in ("--pid", process.pid)]

    def ask(self, requests, clients):
        run(self.php.port, requests, clients)
        bad = [r for r in requests if r.error or not r.status]
        check(not bad, f"{len(bad)} requests failed, first {bad[:1]}")


def observed(env, site, *loads):
    """The spans of the loads, (requests, clients) each, named by their programs."""
    sink = OtlpSink(env)
    agent = Agent(env, *site.targets, "--endpoint", sink.endpoint)
    for requests, clients in loads:
        site.ask(requests, clients)
    ledger = agent.stop(15)
    check_equal(sink.span_count, ledger["acknowledged"], "spans at the sink against the ledger")
    return [named(span) for span in sink.snapshot()], ledger


def named(span):
    resource = dict(span["resource"], **{"service.name": span["resource"]["process.executable.name"]})
    return dict(span, resource=resource)


def check_traces(env, unix, keep):
    site, count = Site(env, unix, keep), 40
    requests = [Request(f"/ok/{i}", headers=(("Cookie", "a=b"), ("X-Thing", str(i % 7)))) for i in range(2 * count)]
    spans, ledger = observed(env, site, (requests[:count], 8), (requests[count:], 1))
    check_equal([r.status for r in requests], [200] * len(requests), "answers")
    groups = by_request(spans, len(requests))
    check_no_wrong_parent(groups)
    for number, group in groups.items():
        check_equal(line_of(group), ORDER, f"request {number}: {describe(group)}")
        check_equal(len({span["trace_id"] for span in group}), 1, f"traces of request {number}")
    check_equal(len(groups), len(requests), "requests that have spans")
    # Two ends each of the calls of PHP, and of FastCGI if nothing is kept; besides at most nine clients.
    check_equal(ledger["connections"] < 3 * len(requests), keep, f"{ledger['connections']} connections: they are kept")


@deadline(60)
def test_unix_socket_and_a_connection_a_request(env):
    check_traces(env, True, False)


@deadline(60)
def test_unix_socket_and_kept_connections(env):
    check_traces(env, True, True)


@deadline(60)
def test_tcp_and_a_connection_a_request(env):
    check_traces(env, False, False)


@deadline(60)
def test_tcp_and_kept_connections(env):
    check_traces(env, False, True)


@deadline(60)
def test_what_spans_say(env):
    """Statuses, sizes, headers; answers behind a log line, larger than a record, without a status of their own."""
    trace, parent = "0123456789abcdef0123456789abcdef", "00f067aa0ba902b7"
    requests = {
        "moved": Request("/moved/1?sig=abc", headers=(("X-Request-Id", "rid-1"),)),
        "missing": Request("/missing/2", headers=(("traceparent", f"00-{trace}-{parent}-01"),)),
        "broken": Request("/broken/3"), "large": Request("/large/160000"),
        "echo": Request("/echo/5", "POST", body=b"b" * 20000),
        "big": Request("/missing/6", headers=(("X-Big", "v" * 6000),)),
    }
    site = Site(env, False, True, children=2)
    spans, ledger = observed(env, site, (list(requests.values()), 1))
    check_equal({name: r.status for name, r in requests.items()},
                {"moved": 302, "missing": 404, "broken": 500, "large": 200, "echo": 200, "big": 404}, "answers")
    check(SECRET not in str(spans), "a parameter of the site is in no span")
    check_equal(ledger["heads_truncated"], 3, "heads that exceed the window: one read, one written, one read")
    for name, request in requests.items():
        path = request.path.split("?")[0]
        line = [s for s in spans if path in (s["attributes"].get("url.path"), url_path(s))]
        check_equal(line_of(line)[-3:], ORDER[:3][-len(line):], f"{name}: {describe(line)}")
        for span in line:
            check_equal(span["attributes"]["http.response.status_code"], request.status, f"status of {name}")
            fastcgi = span["attributes"].get("network.protocol.name")
            check_equal(fastcgi, None if span is line[0] else "fastcgi", f"protocol of {name}")
        check_equal(line[-1]["attributes"]["client.address"], "127.0.0.1", "the client of nginx")
        check_equal(line[-2]["attributes"]["network.peer.port"], line[-2]["attributes"]["server.port"], "FPM's port")
        sizes = [(s["attributes"].get("http.request.body.size"), s["attributes"].get("http.response.body.size"))
                 for s in line[1:]]
        wanted = (20000 if name == "echo" else None, request.body_bytes or 0)
        # nginx reads a large answer in pieces that its records' borders are not the borders of: then no size is told.
        check(set(sizes) <= {wanted, (None, None)} and wanted in sizes, f"sizes of {name}: {sizes}, wanted {wanted}")
        check(name == "large" or set(sizes) == {wanted}, f"sizes of {name}: {sizes}, wanted {wanted}")
    by_name = {name: [s for s in spans if s["attributes"].get("url.path") == r.path.split("?")[0]]
               for name, r in requests.items()}
    check_equal({s["trace_id"] for s in by_name["missing"]}, {trace}, "the trace of the header, at both ends")
    check_equal([s["attributes"]["http.request.header.x-request-id"] for s in by_name["moved"]], [["rid-1"]] * 2, "id")
    check_equal({s["attributes"]["url.query"] for s in by_name["moved"]}, {"sig=REDACTED"}, "query")


def url_path(span):
    return "/" + span["attributes"].get("url.full", "").split("?")[0].partition("//")[2].partition("/")[2]


@deadline(60)
def test_a_recording_without_secrets_shows_the_same(env):
    site, count, file = Site(env, True, True), 30, env.tmp / "fastcgi.rec"
    agent = Agent(env, file, *site.targets, command="record")
    cookie = "session=spantap-secret-cookie"
    site.ask([Request(f"/ok/{i}", headers=(("Cookie", cookie), ("Authorization", "Basic abc def"))) for i in range(count)], 4)
    site.ask([Request("/echo/1", "POST", body=b"a body that nobody needs")], 1)
    agent.stop(15)
    content = file.read_bytes()
    for secret in (SECRET, "spantap-secret-cookie", "abc def", "a body that nobody needs"):
        check(secret.encode() not in content, f"{secret!r} is not in the file")
    done = subprocess.run([binary(), "replay", str(file), "--json"], capture_output=True, text=True, check=True)
    spans = [json.loads(line) for line in done.stdout.splitlines()]
    links = {(s["kind"], s["rule"]) for s in spans if s["path"].startswith("/ok/")}
    check_equal(links, {("server", None), ("client", "proxy"), ("server", "connection"), ("client", "calm")}, "links")
    check_equal(len([s for s in spans if s["path"].startswith("/ok/")]), 5 * count, "spans")
