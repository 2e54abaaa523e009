#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three small services behind their own sidecar proxies and a gateway, all on loopback, and `spantap trace` on them.

    demo.py [--endpoint URL] [--seconds N]

Ends by itself and leaves nothing behind. Needs root, for the eBPF programs. Standard library only.
"""
import argparse
import fcntl
import http.client
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

from harness import Env, Skip  # noqa: E402
from harness.spantap import binary, parse_ledger  # noqa: E402
from topology import Topology  # noqa: E402

SOLD_OUT = 13  # see service.py


def say(text=""):
    print(text, flush=True)


class Tracer:
    """`spantap trace` on some processes; its output passes through while it comes, and is kept."""

    def __init__(self, env, arguments):
        self._log_path = env.tmp / "spantap.log"
        self._text = ""
        # On a terminal spantap gets one too, so that it draws colours and bars.
        if sys.stdout.isatty():
            self._read_fd, write_fd = pty.openpty()
            size = fcntl.ioctl(sys.stdout, termios.TIOCGWINSZ, bytes(8))
            fcntl.ioctl(write_fd, termios.TIOCSWINSZ, size)
        else:
            self._read_fd, write_fd = os.pipe()
        with open(self._log_path, "wb") as log:
            self._process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=write_fd, stderr=log)
        os.close(write_fd)
        env.on_exit(self.end)
        self._reader = threading.Thread(target=self._pass_on, daemon=True)
        self._reader.start()

    def _pass_on(self):
        while True:
            try:
                data = os.read(self._read_fd, 65536)
            except OSError:  # a terminal whose other end is closed says EIO
                return
            if not data:
                return
            text = data.decode(errors="replace").replace("\r\n", "\n")
            self._text += text
            sys.stdout.write(text)
            sys.stdout.flush()

    def log(self):
        return self._log_path.read_text(errors="replace")

    def wait_ready(self, seconds=10):
        end = time.monotonic() + seconds
        while "ready" not in self.log():
            if self._process.poll() is not None or time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def end(self):
        """SIGTERM, as an operator would; returns the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(8)
            except subprocess.TimeoutExpired:
                self._process.kill()
        code = self._process.wait()
        self._reader.join(2)
        return code

    def text(self):
        return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", self._text)


class Shopper(threading.Thread):
    """One client with one keep-alive connection to the gateway."""

    def __init__(self, port, items, pause, together):
        super().__init__(daemon=True)
        self._port, self._items, self._pause, self._together = port, items, pause, together
        self.statuses = []

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        for item in self._items:
            self._together.wait()
            try:
                connection.request("GET", f"/checkout?item={item}")
                response = connection.getresponse()
                response.read()
                self.statuses.append(response.status)
            except (OSError, http.client.HTTPException) as error:
                self.statuses.append(str(error) or type(error).__name__)
                connection.close()
            time.sleep(self._pause)
        connection.close()


def shop(port, seconds):
    """Two shoppers, each time in the same moment, so that every program has two requests open; returns all statuses."""
    rounds = max(2, int(seconds / 0.5))
    carts = [[SOLD_OUT if i % 5 == 3 else 100 + i for i in range(rounds)], [200 + i for i in range(rounds)]]
    together = threading.Barrier(len(carts))
    shoppers = [Shopper(port, cart, 0.5, together) for cart in carts]
    for shopper in shoppers:
        shopper.start()
    for shopper in shoppers:
        shopper.join()
    return [status for shopper in shoppers for status in shopper.statuses]


def introduce(topology, command):
    say("spantap demo: a gateway and three services behind their own sidecar proxies, on loopback.\n")
    proxies = {"gateway": "envoy", "frontend-proxy": "nginx", "orders-proxy": "envoy", "stock-proxy": "haproxy"}
    what = {"frontend": "forwards no trace header: here traces break", "orders": "copies x-request-id by hand",
            "stock": f"answers 503 for item {SOLD_OUT}"}
    for name in topology.services:
        kind = topology.kind(proxies[name]) if name in proxies else "Python, a thread per connection"
        say(f"  {name:<15} 127.0.0.1:{topology.ports[name]:<6} pid {topology.processes[name].pid:<8}"
            f"{kind}{'; ' + what[name] if name in what else ''}")
    if topology.envoy is None:
        say("\n  Envoy is not installed here (make deps): nginx takes its place.")
    say("\nNo program is instrumented or changed, and the client sends no trace header. spantap watches their sockets:\n")
    say(f"  {os.path.relpath(command[0])} {command[1]}" + " \\\n    " + " ".join(command[2:]) + "\n")


def count_trees(text, spans):
    """(trees printed, trees of that many spans)."""
    sizes = [int(size) for size in re.findall(r"^trace [0-9a-f]{32} +(\d+) spans?", text, flags=re.M)]
    return len(sizes), sizes.count(spans)


def run(env, endpoint, seconds):
    topology = Topology(env)
    topology.start()
    command = [binary(), "trace"]
    for name in topology.services:
        command += ["--pid", str(topology.processes[name].pid)]
    for name in topology.services:  # nginx overwrites its environment with its process title
        command += ["--service-name", f"{topology.ports[name]}={name}"] if name == "frontend-proxy" else []
    command += ["--endpoint", endpoint] if endpoint else []
    introduce(topology, command)
    tracer = Tracer(env, command)
    if not tracer.wait_ready():
        tracer.end()
        say(tracer.log())
        return 1
    statuses = shop(topology.ports["gateway"], seconds)
    time.sleep(0.7)  # the last trace waits for stragglers before it is printed
    code = tracer.end()
    return summarise(topology, tracer, statuses, code, endpoint)


def summarise(topology, tracer, statuses, code, endpoint):
    # Each process answers once, and each but the last asks the next.
    printed, whole = count_trees(tracer.text(), 2 * len(topology.services) - 1)
    failed = sum(status == 503 for status in statuses)
    say(f"\n{len(statuses)} requests were sent, {failed} of them failed with 503 as arranged; {printed} trace trees were "
        f"printed,\n{whole} of them whole: all {len(topology.services)} processes in one trace, across the application "
        "that forwards nothing.")
    unexpected = [status for status in statuses if status not in (200, 201, 503)]
    if unexpected:
        say(f"unexpected answers: {unexpected}")
    if endpoint:
        say(f"The same spans went to {endpoint}.")
    say("The ledger, spantap's last line (created = acknowledged + dropped + in_flight + spooled; dropped.not_exported\n"
        "are spans that were only shown):")
    say(tracer.log().strip().splitlines()[-1])
    ledger = parse_ledger(tracer.log())
    if code != 0 or whole == 0 or ledger["created"] == 0 or unexpected:
        say(f"\nspantap ended with {code}; its log:\n{tracer.log()}")
        return 1
    return 0


def main():
    parser = argparse.ArgumentParser(description="traces of seven uninstrumented processes, live")
    parser.add_argument("--endpoint", default=os.environ.get("ENDPOINT", ""), help="OTLP/HTTP URL of a Collector")
    parser.add_argument("--seconds", type=float, default=5, help="how long requests are sent")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        say("The demo needs root: spantap loads eBPF programs. Try: sudo make demo")
        return 1
    env = Env("demo")
    try:
        return run(env, arguments.endpoint, arguments.seconds)
    except Skip as missing:
        say(f"The demo cannot run: {missing}")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        env.close(False)


if __name__ == "__main__":
    sys.exit(main())
