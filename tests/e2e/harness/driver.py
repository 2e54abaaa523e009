# SPDX-License-Identifier: Apache-2.0
"""Runs build/tools/export_driver, the exporter without an agent, and reads its JSON lines; and span_sink beside it.

SPANTAP_TOOLS names another folder of these programs (a sanitizer build; memory bounds are then not checked).
"""
import json
import os
import signal
import time
import urllib.request

from .env import REPO, Fail, check, check_equal

SANITIZED = "san" in os.environ.get("SPANTAP_TOOLS", "")


def tool(name):
    path = os.path.join(os.environ.get("SPANTAP_TOOLS") or str(REPO / "build" / "tools"), name)
    if not os.access(path, os.X_OK):
        raise Fail(f"{path} is not built (make test-programs)")
    return path


class Driver:
    """export_driver ARGS. `preload`: a shared object for it."""

    def __init__(self, env, *args, name="driver", extra_env=None, prefix=()):
        self.process = env.start(name, [*prefix, tool("export_driver"), *args], env=extra_env,
                                 stdout_path=env.tmp / f"{name}.{time.monotonic_ns()}.json")
        self.pid = self.process.pid

    def events(self):
        text = self.process.stdout()
        whole = text[:text.rfind("\n") + 1]  # the last line may be half written
        return [json.loads(line) for line in whole.splitlines()]

    def wait_event(self, name, seconds=10.0):
        end = time.monotonic() + seconds
        while True:
            for event in self.events():
                if event["event"] == name:
                    return event
            if not self.process.running() and not any(e["event"] == name for e in self.events()):
                raise Fail(f"export_driver ended with {self.process.returncode} before it said {name}:\n"
                           f"{self.process.tail(20)}")
            if time.monotonic() > end:
                raise Fail(f"export_driver did not say {name} within {seconds} s:\n{self.process.tail(20)}")
            time.sleep(0.005)

    def terminate(self):
        self.process.send(signal.SIGTERM)

    def finish(self, seconds):
        """Waits for its end; checks the exit code and the ledger's balance; returns its final event."""
        code = self.process.wait(seconds)
        if code != 0:
            raise Fail(f"export_driver: {'no end within ' + str(seconds) + ' s' if code is None else f'exit {code}'}\n"
                       f"{self.process.tail(20)}\n{self.process.stdout()[-2000:]}")
        events = self.events()
        check(events and events[-1]["event"] == "final", f"the last line is the final one: {self.process.tail(5)}")
        for event in events:
            check_balance(event["ledger"], event["event"])
        return events[-1]


def check_balance(ledger, what):
    """created = acknowledged + dropped{reason} + spooled + in flight, from the ledger's own line."""
    fields = dict(field.split("=") for field in ledger["line"].split())
    numbers = {name: int(value) for name, value in fields.items()}
    reasons = {name[8:]: n for name, n in numbers.items() if name.startswith("dropped.")}
    check_equal(reasons, ledger["dropped"], f"{what}: reasons in the ledger's line against its numbers")
    check_equal(numbers["dropped"], sum(reasons.values()), f"{what}: dropped against its reasons")
    check_equal(numbers["acknowledged"] + numbers["dropped"] + numbers["spooled"] + numbers["in_flight"],
                numbers["created"], f"{what}: the ledger's balance ({ledger['line']})")
    check(all(0 <= n < 1 << 62 for n in numbers.values()), f"{what}: no number below 0 ({ledger['line']})")


class SpanSink:
    """span_sink: checks every made span it gets, bit by bit."""

    def __init__(self, env, name="span_sink"):
        self.process = env.start(name, [tool("span_sink")], stdout_path=env.tmp / f"{name}.json")
        end = time.monotonic() + 10
        while not self.process.stdout().endswith("\n"):
            if time.monotonic() > end or not self.process.running():
                raise Fail(f"span_sink does not start: {self.process.tail(5)}")
            time.sleep(0.01)
        ports = json.loads(self.process.stdout())
        self.port, self._control = ports["port"], ports["control"]

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def ask(self, what):
        with urllib.request.urlopen(f"http://127.0.0.1:{self._control}/{what}", timeout=20) as reply:
            return json.load(reply)

    def run(self, seed):
        """The account of one seed; Fail if anything came that was not as made."""
        report = self.ask("report")
        check_equal((report["foreign"], report["bad_requests"]), (0, 0), "foreign spans and bad requests at the sink")
        if report["examples"]:
            raise Fail("spans that are not as they were made, for instance:\n" + report["examples"][0])
        return report["runs"].get(str(seed), {"arrived": 0, "distinct": 0, "duplicates": 0, "different": 0,
                                              "largest_request": 0})

    def seen(self, seed):
        """The set of indexes that arrived."""
        return {i for first, end in self.ask(f"seen?{seed}") for i in range(first, end)}
