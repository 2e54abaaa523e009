# SPDX-License-Identifier: Apache-2.0
"""The fixture that a test gets: a scratch folder, ports, child processes, and their end.

One Env per test, made by run.py in a process of its own. Everything a test starts is registered here
and stopped in reverse order, by process id, whatever happened. Use from one thread.
"""
import contextlib
import os
import pathlib
import random
import shutil
import socket
import sys
import tempfile
import time

from .process import Process

REPO = pathlib.Path(__file__).resolve().parents[3]


class Fail(AssertionError):
    """The thing under test is wrong."""


class Skip(Exception):
    """The test cannot run here; the message says why."""


def deadline(seconds):
    """Decorator: how long the test may take before run.py ends it (default 60)."""

    def mark(function):
        function.deadline = seconds
        return function

    return mark


class Env:
    repo = REPO

    def __init__(self, name):
        self.name = name
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix="spantap-e2e-"))
        os.chmod(self.tmp, 0o755)  # workers of nginx and HAProxy run as another user
        self._stack = contextlib.ExitStack()
        self._processes = []
        self._claims = []
        self._random = random.Random(os.getpid() * 1000003 + time.time_ns())

    # -- life
    def on_exit(self, function, *args):
        self._stack.callback(function, *args)

    def enter(self, context):
        """Enters a context manager that is left at the end of the test."""
        return self._stack.enter_context(context)

    def close(self, failed):
        try:
            self._stack.close()
        finally:
            if failed:
                for process in self._processes:
                    print(f"--- last lines of {process.name} ({process.describe_end()})")
                    print(process.tail(40))
            if failed and os.environ.get("SPANTAP_KEEP"):
                print(f"--- kept: {self.tmp}")
            else:
                shutil.rmtree(self.tmp, ignore_errors=True)

    # -- things
    def free_port(self):
        """A free TCP port outside the ephemeral range, so that no outgoing connection takes it; nor does a test that
        runs beside this one, before whoever it is meant for listens."""
        for _ in range(1000):
            port = self._random.randrange(20000, 32000)
            if not self._claim(port):
                continue
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            return port
        raise Fail("no free port between 20000 and 32000")

    def _claim(self, port):
        """True if no other test of this machine has this port, until this process ends."""
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0spantap-e2e-port-{port}")
        except OSError:
            claim.close()
            return False
        self._claims.append(claim)
        return True

    def start(self, name, argv, port=None, env=None, wait=10.0, **popen):
        """Starts a child; returns when it accepts connections on `port` (if given)."""
        earlier = sum(p.name.split("#")[0] == name for p in self._processes)
        label = f"{name}#{earlier + 1}" if earlier else name
        process = Process(label, [str(a) for a in argv], self.tmp / f"{label}.log", env=env, **popen)
        self._processes.append(process)
        self._stack.callback(process.stop)
        if port is not None:
            process.wait_port(port, wait)
        return process

    def write(self, name, text):
        path = self.tmp / name
        path.write_text(text)
        return path

    # -- results
    def figure(self, text):
        """A measured figure, for the record: printed as `figure: ...`."""
        print(f"figure: {text}", flush=True)

    def note(self, text):
        print(f"  {text}", flush=True)


def check(condition, message):
    if not condition:
        raise Fail(message)


def check_equal(actual, wanted, what):
    if actual != wanted:
        raise Fail(f"{what}: got {actual!r}, wanted {wanted!r}")


def wait_until(condition, seconds, what, interval=0.02):
    """Polls until condition() is true; returns its value; Fail after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Fail(f"not within {seconds} s: {what}")
        time.sleep(interval)


def need(path, hint):
    """The path of an executable, or Skip."""
    found = shutil.which(str(path))
    if not found:
        raise Skip(f"{path} is not installed ({hint})")
    return found


def flush():
    sys.stdout.flush()
