# SPDX-License-Identifier: Apache-2.0
"""libspantap.so without an agent: it loads libspantap-embedded.so.0, which sends by itself. Threads, forks, ends."""
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time

from harness import deadline
from harness.certificates import Certificates
from harness.env import REPO, Fail, check, check_equal
from harness.sink import OtlpSink

SIDE_BY_SIDE = True

PROGRAM = REPO / "tests" / "e2e" / "harness" / "embedded.py"
LIBRARY = REPO / "build" / "lib" / "libspantap.so.0"
EMBEDDED = REPO / "build" / "lib" / "libspantap-embedded.so.0"
ROUNDS = int(os.environ.get("SPANTAP_ROUNDS", "1"))


class Host:
    """The program in embedded mode, with `variables`; result() is what it printed."""

    def __init__(self, env, what, count, variables, endpoint):
        for library in (LIBRARY, EMBEDDED):
            if not library.exists():
                raise Fail(f"{library} is not built (make all)")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "SPANTAP_"))}
        self.child = subprocess.Popen([sys.executable, str(PROGRAM), what, str(count)], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                      env={**kept, "SPANTAP_MODE": "embedded", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
                                           **variables})
        env.on_exit(self.child.kill)

    def result(self):
        line = self.child.stdout.readline()
        if not line:
            raise Fail(f"the program ended with {self.child.wait()}: {self.child.stderr.read()}")
        return json.loads(line)

    def end(self):
        """Seconds from the end of its stdin to its own; what it said on stderr."""
        start = time.monotonic()
        _, said = self.child.communicate(timeout=20)
        check_equal(self.child.returncode, 0, f"exit code ({said})")
        return time.monotonic() - start, said


def listener(env, backlog):
    listening = env.enter(socket.socket())
    listening.bind(("127.0.0.1", 0))
    listening.listen(backlog)
    return listening


def silent(env):
    return f"http://127.0.0.1:{listener(env, 64).getsockname()[1]}"


def black_hole(env):
    """A listener whose backlog is full: the kernel answers no other connection."""
    address = listener(env, 0).getsockname()
    for _ in range(4):
        waiting = env.enter(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(address)
    return f"http://127.0.0.1:{address[1]}"


@deadline(30)
def test_spans_arrive_and_no_thread_is_there_before_the_first(env):
    sink = OtlpSink(env)
    host = Host(env, "flushed", 1000, {
        "OTEL_SERVICE_NAME": "shop", "OTEL_RESOURCE_ATTRIBUTES": "service.name=not,deployment.environment=te%73t",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_BSP_SCHEDULE_DELAY": "60000"}, sink.endpoint)
    seen = host.result()
    check_equal([seen[k] for k in ("attach", "enabled", "flush_before", "tasks_before")], [0, 1, 0, 1],
                "attach, enabled, flush, threads before the first span")
    check_equal([seen[k] for k in ("first", "others")], [0, [0]], "statuses")
    check(2 <= seen["tasks_after"] <= 4, f"threads after it: {seen['tasks_after']}")
    check_equal([seen["flushed"], seen["stats"]["handed_off"], seen["stats"]["attached"]], [0, 1000, 1], "flushed")
    check_equal(sink.span_count, 1000, "spans at the collector when flush returned")
    check(seen["flush_s"] < 5, f"flush waited for the batch's delay: {seen['flush_s']} s")
    span = sink.snapshot()[0]
    check_equal((span["name"], span["attributes"]),
                ("GET /library", {"http.request.method": "GET", "http.response.status_code": 200}), "the span")
    resource = span["resource"]
    check_equal([resource[k] for k in ("service.name", "deployment.environment", "process.pid", "telemetry.sdk.name")],
                ["shop", "test", host.child.pid, "spantap"], "resource")
    headers = sink.requests[0]["headers"]
    check_equal((headers["x-key"], headers["content-encoding"]), ("a b", "gzip"), "headers")
    took, said = host.end()
    check_equal(said, "", "said without SPANTAP_LOG")
    env.figure(f"embedded: opened in {1000 * seen['open_s']:.0f} ms, idle exit in {1000 * took:.0f} ms with Python's own")


@deadline(30)
def test_exit_sends_what_is_left_and_is_bounded(env):
    sink = OtlpSink(env, keep="count")
    took, said = Host(env, "plain", 2000, {"SPANTAP_LOG": "stderr", "OTEL_BSP_SCHEDULE_DELAY": "60000"}, sink.endpoint).end()
    check_equal(sink.span_count, 2000, f"spans at the collector after exit(): {said}")
    check("created=2000 acknowledged=2000 in_flight=0" in said, f"the last line: {said}")
    # Nobody listens; somebody listens and says nothing; nothing comes back at all.
    for endpoint in (f"http://127.0.0.1:{env.free_port()}", silent(env), black_hole(env)):
        host = Host(env, "plain", 500, {"SPANTAP_DRAIN": "400", "SPANTAP_LOG": "stderr"}, endpoint)
        check_equal(host.result()["others"], [0], "statuses")
        took, said = host.end()
        check(took < 1.2, f"{endpoint}: exit() took {took:.2f} s with a drain of 0.4 s")
        check("in_flight=0 spooled=0 dropped=500 dropped.shutdown=500" in said, f"{endpoint}: accounts: {said}")
    host = Host(env, "plain", 500, {}, silent(env))
    host.result()
    took, said = host.end()
    check(took < 2.8 and said == "", f"exit() took {took:.2f} s with the default drain of 2 s; said {said!r}")
    env.figure(f"embedded: exit with a collector that does not answer: {took:.2f} s (default drain 2 s)")


@deadline(40)
def test_exit_with_tls(env):
    """OpenSSL registers an end of its own at exit(): it must come after ours, in a child of fork(), too."""
    certificates = Certificates(env)
    sink = OtlpSink(env, keep="count")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificates.server())
    sink._server.socket = context.wrap_socket(sink._server.socket, server_side=True)
    trusted = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(certificates.ca), "OTEL_BSP_SCHEDULE_DELAY": "60000"}
    rounds = 5 * ROUNDS
    hosts = [Host(env, "plain", 100, trusted, f"https://127.0.0.1:{sink.port}") for _ in range(rounds)]
    for host in hosts:
        host.end()
    check_equal(sink.span_count, 100 * rounds, "spans of programs that ended at once")
    children = Host(env, "forks", 20, trusted, f"https://127.0.0.1:{sink.port}")
    check_equal(children.result()["bad"], 0, "children that failed")
    children.end()
    check(sink.span_count >= 100 * rounds + 12, "with those of ten children, and two of their parent")


@deadline(40)
def test_children_of_fork_have_threads_of_their_own(env):
    sink = OtlpSink(env)
    count = min(100 * ROUNDS, 1000)
    host = Host(env, "forks", count, {}, sink.endpoint)
    seen = host.result()
    check_equal([seen["bad"], seen["flushed"], seen["stats"]["handed_off"]], [0, 0, 2], "children that failed; the parent")
    wanted = sorted(["parent", "parent again"] + [f"child {n}" for n in range(0, count, 2)])
    check_equal(sorted(s["name"] for s in sink.snapshot() if s["name"] != "busy"), wanted, "spans, each once")
    pids = {s["resource"]["process.pid"] for s in sink.snapshot()}
    check_equal(len(pids), 1 + count // 2, "processes that sent")
    host.end()
    env.figure(f"embedded: {count} forks, {count // 2} of them with a span, ten at once; slowest ten {seen['longest_s']:.2f} s")


@deadline(30)
def test_threads_come_and_go(env):
    sink = OtlpSink(env, keep="count")
    host = Host(env, "threads", 1500, {}, sink.endpoint)
    seen = host.result()
    check_equal((seen["flushed"], seen["failed"]), (0, []), "flushed, refused")
    check_equal(sink.span_count, 1 + 8 * 1500, "spans at the collector")
    check(seen["fds_after"] <= seen["fds_before"], f"descriptors of closed producers stay: {seen}")
    host.end()


@deadline(30)
def test_signals_are_the_hosts(env):
    for number in (signal.SIGTERM, signal.SIGKILL):
        host = Host(env, "plain", 500, {}, silent(env))
        host.result()
        start = time.monotonic()
        host.child.send_signal(number)
        check_equal(host.child.wait(5), -number, "end of the program")
        check(time.monotonic() - start < 1, f"signal {number} was held up")


def opened(library, mode, variables):
    """What spantap_open() of `library` says with an option and variables, and whether a span is wanted then."""
    code = f"""
import ctypes, os, sys
sys.path.insert(0, {str(PROGRAM.parent)!r})
from libspantap import Options, Str
spantap = ctypes.CDLL({str(library)!r})
options = Options(ctypes.sizeof(Options), {mode}, Str(), Str(), None, 0, 0, 1.0)
client, producer = ctypes.c_void_p(), ctypes.c_void_p()
status = spantap.spantap_open(ctypes.byref(options), ctypes.byref(client))
if status == 0: spantap.spantap_producer_open(client, ctypes.byref(producer))
print(status, spantap.spantap_enabled(producer) if status == 0 else "", {EMBEDDED.name!r} in open("/proc/self/maps").read())
"""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "SPANTAP_"))}
    done = subprocess.run([sys.executable, "-c", code], env={**kept, **variables}, capture_output=True, text=True, timeout=20)
    check_equal((done.returncode, done.stderr), (0, ""), "the program")
    return done.stdout.strip()


@deadline(30)
def test_modes_and_what_is_missing(env):
    alone = env.tmp / "alone"
    alone.mkdir()
    shutil.copy(LIBRARY, alone)
    rows = [
        (LIBRARY, 2, {}, "0 1 True"),
        (LIBRARY, 0, {"SPANTAP_MODE": "embedded"}, "0 1 True"),
        (LIBRARY, 1, {"SPANTAP_MODE": "embedded"}, "0 0 False"),
        (LIBRARY, 0, {"SPANTAP_MODE": "embeded"}, "0 0 False"),
        (LIBRARY, 2, {"OTEL_SDK_DISABLED": "TRUE"}, "0 0 True"),
        (LIBRARY, 2, {"OTEL_TRACES_EXPORTER": "none"}, "0 0 True"),
        (LIBRARY, 2, {"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost"}, "0 0 True"),
        (LIBRARY, 2, {"OTEL_EXPORTER_OTLP_TIMEOUT": "soon", "OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, "0 1 True"),
        (alone / LIBRARY.name, 2, {}, "-11  False"),
        (alone / LIBRARY.name, 0, {"SPANTAP_MODE": "embedded"}, "-11  False"),
        (alone / LIBRARY.name, 0, {}, "0 0 False"),
    ]
    for library, mode, variables, wanted in rows:
        check_equal(opened(library, mode, variables), wanted, f"{library}, mode {mode}, {variables}")


@deadline(30)
def test_the_second_library_shows_one_name(env):
    shown = subprocess.run(["nm", "-D", "--defined-only", EMBEDDED], capture_output=True, text=True, check=True).stdout
    check_equal([line.split()[-1] for line in shown.splitlines()],
                ["SPANTAP_EMBEDDED_1", "spantap_embedded_1@@SPANTAP_EMBEDDED_1"], "exported symbols")
    dynamic = subprocess.run(["readelf", "-dW", EMBEDDED], capture_output=True, text=True, check=True).stdout
    check("NODELETE" in dynamic and "[libspantap-embedded.so.0]" in dynamic, dynamic)
