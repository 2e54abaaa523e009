# SPDX-License-Identifier: Apache-2.0
"""Python threads: http.server's ThreadingHTTPServer (a thread a connection), urllib3."""
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from routes import Routes

ROUTES = Routes()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536

    def do_GET(self):
        ROUTES.serve(self.path, self.headers["x-truth-id"])
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"done")

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


Server(("127.0.0.1", int(os.environ["LISTEN_PORT"])), Handler).serve_forever()
