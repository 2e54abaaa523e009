#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An HTTP/1.1 proxy that hands its spans off: harness/joining_proxy.py PORT UPSTREAM_PORT SOCKET SERVICE [KEY=VALUE...]

Ten threads, each with a producer; an upstream connection a downstream connection. Each request has a server and a client
span, whose contexts libspantap.so makes; the client span's goes to the upstream as traceparent. Options:
  conn=full|peer|none   what the spans say of their connections     inject=client|server   whose id is sent on
  kinds=both|server     which spans are handed off                  every=N                of N requests one hands off
  trace=forward|ignore  whether an incoming traceparent counts      internal=0|1           an internal span between
  hold_ms=N             between the answer and the hand-off
A process of its own, because it is observed. `Proxy` starts it.
"""
import ctypes
import pathlib
import queue
import socket
import sys
import threading
import time

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness.libspantap import INT, METHOD, NAMED, STATUS_CODE, Context, LibraryProducer, Str  # noqa: E402
from harness.origin import read_body, read_headers  # noqa: E402

INTERNAL, SERVER, CLIENT, PATH = 1, 2, 3, 10
THREADS = 10


class Conn(ctypes.Structure):
    _fields_ = [("family", ctypes.c_uint16), ("local_port", ctypes.c_uint16), ("peer_port", ctypes.c_uint16),
                ("reserved", ctypes.c_uint16), ("local", ctypes.c_uint8 * 16), ("peer", ctypes.c_uint8 * 16)]

    @classmethod
    def of(cls, connection, how):
        conn = cls(family=4)
        (peer, conn.peer_port), (local, local_port) = connection.getpeername(), connection.getsockname()
        conn.peer[:4] = socket.inet_aton(peer)
        if how == "full":
            conn.local_port = local_port
            conn.local[:4] = socket.inet_aton(local)
        return conn if how != "none" else None


class Spans(LibraryProducer):
    def child(self, parent):
        context = Context()
        self._lib.spantap_sample(self._producer, ctypes.byref(parent) if parent else None, ctypes.byref(context))
        return context

    def extract(self, text):
        context = Context()
        return context if self._lib.spantap_extract(Str.of(text), ctypes.byref(context)) == 0 else None

    def header(self, context):
        buffer = ctypes.create_string_buffer(55)
        self._check(self._lib.spantap_inject(ctypes.byref(context), buffer, ctypes.c_size_t(55)))
        return buffer.raw.decode()

    def hand_off(self, kind, name, context, parent, start_ns, end_ns, conn, path, status):
        lib, live = self._lib, ctypes.c_void_p()
        self._check(lib.spantap_begin(self._producer, self._memory, ctypes.c_size_t(1024), ctypes.byref(context),
                                      parent.span_id if parent else None, ctypes.c_uint8(kind), Str.of(name),
                                      ctypes.c_uint64(start_ns), ctypes.byref(live)))
        self._check(lib.spantap_set_string(live, METHOD, Str(), Str.of("GET")))
        self._check(lib.spantap_set_string(live, PATH, Str(), Str.of(path)))
        self._check(lib.spantap_set_string(live, NAMED, Str.of("proxy.own"), Str.of("yes")))
        self._check(lib.spantap_set_int(live, STATUS_CODE, Str(), ctypes.c_int64(status)))
        if conn:
            self._check(lib.spantap_set_conn(live, ctypes.byref(conn)))
        return lib.spantap_end(live, ctypes.c_uint64(end_ns))


class Serving:
    """A thread: one connection after the other."""

    def __init__(self, upstream_port, path, service, options):
        self.upstream_port, self.options = upstream_port, options
        self.spans = Spans(path, service)
        self.spans.attach(10)
        self.number = 0

    def run(self, connections):
        while True:
            self._serve(connections.get())

    def _serve(self, connection):
        self.down = connection
        self.reader = connection.makefile("rb", buffering=65536)
        self.up = self.up_reader = None
        try:
            while self._one():
                pass
        except (OSError, ValueError):
            pass
        finally:
            for each in (self.reader, self.down, self.up_reader, self.up):
                if each:
                    each.close()

    def _one(self):
        line = self.reader.readline()
        server_start = time.time_ns()
        if not line.strip():
            return False
        method, path, _ = line.decode("latin-1").split()
        headers = read_headers(self.reader)
        incoming = None
        if self.options["trace"] == "forward" and "traceparent" in headers:
            incoming = self.spans.extract(headers["traceparent"])
        server = self.spans.child(incoming)
        between = self.spans.child(server) if self.options["internal"] == "1" else None
        client = self.spans.child(between or server)
        headers["traceparent"] = self.spans.header(client if self.options["inject"] == "client" else server)
        if self.up is None:
            self.up = socket.create_connection(("127.0.0.1", self.upstream_port), timeout=30)
            self.up.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.up_reader = self.up.makefile("rb", buffering=65536)
        client_start = time.time_ns()
        lines = [f"{method} {path} HTTP/1.1"] + [f"{k}: {v}" for k, v in headers.items()]
        self.up.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        status_line = self.up_reader.readline()
        status = int(status_line.split()[1])
        answer = read_headers(self.up_reader)
        body = b"".join(read_body(self.up_reader, answer))
        client_end = time.time_ns()
        answer.pop("transfer-encoding", None)
        answer["content-length"] = str(len(body))
        head = "\r\n".join([f"HTTP/1.1 {status} Passed"] + [f"{k}: {v}" for k, v in answer.items()])
        self.down.sendall((head + "\r\n\r\n").encode("latin-1") + body)
        server_end = time.time_ns()
        self.number += 1
        if self.number % int(self.options["every"]) == 0:
            self._hand_off(path, status, [(client, between or server, client_start, client_end, CLIENT),
                                          (between, server, client_start, client_end, INTERNAL),
                                          (server, incoming, server_start, server_end, SERVER)])
        return True

    def _hand_off(self, path, status, spans):
        time.sleep(int(self.options["hold_ms"]) / 1000)
        for context, parent, start, end, kind in spans:
            if context is None or (kind == CLIENT and self.options["kinds"] == "server"):
                continue
            conn = Conn.of(self.up if kind == CLIENT else self.down, self.options["conn"]) if kind != INTERNAL else None
            name = {CLIENT: "upstream", SERVER: "downstream", INTERNAL: "filter"}[kind]
            self.spans.hand_off(kind, f"{name} {path}", context, parent, start, end, conn, path, status)


class Proxy:
    """Started and listening when the constructor returns."""

    def __init__(self, env, upstream_port, path, service="joining", **options):
        self.port = env.free_port()
        words = [f"{key}={value}" for key, value in options.items()]
        self.process = env.start(service, [sys.executable, __file__, self.port, upstream_port, path, service, *words],
                                 port=self.port)
        self.pid = self.process.pid


def main():
    port, upstream_port, path, service = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    options = {"conn": "full", "inject": "client", "kinds": "both", "every": "1", "trace": "forward", "internal": "0",
               "hold_ms": "0"}
    options.update(word.split("=", 1) for word in sys.argv[5:])
    connections = queue.SimpleQueue()
    for _ in range(THREADS):
        serve = lambda: Serving(upstream_port, path, service, options).run(connections)  # noqa: E731
        threading.Thread(target=serve, daemon=True).start()
    listener = socket.create_server(("127.0.0.1", port), backlog=256)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connections.put(connection)


if __name__ == "__main__":
    main()
