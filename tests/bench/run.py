#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the benches: tests/bench/run.py [--quick] [--only a,c].

  a  requests/s and CPU per request of Envoy and nginx, without and with the agent
  b  processes that are no target, both hook families, loop turns; nanoseconds per system call
  c  events to spans on one core     d  spans to OTLP bytes     e  start, memory
  f  queue to compressed body on one core     g  the whole exporter against two rivals     h  10 k spans/s, and at rest
  i  a span handed off: latency, calls, threads, against opentelemetry-cpp; ring to OTLP on one core
  j  Envoy with the adapter     k  nginx with the adapter     l  HAProxy with the adapter

Prints `name: ratio median [min..max] goal ...`; MISSED marks a goal that this run did not reach.
"""
import argparse
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import bench_adapters  # noqa: E402
import bench_agent  # noqa: E402
import bench_export  # noqa: E402
import bench_handoff  # noqa: E402
import bench_proxies  # noqa: E402
from harness import Skip  # noqa: E402
from harness.proxies import Envoy, Nginx  # noqa: E402


def sections(quick):
    rounds, seconds = (3, 1) if quick else (7, 3)
    return {
        "a": [lambda: bench_proxies.with_and_without(Envoy, (">=", 0.9), rounds, seconds),
              lambda: bench_proxies.with_and_without(Nginx, (">=", 0.9), rounds, seconds)],
        "b": [lambda: bench_proxies.bystanders(3 if quick else 5, 1 if quick else 2),
              lambda: bench_proxies.calls(3 if quick else 7)],
        "c": [lambda: bench_agent.replay(rounds, 20_000 if quick else 100_000)],
        "d": [lambda: bench_agent.encode(quick)],
        "e": [lambda: bench_agent.start(rounds)],
        "f": [lambda: bench_export.bodies(rounds)],
        "g": [lambda: bench_export.against_opentelemetry_cpp(rounds, 131_072 if quick else 393_216),
              lambda: bench_export.against_collector(rounds, 131_072 if quick else 393_216)],
        "h": [lambda: bench_export.steady(3 if quick else 5, 2 if quick else 5, 10)],
        "i": [lambda: bench_handoff.latency(quick), lambda: bench_handoff.threads(rounds),
              lambda: bench_handoff.against_opentelemetry_cpp(rounds, 51_200 if quick else 204_800),
              lambda: bench_handoff.agent(rounds)],
        "j": [lambda: bench_adapters.envoy(4 if quick else 10, False), lambda: bench_adapters.envoy(4 if quick else 10, True)],
        "k": [lambda: bench_adapters.nginx("return 200, own core", *((3, 6) if quick else (12, 60))),
              *[lambda work=work: bench_adapters.nginx(work, 2 if quick else 8)
                for work in bench_adapters.NGINX_WORK if work != "return 200, own core"]],
        "l": [lambda: bench_adapters.haproxy(8 if quick else 24)],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter and rougher: a minute instead of five")
    parser.add_argument("--only", default="a,b,c,d,e,f,g,h,i,j,k,l", help="sections, with commas")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("The benches need root: they load eBPF programs.")
    known = sections(options.quick)
    for letter in options.only.split(","):
        if letter not in known:
            parser.error(f"no section {letter!r}: {', '.join(known)}")
        print(f"== {letter}", flush=True)
        for bench in known[letter]:
            try:
                bench()
            except Skip as reason:
                print(f"skipped: {reason}")


if __name__ == "__main__":
    main()
