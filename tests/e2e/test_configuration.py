# SPDX-License-Identifier: Apache-2.0
"""Configuration that is right does what it says: standard variables and Istio's fields, seen at the collector.

Recordings are replayed, so that nothing here needs privileges. What is wrong is in test_bad_input.py.
"""
import os
import pathlib
import re
import signal
import subprocess

from harness.env import check, check_equal
from harness.sink import OtlpSink
from harness.spantap import binary, check_ledger, parse_ledger

SIDE_BY_SIDE = True

ROOT = pathlib.Path(__file__).parents[2]
RECORDING = ROOT / "tests" / "data" / "nginx_keepalive.rec"


def replay(*args, env=None):
    """The ledger of a replay that goes well."""
    result = subprocess.run([binary(), "replay", str(RECORDING), *map(str, args)], stdin=subprocess.DEVNULL, text=True,
                            capture_output=True, timeout=20, env=dict(os.environ, **(env or {})))
    check_equal(result.returncode, 0, f"exit code: {result.stderr}")
    check("ignored" not in result.stderr, f"a warning: {result.stderr}")
    ledger = parse_ledger(result.stderr)
    check_ledger(ledger)
    return ledger


def test_standard_variables_reach_the_collector(env):
    sink = OtlpSink(env)
    ledger = replay(env={
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": sink.endpoint + "/own/path", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
        "OTEL_EXPORTER_OTLP_HEADERS": "Authentication=to%20ken%2C, second = b=c",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "GZIP", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2", "OTEL_SERVICE_NAME": "shop",
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=lost,team=a%2Cb"})
    check(ledger["acknowledged"] == ledger["created"] > 2, f"ledger: {ledger}")
    check_equal(sink.span_count, ledger["created"], "spans at the sink")
    for request in sink.requests:
        check_equal(request["path"], "/own/path", "path")
        check_equal(request["headers"].get("authentication"), "to ken,", "the token")
        check_equal(request["headers"].get("second"), "b=c", "the second header")
        check(request["spans"] <= 2, f"{request['spans']} spans in one request")
    for span in sink.snapshot():
        check_equal(span["resource"]["team"], "a,b", "resource attribute")
        check_equal(span["resource"]["service.name"], "shop", "service name of a process that nobody named")


def test_a_base_endpoint_gets_the_standard_path(env):
    sink = OtlpSink(env)
    replay(env={"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint + "/base/"})
    check_equal({request["path"] for request in sink.requests}, {"/base/v1/traces"}, "paths")


def test_samplers(env):
    sink = OtlpSink(env)
    base = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint}
    for name, argument, kept in (("always_on", "", True), ("always_off", "", False), ("traceidratio", "0", False),
                                 ("parentbased_traceidratio", "1", True)):
        ledger = replay(env={**base, "OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument})
        check_equal(ledger["created"] > 0, kept, f"spans are created by {name} {argument}")
        check_equal(ledger.get("unsampled", 0) == 0, kept, f"{name} {argument} keeps all")


def test_exporter_none_exports_nothing(env):
    sink = OtlpSink(env)
    replay(env={"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint, "OTEL_TRACES_EXPORTER": "none"})
    check_equal(len(sink.requests), 0, "requests")


def test_istio_fields_as_they_are_written_there(env):
    sink = OtlpSink(env)
    file = env.write("istio.yaml", f"""opentelemetry:
  port: {sink.port}
  service: localhost
  http:
    path: "/own/traces"
    timeout: 5s
    headers:
    - name: "custom-header"
      value: "custom value"
  resource_detectors:
    environment: {{}}
""")
    ledger = replay("--config", file)
    check_equal(sink.span_count, ledger["created"], "spans at the sink")
    for request in sink.requests:
        check_equal((request["path"], request["headers"].get("custom-header")), ("/own/traces", "custom value"), "request")


def test_the_sample_file_of_the_readme(env):
    """`spantap check` accepts it without a warning, and each of its lines counts."""
    samples = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    check_equal(len(samples), 1, "samples in README.md")
    file = env.write("spantap.yaml", samples[0])
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "SPANTAP_"))}
    result = subprocess.run([binary(), "check", str(file)], text=True, capture_output=True, timeout=20, env=clean)
    check_equal((result.returncode, result.stderr), (0, ""), "exit code and errors")
    check("warning" not in result.stdout, f"a warning: {result.stdout}")
    shown = {line.split()[0] for line in result.stdout.splitlines() if str(file) in line}
    keys = set(re.findall(r"^([a-z-]+):", samples[0], re.MULTILINE))
    check(len(keys) >= 8, f"keys of the sample: {keys}")
    check_equal(shown, keys, "settings that come from the sample")
    check("TOKEN" not in result.stdout, f"the token is shown: {result.stdout}")


def test_disabled_waits_for_its_end(env):
    """Nothing is loaded or attached, so that no privileges are needed; SIGTERM ends it with a balanced ledger."""
    agent = subprocess.Popen([binary(), "agent", "--exe", "no-such-program"], stdin=subprocess.DEVNULL, text=True,
                             stderr=subprocess.PIPE, env=dict(os.environ, OTEL_SDK_DISABLED="TRUE"))
    env.on_exit(agent.kill)
    while "ready" not in (line := agent.stderr.readline()):
        check(line, "the agent ended")
    check(agent.poll() is None, "the agent runs")
    agent.send_signal(signal.SIGTERM)
    _, log = agent.communicate(timeout=10)
    check_equal(agent.returncode, 0, f"exit code: {log}")
    check_ledger(parse_ledger(log))
