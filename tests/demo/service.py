#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demo's three applications: frontend, orders and stock, one role per process.

A thread per connection, answers synchronously, and makes its call to the next service from the same thread: what
most synchronous web frameworks do. `frontend` forwards no trace header at all (the case that breaks traces in a
mesh); `orders` copies the context headers by hand, as Istio's documentation asks applications to do.

Standard library only.
"""
import argparse
import http.client
import http.server
import json
import random
import time
import urllib.parse

CONTEXT_HEADERS = ("x-request-id", "traceparent", "tracestate")
SOLD_OUT = "13"  # stock answers 503 for it, and the failure travels up the chain


class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write per response
    next_port = 0

    def log_message(self, *args):
        pass

    def answer(self, status, document):
        body = json.dumps(document).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def call_next(self, method, path, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.next_port, timeout=5)
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"{}")
        except (OSError, ValueError, http.client.HTTPException) as error:
            return 502, {"error": str(error)}
        finally:
            connection.close()


class Frontend(Service):
    def do_GET(self):
        item = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query).get("item", ["0"])[0]
        time.sleep(random.uniform(0.001, 0.003))
        status, order = self.call_next("POST", f"/orders/{item}", {"Content-Length": "0"})
        self.answer(status, {"checkout": item, "order": order})


class Orders(Service):
    def do_POST(self):
        item = self.path.rpartition("/")[2]
        time.sleep(random.uniform(0.002, 0.006))
        copied = {name: self.headers[name] for name in CONTEXT_HEADERS if name in self.headers}
        status, stock = self.call_next("GET", f"/stock/{item}", copied)
        self.answer(201 if status == 200 else status, {"item": item, "stock": stock})


class Stock(Service):
    def do_GET(self):
        item = self.path.rpartition("/")[2]
        time.sleep(random.uniform(0.001, 0.004))
        if item == SOLD_OUT:
            self.answer(503, {"error": "warehouse does not answer"})
        else:
            self.answer(200, {"left": 7})


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # a peer that goes away is no news


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=["frontend", "orders", "stock"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--next-port", type=int, default=0, help="the next service's sidecar")
    arguments = parser.parse_args()
    handler = {"frontend": Frontend, "orders": Orders, "stock": Stock}[arguments.role]
    handler.next_port = arguments.next_port
    Server(("127.0.0.1", arguments.port), handler).serve_forever()


if __name__ == "__main__":
    main()
