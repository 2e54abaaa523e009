# SPDX-License-Identifier: Apache-2.0
"""--link-memory: what one agent learned in the calm draws links for the next one at once; bad files and bad places."""
import os
import resource
import stat
import subprocess
import sys

from harness import deadline
from harness.env import REPO, check, check_equal
from harness.load import Request, run
from harness.origin import Origin
from harness.spantap import Agent, binary
from test_record_replay import replay, spans_of

KINDS = ("left", "right", "up", "down")
FOUND = ("program", "joint")
EACH = 8  # calls of each kind that the busy recording has
NOWHERE = ("--exporter", "none")


def start_app(env):
    port = env.free_port()
    app = env.start("loop", [sys.executable, REPO / "tests/e2e/harness/loop_app.py", port, Origin(env).port], port=port)
    return app, port


def serve(port, count, connections):
    """`count` requests of each kind, one by one or, with a connection for each kind, one of each kind at once."""
    requests = [Request(f"/{kind}/{n}") for n in range(count) for kind in KINDS]
    run(port, requests, connections)
    check(all(r.status == 200 for r in requests), "every request is answered with 200")


def links_of(output):
    """(right, wrong) among the calls that were linked for what handlers do."""
    spans = [s for s in spans_of(output) if s["kind"] in ("server", "client")]
    path = {s["span_id"]: s["path"] for s in spans}
    right = wrong = 0
    for span in spans:
        if span["kind"] == "client" and span["rule"] in FOUND:
            same = span["path"].endswith(path.get(span["parent_span_id"], "none"))
            right, wrong = right + same, wrong + (not same)
    return right, wrong


def busy_recording(env, app, port):
    file = env.tmp / "busy.rec"
    agent = Agent(env, file, "--pid", app.pid, command="record", name="record")
    serve(port, EACH, len(KINDS))
    agent.stop()
    return file


@deadline(60)
def test_restarted_agent_knows_what_it_learned(env):
    """An agent sees a calm server and ends; with its file the next one links a busy one's first calls, without none."""
    app, port = start_app(env)
    memory = env.tmp / "links"
    for life, recalled in ((1, None), (2, 1)):
        agent = Agent(env, "--pid", app.pid, "--link-memory", memory, "--link-tokens", "off", *NOWHERE,
                      name=f"agent{life}")
        serve(port, 20, 1)
        ledger = agent.stop()
        check_equal((ledger["link_memory.loaded"], ledger["link_memory.saved"]), (life - 1, 1), "programs of the file")
        check_equal(ledger.get("cause_recalled"), recalled, "processes that were recognised")
    check_equal(stat.S_IMODE(os.stat(memory).st_mode), 0o600, "mode of the file")
    check(not any(kind.encode() in memory.read_bytes() for kind in KINDS), "no path is in the file")
    recording = busy_recording(env, app, port)
    options = ("--json", "--link-tokens", "off")
    without = links_of(replay(recording, *options)[0])
    output, ledger = replay(recording, *options, "--link-memory", memory)
    known = links_of(output)
    env.figure(f"of {EACH * len(KINDS)} calls at once (right, wrong): {known} with the file, {without} without; "
               f"{memory.stat().st_size} bytes")
    check_equal(ledger["cause_recalled"], 1, "processes that were recognised in the replay")
    check_equal((known[1], without[1]), (0, 0), "wrong links")
    check(known[0] >= without[0] + 8, f"the file is worth at least eight links: {known[0]} against {without[0]}")


@deadline(60)
def test_bad_files_are_ignored_and_replaced(env):
    """Damaged, cut off, of a later version, a link to another file: said with file and reason; the run goes on."""
    recording = REPO / "tests/data/thread_per_request.rec"
    good = env.tmp / "good"
    replay(recording, "--link-memory", good)
    data = good.read_bytes()
    for name, content, reason in (("cut", data[:-3], "checksum"), ("empty", b"", "no link memory"),
                                  ("flipped", data[:-1] + bytes([data[-1] ^ 1]), "checksum"),
                                  ("later", data[:8] + b"\x02" + data[9:], "version 2"),
                                  ("large", data + b"x" * (16 << 20), "16 MiB")):
        file = env.tmp / name
        file.write_bytes(content)
        result = subprocess.run([binary(), "replay", recording, "--link-memory", file], capture_output=True, timeout=20)
        log = result.stderr.decode()
        check_equal(result.returncode, 0, f"exit code with a file that is {name}: {log}")
        warning = [line for line in log.splitlines() if "link memory not used" in line]
        check(len(warning) == 1 and str(file) in warning[0] and reason in warning[0], f"a warning for {name}: {log}")
        check("link_memory.rejected=1" in log, f"{name} is counted: {log}")
        check_equal(file.read_bytes(), data, f"the file that was {name}, after the run")


@deadline(60)
def test_places_that_cannot_be_written(env):
    """A folder that does not exist, a folder, a symbolic link: exit code 2, and nothing is started."""
    recording = REPO / "tests/data/thread_per_request.rec"
    link = env.tmp / "link"
    link.symlink_to(env.tmp / "elsewhere")
    for place in (env.tmp / "none/links", env.tmp, f"{env.tmp}/new/", link):
        for command in (["replay", recording], ["agent", "--pid", os.getpid(), *NOWHERE]):
            argv = [binary(), *map(str, command), "--link-memory", str(place)]
            result = subprocess.run(argv, capture_output=True, timeout=20)
            log = result.stderr.decode()
            check_equal(result.returncode, 2, f"exit code with {place}: {log}")
            check("link-memory" in log and str(place) in log, f"the message names the file: {log}")
    check(not (env.tmp / "elsewhere").exists(), "nothing was written through the link")


@deadline(60)
def test_a_full_disk_is_no_end(env):
    """The file cannot be written: said and counted, the exit code stays 0, the old file stays."""
    recording = REPO / "tests/data/thread_per_request.rec"
    memory = env.tmp / "links"
    memory.write_bytes(b"old")
    result = subprocess.run([binary(), "replay", recording, "--link-memory", memory], capture_output=True, timeout=20,
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))
    log = result.stderr.decode()
    check_equal(result.returncode, 0, f"exit code: {log}")
    check("link memory not saved" in log and "link_memory.write_errors=1" in log, f"it is said and counted: {log}")
    check_equal(memory.read_bytes(), b"old", "the file")
    check_equal([p.name for p in env.tmp.iterdir() if p.name.startswith("links")], ["links"], "no other file stays")
