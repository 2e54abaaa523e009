# SPDX-License-Identifier: Apache-2.0
"""What libspantap.so promises to whoever links or loads it: names, versions, needs, a header for every standard."""
import ctypes
import re
import subprocess
import sys
import time

from harness import Skip
from harness.env import REPO, check, check_equal, wait_until

sys.path.insert(0, str(REPO / "tests" / "abi"))
from ring_reader import RingReader  # noqa: E402

LIBRARY = REPO / "build" / "lib" / "libspantap.so"
STANDARDS = [("gcc", s) for s in ("c99", "c11", "c17", "c2x")] + [("g++", s) for s in ("c++11", "c++14", "c++17", "c++20")] + \
    [("clang-14", s) for s in ("c99", "c11", "c17", "c2x")] + [("clang++-14", s) for s in ("c++11", "c++14", "c++17", "c++20")]
USES_ALL = """
#include <spantap/spantap.h>
int main(void) {
  spantap_options options = SPANTAP_OPTIONS_INIT;
  spantap_span span = SPANTAP_SPAN_INIT;
  spantap_stats stats = SPANTAP_STATS_INIT;
  spantap_str text = SPANTAP_STR("text");
  return options.struct_size + span.struct_size + stats.struct_size + text.size + sizeof(spantap_attr) == 0;
}
"""


def library():
    if not LIBRARY.exists():
        raise Skip(f"no {LIBRARY.relative_to(REPO)} (make all)")
    return LIBRARY


def output(*argv):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False)
    check_equal(done.returncode, 0, f"{' '.join(map(str, argv))}: {done.stdout}{done.stderr}: exit code")
    return done.stdout


def dynamic_symbols(*options):
    return [line.split()[-1] for line in output("nm", "-D", *options, library()).splitlines()]


def test_exported_symbols(env):
    wanted = (REPO / "tests" / "abi" / "symbols.txt").read_text().split()
    found = dynamic_symbols("--defined-only")
    check_equal(sorted(re.sub("@.*", "", s) for s in found), wanted, "exported symbols")
    check(all(s.endswith("@@SPANTAP_1") for s in found if s.startswith("spantap_")), f"versions: {found}")
    header = (REPO / "include" / "spantap" / "spantap.h").read_text()
    declared = re.findall(r"^SPANTAP_API [\w ]+?\*?\s?(spantap_\w+)\(", header, re.M)
    check_equal(sorted(declared), [s for s in wanted if s.startswith("spantap_")], "declared against exported")


def test_needs_an_old_libc_only(env):
    dynamic = output("readelf", "-dW", library())
    check_equal(re.findall(r"NEEDED.*\[(.*)\]", dynamic), ["libc.so.6"], "needed libraries")
    check_equal(re.findall(r"SONAME.*\[(.*)\]", dynamic), ["libspantap.so.0"], "soname")
    check("NODELETE" in dynamic, "not marked as never to be unloaded")
    loaded = [line.split()[0].rsplit("/", 1)[-1] for line in output("ldd", library()).splitlines()]
    check(all(re.match(r"linux-vdso|libc\.so\.6|ld-", name) for name in loaded), f"ldd: {loaded}")
    needed = dynamic_symbols("--undefined-only")
    versions = [tuple(map(int, v.split("."))) for v in re.findall(r"@GLIBC_([\d.]+)", "\n".join(needed))]
    check(versions and max(versions) <= (2, 17), f"a C library newer than 2.17: {needed}")
    weak = [line.split()[-1] for line in output("nm", "-D", "--undefined-only", library()).splitlines() if " w " in line]
    check({"dlopen", "dlsym"} <= {s.partition("@")[0] for s in weak}, f"embedded mode's, which an old C library may lack: {weak}")
    forbidden = [s for s in needed if re.match(r"(malloc|realloc|pthread_|system|exec|fork|printf|syslog|abort)", s)]
    check_equal(forbidden, [], "functions that a proxy's library must not call")


def test_header_in_every_standard(env):
    tried = 0
    for compiler, standard in STANDARDS:
        if subprocess.run(["which", compiler], capture_output=True, check=False).returncode != 0:
            continue
        source = env.write("uses_all." + ("cc" if "+" in compiler else "c"), USES_ALL)
        output(compiler, f"-std={standard}", "-Wall", "-Wextra", "-pedantic", "-Werror", f"-I{REPO}/include", "-c", source,
               "-o", env.tmp / "uses_all.o")
        tried += 1
    check(tried >= 8, f"only {tried} compilers and standards")
    env.note(f"{tried} of {len(STANDARDS)} compilers and standards")


def test_example_in_c(env):
    library()
    source = REPO / "tests" / "abi" / "example.c"
    program = env.tmp / "example"
    output("gcc", "-std=c99", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-pedantic", "-Werror", f"-I{REPO}/include",
           source, LIBRARY, f"-Wl,-rpath,{LIBRARY.parent}", "-o", program)
    reader = RingReader(env.tmp / "agent.sock")
    env.on_exit(reader.close)
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    header, _, status = output(program, env.tmp / "agent.sock", f"00-{trace_id}-00f067aa0ba902b7-01").strip().partition(" ")
    check_equal(status, "done", "the example's status")
    spans = reader.spans()
    check_equal(len(spans), 1, "spans of the example")
    check_equal(header, f"00-{trace_id}-{spans[0]['span_id']}-01", "the injected traceparent")
    wanted = {"trace_id": trace_id, "parent": "00f067aa0ba902b7", "kind": 2, "status": 0, "flags": 1, "remote": 1,
              "name": "GET /items/{id}", "attrs": [(4, "/items/{id}"), (3, 200)]}
    check_equal({key: spans[0][key] for key in wanted}, wanted, "the example's span")


class Str(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("size", ctypes.c_size_t)]


class Value(ctypes.Union):
    _fields_ = [("s", Str), ("i", ctypes.c_int64), ("d", ctypes.c_double), ("b", ctypes.c_int64)]


class Attr(ctypes.Structure):
    _fields_ = [("key", ctypes.c_uint16), ("type", ctypes.c_uint16), ("reserved", ctypes.c_uint32), ("name", Str),
                ("value", Value)]


class Context(ctypes.Structure):
    _fields_ = [("trace_id", ctypes.c_uint8 * 16), ("span_id", ctypes.c_uint8 * 8), ("flags", ctypes.c_uint8),
                ("remote", ctypes.c_uint8), ("reserved", ctypes.c_uint8 * 6)]


class Span(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_uint32), ("kind", ctypes.c_uint8), ("status", ctypes.c_uint8),
                ("reserved", ctypes.c_uint16), ("context", Context), ("parent_span_id", ctypes.c_uint8 * 8),
                ("start_unix_ns", ctypes.c_uint64), ("end_unix_ns", ctypes.c_uint64), ("name", Str), ("trace_state", Str),
                ("status_message", Str), ("attrs", ctypes.POINTER(Attr)), ("events", ctypes.c_void_p),
                ("links", ctypes.c_void_p), ("attr_count", ctypes.c_uint32), ("event_count", ctypes.c_uint32),
                ("link_count", ctypes.c_uint32), ("parent_is_remote", ctypes.c_uint8), ("reserved2", ctypes.c_uint8 * 3),
                ("conn", ctypes.c_void_p)]


class Options(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_uint32), ("mode", ctypes.c_uint32), ("socket", Str), ("service_name", Str),
                ("resource", ctypes.POINTER(Attr)), ("resource_count", ctypes.c_uint32), ("ring_bytes", ctypes.c_uint32),
                ("sample_ratio", ctypes.c_double)]


def text(value):
    return Str(value.encode(), len(value.encode()))


def test_python_binding(env):
    path = env.tmp / "agent.sock"
    reader = RingReader(path)
    env.on_exit(reader.close)
    spantap = ctypes.CDLL(str(library()))
    client, producer = ctypes.c_void_p(), ctypes.c_void_p()
    options = Options(struct_size=ctypes.sizeof(Options), mode=1, socket=text(str(path)), service_name=text("pythonic"),
                      sample_ratio=1.0)
    check_equal(spantap.spantap_open(ctypes.byref(options), ctypes.byref(client)), 0, "spantap_open")
    check_equal(spantap.spantap_producer_open(client, ctypes.byref(producer)), 0, "spantap_producer_open")
    wait_until(lambda: spantap.spantap_attach(producer) == 0, 5, "attached")
    check(b"service.namepythonic" in reader.hellos[0], f"hello: {reader.hellos[0]}")
    span = Span(struct_size=ctypes.sizeof(Span), kind=3, name=text("grüße"), start_unix_ns=time.time_ns(),
                end_unix_ns=time.time_ns())
    check_equal(spantap.spantap_sample(producer, None, ctypes.byref(span.context)), 1, "spantap_sample")
    attrs = (Attr * 3)(Attr(1, 1, 0, Str(), Value(s=text("PUT"))), Attr(0, 3, 0, text("half"), Value(d=0.5)),
                       Attr(3, 2, 0, Str(), Value(i=-1)))
    span.attrs, span.attr_count = attrs, 3
    check_equal(spantap.spantap_submit(producer, ctypes.byref(span)), 0, "spantap_submit")
    spans = reader.spans()
    check_equal([(s["name"], s["kind"], s["attrs"]) for s in spans],
                [("grüße", 3, [(1, "PUT"), ("half", 0.5), (3, -1)])], "the span")
    span.name = Str()
    check_equal(spantap.spantap_submit(producer, ctypes.byref(span)), -1, "no name")
    spantap.spantap_producer_close(producer)
    spantap.spantap_close(client)
