#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A client that goes on while what it talks to is killed: fault_load.py PORT TAG CONNECTIONS PER_SECOND.

Requests /ok/TAG-CONNECTION-NUMBER over keep-alive connections, each on a thread, until SIGTERM; then its log goes to
stdout, a line a request. SIGUSR1: as fast as it goes; SIGUSR2: at its rate again. Status and body of every answer are
checked. Once a kept connection ends before the first byte of an answer, the request is made again, on a new one and
with a number of its own, as HTTP clients do (RFC 9110, 9.2.2); everything else that goes wrong is a failure.
A process of its own, so that it neither waits for the test's sink nor makes it wait.
"""
import dataclasses
import signal
import socket
import sys
import threading
import time

from pathlib import Path

BODY = b"fine"


@dataclasses.dataclass
class Done:
    """One request. outcome: "ok", "again" (the kept connection had ended before an answer came), else the failure."""
    key: str             # TAG-CONNECTION-NUMBER
    socket: int          # of this client, counted; requests of one came one after the other on one connection
    start: float         # time.monotonic()
    end: float
    outcome: str


class FaultLoad:
    """The program as a child of the test."""

    def __init__(self, env, port, tag, connections=4, per_second=300):
        self._out = env.tmp / f"load-{tag}-{time.monotonic_ns()}.log"
        self._process = env.start(f"load-{tag}", [sys.executable, "-S", Path(__file__), port, tag, connections,
                                                  per_second], stdout_path=self._out)

    def fast(self, on=True):
        self._process.send(signal.SIGUSR1 if on else signal.SIGUSR2)

    def stop(self):
        """All requests, in the order of their ends."""
        code = self._process.stop(10)
        if code != 0:
            raise AssertionError(f"{self._process.name} ended with {code}: {self._process.tail(5)}")
        done = []
        for line in self._out.read_text().splitlines():
            key, number, start, end, outcome = line.split(" ", 4)
            done.append(Done(key, int(number), float(start), float(end), outcome))
        return sorted(done, key=lambda d: d.end)


class _Client:
    def __init__(self, port, tag, per_second):
        self.port, self.tag, self.gap = port, tag, 1 / per_second
        self.stopping, self.fast = False, False
        self.sockets, self.lock = 0, threading.Lock()
        self.log = []

    def work(self, index):
        connection, kept, number, due = None, 0, 0, time.monotonic()
        while not self.stopping:
            now = time.monotonic()
            due = min(max(due, now) + self.gap, now + self.gap)
            while not self.fast and not self.stopping and (wait := due - time.monotonic()) > 0:
                time.sleep(min(wait, 0.05))
            number += 1
            key, start = f"{self.tag}-{index}-{number}", time.monotonic()
            try:
                if connection is None:
                    connection, kept = self._connect(), 0
                outcome, keep = self._ask(connection, key, kept)
            except OSError as error:
                outcome, keep = f"{type(error).__name__}: {error}", False
            end = time.monotonic()
            self.log.append(f"{key} {getattr(connection, 'number', 0)} {start:.6f} {end:.6f} {outcome}")
            kept += 1
            if not keep and connection is not None:
                connection.close()
                connection = None
            if not keep and outcome not in ("ok", "again"):
                time.sleep(0.02)  # a server that is away is not asked a thousand times a second

    def _connect(self):
        connection = _Numbered(socket.AF_INET, socket.SOCK_STREAM)
        connection.settimeout(10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.lock:
            self.sockets += 1
            connection.number = self.sockets
        connection.connect(("127.0.0.1", self.port))
        return connection

    @staticmethod
    def _ask(connection, key, kept):
        """(outcome, whether the connection may be used again)."""
        data = b""
        try:
            connection.sendall(b"GET /ok/%s HTTP/1.1\r\nhost: test.local\r\n\r\n" % key.encode())
            while b"\r\n\r\n" not in data or not _whole(data):
                part = connection.recv(65536)
                if not part:
                    break
                data += part
        except (ConnectionResetError, BrokenPipeError):
            if data or not kept:
                raise
        if not data and kept:
            return "again", False
        head, _, body = data.partition(b"\r\n\r\n")
        words = head.split(b"\r\n", 1)[0].split()
        if len(words) < 2 or words[1] != b"200" or body != BODY:
            return f"answered {data[:60]!r}...{body[:20]!r}", False
        return "ok", b"connection: close" not in head.lower()


class _Numbered(socket.socket):
    number = 0


def _whole(data):
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.split(b":")[1])
    return False


def main():
    client = _Client(int(sys.argv[1]), sys.argv[2], float(sys.argv[4]) / int(sys.argv[3]))
    ended = threading.Event()

    def stop(*_):
        client.stopping = True
        ended.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGUSR1, lambda *_: setattr(client, "fast", True))
    signal.signal(signal.SIGUSR2, lambda *_: setattr(client, "fast", False))
    threads = [threading.Thread(target=client.work, args=(i,)) for i in range(int(sys.argv[3]))]
    for thread in threads:
        thread.start()
    ended.wait()
    for thread in threads:
        thread.join()
    print("\n".join(client.log))


if __name__ == "__main__":
    main()
