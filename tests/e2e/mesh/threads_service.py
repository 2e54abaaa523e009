# SPDX-License-Identifier: Apache-2.0
"""A service in Python threads: http.server, a thread a connection, synchronous calls over a pool of connections.

README.md says what a service does; what others call in parallel, this one calls in turn.
"""
import collections
import http.client
import json
import os
import pathlib
import queue
import random
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROUTES = json.loads(os.environ["ROUTES"])
DELAY_S = float(os.environ["DELAY_MS"]) / 1e3
POOLS = collections.defaultdict(queue.LifoQueue)
USES = collections.Counter()  # (destination, port of a connection) -> requests sent on it
LOG = []


def call(port, path, calls):
    try:
        connection = POOLS[port].get_nowait()
    except queue.Empty:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.connect()
    local = connection.sock.getsockname()[1]
    calls.append([port, local, USES[port, local]])
    USES[port, local] += 1
    connection.request("GET", path)
    connection.getresponse().read()
    POOLS[port].put(connection)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536

    def do_GET(self):
        name, _, token = self.path[1:].partition("/")
        calls = []
        for step in ROUTES[name]:
            for port, path in step:
                call(port, path + (f"/{token}" if token else ""), calls)
        if DELAY_S:
            time.sleep(random.expovariate(1 / DELAY_S))
        LOG.append(json.dumps({"traceparent": self.headers.get("traceparent"), "calls": calls}))
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"done")

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


SERVER = Server(("127.0.0.1", int(os.environ["LISTEN_PORT"])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=SERVER.shutdown).start())
SERVER.serve_forever()
pathlib.Path(os.environ["CALL_LOG"]).write_text("\n".join(LOG))
os._exit(0)
