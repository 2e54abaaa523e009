# SPDX-License-Identifier: Apache-2.0
"""Runs build/bin/spantap as a user would, and reads what it says at the end.

SPANTAP_BIN names another binary (a sanitizer build). `Agent` waits for the log line with msg "ready",
stops with SIGTERM, and parses the last stderr line, the ledger.
"""
import os
import re
import time

from .env import REPO, Fail, check_equal


def binary():
    path = os.environ.get("SPANTAP_BIN") or str(REPO / "build" / "bin" / "spantap")
    if not os.access(path, os.X_OK):
        raise Fail(f"{path} is not built (make all)")
    return path


def parse_ledger(text):
    """The last line of `text` as {name: int}. Fail if it is no ledger."""
    lines = text.strip().splitlines()
    if not lines or not lines[-1].startswith("ledger "):
        raise Fail(f"the last stderr line is no ledger: {lines[-1] if lines else '(nothing)'!r}")
    ledger = {}
    for field in lines[-1].split()[1:]:
        match = re.fullmatch(r"([a-z0-9_.\-]+)=(\d+)", field)
        if not match:
            raise Fail(f"not a ledger field: {field!r}")
        ledger[match[1]] = int(match[2])
    return ledger


def check_ledger(ledger):
    """Both balances of the ledger, of spans and of events, exactly."""
    reasons = sum(v for k, v in ledger.items() if k.startswith("dropped."))
    check_equal(reasons, ledger["dropped"], "sum of dropped.<reason> against dropped")
    check_equal(ledger["acknowledged"] + ledger["dropped"] + ledger["in_flight"] + ledger["spooled"],
                ledger["created"], "acknowledged + dropped + in_flight + spooled against created")
    lost = sum(v for k, v in ledger.items() if k.startswith("events_dropped."))
    check_equal(ledger["events_processed"] + lost, ledger["events_captured"],
                "events_processed + events_dropped.* against events_captured")


class Agent:
    """`spantap agent ARGS`, or another subcommand. Ready when the constructor returns."""

    def __init__(self, env, *args, command="agent", name="spantap", wait=10.0, extra_env=None, ready=True):
        argv = [binary(), command, *map(str, args)]
        self.process = env.start(name, argv, env=extra_env, stdout_path=env.tmp / f"{name}.out")
        self.pid = self.process.pid
        self.started = time.monotonic()
        if ready:
            self._wait_ready(wait)

    def _wait_ready(self, seconds):
        end = time.monotonic() + seconds
        while not re.search(r'\bmsg="?ready\b', self.process.output()):
            if not self.process.running():
                raise Fail(f"spantap ended with {self.process.returncode} before it was ready:\n"
                           f"{self.process.tail(20)}")
            if time.monotonic() > end:
                raise Fail(f"spantap is not ready after {seconds} s:\n{self.process.tail(20)}")
            time.sleep(0.01)
        self.ready_after = time.monotonic() - self.started

    def stop(self, seconds=10.0, code=0):
        """SIGTERM; checks the exit code and both balances; returns the ledger."""
        actual = self.process.stop(seconds)
        check_equal(actual, code, f"exit code of spantap (log: {self.process.tail(5)})")
        ledger = parse_ledger(self.process.output())
        check_ledger(ledger)
        return ledger
