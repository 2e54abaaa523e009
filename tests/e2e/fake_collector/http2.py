# SPDX-License-Identifier: Apache-2.0
"""OTLP/gRPC by hand: HTTP/2 frames (RFC 9113) from the socket, answers as frames, wrong ones as easily as right ones.

Only header compression is a library's (hpack). ACTS lists what a script's `acts` may do with a request, `at` when:
"head" (its HEADERS are there), "body" (its first DATA), "end" (all of it; the default). README.md has the table.
"""
import base64
import struct
import time

import hpack

from .account import decode_grpc
from .http1 import partial_success, rpc_status

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 1, 1, 4, 8, 32
INITIAL_WINDOW_SIZE = 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(values):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", int(k), v) for k, v in values.items()))


def message(body, compressed=0):
    return bytes([compressed]) + struct.pack(">I", len(body)) + body


class Stream:
    """A request on its way in, and the ways to answer it."""

    def __init__(self, connection, number, headers, act):
        self.connection, self.number, self.act = connection, number, act
        self.link = connection.link
        self.headers = headers
        self.body = b""
        self.entry = self.link.account.begin(act, headers, headers.get(":path", ""))
        self.answered = False

    def settle(self, acknowledge, rejected=0):
        self.link.account.complete(self.entry, decode_grpc(self.headers, self.body), acknowledge, rejected)

    def head(self, fields, end=False):
        block = self.connection.encoder.encode(fields)
        self.link.send(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), self.number, block))

    def data(self, payload, end=False):
        self.link.send(frame(DATA, END_STREAM if end else 0, self.number, payload))

    def reply_head(self):
        self.head([(":status", "200"), ("content-type", self.act.get("content_type", "application/grpc"))])

    def answer(self, body=b"", acknowledge=True, rejected=0):
        """A whole and successful answer to a whole request."""
        with self.link.answering():
            self.settle(acknowledge, rejected)
            self.reply_head()
            self.data(message(body))
            self.head([("grpc-status", "0")], end=True)


# -- acts: whole answers
def ok(stream, act):
    stream.link.sleep(act.get("delay_ms", 0) / 1000)
    stream.answer(act.get("body", "").encode("latin-1"))


def partial(stream, act):
    stream.answer(partial_success(act["rejected"], act.get("message", "some were refused")), rejected=act["rejected"])


def status(stream, act):
    """Trailers-only, or after a head with `with_head`; `retry_ms`: RetryInfo; `padded`: base64 as some send it."""
    stream.settle(False)
    fields = [("grpc-status", str(act["code"])), ("grpc-message", act.get("message", "refused by script"))]
    if "retry_ms" in act:
        details = base64.b64encode(rpc_status(int(act["code"]), "later", act["retry_ms"])).decode()
        fields.append(("grpc-status-details-bin", details if act.get("padded") else details.rstrip("=")))
    if "details" in act:
        fields.append(("grpc-status-details-bin", act["details"]))
    if act.get("with_head"):
        stream.reply_head()
        stream.head(fields, end=True)
    else:
        stream.head([(":status", "200"), ("content-type", "application/grpc"), *fields], end=True)


def http_status(stream, act):
    """An answer of a proxy that knows nothing of gRPC."""
    stream.settle(False)
    stream.head([(":status", str(act["code"])), ("content-type", act.get("content_type", "text/html"))])
    stream.data(act.get("body", "<html>no</html>").encode("latin-1"), end=True)


def interim_then_ok(stream, act):
    for _ in range(act.get("times", 3)):
        stream.head([(":status", "103"), ("link", "</x>")])
    stream.answer()


def shrink_window(stream, act):
    """From the request's head on the sender's windows are as small as `to`; after `hold_ms` they are large again."""
    connection = stream.connection
    connection.grants = False
    stream.link.send(settings({INITIAL_WINDOW_SIZE: act["to"]}))
    connection.later(act["hold_ms"] / 1000, connection.open_windows)
    stream.act = {"do": "ok", "at": "end"}


def ok_then_goaway(stream, act):
    """A connection that is over after this answer, politely."""
    with stream.link.answering():
        stream.settle(True)
        stream.link.send(frame(GOAWAY, 0, 0, struct.pack(">II", act.get("last", stream.number), act.get("code", 0))))
        stream.reply_head()
        stream.data(message(b""))
        stream.head([("grpc-status", "0")], end=True)
    stream.link.sleep(act.get("ms", 0) / 1000)
    stream.link.sock.close()


def busy_then_ok(stream, act):
    """PINGs and SETTINGS in plenty before the answer."""
    for number in range(act.get("times", 200)):
        stream.link.send(frame(PING, 0, 0, struct.pack(">Q", number)) + settings({3: 100 + number % 7}))
    stream.answer()


# -- acts: none or half of one
def silent(stream, act):
    if stream.act.get("at", "end") == "end":
        stream.settle(False)
    stream.link.stall()


def never_read(stream, act):
    stream.link.hold()


def goaway(stream, act):
    """`last`: the last stream said to be processed, 0 by default: this one was not."""
    stream.link.send(frame(GOAWAY, 0, 0, struct.pack(">II", act.get("last", 0), act.get("code", 0)) +
                           act.get("debug", "").encode()))
    stream.link.sleep(act.get("ms", 20) / 1000)
    stream.link.sock.close()


def rst(stream, act):
    stream.link.send(frame(RST_STREAM, 0, stream.number, struct.pack(">I", act["code"])))
    stream.answered = True


def reset(stream, act):
    stream.link.reset()


def close(stream, act):
    stream.link.sock.close()


def half_answer(stream, act):
    """`part`: head, message or data is where it breaks off; then the connection ends, or the stream with `rst`."""
    stream.settle(False)
    stream.reply_head()
    if act["part"] != "head":
        whole = message(b"\x0a\x02\x08\x00")
        stream.data(whole if act["part"] == "message" else whole[:3])
    if "rst" in act:
        rst(stream, {"code": act["rst"]})
    else:
        stream.link.sleep(0.02)
        stream.link.sock.close()


def raw(stream, act):
    """`bytes` instead of frames, or `frames`: [[type, flags, stream (-1: this), bytes], ...]; then the end."""
    out = act.get("bytes", "").encode("latin-1")
    for kind, flags, number, payload in act.get("frames", []):
        out += frame(kind, flags, stream.number if number < 0 else number, payload.encode("latin-1"))
    stream.link.send(out)
    if act.get("then") == "stall":
        stream.link.stall()
    stream.link.sleep(0.02)
    stream.link.sock.close()


def odd_answer(stream, act):
    """grpc-status 0 (or what `code` says, or none), but the body is `body`: no message, two, half of one, ..."""
    stream.settle(False)
    stream.reply_head()
    if act.get("body"):
        stream.data(act["body"].encode("latin-1"))
    trailers = [("grpc-status", str(act.get("code", 0)))] if act.get("code", 0) is not None else [("x-trailer", "1")]
    if act.get("no_trailers"):
        stream.data(b"", end=True)
    else:
        stream.head(trailers, end=True)


def drip(stream, act):
    stream.settle(False)
    stream.reply_head()
    for byte in message(b"\0" * 1000):
        stream.data(bytes([byte]))
        stream.link.sleep(act["ms"] / 1000)


# -- acts: too much
def _endless(stream, part):
    stream.answered = True
    while not stream.link.listener.closing.is_set():
        stream.link.send(part)


def endless_body(stream, act):
    stream.settle(False)
    stream.head([(":status", str(act.get("code", 200))), ("content-type", "application/grpc")])
    stream.data(b"\0\x7f\xff\xff\xff")
    _endless(stream, frame(DATA, 0, stream.number, b"\x12" * 16384))


def _block(size):
    """A header block of literal fields, never indexed, about `size` bytes."""
    one = b"\x00\x06x-many" + b"\x7f\x80\x07" + b"v" * 1023  # a value of 127 + 896 bytes, not Huffman-coded
    return one * (size // len(one) + 1)


def endless_headers(stream, act):
    """CONTINUATION without end."""
    stream.settle(False)
    stream.link.send(frame(HEADERS, 0, stream.number, _block(4096)))
    _endless(stream, frame(CONTINUATION, 0, stream.number, _block(8192)))


def endless_trailers(stream, act):
    stream.settle(False)
    stream.reply_head()
    stream.data(message(b""))
    stream.link.send(frame(HEADERS, END_STREAM, stream.number, _block(4096)))
    _endless(stream, frame(CONTINUATION, 0, stream.number, _block(8192)))


def interim_flood(stream, act):
    stream.settle(False)
    stream.answered = True
    while not stream.link.listener.closing.is_set():
        stream.head([(":status", "103"), ("link", "</x>" * 100)])


def ping_flood(stream, act):
    stream.settle(False)
    _endless(stream, frame(PING, 0, 0, b"pingpong") * 256)


def settings_flood(stream, act):
    stream.settle(False)
    _endless(stream, settings({3: 100}) * 256)


ACTS = {f.__name__: f for f in (
    ok, partial, status, http_status, interim_then_ok, shrink_window, ok_then_goaway, busy_then_ok, silent, never_read,
    goaway, rst, reset, close, half_answer, raw, odd_answer, drip, endless_body, endless_headers, endless_trailers,
    interim_flood, ping_flood, settings_flood)}


class Connection:
    def __init__(self, link):
        self.link = link
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.streams = {}
        self.buffer = b""
        self.grants = True    # windows are refilled as bytes come
        self.owed = 0         # bytes not refilled yet
        self.block = None     # (stream, flags, header block so far)
        self.timer = None     # (when, function)

    def later(self, seconds, function):
        self.timer = (time.monotonic() + seconds, function)

    def open_windows(self):
        self.grants = True
        self.link.send(settings({INITIAL_WINDOW_SIZE: 1 << 20}))
        self._refill(0, self.owed)
        self.owed = 0

    def take(self, size):
        """`size` bytes; meanwhile the timer is served."""
        while len(self.buffer) < size:
            seconds = max(self.timer[0] - time.monotonic(), 0.001) if self.timer else None
            self.buffer += self.link.receive(seconds=seconds) or b""
            if self.timer and time.monotonic() >= self.timer[0]:
                function, self.timer = self.timer[1], None
                function()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def run(self):
        script = self.link.script
        if script.get("on_connect") == "http1":
            self.link.receive()
            self.link.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            return
        if self.take(len(PREFACE)) != PREFACE:
            self.link.account.fault("no HTTP/2 preface")
            return
        self.link.send(settings(script.get("settings", {INITIAL_WINDOW_SIZE: 1 << 20})))
        if "settings" not in script:
            self.link.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 20)))
        if script.get("on_connect") == "goaway":
            goaway_now = frame(GOAWAY, 0, 0, struct.pack(">II", 0, script.get("goaway_code", 0)))
            self.link.send(goaway_now)
            self.link.sleep(0.02)
            return
        while True:
            head = self.take(9)
            size = int.from_bytes(head[:3], "big")
            self._take_frame(head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFFFFFF, self.take(size))

    def _refill(self, stream, size):
        if size and not self.grants:
            self.owed += size
        elif size:
            update = struct.pack(">I", size)
            self.link.send(frame(WINDOW_UPDATE, 0, 0, update))
            if stream in self.streams:
                self.link.send(frame(WINDOW_UPDATE, 0, stream, update))

    def _take_frame(self, kind, flags, number, payload):
        if kind == SETTINGS and not flags & ACK:
            self.link.send(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.link.send(frame(PING, ACK, 0, payload))
        elif kind in (HEADERS, CONTINUATION):
            if kind == HEADERS:
                if flags & PADDED:
                    payload = payload[1:len(payload) - payload[0]]
                if flags & PRIORITY:
                    payload = payload[5:]
                self.block = (number, flags & END_STREAM, b"")
            self.block = (self.block[0], self.block[1], self.block[2] + payload)
            if flags & END_HEADERS:
                self._take_head(*self.block)
        elif kind == DATA:
            self._take_data(number, flags, payload)
        elif kind == RST_STREAM:
            self.streams.pop(number, None)

    def _take_head(self, number, end_stream, block):
        headers = dict(self.decoder.decode(block))
        act = self.link.next_act()
        stream = self.streams[number] = Stream(self, number, headers, act)
        if end_stream:
            self.link.account.fault("a request without a body")
        self._act(stream, "head")

    def _take_data(self, number, flags, payload):
        stream = self.streams.get(number)
        size = len(payload)
        if flags & PADDED:
            payload = payload[1:len(payload) - payload[0]]
        if stream and not stream.answered:
            first = not stream.body
            stream.body += payload
            pace = stream.act.get("pace_ms", 0)
            if pace:
                self.link.sleep(pace / 1000)
            if first:
                self._act(stream, "body")
        if flags & END_STREAM and stream:
            self._refill(0, size)
            self._act(stream, "end")
            self.streams.pop(number, None)
        else:
            self._refill(number, size)

    def _act(self, stream, at):
        if stream.act.get("at", "end") == at and not stream.answered:
            ACTS[stream.act["do"]](stream, stream.act)


def serve(link):
    Connection(link).run()
