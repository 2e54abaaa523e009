# SPDX-License-Identifier: Apache-2.0
"""The way out: queue to compressed body on one core; the whole exporter against the Collector's own; at rest.

The rival of the whole exporter is the Collector (OTLP/HTTP in, otlphttp exporter out): opentelemetry-cpp is in no package
of Debian 12. Both send gzip of level 1 to the same sink, a process that reads and answers. README.md says what each does.
"""
import json
import subprocess
import time

from bench_proxies import BUILD, Sink, column
from harness import Env, tools
from measure import cpu_seconds, interleave, memory_mib, print_figure, print_ratio

# Same requests in as out, one at a time: no batching, no queue, nothing that costs and that our side has not.
COLLECTOR = """
receivers:
  otlp:
    protocols:
      http:
        endpoint: 127.0.0.1:{port}
exporters:
  otlphttp:
    endpoint: {sink}
    compression: gzip
    compression_params:
      level: 1
    sending_queue:
      enabled: false
service:
  telemetry:
    metrics:
      level: none
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [otlphttp]
"""


class Sender:
    """bench_export_run: the whole exporter as a process."""

    def __init__(self, env, endpoint, compression="gzip", protocol="http/protobuf"):
        self._process = subprocess.Popen([BUILD / "bench" / "bench_export_run", endpoint, protocol, compression],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        env.on_exit(self._process.kill)
        self.pid = self._process.pid

    def do(self, line):
        """Returns when all spans of it are acknowledged."""
        print(line, file=self._process.stdin, flush=True)
        if not self._process.stdout.readline().startswith("done"):
            raise SystemExit(f"the exporter ended at {line!r}")

    def close(self):
        ledger, _ = self._process.communicate()
        if self._process.returncode != 0:
            raise SystemExit(f"spans were lost: {ledger}")


def bodies(rounds):
    """Bench (f): queue -> compressed HTTP body on one core, libdeflate and zlib level 1 in the same run."""
    output = subprocess.run([BUILD / "bench" / "bench_export_body", str(rounds)], capture_output=True, check=True).stdout
    runs = {}
    for line in output.splitlines():
        run = json.loads(line)
        runs.setdefault(run["variant"], []).append(run)
    rate = {name: [run["spans"] / run["cpu_s"] / 1000 for run in found] for name, found in runs.items()}
    ratio = {name: [run["request_bytes"] / run["body_bytes"] for run in found] for name, found in runs.items()}
    goals = {"libdeflate": (">=", 600), "zlib1": (">=", 300)}
    for name, values in rate.items():
        print_figure(f"queue to body, {name}, one core", values, "k spans/s", goals.get(name), digits=0)
    print_ratio("  libdeflate/zlib1 spans/s", rate["libdeflate"], rate["zlib1"])
    print_ratio("  libdeflate/zlib1 compression", ratio["libdeflate"], ratio["zlib1"], (">=", 1))
    for name, values in ratio.items():
        print_figure(f"  compression, {name}", values, "x", digits=2)


def against_collector(rounds, spans):
    """Bench (g): spans per CPU second of the whole exporter and of the Collector's otlphttp exporter, same sink."""
    env = Env("bench")
    try:
        sink = Sink(env)
        port = env.free_port()
        config = env.write("rival.yaml", COLLECTOR.format(port=port, sink=sink.endpoint))
        rival = env.start("otelcol", [tools.otelcol(), "--config", config], port=port)
        senders = {"spantap": Sender(env, sink.endpoint),
                   "otelcol": Sender(env, f"http://127.0.0.1:{port}", compression="none")}
        pids = {"spantap": senders["spantap"].pid, "otelcol": rival.pid}

        def measure(name):
            before = cpu_seconds([pids[name]])
            senders[name].do(f"push {spans}")
            time.sleep(0.2)  # what the rival still tidies up is its own
            return {"rate": spans / (cpu_seconds([pids[name]]) - before) / 1000}

        for name in senders:
            measure(name)
        runs = interleave(senders, rounds, measure)
        for name, sender in senders.items():
            print_figure(f"whole exporter, gzip over HTTP, {name}", column(runs[name], "rate"), "k spans/CPU s", digits=0)
            sender.close()
        print_ratio("  spantap/otelcol spans per CPU second", column(runs["spantap"], "rate"),
                    column(runs["otelcol"], "rate"), (">=", 3))
    finally:
        env.close(False)


def steady(rounds, seconds, idle_seconds):
    """Bench (h): at 10 k spans/s: memory and CPU, the Collector's beside it; then at rest."""
    env = Env("bench")
    try:
        sink = Sink(env)
        port = env.free_port()
        config = env.write("rival.yaml", COLLECTOR.format(port=port, sink=sink.endpoint))
        rival = env.start("otelcol", [tools.otelcol(), "--config", config], port=port)
        ours = Sender(env, sink.endpoint)
        feeder = Sender(env, f"http://127.0.0.1:{port}", compression="none")
        feeder.do("push 10000")

        def busy(variant):
            sender, pid = variant
            before = cpu_seconds([pid])
            sender.do(f"rate 10000 {seconds}")
            return (cpu_seconds([pid]) - before) / seconds * 100

        runs = interleave([(ours, ours.pid), (feeder, rival.pid)], rounds, busy)
        ours_cpu, rival_cpu = runs.values()
        peak, anonymous = memory_mib(ours.pid)
        rival_peak, _ = memory_mib(rival.pid)
        print_figure("10 k spans/s, gzip, peak RSS", [peak], "MiB", ("<=", 24))
        print(f"  anonymous {anonymous:.1f} MiB; otelcol {rival_peak:.0f} MiB")
        print_figure("10 k spans/s, gzip, CPU", ours_cpu, "% of a core", digits=2)
        print_ratio("  spantap/otelcol CPU", ours_cpu, rival_cpu, ("<=", 1 / 3))
        before = cpu_seconds([ours.pid])
        time.sleep(idle_seconds)
        print_figure(f"idle for {idle_seconds} s, CPU", [(cpu_seconds([ours.pid]) - before) / idle_seconds * 100],
                     "% of a core", ("<=", 0.2), digits=4)
        ours.close()
        feeder.close()
    finally:
        env.close(False)
