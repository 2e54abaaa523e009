# SPDX-License-Identifier: Apache-2.0
"""What the agent costs the processes it observes, and those it does not: wrk saturates a proxy over keep-alive.

    wrk -t1 -c32 ─► Envoy --concurrency 1, or nginx with one worker ─► nginx `return 200`

All of it and the agent share the machine's cores, so that what the agent takes is missing elsewhere. The collector is a
process that reads and answers (discard_sink.py).
"""
import json
import pathlib
import re
import subprocess
import sys
import time

from harness import Env, tools
from harness.proxies import Envoy, Nginx
from harness.spantap import Agent
from measure import cpu_seconds, interleave, memory_mib, print_figure, print_ratio

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build"
CONNECTIONS = 32


class Round:
    """One wrk run against `proxy` with an agent of these arguments (None: without)."""

    def __init__(self, env, proxy, sink, seconds):
        self._env, self._proxy, self._sink, self._seconds = env, proxy, sink, seconds
        self._count = 0

    def measure(self, agent_arguments):
        self._count += 1
        agent = None
        if agent_arguments is not None:
            agent = Agent(self._env, *agent_arguments, "--endpoint", self._sink, name=f"agent{self._count}")
        wrk(self._proxy.port, 0.5)
        agent_before = cpu_seconds([agent.pid]) if agent else 0
        proxy_before = cpu_seconds([self._proxy.pid])
        requests, seconds = wrk(self._proxy.port, self._seconds)
        result = {"rate": requests / seconds, "proxy_us": (cpu_seconds([self._proxy.pid]) - proxy_before) / requests * 1e6}
        if agent:
            time.sleep(0.7)  # the last batch
            result["agent_us"] = (cpu_seconds([agent.pid]) - agent_before) / requests * 1e6
            result["rss"], result["anonymous"] = memory_mib(agent.pid)
            result["ledger"] = agent.stop()
        return result


def wrk(port, seconds, path="/items/1?page=2"):
    """(requests, seconds). wrk counts whole seconds only; shorter runs are warm-ups."""
    run = subprocess.run([tools.system("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s",
                          f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True)
    if "Non-2xx" in run.stdout or "Socket errors" in run.stdout:
        raise SystemExit(f"wrk met errors:\n{run.stdout}")
    count, unit, value = re.search(r"(\d+) requests in ([\d.]+)(ms|s)", run.stdout).group(1, 3, 2)
    return int(count), float(value) / (1000 if unit == "ms" else 1)


class Sink:
    """discard_sink.py in a process of its own."""

    def __init__(self, env, name="sink"):
        port = env.free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self.process = env.start(name, [sys.executable, HERE / "discard_sink.py", port], port=port)


def column(results, name):
    return [result[name] for result in results]


def with_and_without(kind, goal, rounds, seconds):
    """Bench (a) for one proxy."""
    env = Env("bench")
    try:
        upstream = Nginx(env, name="upstream", body="fine", log=False)
        proxy = kind(env, upstream.port, log=False)
        run = Round(env, proxy, Sink(env).endpoint, seconds)
        results = interleave(["without", "with"], rounds, lambda variant: run.measure(
            None if variant == "without" else ["--pid", proxy.pid]))
        name = kind.__name__.lower()
        base, traced = results["without"], results["with"]
        print_figure(f"{name} without the agent", column(base, "rate"), "requests/s", digits=0)
        print_figure(f"{name} without the agent", column(base, "proxy_us"), "us CPU/request")
        print_figure(f"{name} with the agent", column(traced, "rate"), "requests/s", digits=0)
        print_figure(f"{name} with the agent", column(traced, "proxy_us"), "us CPU/request")
        print_ratio(f"{name} requests/s with/without", column(traced, "rate"), column(base, "rate"), goal)
        print_ratio(f"{name} CPU/request with/without", column(traced, "proxy_us"), column(base, "proxy_us"))
        print_figure(f"agent CPU per request proxied by {name}", column(traced, "agent_us"), "us", ("<=", 15))
        print_losses(traced)
        print_memory(traced)
    finally:
        env.close(False)


def print_losses(results):
    """Cheap because it lost half would be no result."""
    captured = sum(r["ledger"]["events_captured"] for r in results)
    lost = captured - sum(r["ledger"]["events_processed"] for r in results)
    created = sum(r["ledger"]["created"] for r in results)
    acknowledged = sum(r["ledger"]["acknowledged"] for r in results)
    print(f"  of {captured} events {lost} lost ({100 * lost / max(1, captured):.2f} %), of {created} spans "
          f"{created - acknowledged} not acknowledged ({100 * (created - acknowledged) / max(1, created):.2f} %)")


def print_memory(results):
    print_figure("agent peak RSS beside the ring buffer", column(results, "rss"), "MiB", ("<=", 32))
    print_figure("agent anonymous memory", column(results, "anonymous"), "MiB")


def bystanders(rounds, seconds):
    """Bench (b): Envoy is no target, there is no target, and each hook family with and without loop turns."""
    env = Env("bench")
    try:
        upstream = Nginx(env, name="upstream", body="fine", log=False)
        idle = Nginx(env, name="idle", body="fine", log=False)
        proxy = Envoy(env, upstream.port, log=False)
        run = Round(env, proxy, Sink(env).endpoint, seconds)
        variants = {"none": None, "no target": ["--exe", "no-such-program"]}
        for hooks in ("socket", "syscall"):
            variants[f"other target, {hooks}"] = ["--pid", idle.pid, "--hooks", hooks]
            for turns in ("off", "on"):
                variants[f"target, {hooks}, turns {turns}"] = ["--pid", proxy.pid, "--hooks", hooks, "--turns", turns]
        results = interleave(variants, rounds, lambda variant: run.measure(variants[variant]))
        for variant in variants:
            if variant != "none":
                print_ratio(f"envoy requests/s, {variant} / none", column(results[variant], "rate"),
                            column(results["none"], "rate"))
                print_ratio(f"envoy CPU/request, {variant} / none", column(results[variant], "proxy_us"),
                            column(results["none"], "proxy_us"))
    finally:
        env.close(False)


def calls(rounds):
    """Bench (b), in nanoseconds: system calls of a process while others are observed, and of an observed one."""
    program = BUILD / "bench" / "bench_calls"
    env = Env("bench")
    try:
        idle = Nginx(env, name="idle", body="fine", log=False)
        sink = Sink(env).endpoint
        variants = {"none": None, "no target": ["--exe", "no-such-program"]}
        for hooks in ("socket", "syscall"):
            variants[f"other target, {hooks}"] = ["--pid", idle.pid, "--hooks", hooks]
            variants[f"target, {hooks}"] = ["--exe", program.name, "--hooks", hooks]
        count = iter(range(10**6))

        def measure(variant):
            agent = None
            if variants[variant] is not None:
                agent = Agent(env, *variants[variant], "--endpoint", sink, name=f"calls{next(count)}")
            result = json.loads(subprocess.run([program], capture_output=True, check=True).stdout)
            if agent:
                agent.stop()
            return result

        results = interleave(variants, rounds, measure)
        goals = {("other target, socket", "file"): ("<=", 20), ("other target, syscall", "file"): ("<=", 110)}
        for variant in variants:
            for call in ("file", "socket_small", "socket_4k"):
                added = [r[call] - b[call] for r, b in zip(results[variant], results["none"])]
                if variant == "none":
                    print_figure(f"one {call} call", column(results["none"], call), "ns", digits=0)
                else:
                    print_figure(f"added to one {call} call, {variant}", added, "ns", goals.get((variant, call)), digits=0)
    finally:
        env.close(False)
