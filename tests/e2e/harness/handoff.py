# SPDX-License-Identifier: Apache-2.0
"""A producer that speaks exporter/handoff/ring_layout.h itself: what libspantap.so does, and what it would never do.

`RingProducer` attaches, writes records and counts what it could not hand off; `record()` makes a span's bytes. As a
program (`python3 handoff.py SOCKET COUNT [SERVICE]`): hands off COUNT spans, prints how many it committed, and waits to
be killed.
"""
import ctypes
import errno
import mmap
import os
import socket
import struct
import sys
import time

HELLO_MAGIC, WELCOME_MAGIC, RING_MAGIC = 0x314F4C4C48505453, 0x31434C5757505453, 0x31474E4952505453
VERSION, HEADER_BYTES = 1, 4096
PAD, SPAN = 1, 2
STRING, INT = 1, 2
METHOD, STATUS_CODE, ROUTE = 1, 3, 4
CLOSED = 2
# Offsets in struct spantap_ring.
TAIL, STATE, HEAD, DROPPED_FULL, DROPPED_NO_AGENT = 64, 128, 192, 200, 216


def attribute(key, value, name=""):
    """An encoded attribute: of key `key`, or named."""
    kind, data = (STRING, value.encode()) if isinstance(value, str) else (INT, struct.pack("=q", value))
    return struct.pack("=HBBI", key, kind, len(name), len(data)) + name.encode() + data


def record(number, name="GET /handoff", attributes=(), kind=2):
    """A span whose span id is `number`."""
    start = time.time_ns()
    fixed = struct.pack("=HH16s8s8sQQBBBB12H16s16s4x", SPAN, 0, b"\0" * 8 + struct.pack(">Q", number),
                        struct.pack(">Q", number), b"", start, start + 1_000_000, kind, 0, 1, 0, len(name), 0, 0,
                        len(attributes), 0, 0, 0, 0, 0, 0, 0, 0, b"", b"")
    body = fixed + name.encode() + b"".join(attributes)
    size = (4 + len(body) + 7) // 8 * 8
    return (struct.pack("=I", size) + body).ljust(size, b"\0")


def hello(service="", ring_bytes=0, attributes=()):
    attributes = ([attribute(0, service, "service.name")] if service else []) + list(attributes)
    data = b"".join(attributes)
    return struct.pack("=QIIII", HELLO_MAGIC, VERSION, ring_bytes, len(attributes), len(data)) + data


class Ring:
    def __init__(self, fd, data_bytes):
        self.memory = mmap.mmap(fd, HEADER_BYTES + data_bytes)
        self.data_bytes, self.head = data_bytes, 0
        magic, version = struct.unpack_from("=QI", self.memory)
        if (magic, version) != (RING_MAGIC, VERSION):
            raise ValueError(f"no ring: {magic:x} {version}")

    def word(self, offset, size=ctypes.c_uint64):
        """A field as ctypes has it: one load, one store."""
        return size.from_buffer(self.memory, offset)

    @property
    def tail(self):
        return self.word(TAIL).value

    @property
    def closed(self):
        return self.word(STATE, ctypes.c_uint32).value == CLOSED

    def write(self, data):
        """False: full."""
        offset = self.head % self.data_bytes
        to_end = self.data_bytes - offset
        pad = to_end if to_end < len(data) else 0
        if self.head + pad + len(data) - self.tail > self.data_bytes:
            return False
        if pad:
            struct.pack_into("=IHH", self.memory, HEADER_BYTES + offset, pad, PAD, 0)
            offset = 0
        self.memory[HEADER_BYTES + offset:HEADER_BYTES + offset + len(data)] = data
        self.head += pad + len(data)
        self.word(HEAD).value = self.head
        return True

    def unread(self):
        """The records beyond tail."""
        found, at = [], self.tail
        while at != self.head:
            offset = HEADER_BYTES + at % self.data_bytes
            size, kind = struct.unpack_from("=IH", self.memory, offset)
            if kind == SPAN:
                found.append(bytes(self.memory[offset:offset + size]))
            at += size
        return found


class RingProducer:
    """One connection at a time; attaches anew after the agent's end and moves what that had not read."""

    def __init__(self, path, service="", ring_bytes=0):
        self.path, self.hello = str(path), hello(service, ring_bytes)
        self.ring = self.connection = None
        self.handed_off = self.dropped = 0
        self.error = self.attach()

    def attach(self):
        """0, or the errno of the refusal."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(5)
        try:
            connection.connect(self.path)
            connection.send(self.hello)
            welcome, fds, _, _ = socket.recv_fds(connection, 64, 1)
        except OSError as error:
            connection.close()
            return error.errno or errno.ETIMEDOUT
        if len(welcome) != 24:
            connection.close()
            return errno.EPIPE
        magic, version, status, data_bytes = struct.unpack("=QIiQ", welcome)
        if (magic, version) != (WELCOME_MAGIC, VERSION):
            raise ValueError(f"no welcome: {welcome!r}")
        if status:
            connection.close()
            return status
        connection.setblocking(False)
        old, self.ring, self.connection = self.ring, Ring(fds[0], data_bytes), connection
        os.close(fds[0])
        for data in old.unread() if old else ():
            if not self.ring.write(data):
                self.handed_off -= 1
                self.drop(DROPPED_FULL)
        return 0

    def drop(self, offset):
        self.dropped += 1
        if self.ring:
            self.ring.word(offset).value += 1

    def ended(self):
        """Whether the agent has ended the connection."""
        try:
            return not self.connection.recv(1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def submit(self, data):
        """True: in a ring. Else dropped and counted."""
        if self.connection is None or self.ring.closed or self.ended():
            if self.connection is not None:
                if not self.ended():
                    self.drop(DROPPED_NO_AGENT)
                    return False
                self.connection.close()
                self.connection = None
            if self.attach() != 0:
                self.drop(DROPPED_NO_AGENT)
                return False
        if self.ring.write(data):
            self.handed_off += 1
            return True
        self.drop(DROPPED_FULL)
        return False

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def main():
    producer = RingProducer(sys.argv[1], sys.argv[3] if len(sys.argv) > 3 else "")
    done = sum(producer.submit(record(i + 1)) for i in range(int(sys.argv[2])))
    print(done, flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main()
