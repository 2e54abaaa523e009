# SPDX-License-Identifier: Apache-2.0
"""What handing a span off costs a proxy's thread, against a copy of its bytes, many threads, and opentelemetry-cpp; and how
many spans one core of the agent takes from a ring to OTLP."""
import json
import subprocess

from bench_export import build_opentelemetry_cpp
from bench_proxies import BUILD, Sink
from harness import Env
from measure import interleave, print_figure, print_ratio

PROGRAM = BUILD / "bench" / "bench_handoff"


def lines_of(*argv):
    output = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in output.splitlines()]


def latency(quick):
    """Each call timed; a million spans counted; the program prints its own goals."""
    print(subprocess.run([PROGRAM, "short"] if quick else [PROGRAM], capture_output=True, text=True, check=True).stdout,
          end="", flush=True)


def threads(rounds):
    """CPU time of the pushing threads (their own clocks), one thread against sixteen, with the same spans in all."""
    runs = lines_of(PROGRAM, "threads", rounds)
    one, many = [r["threads_1"] for r in runs], [r["threads_16"] for r in runs]
    print_figure("CPU a push, 1 thread", one, "ns")
    print_figure("CPU a push, 16 threads", many, "ns")
    print_ratio("  16 threads/1 thread", many, one, ("<=", 1.1))


class Pusher:
    """A program that answers "push N" with "done N THREAD_NS PROCESS_NS"."""

    def __init__(self, env, *argv):
        self._process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        env.on_exit(self._process.kill)

    def push(self, count, verb="push"):
        """(nanoseconds of CPU a span of the pushing thread, of the whole process)."""
        print(f"{verb} {count}", file=self._process.stdin, flush=True)
        words = self._process.stdout.readline().split()
        if not words or words[0] != "done":
            raise SystemExit("a pushing program ended")
        return int(words[2]) / count, int(words[3]) / count


def against_opentelemetry_cpp(rounds, spans):
    """The same span by opentelemetry-cpp: with its exporter to a sink, and with one that frees what it gets."""
    rival = build_opentelemetry_cpp("opentelemetry_span.cc")
    env = Env("bench")
    try:
        sink = Sink(env).endpoint
        pushers = {"spantap": Pusher(env, PROGRAM, "pushes"), "otlp": Pusher(env, rival, f"{sink}/v1/traces"),
                   "discard": Pusher(env, rival, "discard")}
        variants = {"spantap, one call": ("spantap", "push", 4), "spantap, live span": ("spantap", "live", 4),
                    "opentelemetry-cpp with export": ("otlp", "push", 1),
                    "opentelemetry-cpp, spans freed": ("discard", "push", 1)}
        for name, verb, _ in variants.values():
            pushers[name].push(20_480, verb)
        runs = interleave(variants, rounds, lambda v: pushers[variants[v][0]].push(spans * variants[v][2], variants[v][1]))
        thread = {v: [r[0] for r in found] for v, found in runs.items()}
        process = {v: [r[1] for r in found] for v, found in runs.items()}
        for variant in variants:
            print_figure(f"10-attribute span, {variant}: pushing thread", thread[variant], "ns CPU", digits=0)
        print_figure("10-attribute span, opentelemetry-cpp with export: whole process",
                     process["opentelemetry-cpp with export"], "ns CPU", digits=0)
        ours = process["spantap, one call"]
        print_ratio("  opentelemetry-cpp/spantap, CPU of the process", process["opentelemetry-cpp with export"], ours,
                    (">=", 50))
        print_ratio("  opentelemetry-cpp/spantap, pushing thread alone", thread["opentelemetry-cpp, spans freed"], ours)
        print_ratio("  opentelemetry-cpp/spantap live, CPU of the process", process["opentelemetry-cpp with export"],
                    process["spantap, live span"])
    finally:
        env.close(False)


def agent(rounds):
    """A ring's records -> spans -> OTLP on one core, filled by the other."""
    runs = lines_of(BUILD / "bench" / "bench_handoff_agent", rounds)
    for name, what, goal in (("read", "ring read", None), ("decoded", "ring to spans", None),
                             ("encoded", "ring to OTLP", (">=", 1000)),
                             ("encoded_hot", "ring to OTLP, filled by the same core", None)):
        print_figure(f"agent's side, one core, {what}", [r[name] for r in runs], "k spans/s", goal, digits=0)
