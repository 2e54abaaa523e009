# SPDX-License-Identifier: Apache-2.0
"""libspantap.so.0 as `make musl` builds it, for programs that live on musl: what it needs, and a program against an agent."""
import re
import subprocess

from harness import deadline
from harness.env import REPO, Fail, check, check_equal, need
from harness.sink import OtlpSink
from harness.spantap import Agent

LIBRARY = REPO / "build" / "musl" / "libspantap.so.0"
EXAMPLE = REPO / "tests" / "abi" / "example.c"


def output(*argv):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False, timeout=20)
    check_equal(done.returncode, 0, f"{' '.join(map(str, argv))}: {done.stdout}{done.stderr}: exit code")
    return done.stdout


def compiler():
    found = need("musl-gcc", "make deps-test")
    if not LIBRARY.exists():
        raise Fail(f"{LIBRARY} is not built (make musl)")
    return found


def test_it_needs_musl_only_and_shows_the_same_names(env):
    compiler()
    dynamic = output("readelf", "-dW", LIBRARY)
    check_equal(re.findall(r"NEEDED.*\[(.*)\]", dynamic), ["libc.so"], "needed libraries")
    check_equal(re.findall(r"SONAME.*\[(.*)\]", dynamic), ["libspantap.so.0"], "soname")
    check("NODELETE" in dynamic, "not marked as never to be unloaded")
    check("GLIBC" not in output("nm", "-D", LIBRARY), "a symbol of glibc")
    shown = [re.sub("@.*", "", line.split()[-1]) for line in output("nm", "-D", "--defined-only", LIBRARY).splitlines()]
    check_equal(sorted(shown), (REPO / "tests" / "abi" / "symbols.txt").read_text().split(), "exported symbols")


@deadline(30)
def test_the_example_hands_a_span_to_an_agent(env):
    program = env.tmp / "example"
    output(compiler(), "-std=c99", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-pedantic", "-Werror", f"-I{REPO}/include",
           EXAMPLE, LIBRARY, f"-Wl,-rpath,{LIBRARY.parent}", "-o", program)
    loader = re.findall(r"interpreter: (\S+?)\]", output("readelf", "-lW", program))
    check(len(loader) == 1 and "musl" in loader[0], f"the program's loader: {loader}")
    sink = OtlpSink(env)
    folder = env.tmp / "run"
    folder.mkdir(mode=0o755)
    agent = Agent(env, "--socket", folder / "agent.sock", "--endpoint", sink.endpoint)
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    said = output(program, folder / "agent.sock", f"00-{trace_id}-00f067aa0ba902b7-01")
    check_equal(said.split(" ", 1)[1], "done\n", "the example's status")
    span = sink.wait_spans(1)[0]
    check_equal((span["trace_id"], span["name"], span["attributes"]),
                (trace_id, "GET /items/{id}", {"http.route": "/items/{id}", "http.response.status_code": 200}), "the span")
    embedded = subprocess.run([str(program), "x"], env={"SPANTAP_MODE": "embedded"}, capture_output=True, text=True, timeout=20)
    check_equal(embedded.returncode, 1, f"embedded mode, which musl has not: {embedded.stdout}")
    agent.stop()
