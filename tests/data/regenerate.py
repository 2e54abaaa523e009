#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the golden captures: tests/data/NAME.rec (recorded live) and NAME.golden.json (their spans).

    tests/data/regenerate.py            the spans only, from the captures as they are: after an intended change
    tests/data/regenerate.py --record   the captures too: needs root, and the real proxies

`make test` replays every NAME.rec and compares (tests/e2e/test_record_replay.py). Read the diff before you commit it.
"""
import argparse
import pathlib
import shutil
import socket
import subprocess
import sys
import time

DATA = pathlib.Path(__file__).resolve().parent
TESTS = DATA.parent
sys.path.insert(0, str(TESTS / "e2e"))

from harness import Env, tools  # noqa: E402
from harness.load import Request, run  # noqa: E402
from harness.origin import Origin  # noqa: E402
from harness.proxies import Envoy, HAProxy, Nginx  # noqa: E402
from harness.spantap import Agent, binary  # noqa: E402

TRACEPARENT = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
MAX_BYTES = 64 << 10  # each


def nginx_keepalive(env):
    """One connection, one answer after another: a context on the wire, HEAD, errors, a body, a query with a secret."""
    nginx = Nginx(env, body="fine", log=False, extra="location /gone/ { return 410; } location /new/ { return 301 /; }")
    yield [nginx.pid]
    run(nginx.port, [
        Request("/first", headers=(TRACEPARENT,)), Request("/head", method="HEAD"), Request("/gone/1"),
        Request("/new/1"), Request("/post", method="POST", body=b"x" * 5000), Request("/q?sig=secret&page=2"),
        Request("/put", method="PUT", body=b"y" * 300, chunked=True),
        Request("/auth", headers=(("authorization", "Bearer golden"), ("cookie", "id=1"))),
    ])


def nginx_pipelined(env):
    """Eight requests in one write, one of them cut by the segment border."""
    nginx = Nginx(env, body="fine", log=False, extra="location /gone/ { return 410; }")
    yield [nginx.pid]
    requests = b"".join(b"GET /%s/%d HTTP/1.1\r\nHost: x\r\n\r\n" % (b"gone" if i % 3 == 1 else b"ok", i)
                        for i in range(8))
    with socket.create_connection(("127.0.0.1", nginx.port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(requests[:100])
        time.sleep(0.05)
        client.sendall(requests[100:])
        time.sleep(0.2)


def envoy_proxy(env):
    """Both sides of Envoy, four connections: chunked, 10 KB bodies, 1xx, no upstream, reset upstream."""
    program = env.tmp / "bin" / "envoy"  # the executable's path is part of the capture
    program.parent.mkdir()
    shutil.copyfile(tools.envoy(), program)
    program.chmod(0o755)
    tools.envoy = lambda: str(program)
    origin = Origin(env)
    envoy = Envoy(env, [("/nowhere/", env.free_port()), ("/", origin.port)], log=False)
    yield [envoy.pid]
    run(envoy.port, [Request(path) for path in (
        "/ok/1", "/chunked/10000/2", "/bytes/10000/3", "/status/404/4", "/hints/5", "/nowhere/6", "/reset/7",
        "/close/3000/8", "/nocontent/9", "/slow/20/10")], 4)


def haproxy_aborts(env):
    """HAProxy: clients that leave, an upstream that breaks off, Expect: 100-continue, a delay."""
    origin = Origin(env)
    haproxy = HAProxy(env, origin.port)
    yield [haproxy.pid]
    run(haproxy.port, [
        Request("/echo/1", method="POST", body=b"z" * 2000, expect=True), Request("/cut/9000/2"),
        Request("/delay/100/3", abort="request"), Request("/delay/20/4"), Request("/ok/5", headers=(TRACEPARENT,))])


def thread_per_request(env):
    """Two applications that answer synchronously, two requests at a time; the first forwards nothing."""
    orders, frontend = env.free_port(), env.free_port()
    stock = Nginx(env, body='{"left": 7}', log=False)
    pids = []
    for role, port, next_port in (("orders", orders, stock.port), ("frontend", frontend, orders)):
        pids.append(env.start(role, ["/usr/bin/python3", TESTS / "demo" / "service.py", role, "--port", port,
                                     "--next-port", next_port], port=port, env={"OTEL_SERVICE_NAME": role}).pid)
    yield pids + [stock.pid]
    run(frontend, [Request(f"/checkout?item={item}", close=True) for item in range(4)], 2)


SCENARIOS = (nginx_keepalive, nginx_pipelined, envoy_proxy, haproxy_aborts, thread_per_request)


def record(scenario):
    env = Env(scenario.__name__)
    try:
        steps = scenario(env)
        targets = [word for pid in next(steps) for word in ("--pid", pid)]
        file = DATA / f"{scenario.__name__}.rec"
        agent = Agent(env, file, *targets, command="record")
        for _ in steps:
            pass
        time.sleep(0.2)
        agent.stop()
    finally:
        env.close(False)
    file.chmod(0o644)
    print(f"{file.name}: {file.stat().st_size} bytes")
    if file.stat().st_size > MAX_BYTES:
        sys.exit(f"{file.name} is larger than {MAX_BYTES} bytes: record less")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="record the captures anew")
    if parser.parse_args().record:
        for scenario in SCENARIOS:
            record(scenario)
    for file in sorted(DATA.glob("*.rec")):
        result = subprocess.run([binary(), "replay", file, "--json"], capture_output=True, check=True)
        golden = file.with_suffix(".golden.json")
        same = golden.exists() and golden.read_bytes() == result.stdout
        golden.write_bytes(result.stdout)
        print(f"{golden.name}: {len(result.stdout.splitlines())} spans{'' if same else ', changed'}")


if __name__ == "__main__":
    main()
