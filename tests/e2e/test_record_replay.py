# SPDX-License-Identifier: Apache-2.0
"""Record files: complete, deterministic, private; and the golden captures of tests/data."""
import collections
import difflib
import json
import socket
import subprocess
import time

from harness import deadline
from harness.env import check, check_equal
from harness.load import Request, run
from harness.origin import Origin
from harness.proxies import Envoy, HAProxy, Nginx
from harness.sink import OtlpSink
from harness.spantap import Agent, binary, check_ledger, parse_ledger

SIDE_BY_SIDE = True


def replay(file, *args):
    """(stdout, ledger) of a replay that must succeed."""
    result = subprocess.run([binary(), "replay", file, *args], capture_output=True, timeout=20)
    stderr = result.stderr.decode(errors="replace")
    check_equal(result.returncode, 0, f"exit code of replay {file}: {stderr}")
    ledger = parse_ledger(stderr)
    check_ledger(ledger)
    return result.stdout, ledger


def spans_of(output):
    return [json.loads(line) for line in output.splitlines()]


def record(env, pids, traffic, *args, name="record"):
    file = env.tmp / f"{name}.rec"
    targets = [word for pid in pids for word in ("--pid", pid)]
    agent = Agent(env, file, *targets, *args, command="record", name=name)
    traffic()
    ledger = agent.stop()
    return file, ledger


def tally(entries):
    return collections.Counter((e["method"], e["path"], e["status"]) for e in entries)


@deadline(60)
def test_replay_tells_what_the_access_log_tells(env):
    """Every request of nginx's access log is one server span of the replay, and no other; twice the same bytes."""
    origin = Origin(env)
    nginx = Nginx(env, origin.port, workers=2)
    requests = [Request(f"/{what}/{i}") for i in range(40)
                for what in ("ok", "status/404", "status/503", "bytes/70000", "chunked/9000", "nocontent")]
    requests += [Request(f"/echo/{i}", method="POST", body=b"b" * 3000, chunked=i % 2 == 0) for i in range(20)]
    file, _ = record(env, [nginx.pid], lambda: run(nginx.port, requests, 6))
    first, ledger = replay(file, "--json")
    second, _ = replay(file, "--json")
    check(first == second, "two replays of one file differ")
    plain = [replay(file)[0] for _ in range(2)]
    check(plain[0] == plain[1] and plain[0].startswith(b"trace "), "two plain replays differ")
    nginx.process.stop()
    spans = spans_of(first)
    log = [dict(entry, status=int(entry["status"])) for entry in nginx.access_log()]
    check_equal(len(log), len(requests), "lines in nginx's access log")
    server = tally(s for s in spans if s["kind"] == "server")
    check_equal(server - tally(log), collections.Counter(), "spans without a line in the access log")
    check_equal(tally(log) - server, collections.Counter(), "lines of the access log without a span")
    client = tally(s for s in spans if s["kind"] == "client")
    check_equal(client, tally(origin.snapshot()), "client spans against the upstream's log")
    check_equal(len({s["span_id"] for s in spans}), len(spans), "distinct span ids")
    check_equal((ledger["created"], ledger.get("dropped.not_exported")), (len(spans), len(spans)), "the ledger")
    env.figure(f"{file.stat().st_size} bytes recorded for {len(requests)} requests, {len(spans)} spans")


@deadline(60)
def test_replay_equals_live(env):
    """`trace` and `record` side by side on the same traffic: the replay shows the spans that were shown live."""
    origin = Origin(env)
    envoy = Envoy(env, origin.port, log=False)
    live = Agent(env, "--pid", envoy.pid, "--json", command="trace", name="live")
    requests = [Request(f"/{'ok' if i % 3 else 'status/503'}/{i}") for i in range(120)]
    file, _ = record(env, [envoy.pid], lambda: (run(envoy.port, requests, 4), time.sleep(0.3)))
    live.stop()
    # Ids are random live and seeded in a replay; the rest is what was observed.
    key = lambda s: (s["kind"], s["method"], s["path"], s["status"], s["rule"], s["confidence"], s["pid"],  # noqa: E731
                     s["local_port"], s["peer_port"], s["request_body_bytes"], s["response_body_bytes"])
    shown = collections.Counter(map(key, spans_of(live.process.stdout())))
    replayed = collections.Counter(map(key, spans_of(replay(file, "--json")[0])))
    check_equal(shown - replayed, collections.Counter(), "shown live, not in the replay")
    check_equal(replayed - shown, collections.Counter(), "in the replay, not shown live")
    check_equal(sum(shown.values()), 2 * len(requests), "spans shown live")


@deadline(60)
def test_replay_exports_what_it_shows(env):
    nginx = Nginx(env, body="fine", log=False)
    file, _ = record(env, [nginx.pid], lambda: run(nginx.port, [Request(f"/item/{i}") for i in range(700)], 4))
    sink = OtlpSink(env)
    output, ledger = replay(file, "--json", "--endpoint", sink.endpoint)
    shown = sorted((s["trace_id"], s["span_id"], s["path"], s["start_unix_ns"]) for s in spans_of(output))
    sent = sorted((s["trace_id"], s["span_id"], s["attributes"]["url.path"], s["start_ns"]) for s in sink.snapshot())
    check_equal(len(sent), 700, "spans at the sink")
    check(shown == sent, "the spans at the sink are not those that were shown")
    check_equal(ledger["acknowledged"], 700, "acknowledged")


# ---------------------------------------------------------------- secrets

SECRET = "hunter2hunter2hunter2"
SECRET_HEADERS = ("authorization", "cookie", "proxy-authorization", "x-api-key", "AUTHORIZATION", "Cookie")


def send_in_pieces(port, *pieces):
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            client.sendall(piece.encode())
            time.sleep(0.05)
        client.recv(65536)


def secret_traffic(port):
    """The secret in each header, and where a careless redactor overlooks it."""
    run(port, [Request(f"/named/{i}", headers=((name, f"Bearer {SECRET}"), ("x-kept", "kept-value")))
               for i, name in enumerate(SECRET_HEADERS)])
    start = "GET /%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    half = len(SECRET) // 2
    # In two reads: cut inside the value, inside the name, and right after the colon.
    send_in_pieces(port, start % "cut-value" + f"Authorization: Bearer {SECRET[:half]}", f"{SECRET[half:]}\r\n\r\n")
    send_in_pieces(port, start % "cut-name" + "Authoriz", f"ation: Bearer {SECRET}\r\n\r\n")
    send_in_pieces(port, start % "cut-colon" + "Cookie:", f" {SECRET}\r\n\r\n")
    # Without the space, with tabs, folded, as a bare LF line, and behind a pipelined request.
    send_in_pieces(port, start % "tight" + f"X-Api-Key:{SECRET}\r\n\r\n")
    send_in_pieces(port, start % "tabs" + f"Cookie:\t {SECRET} \r\n\r\n")
    send_in_pieces(port, start % "folded" + f"Authorization: Bearer\r\n {SECRET}\r\n\r\n")
    send_in_pieces(port, f"GET /lf HTTP/1.1\nHost: x\nConnection: close\nCookie: {SECRET}\n\n")
    send_in_pieces(port, "GET /p1 HTTP/1.1\r\nHost: x\r\n\r\n" + start % "p2" + f"Cookie: {SECRET}\r\n\r\n")


def contains_part_of(data, secret, length=8):
    """A run of at least `length` bytes of the secret that stands in the data, if any."""
    for start in range(len(secret) - length + 1):
        part = secret[start:start + length].encode()
        if part in data:
            at = data.index(part)
            return data[max(0, at - 120):at + 40]
    return None


@deadline(60)
def test_secrets_do_not_reach_the_file(env):
    origin = Nginx(env, name="origin", body="fine", log=False,
                   extra=f"add_header Set-Cookie 'id={SECRET}; HttpOnly'; add_header X-Shown visible-value;")
    for kind in (Nginx, Envoy, HAProxy):
        proxy = kind(env, origin.port)
        name = f"secret-{kind.__name__}"
        file, _ = record(env, [proxy.pid, origin.pid], lambda p=proxy: secret_traffic(p.port), name=name)
        check_equal(file.stat().st_mode & 0o777, 0o600, "mode of the record file")
        data = file.read_bytes()
        found = contains_part_of(data, SECRET)
        check(found is None, f"a secret in the record file of {kind.__name__}: {found!r}")
        check(b"*" * len(SECRET) in data, "nothing was overwritten: did the headers arrive?")
        for kept in (b"x-kept: kept-value", b"visible-value", b"/p2 HTTP", b"/cut-value"):
            check(kept in data, f"{kept!r} was overwritten as well, through {kind.__name__}")
        replay(file, "--json")


@deadline(60)
def test_with_secrets_keeps_them(env):
    nginx = Nginx(env, body="fine", log=False)
    file, _ = record(env, [nginx.pid], lambda: secret_traffic(nginx.port), "--with-secrets")
    check_equal(file.stat().st_mode & 0o777, 0o600, "mode of the record file")
    check(f"Bearer {SECRET}".encode() in file.read_bytes(), "--with-secrets did not keep the values")


def test_an_open_file_becomes_private(env):
    """Recording over a file that others may read makes it 0600 before the first byte."""
    nginx = Nginx(env, body="fine", log=False)
    file = env.tmp / "record.rec"
    file.write_bytes(b"old")
    file.chmod(0o666)
    record(env, [nginx.pid], lambda: run(nginx.port, [Request("/x")]))
    check_equal(file.stat().st_mode & 0o777, 0o600, "mode of the record file")


# ---------------------------------------------------------------- golden captures

def test_golden_captures(env):
    """tests/data/NAME.rec replays to NAME.golden.json, byte for byte. After an intended change:
    tests/data/regenerate.py, and read the diff."""
    files = sorted((env.repo / "tests" / "data").glob("*.rec"))
    check(len(files) >= 5, f"only {len(files)} golden captures")
    differences = []
    for file in files:
        golden = file.with_suffix(".golden.json").read_text().splitlines()
        output = replay(file, "--json")[0].decode().splitlines()
        diff = list(difflib.unified_diff(golden, output, file.with_suffix(".golden.json").name, "replay", n=0))
        differences += diff[:8]
        env.note(f"{file.name}: {len(golden)} spans")
    check(not differences, "replays differ from the golden spans:\n" + "\n".join(differences))
