#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A collector that takes everything and looks at nothing: a process of its own, as cheap as Python allows.

    discard_sink.py PORT

Answers every POST with 200 and no body. So that what a bench measures is the agent and not a collector that would run on
another machine. Prints the time of the first request (CLOCK_MONOTONIC, ns) once.
"""
import socket
import sys
import threading
import time

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n"
first = threading.Lock()


def serve(connection):
    buffer = bytearray(1 << 20)
    pending = b""
    while True:
        while b"\r\n\r\n" not in pending:
            data = connection.recv(65536)
            if not data:
                return
            pending += data
        head, _, pending = pending.partition(b"\r\n\r\n")
        if first.acquire(blocking=False):
            print(time.monotonic_ns(), flush=True)
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if fields.get(b"expect") == b"100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        left = int(fields[b"content-length"]) - len(pending)
        pending = pending[int(fields[b"content-length"]):] if left < 0 else b""
        while left > 0:
            received = connection.recv_into(buffer, min(left, len(buffer)))
            if not received:
                return
            left -= received
        connection.sendall(ANSWER)


def main():
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
