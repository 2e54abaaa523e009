# SPDX-License-Identifier: Apache-2.0
"""An OTLP/HTTP collector for tests: takes /v1/traces, keeps what came, answers as told.

Threads: a server thread plus one per connection, all inside the test process; the lists are guarded
by one lock. `keep`: "spans" decodes every span, "count" only counts them (for heavy loads).
"""
import gzip
import http.server
import socket
import threading
import zlib

from . import otlp
from .env import wait_until


class Answer:
    """One scripted answer. status 0: close the connection without a word."""

    def __init__(self, status=200, body=b"", headers=None, delay=0.0, accept=False):
        self.status, self.body, self.headers = status, body, headers or {}
        self.delay, self.accept = delay, accept


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # a peer that goes away is no error of the sink


class OtlpSink:
    def __init__(self, env, keep="spans", port=None):
        self.keep = keep
        self.lock = threading.Lock()
        self.spans = []            # accepted, in order of arrival
        self.span_count = 0
        self.requests = []         # dicts: path, headers, bytes, spans, status
        self.bad_requests = []     # bodies that did not decode
        self._script = []
        self._connections = set()
        self.port = port or env.free_port()
        self._server = _Server(("127.0.0.1", self.port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        env.on_exit(self.close)

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def script(self, *answers):
        """The next requests get these answers; afterwards everything is accepted again."""
        with self.lock:
            self._script.extend(answers)

    def close(self):
        """Stops listening and cuts every open connection."""
        self._server.shutdown()
        self._server.server_close()
        with self.lock:
            connections = list(self._connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def wait_spans(self, count, seconds=10.0):
        wait_until(lambda: self.span_count >= count, seconds,
                   f"{count} spans at the sink (has {self.span_count})")
        return self.snapshot()

    def snapshot(self):
        with self.lock:
            return list(self.spans)

    def clear(self):
        with self.lock:
            self.spans.clear()
            self.requests.clear()
            self.span_count = 0

    # -- server side
    def _take(self, path, headers, body):
        with self.lock:
            answer = self._script.pop(0) if self._script else None
        entry = {"path": path, "headers": headers, "bytes": len(body), "spans": 0,
                 "status": answer.status if answer else 200}
        if answer is None or answer.accept:
            try:
                if headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                spans = otlp.decode_request(body) if self.keep == "spans" else None
                entry["spans"] = len(spans) if spans is not None else otlp.count_spans(body)
                with self.lock:
                    self.spans.extend(spans or [])
                    self.span_count += entry["spans"]
            except (OSError, ValueError, zlib.error, Exception) as error:  # DecodeError has no stable base
                entry["status"] = 400
                with self.lock:
                    self.bad_requests.append((str(error), body[:256]))
        with self.lock:
            self.requests.append(entry)
        return answer, entry

    def _handler(sink):  # noqa: N805 - `self` is the handler below
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                super().setup()
                with sink.lock:
                    sink._connections.add(self.connection)

            def finish(self):
                with sink.lock:
                    sink._connections.discard(self.connection)
                super().finish()

            def _body(self):
                if "chunked" in self.headers.get("transfer-encoding", "").lower():
                    parts = []
                    while True:
                        size = int(self.rfile.readline().split(b";")[0], 16)
                        parts.append(self.rfile.read(size))
                        self.rfile.readline()
                        if size == 0:
                            return b"".join(parts)
                return self.rfile.read(int(self.headers.get("content-length", 0)))

            def do_POST(self):
                body = self._body()
                headers = {k.lower(): v for k, v in self.headers.items()}
                answer, entry = sink._take(self.path, headers, body)
                if answer and answer.delay:
                    threading.Event().wait(answer.delay)
                if answer and answer.status == 0:
                    self.close_connection = True
                    return
                reply = answer.body if answer else b""
                self.send_response(entry["status"])
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(reply)))
                for name, value in (answer.headers if answer else {}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *args):
                pass

        return Handler
