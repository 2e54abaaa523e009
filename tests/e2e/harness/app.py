#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A thread-per-request application that forwards no header: harness/app.py PORT NEXT_PORT.

Each request makes one synchronous call GET NEXT_PORT/back<path> and answers with its status. A process
of its own, because it is observed.
"""
import http.client
import http.server
import sys


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    next_port = 0

    def do_GET(self):
        call = http.client.HTTPConnection("127.0.0.1", self.next_port, timeout=10)
        call.request("GET", "/back" + self.path)
        answer = call.getresponse()
        body = answer.read()
        call.close()
        self.send_response(answer.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    Handler.next_port = int(sys.argv[2])
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
