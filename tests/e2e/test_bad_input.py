# SPDX-License-Identifier: Apache-2.0
"""Wrong use, wrong files, wrong machines: a message that says what, where and what to do; the right exit code; and
nothing left in the kernel.
"""
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

from harness import Fail, Skip, bpf_objects, deadline
from harness.env import check, check_equal
from harness.load import Request, run
from harness.proxies import Nginx
from harness.sink import OtlpSink
from harness.spantap import Agent, binary, check_ledger, parse_ledger

SIDE_BY_SIDE = True

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
FAILED, WRONG_USE = 1, 2
EITHER = (FAILED, WRONG_USE)  # a path that is there and cannot be used may count as one or the other


def spantap(*args, prefix=(), program=None, seconds=10, env=None):
    """Runs to the end; a run that needs to be stopped is a failure."""
    argv = [*prefix, program or binary(), *map(str, args)]
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                          timeout=seconds, env=dict(os.environ, **(env or {})))


def expect(result, code, *words):
    """The exit code; every word in the message; no trace of a crash; data apart from messages."""
    what = f"{' '.join(map(str, result.args[-6:]))}: {result.stderr[-600:]!r}"
    check(result.returncode in (code if isinstance(code, tuple) else (code,)), f"exit {result.returncode} of {what}")
    check(len(result.stderr.strip()) > 20, f"no message from {what}")
    for word in words:
        check(str(word).lower() in result.stderr.lower(), f"{word!r} is missing in the message of {what}")
    for crash in ("terminate called", "Assertion", "AddressSanitizer", "runtime error", "std::"):
        check(crash not in result.stderr, f"{crash!r} in the message of {what}")


def a_dead_pid():
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


# ---------------------------------------------------------------- the command line

# Each flag with bad values, a command that takes it, and a part of the accepted form as the message must name it.
BAD_VALUES = [
    ("trace", "--pid", ["x", "0", "-1", "99999999", "1.5", ""], "process id"),
    ("trace", "--exe", ["", "/usr/sbin/nginx"], "file name"),
    ("trace", "--port", ["0", "65536", "http", "-5", ""], "65535"),
    ("trace", "--cgroup", [""], "cgroup"),
    ("trace", "--service-name", ["", "=x", "nginx="], "name"),
    ("trace", "--hooks", ["kprobe", "", "SOCKET"], "syscall"),
    ("trace", "--turns", ["yes", "1", ""], "off"),
    ("trace", "--ring-bytes", ["0", "1000", "65537", "x", "99999999999"], "power of two"),
    ("trace", "--head-bytes", ["0", "255", "65537", "4k"], "65536"),
    ("agent", "--socket", ["", "/" + "x" * 107], "/run/spantap/agent.sock"),
    ("agent", "--socket-allow-uid", ["bob", "-1", "4294967295", ""], "user id"),
    ("agent", "--exporter", ["console", ""], "otlp"),
    ("agent", "--endpoint", ["localhost:4318", "ftp://x", "", "http://", "exact:", "unix:x"], "http://"),
    ("agent", "--protocol", ["thrift", "GRPC", ""], "http/protobuf"),
    ("agent", "--compression", ["lz4", ""], "zstd"),
    ("agent", "--header", ["novalue", "=x", "a=b\r\nc: d", "content-length=1", ""], "name=value"),
    ("agent", "--timeout", ["0", "-1", "soon", "1d"], "3600000"),
    ("agent", "--certificate", ["/nonexistent.pem", "/etc/hostname", "/", "/dev/zero", ""], "PEM"),
    ("agent", "--client-certificate", ["/nonexistent.pem", "/etc/hostname", ""], "PEM"),
    ("agent", "--client-key", ["/nonexistent.pem", "/etc/hostname", ""], "PEM"),
    ("agent", "--tls-server-name", ["a b", ""], "host name"),
    ("agent", "--insecure", ["true", "1", ""], "off"),
    ("agent", "--proxy", ["proxy:3128", "ftp://x", ""], "http://HOST"),
    ("agent", "--queue-spans", ["0", "many", ""], "10000000"),
    ("agent", "--queue-bytes", ["1", "1TiB", "x"], "KiB"),
    ("agent", "--batch-spans", ["0", "x", "9000"], "10000000"),
    ("agent", "--batch-bytes", ["1", "1GiB"], "KiB"),
    ("agent", "--batch-delay", ["0", "2h", "x"], "milliseconds"),
    ("agent", "--retry-initial", ["0", "1m", "x"], "milliseconds"),
    ("agent", "--retry-max", ["0", "25h"], "milliseconds"),
    ("agent", "--retry-give-up", ["-1", "8760h"], "milliseconds"),
    ("agent", "--drain", ["2h", "x"], "milliseconds"),
    ("agent", "--spool", ["", "a\nb"], "folder"),
    ("agent", "--spool-bytes", ["1", "16MiB"], "KiB"),  # good ones, too, need --spool
    ("agent", "--spool-age", ["1", "1h"], "milliseconds"),
    ("agent", "--spool-rate", ["1", "1MiB"], "KiB"),
    ("agent", "--default-service-name", ["", "a\nb"], "name"),
    ("agent", "--resource-attribute", ["k", "=v", ""], "KEY=VALUE"),
    ("agent", "--sampler", ["xray", "Always_On", ""], "parentbased_traceidratio"),
    ("trace", "--sample", ["-1", "101", "all", "nan", ""], "100"),
    ("trace", "--adopt", ["maybe", ""], "off"),
    ("trace", "--link-confidence", ["1.01", "-1", "sure", "nan", ""], "0 to 1"),
    ("trace", "--link-tokens", ["1", ""], "off"),
    ("agent", "--link-token-headers", ["", "a b", ",".join(f"h{i}" for i in range(17))], "separated by commas"),
    ("agent", "--link-candidates", ["yes", ""], "off"),
    ("agent", "--link-memory", ["", "a\nb"], "file"),
    ("trace", "--query-values", ["all", ""], "redacted"),
    ("agent", "--attribute-count-limit", ["-1", "x"], "1000000"),
    ("agent", "--attribute-value-length-limit", ["-1", "x"], "unlimited"),
    ("agent", "--event-count-limit", ["-1"], "1000000"),
    ("agent", "--link-count-limit", ["-1"], "1000000"),
    ("agent", "--event-attribute-count-limit", ["-1"], "1000000"),
    ("agent", "--link-attribute-count-limit", ["-1"], "1000000"),
    ("trace", "--duration", ["0", "-3", "long", "inf", "nan"], "number"),
    ("agent", "--listen", ["9464", ":9464", "nowhere:1", "127.0.0.1:65536", "::1:80", ""], "127.0.0.1:9464"),
    ("trace", "--log-level", ["loud", ""], "debug"),
]


# Variables of the OpenTelemetry specification with bad values, and what must not be in the warning.
BAD_VARIABLES = [
    ("OTEL_EXPORTER_OTLP_{}ENDPOINT", ["localhost:4318", "ftp://me:s3cret@x", "http://"]),
    ("OTEL_EXPORTER_OTLP_{}PROTOCOL", ["http", "thrift"]),
    ("OTEL_EXPORTER_OTLP_{}HEADERS", ["s3cret", "a=s3cret;p", "a=s3cret%zz", "=s3cret", "a=b,s3cret", "a=s3cret%0d%0ab: c"]),
    ("OTEL_EXPORTER_OTLP_{}TIMEOUT", ["-1", "5s", "x"]),
    ("OTEL_EXPORTER_OTLP_{}COMPRESSION", ["lz4"]),
    ("OTEL_EXPORTER_OTLP_{}INSECURE", ["1", "yes"]),
    ("OTEL_EXPORTER_OTLP_{}CERTIFICATE", ["/nonexistent.pem", "/etc/hostname", "/dev/zero"]),
    ("OTEL_EXPORTER_OTLP_{}CLIENT_CERTIFICATE", ["/nonexistent.pem"]),
    ("OTEL_EXPORTER_OTLP_{}CLIENT_KEY", ["/nonexistent.pem"]),
    ("OTEL_BSP_SCHEDULE_DELAY", ["0", "-1", "1s"]),
    ("OTEL_BSP_EXPORT_TIMEOUT", ["-1", "x"]),
    ("OTEL_BSP_MAX_QUEUE_SIZE", ["0", "-1", "lots"]),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", ["0", "9000"]),
    ("OTEL_RESOURCE_ATTRIBUTES", ["a", "a=b,c", "a=%4"]),
    ("OTEL_SERVICE_NAME", ["a\tb"]),
    ("OTEL_TRACES_SAMPLER", ["xray"]),
    ("OTEL_TRACES_SAMPLER_ARG", ["2", "-0.1", "nan", "half"]),
    ("OTEL_TRACES_EXPORTER", ["zipkin"]),
    ("OTEL_SDK_DISABLED", ["1"]),
    ("OTEL_LOG_LEVEL", ["loud"]),
    *[(f"OTEL_{kind}_LIMIT", ["-1", "x"])
      for kind in ("ATTRIBUTE_COUNT", "ATTRIBUTE_VALUE_LENGTH", "SPAN_ATTRIBUTE_COUNT", "SPAN_ATTRIBUTE_VALUE_LENGTH",
                   "SPAN_EVENT_COUNT", "SPAN_LINK_COUNT", "EVENT_ATTRIBUTE_COUNT", "LINK_ATTRIBUTE_COUNT")],
]


def bad_variables():
    for pattern, values in BAD_VARIABLES:
        for kind in ("", "TRACES_") if "{}" in pattern else ("",):
            yield pattern.format(kind), values


@deadline(120)
def test_every_flag_with_bad_values(env):
    before = bpf_objects.snapshot()
    count, wrong = 0, []
    for command, flag, values, accepted in BAD_VALUES:
        for value in values:
            # `--flag=value`, so that values with a dash or of no length reach the flag.
            result = spantap(command, "--pid", os.getpid(), f"{flag}={value}")
            count += 1
            try:
                expect(result, WRONG_USE, flag.lstrip("-"), accepted)
                check_equal(result.stdout, "", f"stdout of {flag}={value!r}")
            except Fail as failure:
                wrong.append(str(failure))
    bpf_objects.check_nothing_left(before)
    check(not wrong, f"{len(wrong)} of {count}:\n" + "\n".join(wrong))
    env.figure(f"{count} bad values refused")


@deadline(120)
def test_bad_values_in_the_file_and_in_variables(env):
    """The same values, as entries of the file (FILE:LINE in the message) and as SPANTAP_* variables (its name)."""
    count, wrong = 0, []
    for command, flag, values, accepted in BAD_VALUES:
        name = flag.lstrip("-")
        variable = "SPANTAP_" + name.upper().replace("-", "_")
        for value in values:
            file = env.write("bad.yaml", f"# first line\n{name}: {json.dumps(value)}\n")
            target = ("--port", 1) if name == "exe" else ("--exe", "x")  # a flag replaces the file's list
            tries = [(spantap(command, *target, "--config", file), "bad.yaml:2")]
            if value:
                tries.append((spantap(command, *target, env={variable: value}), variable))
            for result, where in tries:
                count += 1
                try:
                    expect(result, WRONG_USE, where, accepted)
                except Fail as failure:
                    wrong.append(str(failure))
    check(not wrong, f"{len(wrong)} of {count}:\n" + "\n".join(wrong))
    env.figure(f"{count} bad values refused")


@deadline(120)
def test_every_standard_variable_with_bad_values(env):
    """Each is one warning with the accepted form, and as if it were not set; never an error, never a secret."""
    unset = spantap("check")
    check_equal(unset.returncode, 0, f"check: {unset.stderr}")
    count = 0
    for variable, values in bad_variables():
        for value in values:
            result = spantap("check", env={variable: value})
            check_equal(result.returncode, 0, f"{variable}={value!r}: {result.stderr}")
            lines = [line for line in result.stdout.splitlines() if line.startswith("warning: ")]
            check_equal(len(lines), 1, f"warnings of {variable}={value!r}: {lines}")
            for part in (f"warning: {variable}: '", "; accepted: ", "; ignored"):
                check(part in lines[0], f"{part!r} is missing in {lines[0]!r}")
            check("s3cret" not in result.stdout + result.stderr, f"a secret in {lines[0]!r}")
            check_equal(result.stdout.replace(lines[0] + "\n", ""), unset.stdout, f"settings with {variable}={value!r}")
            count += 1
    env.figure(f"{count} bad values ignored")


def test_every_documented_variable_has_a_bad_value_here(env):
    tested = {variable for variable, _ in bad_variables()}
    text = " ".join(line for line in spantap("check", "--help").stdout.splitlines() if line.strip().startswith("also "))
    named = {word.rstrip(",") for word in text.split() if word.startswith("OTEL_")}
    check_equal(tested, named, "variables tested and variables in --help")


@deadline(30)
def test_an_ignored_variable_is_in_the_log(env):
    result = spantap("trace", "--pid", os.getpid(), "--duration", "0.2", env={"OTEL_BSP_MAX_QUEUE_SIZE": "lots"})
    check_equal(result.returncode, 0, f"exit code: {result.stderr}")
    check("OTEL_BSP_MAX_QUEUE_SIZE" in result.stderr and "ignored" in result.stderr, f"no warning: {result.stderr}")


def test_contradictions_name_where_they_come_from(env):
    """Values that are good alone. A variable of the specification gives way instead."""
    base = ["agent", "--exe", "x"]
    key = env.write("key.pem", "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n")
    file = env.write("c.yaml", "batch-spans: 200\n")
    expect(spantap(*base, "--client-key", key), WRONG_USE, "--client-key: ", "client-certificate")
    expect(spantap(*base, env={"SPANTAP_CLIENT_KEY": str(key)}), WRONG_USE, "SPANTAP_CLIENT_KEY: ", "client-certificate")
    expect(spantap(*base, "--config", file, "--queue-spans", 100), WRONG_USE, "c.yaml:1", "queue-spans (100, from --queue-spans)")
    expect(spantap(*base, "--spool-rate", "1MiB"), WRONG_USE, "--spool-rate", "without spool")
    expect(spantap(*base, "--sampler", "always_on", "--sample", 10), WRONG_USE, "--sample", "sampler")
    ignored = spantap("check", "--queue-spans", 100, env={"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "200"})
    check_equal(ignored.returncode, 0, ignored.stderr)
    check("warning: OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '200' is more than queue-spans" in ignored.stdout, ignored.stdout)


def test_secrets_are_shown_nowhere(env):
    secret = {"OTEL_EXPORTER_OTLP_HEADERS": "Authentication=s3cret", "SPANTAP_PROXY": "http://me:s3cret@p:1"}
    shown = spantap("check", "--endpoint", "https://me:s3cret@h/x?t=s3cret", env=secret)
    check_equal(shown.returncode, 0, shown.stderr)
    check("Authentication=(hidden)" in shown.stdout and "http://(hidden)@p:1" in shown.stdout, shown.stdout)
    tries = [shown, spantap("agent", "--exe", "x", "--headr", "Authentication=s3cret"),
             spantap("agent", "--exe", "x", "--header", "s3cret"), spantap("agent", "--exe", "x", "--endpoint", "htp://u:s3cret@h"),
             spantap("agent", "--exe", "x", "--config", env.write("s.yaml", "header: [s3cret]\n"))]
    for result in tries:
        check("s3cret" not in result.stdout + result.stderr, f"{result.args}: {result.stdout}{result.stderr}")


def test_every_documented_flag_has_a_bad_value_here(env):
    """So that a flag added later is added above."""
    tested = {flag for _, flag, _, _ in BAD_VALUES}
    for command in ("agent", "trace", "record", "replay", "check"):
        for line in spantap(command, "--help").stdout.splitlines():
            words = line.split()
            if words and words[0].startswith("--") and len(words) > 1 and not line.startswith("                    "):
                takes_value = words[1].isupper() or words[1] in ("on|off", "[TARGET=]NAME")
                if takes_value and words[0] != "--config":
                    check(words[0] in tested, f"{words[0]} of {command} is in --help but not in BAD_VALUES")


def test_wrong_use(env):
    before = bpf_objects.snapshot()
    me = os.getpid()
    expect(spantap(), WRONG_USE, "command", "trace", "--help")
    expect(spantap("observe"), WRONG_USE, "observe", "trace")
    expect(spantap("trace"), WRONG_USE, "--pid")
    expect(spantap("agent"), WRONG_USE, "--pid")
    expect(spantap("trace", "--pid"), WRONG_USE, "--pid")
    expect(spantap("trace", "--pid", me, "--bogus"), WRONG_USE, "--bogus", "--help")
    expect(spantap("trace", "--pid", me, "stray"), WRONG_USE, "belongs to no option")
    expect(spantap("agent", "--pid", me, "--json"), WRONG_USE, "--json")
    expect(spantap("replay"), WRONG_USE, "FILE")
    expect(spantap("record", "--pid", me), WRONG_USE, "FILE")
    expect(spantap("replay", env.tmp / "none.rec", "--pid", me), WRONG_USE, "--pid")
    expect(spantap("trace", "--pid", me, env={"SPANTAP_SAMPLE": "lots"}), WRONG_USE, "SPANTAP_SAMPLE", "100")
    expect(spantap("trace", "--config", env.tmp / "none.yaml"), WRONG_USE, "none.yaml")
    bad = env.write("bad.yaml", "pid: 1\nhooks: kprobe\n")
    expect(spantap("trace", "--config", bad), WRONG_USE, "bad.yaml:2", "kprobe", "syscall")
    odd = env.write("odd.yaml", "pids: [1\n")
    expect(spantap("trace", "--config", odd), WRONG_USE, "odd.yaml")
    bpf_objects.check_nothing_left(before)


# ---------------------------------------------------------------- targets and privileges

@deadline(60)
def test_unknown_and_dead_pid(env):
    before = bpf_objects.snapshot()
    never = int(pathlib.Path("/proc/sys/kernel/pid_max").read_text())
    for pid in (never, a_dead_pid()):
        for command in ("trace", "agent"):
            expect(spantap(command, "--pid", pid), WRONG_USE, pid, "no process")
        file = env.tmp / "unused.rec"
        expect(spantap("record", file, "--pid", pid), WRONG_USE, pid)
    expect(spantap("trace", "--pid", os.getpid(), "--pid", never), WRONG_USE, never)
    bpf_objects.check_nothing_left(before)


def for_nobody(env):
    """A copy of the binary that every user can run, wherever the tree lies."""
    copy = env.tmp / "spantap"
    shutil.copyfile(binary(), copy)
    copy.chmod(0o755)
    return copy


def test_without_root(env):
    before = bpf_objects.snapshot()
    if os.geteuid() != 0:
        raise Skip("needs root to become nobody")
    program = for_nobody(env)
    for command in (["trace"], ["agent"], ["record", "/dev/null"]):
        result = spantap(*command, "--pid", os.getpid(), prefix=NOBODY, program=program)
        expect(result, FAILED, "root", "CAP_BPF")
    bpf_objects.check_nothing_left(before)
    expect_ok = spantap("--version", prefix=NOBODY, program=program)
    check_equal(expect_ok.returncode, 0, f"--version as nobody: {expect_ok.stderr}")


def test_without_btf(env):
    """A kernel without BTF, played by an empty folder over /sys/kernel/btf in a mount namespace of our own."""
    before = bpf_objects.snapshot()
    empty = env.tmp / "empty"
    empty.mkdir()
    hide = ["unshare", "--mount", "sh", "-c", f'mount --bind {empty} /sys/kernel/btf || exit 99; exec "$@"', "sh"]
    if subprocess.run([*hide, "true"], capture_output=True).returncode != 0:
        raise Skip("cannot hide /sys/kernel/btf here (no mount namespace)")
    if pathlib.Path(f"/boot/vmlinux-{os.uname().release}").exists():
        raise Skip("the kernel image in /boot has BTF as well")
    expect(spantap("trace", "--pid", os.getpid(), prefix=hide), FAILED, "BTF", "CONFIG_DEBUG_INFO_BTF")
    bpf_objects.check_nothing_left(before)


def test_kernel_says_no(env):
    """Root without the capabilities, as in a container that lacks them."""
    before = bpf_objects.snapshot()
    bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    expect(spantap("trace", "--pid", os.getpid(), prefix=bare), FAILED, "CAP_BPF")
    bpf_objects.check_nothing_left(before)


# ---------------------------------------------------------------- collectors

class GarbageServer:
    """Accepts, reads a request, answers with bytes that are no HTTP, or far too much of it."""

    def __init__(self, env, answer):
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests = 0
        env.on_exit(self._listener.close)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
                connection.settimeout(2)
                connection.recv(65536)
                self.requests += 1
                for part in self._answer():
                    connection.sendall(part)
                connection.close()
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                continue
            except OSError:
                return


def endless_body():
    yield b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\n\r\n"
    for _ in range(4096):
        yield b"\x0a" * 65536  # 256 MiB


def agents_against(env, endpoints):
    """An agent for each named endpoint, all on the same 50 requests; {name: (ledger, log, peak MiB)}.

    All are told to end at once, and must have ended when the drain's 5 s are over.
    """
    nginx = Nginx(env, body="fine", log=False)
    agents = {name: Agent(env, "--pid", nginx.pid, "--endpoint", url, name=name) for name, url in endpoints.items()}
    run(nginx.port, [Request(f"/{i}") for i in range(50)])
    time.sleep(1.5)
    results, peak = {}, {name: agent.process.rss_bytes() >> 20 for name, agent in agents.items()}
    start = time.monotonic()
    for name, agent in agents.items():
        check(agent.process.running(), f"{name}: the agent ended: {agent.process.tail(5)}")
        agent.process.send(signal.SIGTERM)
    for name, agent in agents.items():
        results[name] = agent.stop(), agent.process.output(), peak[name]
        seconds = time.monotonic() - start
        check(seconds < 7, f"{name}: the drain took {seconds:.1f} s, the limit is 5")
        check_equal(results[name][0]["created"], 50, f"{name}: spans created")
    return results


@deadline(60)
def test_unreachable_collector(env):
    closed = f"http://127.0.0.1:{env.free_port()}"
    unknown = "http://collector.invalid:4318"
    for name, (ledger, log, _) in agents_against(env, {"closed": closed, "unknown": unknown}).items():
        check({"closed": closed, "unknown": unknown}[name] in log, f"{name}: the log does not say which collector: {log}")
        check_equal((ledger["acknowledged"], ledger["dropped"]), (0, 50), f"{name}: acknowledged, dropped in the end")


@deadline(90)
def test_collector_answers_garbage(env):
    answers = {
        "no-http": lambda: [b"\x00\xff\x16\x03\x01garbage\r\n" * 50],
        "no-protobuf": lambda: [b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff"],
        "silence": lambda: [],
        "half-head": lambda: [b"HTTP/1.1 200 OK\r\ncontent-le"],
        "endless-head": lambda: [b"HTTP/1.1 200 OK\r\n"] + [b"x-pad: " + b"y" * 60000 + b"\r\n"] * 2000,
        "endless-body": endless_body,
        "huge-length": lambda: [b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nx"],
        "redirect": lambda: [b"HTTP/1.1 307 There\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"],
    }
    servers = {name: GarbageServer(env, answer) for name, answer in answers.items()}
    results = agents_against(env, {name: server.endpoint for name, server in servers.items()})
    for name, (ledger, log, mib) in results.items():
        reasons = [key for key in ledger if key.startswith("dropped.")]
        env.figure(f"{name}: asked {servers[name].requests} times, acknowledged={ledger['acknowledged']} {reasons} {mib} MiB")
        check(servers[name].requests > 0, f"{name}: the collector was never asked")
        check(servers[name].endpoint in log, f"{name}: the log does not say which collector: {log}")
        check(mib < 64, f"{name}: {mib} MiB resident")
        check_equal((ledger["acknowledged"], ledger["dropped"]), (0, 50), f"{name}: acknowledged, dropped")


# ---------------------------------------------------------------- record files

def recorded(env, requests=20):
    """A record file of real traffic."""
    nginx = Nginx(env, body="fine", log=False)
    file = env.tmp / "good.rec"
    agent = Agent(env, file, "--pid", nginx.pid, command="record", name="record")
    run(nginx.port, [Request(f"/item/{i}") for i in range(requests)])
    agent.stop()
    return file


def test_record_into_nowhere(env):
    before = bpf_objects.snapshot()
    me = os.getpid()
    missing = env.tmp / "no" / "such" / "folder.rec"
    expect(spantap("record", missing, "--pid", me, "--duration", 1), WRONG_USE, missing)
    expect(spantap("record", env.tmp, "--pid", me, "--duration", 1), EITHER, env.tmp)
    bpf_objects.check_nothing_left(before)


@deadline(60)
def test_record_to_a_full_disk(env):
    """A disk of 64 KiB: the run says so and fails; what was written before is a file that can be replayed."""
    before = bpf_objects.snapshot()
    expect(spantap("record", "/dev/full", "--pid", os.getpid(), "--duration", 1), FAILED, "/dev/full", "no space")
    disk, copy = env.tmp / "disk", env.tmp / "copy.rec"
    disk.mkdir()
    small = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o size=64k none {disk} || exit 99; '
             f'"$@"; code=$?; cp {disk}/small.rec {copy}; exit $code', "sh"]
    nginx = Nginx(env, body="fine", log=False)
    with subprocess.Popen([*small, binary(), "record", disk / "small.rec", "--pid", str(nginx.pid), "--duration", "2"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as recorder:
        while "ready" not in (line := recorder.stderr.readline()):
            check(line, "the recorder ended before it was ready")
        run(nginx.port, [Request(f"/{i}") for i in range(3000)], 4)
        _, log = recorder.communicate(timeout=20)
    if recorder.returncode == 99:
        raise Skip("cannot mount a small disk here")
    check_equal(recorder.returncode, FAILED, f"exit code: {log}")
    check("no space" in log.lower() and "small.rec" in log, f"what and where is missing: {log}")
    bpf_objects.check_nothing_left(before)
    result = spantap("replay", copy, "--json")
    check(result.returncode in (0, FAILED) and len(result.stdout.splitlines()) > 20, f"the rest: {result.stderr}")


@deadline(60)
def test_cut_record_file(env):
    """A file cut anywhere: what is whole is replayed, a warning says where it ends, exit 1."""
    file = recorded(env)
    data = file.read_bytes()
    whole = spantap("replay", file, "--json").stdout.splitlines()
    check(len(whole) >= 20, f"{len(whole)} spans in the whole file")
    cut_file = env.tmp / "cut.rec"
    for keep in (len(data) - 1, len(data) - 9, len(data) * 2 // 3, len(data) // 2 + 3, 16 + 5):
        cut_file.write_bytes(data[:keep])
        result = spantap("replay", cut_file, "--json")
        expect(result, FAILED, "cut.rec", "cut")
        lines = result.stdout.splitlines()
        check(len(lines) <= len(whole), f"{len(lines)} spans from {keep} bytes")
        if keep > len(data) // 2:
            check(len(lines) >= 5, f"only {len(lines)} spans from {keep} of {len(data)} bytes")
        check_ledger(parse_ledger(result.stderr))
    for keep in (0, 1, 7, 8, 15):
        cut_file.write_bytes(data[:keep])
        expect(spantap("replay", cut_file, "--json"), WRONG_USE, "cut.rec")


@deadline(60)
def test_record_file_of_another_version(env):
    data = recorded(env, 2).read_bytes()
    version = struct.unpack_from("<I", data, 8)[0]
    other = env.tmp / "other.rec"
    for number in (0, version + 1, 0xFFFFFFFF):
        other.write_bytes(data[:8] + struct.pack("<I", number) + data[12:])
        expect(spantap("replay", other), WRONG_USE, "other.rec", "version", number, version)


@deadline(60)
def test_files_that_are_no_recording(env):
    expect(spantap("replay", env.tmp / "none.rec"), WRONG_USE, "none.rec", "no such file")
    expect(spantap("replay", env.tmp), EITHER, env.tmp)
    for name, data in (("text", b"GET / HTTP/1.1\r\n" * 100), ("zero", bytes(4096)), ("elf", b"\x7fELF" + bytes(500))):
        path = env.tmp / f"{name}.bin"
        path.write_bytes(data)
        expect(spantap("replay", path), WRONG_USE, path.name, "record")


@deadline(120)
def test_damaged_record_files_never_crash(env):
    """Bytes flipped anywhere behind the header: any result but a crash, a hang or an unbalanced ledger."""
    data = recorded(env, 5).read_bytes()
    path = env.tmp / "damaged.rec"
    codes = {}
    for round_number in range(40):
        damaged = bytearray(data)
        for k in range(3):
            at = 16 + (round_number * 7919 + k * 104729) % (len(data) - 16)
            damaged[at] ^= 1 << (round_number % 8)
        path.write_bytes(damaged)
        result = spantap("replay", path, "--json")
        check(result.returncode in (0, FAILED), f"exit {result.returncode}: {result.stderr[-500:]}")
        check_ledger(parse_ledger(result.stderr))
        codes[result.returncode] = codes.get(result.returncode, 0) + 1
    env.figure(f"40 damaged files, exit codes {codes}")


@deadline(60)
def test_replay_and_export_as_nobody(env):
    """The pipeline behind the event source needs no privileges at all."""
    if os.geteuid() != 0:
        raise Skip("needs root to record and to become nobody")
    file = recorded(env)
    file.chmod(0o644)
    sink = OtlpSink(env)
    result = spantap("replay", file, "--endpoint", sink.endpoint, "--json", prefix=NOBODY, program=for_nobody(env))
    check_equal(result.returncode, 0, f"exit code as nobody: {result.stderr}")
    ledger = parse_ledger(result.stderr)
    check_ledger(ledger)
    check_equal((len(sink.snapshot()), ledger["acknowledged"]), (20, 20), "spans at the sink, acknowledged")


@deadline(60)
def test_nobodys_file_stays_nobodys(env):
    """A file that the user may not read is said to be so."""
    file = recorded(env, 2)
    result = spantap("replay", file, prefix=NOBODY, program=for_nobody(env))
    expect(result, EITHER, "good.rec", "permission denied")
