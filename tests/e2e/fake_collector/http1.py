# SPDX-License-Identifier: Apache-2.0
"""OTLP/HTTP by hand: requests read from the socket, answers written as bytes, wrong ones as easily as right ones.

ACTS lists what a script's `acts` may do with a request; the table in README.md says what each means. A function of
it returns when the connection may serve the next request, and raises Closed (listener.py) otherwise.
"""
import email.utils
import functools
import gzip
import json
import time

from .account import decode


class Request:
    def __init__(self, link, head, rest):
        self.link, self.rest = link, rest
        lines = head.decode("latin-1").split("\r\n")
        self.target = lines[0].split(" ")[1]
        self.headers = {n.strip().lower(): v.strip() for n, v in (line.split(":", 1) for line in lines[1:] if line)}
        self.length = int(self.headers.get("content-length", 0))
        self.body = None
        self.entry = None

    def read(self, size=65536, pause=0.0):
        """The whole body, in pieces of at most `size` with a pause after each."""
        while len(self.rest) < self.length:
            self.rest += self.link.receive(size)
            if pause:
                self.link.sleep(pause)
        self.body, self.rest = self.rest[:self.length], self.rest[self.length:]
        return self.body

    def settle(self, acknowledge, rejected=0):
        if self.body is None:
            self.read()
        self.link.account.complete(self.entry, decode(self.headers, self.body), acknowledge, rejected)

    def answer(self, status, body=b"", headers=(), content_type=None, acknowledge=False, rejected=0):
        """A whole answer to a whole request."""
        with self.link.answering():
            self.settle(acknowledge, rejected)
            self.link.send(head_of(status, [("Content-Type", content_type or self.headers.get("content-type", "")),
                                            ("Content-Length", len(body)), *headers]) + body)

    @property
    def json(self):
        return "json" in self.headers.get("content-type", "")


def head_of(status, headers):
    return f"HTTP/1.1 {status} X\r\n".encode() + b"".join(f"{n}: {v}\r\n".encode() for n, v in headers) + b"\r\n"


def varint(value):
    value &= (1 << 64) - 1
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def partial_success(rejected, message):
    return field(1, (b"\x08" + varint(rejected) if rejected else b"") + (field(2, message.encode()) if message else b""))


def rpc_status(code, message="", retry_ms=None):
    """google.rpc.Status, with RetryInfo if asked for."""
    out = b"\x08" + varint(code) + (field(2, message.encode()) if message else b"")
    if retry_ms is not None:
        duration = b"\x08" + varint(retry_ms // 1000) + b"\x10" + varint(retry_ms % 1000 * 1_000_000)
        out += field(3, field(1, b"type.googleapis.com/google.rpc.RetryInfo") + field(2, field(1, duration)))
    return out


# -- acts: whole answers
def ok(request, act):
    if act.get("delay_ms"):
        request.read()
        request.link.sleep(act["delay_ms"] / 1000)
    body = act["body"].encode("latin-1") if "body" in act else (b"{}" if request.json else b"")
    request.answer(act.get("code", 200), body, act.get("headers", {}).items(), act.get("content_type"), True)


def partial(request, act):
    rejected, message = act["rejected"], act.get("message", "some were refused")
    body = partial_success(rejected, message)
    if request.json:
        body = json.dumps({"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": message}}).encode()
    request.answer(200, body, acknowledge=True, rejected=rejected)


def status(request, act):
    headers = dict(act.get("headers", {}))
    if "retry_date_ms" in act:  # an HTTP-date has whole seconds; the next one
        headers["Retry-After"] = email.utils.formatdate(int(time.time() + act["retry_date_ms"] / 1000) + 1, usegmt=True)
    body = act.get("body", "").encode("latin-1") or rpc_status(13, act.get("message", "refused by script"))
    request.answer(act["code"], body, headers.items(), act.get("content_type", "application/x-protobuf"))


def success_of_no_otlp(request, act):
    """A complete 2xx that is no OTLP answer: not an acknowledgement."""
    request.answer(200, act["body"].encode("latin-1"), content_type=act.get("content_type", "text/html"))


def redirect(request, act):
    to = act.get("to") or f"http://127.0.0.1:{request.link.listener.port}{request.target}"
    request.answer(act.get("code", 307), b"", [("Location", to)])


def slow_read(request, act):
    request.read(act["bytes"], act["ms"] / 1000)
    ok(request, {})


def interim_then_ok(request, act):
    request.read()
    for _ in range(act.get("times", 3)):
        request.link.send(b"HTTP/1.1 102 Processing\r\n\r\n")
    ok(request, {})


def chunked_ok(request, act):
    with request.link.answering():
        request.settle(True)
        request.link.send(head_of(200, [("Content-Type", "application/x-protobuf"), ("Transfer-Encoding", "chunked")]) +
                          b"0\r\nX-Trailer: 1\r\n\r\n")


def ok_then_close(request, act):
    """A whole answer, then the end of a connection that both sides meant to keep."""
    ok(request, {})
    request.link.sleep(act.get("ms", 0) / 1000)
    request.link.sock.close()


# -- acts: none or half of one
def silent(request, act):
    request.settle(False)
    request.link.stall()


def never_read(request, act):
    request.link.hold()


def reset_in_body(request, act):
    request.link.reset()


def reset_before_answer(request, act):
    request.settle(False)
    request.link.reset()


def close_before_answer(request, act):
    request.settle(False)
    request.link.sock.close()


def raw(request, act):
    """`bytes` as they are, then `then`: close, reset, stall, keep (the connection)."""
    request.settle(act.get("acknowledges", False))
    request.link.send(act["bytes"].encode("latin-1"))
    then = act.get("then", "close")
    if then == "stall":
        request.link.stall()
    elif then == "reset":
        request.link.sleep(0.05)  # the bytes should be read first
        request.link.reset()
    elif then == "close":
        request.link.sock.close()


def drip(request, act):
    """The answer one byte each `ms`: it would take minutes."""
    request.settle(False)
    for byte in head_of(200, [("Content-Type", "application/x-protobuf"), ("Content-Length", 1000)]) + b"\0" * 1000:
        request.link.send(bytes([byte]))
        request.link.sleep(act["ms"] / 1000)


# -- acts: too much
def _endless(request, start, part):
    request.settle(False)
    request.link.send(start)
    while not request.link.listener.closing.is_set():
        request.link.send(part)


def endless_body(request, act):
    """Without a length, or chunked; of any `code`."""
    chunked = act.get("chunked")
    headers = [("Content-Type", act.get("content_type", "application/x-protobuf"))]
    part = b"\x12" * 16384
    _endless(request, head_of(act.get("code", 200), headers + [("Transfer-Encoding", "chunked")] * bool(chunked)),
             b"4000\r\n" + part + b"\r\n" if chunked else part)


def endless_header(request, act):
    _endless(request, b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 16384)


def endless_headers(request, act):
    _endless(request, b"HTTP/1.1 200 OK\r\n", b"X-Many: header\r\n" * 1024)


def interim_flood(request, act):
    _endless(request, b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 512)


@functools.lru_cache
def _bomb(mib):
    return gzip.compress(b"\0" * (mib << 20), 1)


def gzip_bomb(request, act):
    """Small on the wire, `mib` when inflated; nobody asked for gzip."""
    request.answer(act.get("code", 200), _bomb(act.get("mib", 10)), [("Content-Encoding", "gzip")],
                   "application/x-protobuf")


ACTS = {f.__name__: f for f in (
    ok, partial, status, success_of_no_otlp, redirect, slow_read, interim_then_ok, chunked_ok, ok_then_close, silent,
    never_read, reset_in_body, reset_before_answer, close_before_answer, raw, drip, endless_body, endless_header,
    endless_headers, interim_flood, gzip_bomb)}


def serve(link):
    buffer = b""
    while True:
        while b"\r\n\r\n" not in buffer:
            buffer += link.receive()
        head, rest = buffer.split(b"\r\n\r\n", 1)
        act = link.next_act()
        request = Request(link, head, rest)
        request.entry = link.account.begin(act, request.headers, request.target)
        ACTS[act["do"]](request, act)
        buffer = request.rest
