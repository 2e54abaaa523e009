# SPDX-License-Identifier: Apache-2.0
"""Keeps the truth from the linker: what each request carried goes to a list, and is overwritten in the record file.

The header's name and value become '*' of equal length wherever they lie in captured bytes (HTTP heads, FastCGI
parameters, in one piece or across several), so that positions and sizes stay as they were and every request looks the
same in this respect. `assert_hidden` is called on each file that is replayed.
"""
import re

import record_file

HEADER = b"x-truth-id"
# Of a FastCGI parameter HTTP_ stays, so that both ends of a proxy still show the same header.
SECRET = re.compile(rb"x[-_]truth[-_]id|spantruth-[0-9a-f]{8}", re.I)
VALUE = re.compile(rb"\r\nx-truth-id: *(spantruth-[0-9a-f]{8})\r\n", re.I)
TRACE = re.compile(rb"truth|spantr", re.I)  # no part of the name or of a value's beginning may be left


def heads_of(recording):
    """[(one entry a message head, its text)], in order of time: where it is; whose it is, is not known yet."""
    found = []
    for run in recording.runs:
        for head in record_file.heads(run):
            piece = head.piece
            local, peer = recording.ports.get(piece.conn, (0, 0))
            found.append(({
                "request": head.request, "client": piece.write == head.request, "conn": piece.conn,
                "position": head.position, "mono_ns": piece.mono_ns, "pid": piece.tgid, "tid": piece.tid,
                "turns": piece.turns if piece.flags & record_file.F_COUNTED else None, "local_port": local,
                "peer_port": peer, "path": head.text.split(b" ", 2)[1].decode("latin-1") if head.request else "",
                "truth": None}, head.text))
    found.sort(key=lambda pair: pair[0]["mono_ns"])
    return found


def find_truth(recording):
    """[one entry a message head], in order of time: where it is, and whose it is (None: it carried no truth)."""
    found = heads_of(recording)
    for entry, text in found:
        value = VALUE.search(text)
        entry["truth"] = value.group(1).decode() if value else None
    return [entry for entry, _ in found]


def hide(recording):
    """Overwrites name and value in `recording.content`; returns how many places there were."""
    places = 0
    for run in recording.runs:
        for match in SECRET.finditer(bytes(run.data)):
            places += 1
            for index in range(*match.span()):
                piece, inside = run.piece_at(index)
                recording.content[piece.offset + inside] = ord("*")
    return places


def assert_hidden(path):
    """Raises if any trace of the truth is left in the file, within a piece or across several."""
    recording = record_file.read(path)
    if TRACE.search(recording.content):
        raise AssertionError(f"{path} holds bytes of the truth")
    for run in recording.runs:
        if TRACE.search(run.data):
            raise AssertionError(f"{path} holds bytes of the truth, split over pieces of {run.pieces[0].conn}")


def rewrite(raw, target):
    """The record file `raw` without its truth as `target`; returns the truth."""
    recording = record_file.read(raw)
    entries = find_truth(recording)
    hide(recording)
    target.write_bytes(recording.content)
    assert_hidden(target)
    return entries, recording
