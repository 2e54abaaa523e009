# SPDX-License-Identifier: Apache-2.0
"""The agent's end of the hand-off once more, in Python: an independent reading of exporter/handoff/ring_layout.h.

One RingReader serves one socket in a thread until it is closed; spans() decodes what lies in all its rings.
"""
import fcntl
import mmap
import os
import socket
import struct
import threading

HEADER, DATA = 4096, 131072
F_ADD_SEALS, SEALS = 1033, 0x1 | 0x2 | 0x4  # SEAL, SHRINK, GROW
HEAD_AT, TAIL_AT = 192, 64
SPAN = struct.Struct("=IHH16s8s8sQQBBBB9H3H16s16s4x")
assert SPAN.size == 120


class RingReader:
    def __init__(self, path):
        self.hellos, self._rings, self._connections = [], [], []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            hello = connection.recv(16384)
            memory = os.memfd_create("ring", os.MFD_ALLOW_SEALING)
            os.ftruncate(memory, HEADER + DATA)
            fcntl.fcntl(memory, F_ADD_SEALS, SEALS)
            ring = mmap.mmap(memory, HEADER + DATA)
            ring[:24] = b"STPRING1" + struct.pack("=IIQ", 1, HEADER, DATA)
            self._rings.append(ring)
            self.hellos.append(hello)
            socket.send_fds(connection, [b"STPWWLC1" + struct.pack("=IiQ", 1, 0, DATA)], [memory])
            os.close(memory)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.close()

    def records(self):
        """The bytes of each span's record, ring by ring."""
        for ring in self._rings:
            at, head = (struct.unpack_from("=Q", ring, where)[0] for where in (TAIL_AT, HEAD_AT))
            while at != head:
                offset = HEADER + at % DATA
                size, kind = struct.unpack_from("=IH", ring, offset)
                if kind == 2:
                    yield ring[offset:offset + size]
                at += size

    def spans(self):
        return [decode(record) for record in self.records()]


def decode(record):
    (_, _, _, trace_id, span_id, parent, start, end, kind, status, flags, remote, name, state, message, attrs, *_rest) = \
        SPAN.unpack_from(record)
    at = SPAN.size
    span = {"trace_id": trace_id.hex(), "span_id": span_id.hex(), "parent": parent.hex(), "start": start, "end": end,
            "kind": kind, "status": status, "flags": flags, "remote": remote, "name": record[at:at + name].decode()}
    at += name + state + message
    span["attrs"] = []
    for _ in range(attrs):
        key, kind, name_bytes, value_bytes = struct.unpack_from("=HBBI", record, at)
        at += 8
        key = record[at:at + name_bytes].decode() if key == 0 else key
        at += name_bytes
        value = record[at:at + value_bytes]
        span["attrs"].append((key, value.decode() if kind == 1 else struct.unpack("=d" if kind == 3 else "=q", value)[0]))
        at += value_bytes
    return span
