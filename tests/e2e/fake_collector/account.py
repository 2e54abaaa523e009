# SPDX-License-Identifier: Apache-2.0
"""What a listener has seen and acknowledged, by span id.

A request is acknowledged when its whole body was read and a complete success is about to be written: what the
sender must count as acknowledged, to the span. Threads: any; one lock.
"""
import gzip
import json
import threading
import time


def _varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _parts(data, at, end, number):
    """The (start, end) of each length-delimited field `number` in data[at:end]."""
    while at < end:
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 2:
            size, at = _varint(data, at)
            if key >> 3 == number:
                yield at, at + size
            at += size
        elif kind == 0:
            _, at = _varint(data, at)
        else:
            at += 8 if kind == 1 else 4


def span_ids(data):
    """Span ids (bytes) of an ExportTraceServiceRequest: ResourceSpans 1, ScopeSpans 2, Span 2, span_id 2."""
    ids = []
    for rs, rs_end in _parts(data, 0, len(data), 1):
        for ss, ss_end in _parts(data, rs, rs_end, 2):
            for span, span_end in _parts(data, ss, ss_end, 2):
                start, end = next(_parts(data, span, span_end, 2))
                ids.append(bytes(data[start:end]))
    return ids


def json_span_ids(data):
    request = json.loads(data)
    return [bytes.fromhex(span["spanId"]) for rs in request["resourceSpans"] for ss in rs["scopeSpans"]
            for span in ss["spans"]]


def decode(headers, body):
    """Span ids of an OTLP/HTTP body."""
    if headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    return json_span_ids(body) if "json" in headers.get("content-type", "") else span_ids(body)


def decode_grpc(headers, body):
    """Span ids of a gRPC body: one frame, gzip if its flag says so."""
    length = int.from_bytes(body[1:5], "big")
    if len(body) != 5 + length or body[0] > 1:
        raise ValueError(f"not one gRPC message: {len(body)} bytes, head {body[:5]!r}")
    if body[0]:
        if headers.get("grpc-encoding") != "gzip":
            raise ValueError("compressed without grpc-encoding")
        return span_ids(gzip.decompress(body[5:]))
    return span_ids(body[5:])


class Account:
    def __init__(self):
        self._lock = threading.Lock()
        self._requests = []
        self._acknowledged = set()
        self._seen = set()
        self._times_acknowledged = self._rejected = 0
        self._connections = []
        self._faults = []

    def connection(self):
        with self._lock:
            self._connections.append(time.monotonic())

    def begin(self, act, headers, target):
        """A request whose head is there. Returns its entry."""
        entry = {"t": time.monotonic(), "act": act["do"], "spans": None, "headers": dict(headers), "target": target}
        with self._lock:
            self._requests.append(entry)
        return entry

    def complete(self, entry, ids, acknowledge, rejected=0):
        """Its body is there, too."""
        entry["spans"] = len(ids)
        rejected = min(max(rejected, 0), len(ids))
        with self._lock:
            self._seen.update(ids)
            if acknowledge:
                self._acknowledged.update(ids)
                self._times_acknowledged += len(ids) - rejected
                self._rejected += rejected

    def fault(self, text):
        """The sender did what it must not."""
        with self._lock:
            self._faults.append(text)

    def report(self):
        with self._lock:
            return {"requests": list(self._requests), "connections": list(self._connections),
                    "seen": len(self._seen), "acknowledged": self._times_acknowledged, "rejected": self._rejected,
                    "distinct_acknowledged": len(self._acknowledged), "faults": list(self._faults)}
