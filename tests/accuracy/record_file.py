# SPDX-License-Identifier: Apache-2.0
"""Reads record files (agent/capture/record_file.h) as far as the bench needs them, and finds message heads in them.

Input is our own recordings: trusted, a few MB, read whole.
"""
import collections
import dataclasses
import re
import struct

MAGIC = b"SPANTAP1"
FILE_HEADER = struct.Struct("<8sII")
HEADER = struct.Struct("<IBBHQQII")        # size, type, lost, flags, mono_ns, conn_id, tgid, tid
OPEN = struct.Struct("<BBHHH")             # family, role, local_port, peer_port, pad
DATA = struct.Struct("<QII5IHH")           # position, piece_bytes, copied_bytes, turns, syscall, pad
EVENT_OPEN, EVENT_DATA, EVENT_EXIT = 1, 2, 6
# A FastCGI request, or the end of the one before it on a connection that is kept.
FASTCGI = re.compile(rb"\x01\x05..\0\0\0\0|\x01\x01..\0\x08.\0", re.S)
F_WRITE, F_HEAD, F_COUNTED = 1, 2, 4


@dataclasses.dataclass
class Piece:
    conn: int
    write: bool
    position: int
    mono_ns: int
    tgid: int
    tid: int
    flags: int
    turns: tuple       # turn, burst, nreq, nread, nwrite
    offset: int        # of its bytes in the file
    length: int


@dataclasses.dataclass
class Run:
    """Consecutive bytes of one direction of one connection."""
    pieces: list
    data: bytearray

    def piece_at(self, index):
        """The piece that holds byte `index`, and where in it."""
        for piece in self.pieces:
            if index < piece.length:
                return piece, index
            index -= piece.length
        raise IndexError(index)


@dataclasses.dataclass
class Recording:
    content: bytearray
    runs: list          # in order of their first byte
    ports: dict         # conn -> (local port, peer port)
    opened: dict        # conn -> mono_ns of its OPEN record
    types: collections.Counter
    counted: int        # heads that carry thread counters
    first_ns: int
    last_ns: int


def read(path):
    with open(path, "rb") as file:
        content = bytearray(file.read())
    magic, _, header_bytes = FILE_HEADER.unpack_from(content)
    if magic != MAGIC:
        raise ValueError(f"{path} is no record file")
    found = Recording(content, [], {}, {}, collections.Counter(), 0, 0, 0)
    open_runs, at = {}, header_bytes
    while at + HEADER.size <= len(content):
        size, kind, _, flags, mono_ns, conn, tgid, tid = HEADER.unpack_from(content, at)
        if size < HEADER.size or at + size > len(content):
            raise ValueError(f"{path}: impossible record at {at}")
        found.types[kind] += 1
        found.first_ns = found.first_ns or mono_ns
        found.last_ns = max(found.last_ns, mono_ns)
        if kind == EVENT_OPEN:
            _, _, local, peer, _ = OPEN.unpack_from(content, at + HEADER.size)
            found.ports[conn], found.opened[conn] = (local, peer), mono_ns
        elif kind == EVENT_DATA:
            position, _, copied, *turns, _, _ = DATA.unpack_from(content, at + HEADER.size)
            piece = Piece(conn, bool(flags & F_WRITE), position, mono_ns, tgid, tid, flags, tuple(turns),
                          at + HEADER.size + DATA.size, copied)
            found.counted += bool(flags & F_COUNTED)
            _add(found, open_runs, piece)
        at += (size + 7) & ~7
    return found


def _add(found, open_runs, piece):
    run = open_runs.get((piece.conn, piece.write))
    last = run.pieces[-1] if run else None
    if not run or last.position + last.length != piece.position:
        run = Run([], bytearray())
        open_runs[piece.conn, piece.write] = run
        found.runs.append(run)
    run.pieces.append(piece)
    run.data += found.content[piece.offset:piece.offset + piece.length]


@dataclasses.dataclass
class Head:
    request: bool
    piece: Piece        # that holds its first byte
    position: int
    text: bytes


def heads(run):
    """The message heads of a run, in order. Requests have no bodies; responses begin where the kernel saw a head."""
    at, data = 0, bytes(run.data)
    if FASTCGI.match(data):
        yield from _fastcgi_requests(run, data)
        return
    while at < len(data):
        if data.startswith(b"GET ", at):
            end = data.find(b"\r\n\r\n", at)
            if end < 0:
                return
            piece, inside = run.piece_at(at)
            yield Head(True, piece, piece.position + inside, data[at:end + 4])
            at = end + 4
        elif data.startswith(b"HTTP/1.", at):
            end = data.find(b"\r\n\r\n", at)
            piece, inside = run.piece_at(at)
            yield Head(False, piece, piece.position + inside, data[at:] if end < 0 else data[at:end + 4])
            at = _next(data, at + 1)
        else:
            at = _next(data, at + 1)


def _fastcgi_requests(run, data):
    """Requests over FastCGI, their parameters written as an HTTP head. Answers (they begin otherwise) are left out."""
    at, begin, params = 0, None, b""
    while at + 8 <= len(data):
        _, kind, _, size, padding, _ = struct.unpack_from(">BBHHBB", data, at)
        if kind == 1:
            begin, params = at, b""
        elif kind == 4 and begin is not None:
            params += data[at + 8:at + 8 + size]
            if size == 0:
                piece, inside = run.piece_at(begin)
                yield Head(True, piece, piece.position + inside, _http_head(params))
                begin = None
        at += 8 + size + padding


def _http_head(params):
    values, at = {}, 0
    while at < len(params):
        sizes = []
        for _ in range(2):
            wide = params[at] & 0x80
            sizes.append(int.from_bytes(params[at:at + 4], "big") & 0x7fffffff if wide else params[at])
            at += 4 if wide else 1
        values[params[at:at + sizes[0]]] = params[at + sizes[0]:at + sum(sizes)]
        at += sum(sizes)
    lines = [values.get(b"REQUEST_METHOD", b"") + b" " + values.get(b"REQUEST_URI", b"") + b" HTTP/1.1"]
    lines += [name[5:].replace(b"_", b"-") + b": " + value for name, value in values.items() if name[:5] == b"HTTP_"]
    return b"\r\n".join([*lines, b"", b""])


def _next(data, at):
    found = [i for i in (data.find(b"HTTP/1.", at), data.find(b"GET ", at)) if i >= 0]
    return min(found) if found else len(data)
