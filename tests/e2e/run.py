#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the end-to-end tests: tests/e2e/run.py [--filter TEXT] [--list] [FILE...].

Each test runs in a process of its own with a deadline; those of files that say SIDE_BY_SIDE = True as many at a time as
there are cores, before the others; prints `ok NAME (1.2 s)`, `FAIL NAME`, or
`skip NAME: reason`, and at the end `N passed, N failed, N skipped`. Exit 1 if any failed.
"""
import argparse
import importlib.util
import os
import pathlib
import signal
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
EXIT_SKIP = 77


def load_file(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: f for name, f in vars(module).items()
            if name.startswith("test_") and callable(f) and f.__module__ == path.stem}


def run_here(path, name):
    """The child's part: one test in this process; returns its exit code."""
    from harness import Env, Skip

    def on_term(*_):
        raise TimeoutError("stopped: the test took longer than its deadline")

    signal.signal(signal.SIGTERM, on_term)
    function = load_file(path)[name]
    env = Env(name)
    code = 1
    try:
        function(env)
        code = 0
    except Skip as skip:
        print(f"skip-reason: {skip}")
        code = EXIT_SKIP
    except BaseException:
        traceback.print_exc(file=sys.stdout)
    finally:
        env.close(failed=code == 1)
        sys.stdout.flush()
    return code


class Test:
    def __init__(self, path, name, function):
        self.path, self.name, self.function = path, name, function
        self.label = f"{path.stem}.{name}"
        # A file says SIDE_BY_SIDE = True if its tests hold on a busy machine: they compare no times, and assert no share
        # of links that comes of guessing.
        self.side_by_side = function.__globals__.get("SIDE_BY_SIDE", False)


def run_test(test):
    """Returns (test, (exit code, output, seconds))."""
    start = time.monotonic()
    code, output = run_child(test.path, test.name, getattr(test.function, "deadline", 60))
    return test, (code, output, time.monotonic() - start)


def run_child(path, name, seconds):
    """Returns (exit code, output). Past the deadline: SIGTERM, so that it cleans up, then SIGKILL."""
    with subprocess.Popen([sys.executable, __file__, "--one", str(path), name], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace") as child:
        for patience in (seconds, 20):
            try:
                output, _ = child.communicate(timeout=patience)
                return child.returncode, output
            except subprocess.TimeoutExpired:
                child.terminate()
        child.kill()
        output, _ = child.communicate()
        return 1, output + f"\nkilled: no end {20} s after the deadline of {seconds} s\n"


def report(label, code, output, seconds, verbose):
    """Prints one test's result; returns "passed", "failed" or "skipped"."""
    lines = output.splitlines()
    if code == EXIT_SKIP:
        reason = next((l.split(": ", 1)[1] for l in lines if l.startswith("skip-reason: ")), "")
        print(f"skip {label}: {reason}", flush=True)
        return "skipped"
    if code == 0:
        for line in lines:
            if verbose or line.startswith("figure: "):
                print(f"  {line}")
        print(f"ok {label} ({seconds:.1f} s)", flush=True)
        return "passed"
    print("\n".join("  " + line for line in lines))
    print(f"FAIL {label} ({seconds:.1f} s)", flush=True)
    return "failed"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", help="test files (default: all)")
    parser.add_argument("--filter", default="", help="only tests whose file.name contains this text")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    parser.add_argument("--verbose", action="store_true", help="print what passing tests print")
    options = parser.parse_args()
    here = [*HERE.glob("test_*.py"), *HERE.parent.glob("accuracy/test_*.py")]
    files = [pathlib.Path(f).resolve() for f in options.files] or sorted(here)
    tests = [Test(path, name, function) for path in files for name, function in load_file(path).items()]
    tests = [test for test in tests if options.filter in test.label]
    if not tests:
        parser.error(f"no test's name has {options.filter!r}; --list prints them")
    if options.list:
        print("\n".join(test.label for test in tests))
        return 0
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for test, outcome in pool.map(run_test, [t for t in tests if t.side_by_side]):
            counts[report(test.label, *outcome, options.verbose)] += 1
    for test in tests:
        if not test.side_by_side:
            counts[report(test.label, *run_test(test)[1], options.verbose)] += 1
    print(", ".join(f"{n} {what}" for what, n in counts.items()))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "--one":
        sys.exit(run_here(pathlib.Path(sys.argv[2]), sys.argv[3]))
    sys.exit(main())
