# SPDX-License-Identifier: Apache-2.0
"""The way out: queue to compressed body on one core; the whole exporter against two rivals; at 10 k spans/s and at rest.

Rivals of the whole exporter: opentelemetry-cpp (its package of Debian's backports; built without compression) and the
Collector (OTLP/HTTP in, otlphttp exporter out, gzip). All send to the same sink, a process that reads and answers.
README.md says what each side does.
"""
import json
import subprocess
import time

from bench_proxies import BUILD, HERE, Sink, column
from harness import Env, Skip, tools
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
    """A process that makes and exports spans as told on stdin; ours (bench_export_run) unless `argv` says otherwise."""

    def __init__(self, env, endpoint, compression="gzip", argv=None):
        argv = argv or [BUILD / "bench" / "bench_export_run", endpoint, "http/protobuf", compression]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
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


def build_opentelemetry_cpp(source="opentelemetry_cpp.cc"):
    """The path of rivals/`source`, built as the package's pkg-config files say; Skip if it cannot be had."""
    if subprocess.run([HERE.parent / "setup" / "get_opentelemetry_cpp.sh"], check=False).returncode != 0:
        raise Skip("opentelemetry-cpp cannot be fetched")
    prefix = tools.cache_dir() / "opentelemetry-cpp-1.19.0" / "usr"
    libraries = prefix / "lib" / "x86_64-linux-gnu"
    program = BUILD / "bench" / source.removesuffix(".cc")
    subprocess.run(["g++", "-std=c++17", "-O2", "-DHAVE_ABSEIL", "-DOPENTELEMETRY_ABI_VERSION_NO=1", f"-I{HERE.parents[1]}",
                    "-isystem", prefix / "include", HERE / "rivals" / source, "-o", program, f"-L{libraries}",
                    f"-Wl,--disable-new-dtags,-rpath,{libraries}", "-lopentelemetry_exporter_otlp_http",
                    "-lopentelemetry_trace", "-lopentelemetry_resources", "-lopentelemetry_common",
                    "-labsl_bad_variant_access", "-pthread"], check=True)
    return program


def spans_per_cpu_second(senders, pids, rounds, spans):
    """{name: [thousand spans per CPU second of the process pids[name]]}, interleaved, after one round to warm up."""

    def measure(name):
        before = cpu_seconds([pids[name]])
        senders[name].do(f"push {spans}")
        time.sleep(0.2)  # what the rival still tidies up is its own
        return spans / (cpu_seconds([pids[name]]) - before) / 1000

    for name in senders:
        measure(name)
    rates = interleave(senders, rounds, measure)
    for name, sender in senders.items():
        print_figure(f"whole exporter, {name}", rates[name], "k spans/CPU s", digits=0)
        sender.close()
    return rates


def against_opentelemetry_cpp(rounds, spans):
    """Bench (g): the whole exporter and opentelemetry-cpp's BatchSpanProcessor with OtlpHttpExporter, same sink."""
    program = build_opentelemetry_cpp()
    env = Env("bench")
    try:
        sink = Sink(env).endpoint
        rival, ours, packed = "opentelemetry-cpp, uncompressed", "spantap, uncompressed", "spantap, gzip"
        senders = {rival: Sender(env, None, argv=[program, f"{sink}/v1/traces"]),
                   ours: Sender(env, sink, compression="none"), packed: Sender(env, sink)}
        rates = spans_per_cpu_second(senders, {name: sender.pid for name, sender in senders.items()}, rounds, spans)
        print_ratio("  spantap/opentelemetry-cpp, both uncompressed", rates[ours], rates[rival], (">=", 3))
        print_ratio("  spantap with gzip/opentelemetry-cpp without", rates[packed], rates[rival])
    finally:
        env.close(False)


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
    """Bench (g): the whole exporter and the Collector's otlphttp exporter, both with gzip of level 1, same sink."""
    env = Env("bench")
    try:
        sink = Sink(env).endpoint
        port = env.free_port()
        config = env.write("rival.yaml", COLLECTOR.format(port=port, sink=sink))
        collector = env.start("otelcol", [tools.otelcol(), "--config", config], port=port)
        rival, ours = "otelcol, gzip", "spantap, gzip"
        senders = {ours: Sender(env, sink), rival: Sender(env, f"http://127.0.0.1:{port}", compression="none")}
        rates = spans_per_cpu_second(senders, {ours: senders[ours].pid, rival: collector.pid}, rounds, spans)
        print_ratio("  spantap/otelcol, both with gzip", rates[ours], rates[rival], (">=", 3))
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
