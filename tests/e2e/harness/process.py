# SPDX-License-Identifier: Apache-2.0
"""One child process: start, wait for its port, read its output, stop it by process id.

The child gets SIGKILL when the test process dies (PR_SET_PDEATHSIG counts for the starting thread, so
start children from the main thread). Its output goes to a file, never to a pipe that could fill up.
"""
import contextlib
import ctypes
import os
import pathlib
import signal
import socket
import subprocess
import time

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def _prepare(die_with_parent, realtime):
    if die_with_parent:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if realtime:
        with contextlib.suppress(PermissionError):  # then it runs as everybody else
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


class Process:
    def __init__(self, name, argv, log_path, env=None, cwd=None, stdout_path=None, die_with_parent=True,
                 realtime=False):
        self.name = name
        self.log_path = pathlib.Path(log_path)
        self.stdout_path = pathlib.Path(stdout_path) if stdout_path else None
        full_env = dict(os.environ, **(env or {}))
        with open(self.log_path, "wb") as log:
            stdout = open(self.stdout_path, "wb") if self.stdout_path else log
            try:
                self._popen = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=log, env=full_env, cwd=cwd,
                    preexec_fn=lambda: _prepare(die_with_parent, realtime))
            finally:
                if self.stdout_path:
                    stdout.close()
        self.pid = self._popen.pid
        self._stopped_by_us = False

    def running(self):
        return self._popen.poll() is None

    @property
    def returncode(self):
        return self._popen.poll()

    def wait_port(self, port, seconds, host="127.0.0.1"):
        end = time.monotonic() + seconds
        while True:
            if not self.running():
                raise AssertionError(f"{self.name} ended with {self.returncode} before it listened on {port}:\n"
                                     f"{self.tail(20)}")
            try:
                socket.create_connection((host, port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > end:
                    raise AssertionError(f"{self.name} does not listen on {port} after {seconds} s:\n"
                                         f"{self.tail(20)}") from None
                time.sleep(0.02)

    def send(self, number):
        if self.running():
            self._popen.send_signal(number)

    def wait(self, seconds):
        """Waits for the end; returns the exit code, None if it still runs."""
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, seconds=5.0, number=signal.SIGTERM):
        """Ends the child: `number`, then SIGKILL. Returns the exit code. Idempotent."""
        if self.running():
            self._stopped_by_us = True
            self.send(number)
            if self.wait(seconds) is None:
                self.send(signal.SIGKILL)
                self.wait(5)
        return self.returncode

    def kill(self):
        self._stopped_by_us = True
        self.send(signal.SIGKILL)
        return self.wait(5)

    def output(self):
        return self.log_path.read_text(errors="replace")

    def stdout(self):
        return self.stdout_path.read_text(errors="replace") if self.stdout_path else self.output()

    def tail(self, lines):
        return "\n".join(self.output().splitlines()[-lines:])

    def describe_end(self):
        code = self.returncode
        if code is None:
            return "running"
        return f"exit {code}" + (", stopped by the test" if self._stopped_by_us else "")

    def cpu_seconds(self):
        """User and system time of the child so far."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self):
        pages = int(pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
