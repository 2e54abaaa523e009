# SPDX-License-Identifier: Apache-2.0
"""The observed processes do not notice: bodies, answers, a killed agent, nothing left in the kernel."""
import hashlib
import random
import re
import shutil
import signal
import time

from harness import bpf_objects, deadline, tools
from harness.env import check, check_equal, wait_until
from harness.load import Request, run
from harness.origin import Origin, body_of
from harness.proxies import Envoy, HAProxy, Nginx
from harness.sink import OtlpSink
from harness.spantap import Agent

BODIES = 1000


def body_requests(count):
    """Downloads with a length and chunked, and uploads; from nothing to 3 MiB, most of them small."""
    rng = random.Random(7)
    requests = []
    for i in range(count):
        size = rng.choice((0, 1, 17, 255, 4095, 4096, 4097, 16384, 65536, rng.randrange(200_000)))
        if i % 100 == 50:
            size = 3 << 20
        kind = i % 4
        if kind == 3:
            requests.append(Request(f"/echo/{i}", method="POST", body=body_of(size), chunked=i % 8 == 7))
        else:
            requests.append(Request(f"/{'chunked' if kind == 2 else 'bytes'}/{size}/{i}"))
    return requests


def wrong_bodies(requests):
    """Paths whose answer or body is not what the origin sent, or got."""
    wrong = []
    for request in requests:
        if request.method == "POST":
            echo = b"%s %d\n" % (hashlib.sha256(request.body).hexdigest().encode(), len(request.body))
            wanted = hashlib.sha256(echo).hexdigest()
        else:
            wanted = hashlib.sha256(body_of(int(request.path.split("/")[2]))).hexdigest()
        if (request.error, request.status, request.sha256) != ("", 200, wanted):
            wrong.append((request.path, request.status, request.error))
    return wrong


def bodies_through(env, kind, hooks):
    origin, sink = Origin(env), OtlpSink(env)
    proxy = kind(env, origin.port)
    agent = Agent(env, "--pid", proxy.pid, "--endpoint", sink.endpoint, "--hooks", hooks)
    requests = body_requests(BODIES)
    run(proxy.port, requests, 8)
    ledger = agent.stop()
    check_equal(wrong_bodies(requests), [], f"changed or failed through {kind.__name__} with --hooks {hooks}")
    if ledger["events_captured"] == ledger["events_processed"]:
        check_equal(ledger["acknowledged"], 2 * BODIES, f"spans, when no event was lost ({ledger})")
    check(ledger["acknowledged"] > BODIES, f"the agent saw too little to prove anything: {ledger}")
    env.figure(f"{kind.__name__} --hooks {hooks}: {BODIES} bodies unchanged, {ledger['acknowledged']} spans")


@deadline(60)
def test_bodies_through_envoy(env):
    bodies_through(env, Envoy, "socket")


@deadline(60)
def test_bodies_through_nginx(env):
    bodies_through(env, Nginx, "syscall")


@deadline(60)
def test_bodies_through_haproxy(env):
    bodies_through(env, HAProxy, "auto")


class Wrk:
    """wrk in the background; failures() counts answers that are no 2xx and socket errors."""

    def __init__(self, env, port, seconds, name="wrk", connections=16):
        self._process = env.start(name, [tools.system("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s",
                                         f"http://127.0.0.1:{port}/"])
        self._seconds = seconds

    def finish(self):
        """(requests, failures); waits for the end."""
        check_equal(self._process.wait(self._seconds + 10), 0, "exit code of wrk")
        text = self._process.output()
        requests = int(re.search(r"(\d+) requests in", text)[1])
        refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
        return requests, int(refused[1] if refused else 0) + sum(map(int, errors.groups() if errors else ()))


@deadline(60)
def test_killed_agent_mid_load(env):
    """Twice: each hook family dies by SIGKILL under load and leaves neither a failed request nor an object."""
    upstream = Nginx(env, name="upstream", body="fine", log=False)
    envoy, nginx = Envoy(env, upstream.port), Nginx(env, upstream.port, log=False)
    sink = OtlpSink(env, keep="count")
    for hooks in ("socket", "syscall"):
        before = bpf_objects.snapshot()
        loads = [Wrk(env, proxy.port, 3, name=f"wrk-{hooks}-{proxy.port}") for proxy in (envoy, nginx)]
        agent = Agent(env, "--pid", envoy.pid, "--pid", nginx.pid, "--endpoint", sink.endpoint, "--hooks", hooks,
                      name=f"agent-{hooks}")
        wait_until(lambda: sink.span_count > 0, 5, "spans before the kill: without any it proves nothing")
        objects = bpf_objects.held_by(agent.pid)
        check({kind for kind, _ in objects} >= {"prog", "map"}, f"nothing loaded? {objects}")
        agent.process.kill()
        bpf_objects.check_gone(objects)
        bpf_objects.check_nothing_left(before)
        results = [load.finish() for load in loads]
        check_equal([failed for _, failed in results], [0, 0], f"failed requests, --hooks {hooks}")
        env.figure(f"kill -9 with --hooks {hooks}: {sum(n for n, _ in results)} requests, 0 failed")
        sink.clear()


def leave(agent, number):
    agent.process.send(number)
    return agent.process.wait(8)


@deadline(90)
def test_nothing_remains_after_any_exit(env):
    nginx = Nginx(env, body="fine", log=False)
    for hooks in ("socket", "syscall"):
        for turns in ("off", "on"):
            for number, code in ((signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, -signal.SIGKILL)):
                what = f"--hooks {hooks} --turns {turns} {number.name}"
                before = bpf_objects.snapshot()
                agent = Agent(env, "--pid", nginx.pid, "--hooks", hooks, "--turns", turns, command="trace",
                              name=f"trace-{hooks}-{turns}-{number.name}")
                objects = bpf_objects.held_by(agent.pid)
                check({kind for kind, _ in objects} >= {"prog", "map"}, f"nothing loaded? {what}: {objects}")
                check_equal(leave(agent, number), code, f"exit code, {what}")
                bpf_objects.check_gone(objects)
                bpf_objects.check_nothing_left(before)


def test_ends_with_its_target(env):
    """When every process of --pid is gone there is nothing left to observe: the run ends, and ends clean."""
    before = bpf_objects.snapshot()
    nginx = Nginx(env, body="fine", log=False)
    agent = Agent(env, "--pid", nginx.pid, command="trace")
    nginx.process.stop()
    check_equal(agent.process.wait(5), 0, "exit code once the target has exited")
    bpf_objects.check_nothing_left(before)


def test_attached_only_while_there_is_a_target(env):
    """--exe of a program that does not run yet: the data hooks, which cost everybody, wait for it."""
    name = f"spantap-late-{env.free_port()}"
    program = env.tmp / name
    shutil.copyfile(tools.system("nginx"), program)
    program.chmod(0o755)
    agent = Agent(env, "--exe", name, command="trace")
    links = lambda: {o for o in bpf_objects.held_by(agent.pid) if o[0] == "link"}  # noqa: E731
    idle = links()
    port = env.free_port()
    config = env.write("late.conf", f"""
daemon off; pid {env.tmp}/late.pid; events {{}}
http {{ access_log off; server {{ listen 127.0.0.1:{port}; return 200 "fine"; }} }}
""")
    late = env.start("late", [program, "-e", "stderr", "-c", config], port=port)
    wait_until(lambda: links() > idle, 5, "more programs attached once a target runs")
    late.stop()
    wait_until(lambda: links() == idle, 5, "they are detached when the last target has gone")
    agent.stop()
