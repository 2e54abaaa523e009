# SPDX-License-Identifier: Apache-2.0
"""--listen: what the agent says of itself agrees with its ledger, and nobody who asks can harm it."""
import fnmatch
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import threading
import time

from harness import deadline
from harness.env import check, check_equal, wait_until
from harness.load import Request, run
from harness.origin import Origin
from harness.proxies import Nginx
from harness.sink import OtlpSink
from harness.spantap import Agent, parse_ledger

SIDE_BY_SIDE = True

SERIES = re.compile(r'([a-z0-9_:]+)(?:\{([a-z_]+)="((?:[^"\\]|\\.)*)"\})? (\S+)')


def ask(port, path, host="127.0.0.1"):
    """(status, body) of one request; an OSError if nobody answers."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def metrics(port):
    """{name: value} and {(name, label value): value}, every line parsed."""
    status, text = ask(port, "/metrics")
    check_equal(status, 200, "/metrics")
    values = {}
    for line in text.splitlines():
        if line.startswith(("# HELP ", "# TYPE ")):
            continue
        match = SERIES.fullmatch(line)
        check(match, f"a line of /metrics that is none: {line!r}")
        key = (match[1], match[3]) if match[2] else match[1]
        check(key not in values, f"twice in /metrics: {key}")
        values[key] = float(match[4])
    return values


def check_documented(values):
    """Each family is named on the page of agent/serve."""
    page = (pathlib.Path(__file__).parents[2] / "agent" / "serve" / "README.md").read_text()
    table = page.split("## What `/metrics` tells")[1].split("\n## ")[0]
    named = re.findall(r"`([a-z_*]+)`", table)
    for key in values:
        name = (key[0] if isinstance(key, tuple) else key).removeprefix("spantap_").removesuffix("_total")
        check(any(fnmatch.fnmatchcase(name, pattern) for pattern in named), f"{name} is not in agent/serve/README.md")


def ledger_of(port):
    status, text = ask(port, "/ledger")
    check_equal(status, 200, "/ledger")
    return json.loads(text)


class Rig:
    """nginx, its origin and a sink, and the options of an agent that watches it and listens."""

    def __init__(self, env):
        self.origin, self.sink = Origin(env), OtlpSink(env)
        self.proxy = Nginx(env, self.origin.port)
        self.port = env.free_port()
        self.options = ["--pid", self.proxy.pid, "--endpoint", self.sink.endpoint,
                        "--listen", f"127.0.0.1:{self.port}"]

    def requests(self, count, name="x"):
        run(self.proxy.port, [Request(f"/ok/{name}{i}") for i in range(count)], 4)

    def wait_ready(self, wanted, seconds):
        """Waits until /readyz says so (200 or 503); returns its words."""
        return wait_until(lambda: next((b for s, b in [ask(self.port, "/readyz")] if s == wanted), None), seconds,
                          f"/readyz says {wanted}")


def check_agreement(values, ledger):
    """/metrics against the ledger line: the same sums under Prometheus' names."""
    for name in ("created", "acknowledged"):
        check_equal(values[f"spantap_spans_{name}_total"], ledger[name], f"metric of {name}")
    for name in ("in_flight", "spooled"):
        check_equal(values[f"spantap_spans_{name}"], ledger[name], f"metric of {name}")
    for name in ("events_captured", "events_processed", "connections", "exchanges"):
        check_equal(values[f"spantap_{name}_total"], ledger[name], f"metric of {name}")
    dropped = {key[1]: value for key, value in values.items() if key[0] == "spantap_spans_dropped_total"}
    check("queue_full" in dropped and "shutdown" in dropped, f"every reason is there: {dropped}")
    check_equal(sum(dropped.values()), ledger["dropped"], "sum of the metrics of drops")


def settled(port):
    """(ledger, metrics) when two publications in a row, which are a quarter of a second apart, are the same."""
    before = ledger_of(port)
    time.sleep(0.3)
    values = metrics(port)
    return (before, values) if ledger_of(port) == before else None


@deadline(40)
def test_numbers_agree_with_the_ledger(env):
    rig = Rig(env)
    agent = Agent(env, *rig.options)
    rig.requests(300)
    wait_until(lambda: ledger_of(rig.port)["acknowledged"] == 600, 10, "600 spans acknowledged")
    ledger, values = wait_until(lambda: settled(rig.port), 10, "the last events (closed connections) are published")
    check_agreement(values, ledger)
    check_equal(values["spantap_exporter_up", f"{rig.sink.endpoint}/v1/traces"], 1, "spantap_exporter_up")
    check_equal(values["spantap_exporter_requests_total", f"{rig.sink.endpoint}/v1/traces"], len(rig.sink.requests),
                "requests counted and requests at the sink")
    check(values["process_resident_memory_bytes"] > 1e6, "resident memory")
    check_documented(values)
    check(abs(values["process_start_time_seconds"] - (time.time() - (time.monotonic() - agent.started))) < 2,
          "start time of the process")
    check(values["spantap_event_thread_turn_age_seconds"] < 1, "the event thread turns")
    last = agent.stop()
    check_equal(last, ledger, "the ledger line at the end and /ledger before it")
    env.figure(f"/metrics has {len(values)} series")


@deadline(40)
def test_paths_and_methods(env):
    rig = Rig(env)
    Agent(env, *rig.options)
    check_equal(ask(rig.port, "/healthz"), (200, "ok\n"), "/healthz")
    check_equal(ask(rig.port, "/readyz"), (200, "ready\n"), "/readyz")
    status, text = ask(rig.port, "/nothing")
    check_equal(status, 404, "another path")
    for path in ("/metrics", "/healthz", "/readyz", "/ledger"):
        check(path in text, f"{path} is named to who asks for another: {text}")
    connection = http.client.HTTPConnection("127.0.0.1", rig.port, timeout=5)
    connection.request("POST", "/metrics", body=b"x" * 1000)
    check_equal(connection.getresponse().status, 405, "POST")
    try:
        ask(rig.port, "/healthz", host="127.0.0.2")
        check(False, "answers on an address that was not given")
    except ConnectionRefusedError:
        pass


@deadline(60)
def test_readyz_follows_the_collector(env):
    rig = Rig(env)
    agent = Agent(env, *rig.options, "--retry-initial", 100, "--retry-max", 500)
    rig.requests(10)
    rig.sink.wait_spans(20)
    rig.wait_ready(200, 5)
    rig.sink.close()
    rig.requests(10, "gone")
    words = rig.wait_ready(503, 10)
    check(rig.sink.endpoint in words and "down" in words, f"the reason in words: {words!r}")
    check_equal(ask(rig.port, "/healthz")[0], 200, "/healthz while the collector is away")
    back = OtlpSink(env, port=rig.sink.port)
    back.wait_spans(20, 10)
    rig.wait_ready(200, 5)
    ledger = agent.stop()
    check_equal((ledger["created"], ledger["acknowledged"]), (40, 40), "created, acknowledged")


@deadline(60)
def test_the_port_stays_open_across_a_reload(env):
    rig = Rig(env)
    config = env.write("spantap.yaml", f"pid: {rig.proxy.pid}\nendpoint: {rig.sink.endpoint}\n"
                                       f"listen: 127.0.0.1:{rig.port}\n")
    agent = Agent(env, "--config", config)
    refused, answers, done = [], [], threading.Event()

    def probe():
        while not done.is_set():
            try:
                answers.append(ask(rig.port, "/healthz")[0])
            except OSError as error:
                refused.append(repr(error))

    prober = threading.Thread(target=probe)
    prober.start()
    for count in (2, 3, 4):
        agent.process.send(signal.SIGHUP)
        wait_until(lambda n=count: agent.process.output().count('msg="ready"') == n, 10, f"run {count}")
    done.set()
    prober.join()
    check_equal(refused, [], "probes that failed during three reloads")
    check_equal(set(answers), {200}, f"what {len(answers)} probes during three reloads were told")
    check_equal(metrics(rig.port)["spantap_reloads_total"], 3, "spantap_reloads_total")
    agent.stop()


@deadline(60)
def test_reload_to_another_port(env):
    rig = Rig(env)
    taken = socket.create_server(("127.0.0.1", env.free_port()))
    other = env.free_port()

    def configure(port):
        return env.write("spantap.yaml", f"pid: {rig.proxy.pid}\nendpoint: {rig.sink.endpoint}\n"
                                         f"listen: 127.0.0.1:{port}\n")

    agent = Agent(env, "--config", configure(rig.port))
    rig.requests(5)
    wait_until(lambda: ledger_of(rig.port)["acknowledged"] == 10, 10, "10 spans acknowledged")
    configure(taken.getsockname()[1])
    agent.process.send(signal.SIGHUP)
    wait_until(lambda: "not reloaded" in agent.process.output(), 5, "a port that is taken is named")
    check("is taken" in agent.process.output(), agent.process.output())
    check_equal(ledger_of(rig.port)["acknowledged"], 10, "the old run goes on with its ledger")
    configure(other)
    agent.process.send(signal.SIGHUP)
    wait_until(lambda: agent.process.output().count('msg="ready"') == 2, 10, "the new run")
    check_equal(ledger_of(other)["acknowledged"], 0, "a new ledger on the new port")
    try:
        ask(rig.port, "/healthz")
        check(False, "the old port still answers")
    except ConnectionRefusedError:
        pass
    agent.stop()
    taken.close()


@deadline(20)
def test_an_address_that_cannot_be_had(env):
    proxy = Nginx(env, Origin(env).port)
    taken = socket.create_server(("127.0.0.1", env.free_port()))
    for listen, wanted in ((f"127.0.0.1:{taken.getsockname()[1]}", "is taken by another program"),
                           ("192.0.2.1:9464", "is no address of this machine"),
                           ("example.org:9464", "has no numeric address"), ("9464", "has no ")):
        agent = Agent(env, "--pid", proxy.pid, "--listen", listen, ready=False)
        check_equal(agent.process.wait(5), 2, f"exit code with --listen {listen}")
        output = agent.process.output()
        for words in (wanted, listen, "accepted: IPV4:PORT, [IPV6]:PORT or localhost:PORT"):
            check(words in output, f"--listen {listen}: no {words!r} in {output}")
        check('msg="ready"' not in output, "nothing was attached")
    taken.close()


@deadline(60)
def test_no_secret_is_told(env):
    rig = Rig(env)
    secrets = ("s3cr3t-user", "s3cr3t-word", "s3cr3t-query", "s3cr3t-token")
    endpoint = rig.sink.endpoint.replace("http://", "http://s3cr3t-user:s3cr3t-word@") + "/v1/traces?key=s3cr3t-query"
    agent = Agent(env, "--pid", rig.proxy.pid, "--listen", f"127.0.0.1:{rig.port}", "--endpoint", endpoint,
                  "--header", "Authentication=s3cr3t-token", "--log-level", "debug", "--drain", 500)
    rig.requests(5)
    wait_until(lambda: ledger_of(rig.port)["acknowledged"] == 10, 10, "10 spans acknowledged")
    check(any(r["headers"].get("authentication") == "s3cr3t-token" for r in rig.sink.requests), "the token is sent")
    told = [ask(rig.port, path)[1] for path in ("/metrics", "/readyz", "/ledger", "/")]
    rig.sink.close()
    rig.requests(5)
    told.append(rig.wait_ready(503, 10))
    told.append(ask(rig.port, "/metrics")[1])
    agent.process.stop(15)
    told += [agent.process.output(), agent.process.stdout()]
    for secret in secrets:
        check(not any(secret in text for text in told), f"{secret} was told")


@deadline(40)
def test_stop_while_clients_hang(env):
    rig = Rig(env)
    agent = Agent(env, *rig.options)
    rig.requests(5)
    rig.sink.wait_spans(10)
    hanging = [socket.create_connection(("127.0.0.1", rig.port)) for _ in range(50)]
    for connection in hanging:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nx: ")
    check_equal(ask(rig.port, "/healthz"), (200, "ok\n"), "/healthz beside 50 hanging clients")
    start = time.monotonic()
    agent.stop()
    seconds = time.monotonic() - start
    env.figure(f"stopped in {seconds * 1000:.0f} ms while 50 clients hang")
    check(seconds < 1.5, f"stopped after {seconds:.1f} s")


@deadline(60)
def test_the_spool_is_handed_over(env):
    """What one run leaves on disk, the next sends: across a SIGHUP with the collector away, then back."""
    rig = Rig(env)
    rig.sink.close()
    spool = env.tmp / "spool"
    agent = Agent(env, *rig.options, "--spool", spool, "--retry-initial", 100, "--retry-max", 300, "--drain", 500)
    rig.requests(10)
    wait_until(lambda: ledger_of(rig.port)["created"] == 20, 10, "20 spans created")
    agent.process.send(signal.SIGHUP)
    wait_until(lambda: agent.process.output().count('msg="ready"') == 2, 10, "the second run")
    first = [l for l in agent.process.output().splitlines() if l.startswith("ledger ")]
    check_equal(len(first), 1, "ledger lines so far")
    ledger = parse_ledger(first[0])
    check_equal((ledger["created"], ledger["spooled"], ledger["dropped"]), (20, 20, 0), "first run: created, spooled, "
                                                                                        "dropped")
    check_equal(ledger_of(rig.port).get("recovered"), 20, "second run: recovered")
    check_equal(metrics(rig.port)["spantap_spool_spans"], 20, "spantap_spool_spans")
    back = OtlpSink(env, port=rig.sink.port)
    back.wait_spans(20, 15)
    wait_until(lambda: ledger_of(rig.port)["acknowledged"] == 20, 5, "the recovered spans are acknowledged")
    rig.wait_ready(200, 5)
    last = agent.stop()
    check_equal((last["created"], last["recovered"], last["acknowledged"], last["spooled"]), (20, 20, 20, 0),
                "second run: created, recovered, acknowledged, spooled")
    check_equal(len({s["span_id"] for s in back.snapshot()}), back.span_count, "no span came twice")


@deadline(30)
def test_disabled(env):
    rig = Rig(env)
    agent = Agent(env, *rig.options, extra_env={"OTEL_SDK_DISABLED": "true"})
    status, words = ask(rig.port, "/readyz")
    check(status == 200 and "OTEL_SDK_DISABLED" in words, f"/readyz when disabled: {status} {words!r}")
    rig.requests(5)
    time.sleep(0.5)
    check_equal(ask(rig.port, "/healthz")[0], 200, "/healthz when disabled")
    check(agent.process.output().count("disabled") == 1, f"said once: {agent.process.output()}")
    fds = [os.readlink(f"/proc/{agent.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{agent.pid}/fd")]
    check(not any("bpf" in fd for fd in fds), f"nothing is attached: {fds}")
    start = time.monotonic()
    ledger = agent.stop()
    check(time.monotonic() - start < 1, "a disabled agent ends at once")
    check_equal((ledger["created"], ledger["events_captured"], rig.sink.span_count), (0, 0, 0), "nothing was done")


@deadline(30)
def test_no_listener_unless_asked(env):
    rig = Rig(env)
    agent = Agent(env, "--pid", rig.proxy.pid, "--endpoint", rig.sink.endpoint)
    # 0A is LISTEN; the socket's inode in the tenth column.
    inodes = {f"socket:[{line.split()[9]}]" for name in ("tcp", "tcp6")
              for line in open(f"/proc/net/{name}", encoding="ascii").readlines()[1:] if line.split()[3] == "0A"}
    fds = {os.readlink(f"/proc/{agent.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{agent.pid}/fd")}
    check_equal(inodes & fds, set(), "listening sockets of an agent that was not asked to listen")
    agent.stop()
