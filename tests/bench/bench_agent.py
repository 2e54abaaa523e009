# SPDX-License-Identifier: Apache-2.0
"""The agent by itself: events to spans, spans to bytes, and how long a start takes."""
import json
import subprocess
import threading
import time

from bench_proxies import BUILD, Sink
from harness import Env
from harness.load import get
from harness.proxies import Nginx
from harness.spantap import Agent, binary
from measure import memory_mib, print_figure


def replay(rounds, requests):
    """Bench (c): a generated recording through the whole pipeline on one core; no encoding, no terminal."""
    env = Env("bench")
    try:
        file = env.tmp / "big.rec"
        subprocess.run([BUILD / "bench" / "make_recording", file, str(requests)], check=True)
        runs = []
        for _ in range(rounds):
            output = subprocess.run([BUILD / "bench" / "bench_replay", file], capture_output=True, check=True).stdout
            runs.append(json.loads(output))
        check_complete(runs[0], requests)
        print_figure("replay, events to spans, one core", [r["exchanges"] / r["cpu_seconds"] / 1000 for r in runs],
                     "k exchanges/s", (">=", 300), digits=0)
        print(f"  {runs[0]['events']} events, {file.stat().st_size >> 20} MiB, {runs[0]['exchanges']} exchanges, "
              f"{runs[0]['spans']} spans")
    finally:
        env.close(False)


def check_complete(run, requests):
    """Fast because it did half the work would be no result."""
    if run["exchanges"] != 2 * requests or run["spans"] != 2 * requests or run["dropped"]:
        raise SystemExit(f"the replay is not complete: {run}, wanted {2 * requests} exchanges")


def encode(quick):
    """Bench (d): prints what build/bench/bench_encode prints."""
    subprocess.run([BUILD / "bench" / "bench_encode", *(["--quick"] if quick else [])], check=True)


class Visitor(threading.Thread):
    """A quiet node: a request each 5 ms, a connection each."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self._port = port
        self.stop = threading.Event()

    def run(self):
        while not self.stop.wait(0.005):
            get(self._port, "/item")


def start(rounds):
    """Bench (e): from exec to ready, to the first span in the terminal, to the first span at the collector."""
    env = Env("bench")
    try:
        nginx = Nginx(env, body="fine", log=False)
        visitor = Visitor(nginx.port)
        visitor.start()
        ready, shown, exported, memory = [], [], [], []
        for number in range(rounds):
            ready_ms, shown_ms = until_shown(nginx.pid)
            ready.append(ready_ms)
            shown.append(shown_ms)
            exported.append(until_exported(env, nginx.pid, number))
            memory.append(idle_memory(env, nginx.pid, number))
        visitor.stop.set()
        visitor.join()
        print_figure("exec to ready (attached)", ready, "ms", ("<=", 500), digits=0)
        print_figure("exec to the first span in the terminal", shown, "ms", ("<=", 500), digits=0)
        print_figure("exec to the first span at the collector", exported, "ms", ("<=", 500), digits=0)
        print_figure("peak RSS after 1 s of light traffic, beside the ring buffer", memory, "MiB", ("<=", 32))
    finally:
        env.close(False)


def until_shown(pid):
    """Milliseconds from exec to the ready line and to the first line of output."""
    begin = time.monotonic()
    with subprocess.Popen([binary(), "trace", "--pid", str(pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as agent:
        ready_ms = 0
        for line in agent.stderr:
            if b"ready" in line:
                ready_ms = (time.monotonic() - begin) * 1000
                break
        agent.stdout.readline()
        shown_ms = (time.monotonic() - begin) * 1000
        agent.terminate()
        agent.communicate()
    return ready_ms, shown_ms


def until_exported(env, pid, number):
    sink = Sink(env, f"sink{number}")
    begin = time.monotonic_ns()
    agent = Agent(env, "--pid", pid, "--endpoint", sink.endpoint, name=f"start{number}")
    while not sink.process.output():
        time.sleep(0.005)
    first = int(sink.process.output().split()[0])
    agent.stop()
    return (first - begin) / 1e6


def idle_memory(env, pid, number):
    agent = Agent(env, "--pid", pid, command="trace", name=f"memory{number}")
    time.sleep(1)
    peak, _ = memory_mib(agent.pid)
    agent.stop()
    return peak
