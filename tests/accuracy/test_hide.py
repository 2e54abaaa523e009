# SPDX-License-Identifier: Apache-2.0
"""The truth never reaches the linker: what hide.py leaves of a record file. No root, no server: hand-made records."""
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import hide  # noqa: E402
import record_file as rf  # noqa: E402
from harness.env import check, check_equal  # noqa: E402
from harness.spantap import binary  # noqa: E402

SIDE_BY_SIDE = True

INCOMING = b"GET /r2/1007 HTTP/1.1\r\nHost: shop.example\r\nX-Truth-Id: spantruth-0000002a\r\n\r\n"
OUTGOING = b"GET /stock/1007 HTTP/1.1\r\nhost: 127.0.0.1\r\nx-truth-id:  spantruth-0000002a\r\naccept: */*\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PARAMS = (b"\x0e\x03REQUEST_METHODGET\x0b\x08REQUEST_URI/r2/1007\x0f\x12HTTP_X_TRUTH_IDspantruth-0000002a"
          b"\x09\x0cHTTP_HOSTshop.example")
FASTCGI = (b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01" + bytes(6) + b"\x01\x04\x00\x01\x00" +
           bytes([len(PARAMS)]) + b"\x00\x00" + PARAMS + b"\x01\x04\x00\x01\x00\x00\x00\x00")
PID, SERVER, CLIENT, FPM = 4711, 1, 2, 3


class Writer:
    """A record file made by hand."""

    def __init__(self):
        self.bytes = bytearray(rf.FILE_HEADER.pack(rf.MAGIC, 1, 16))
        self.now = 1_000_000_000
        self.positions = {}

    def record(self, kind, flags, conn, body):
        self.now += 100_000
        size = rf.HEADER.size + len(body)
        self.bytes += rf.HEADER.pack(size, kind, 0, flags, self.now, conn, PID, PID) + body
        self.bytes += bytes(-len(self.bytes) % 8)

    def open(self, conn, role, local, peer):
        end = bytes((127, 0, 0, 1)) + bytes(12)
        rest = end + end + (1000).to_bytes(8, "little") * 2 + bytes(16)
        self.record(rf.EVENT_OPEN, 1 << 7 | 1 << 8, conn, rf.OPEN.pack(2, role, local, peer, 0) + rest)

    def data(self, conn, write, *pieces):
        flags = rf.F_HEAD if pieces[0][:4] in (b"GET ", b"HTTP") else 0
        for piece in pieces:
            position = self.positions.get((conn, write), 1000)
            self.positions[conn, write] = position + len(piece)
            header = rf.DATA.pack(position, len(piece), len(piece), 0, 0, 0, 0, 0, 0, 0)
            self.record(rf.EVENT_DATA, flags | (rf.F_WRITE if write else 0) | 12, conn, header + piece)
            flags = 0


def conversation(cut):
    """One request and the call it makes; each head in two pieces, cut at byte `cut`, and FastCGI beside them."""
    made = Writer()
    made.open(SERVER, 2, 8080, 40001)
    made.data(SERVER, False, *halves(INCOMING, cut))
    made.data(FPM, True, *halves(FASTCGI, cut))
    made.open(CLIENT, 1, 40002, 9000)
    made.data(CLIENT, True, *halves(OUTGOING, cut))
    made.data(CLIENT, False, ANSWER)
    made.data(SERVER, True, ANSWER)
    return bytes(made.bytes)


def halves(text, cut):
    return [part for part in (text[:cut], text[cut:]) if part]


def rewritten(env, cut):
    raw, target = env.tmp / "raw.rec", env.tmp / "hidden.rec"
    raw.write_bytes(conversation(cut))
    entries, _ = hide.rewrite(raw, target)
    return entries, raw.read_bytes(), target


def test_nothing_is_left_however_heads_are_cut(env):
    for cut in range(len(OUTGOING)):
        entries, raw, target = rewritten(env, cut)
        content = target.read_bytes()
        check_equal(len(content), len(raw), "size of the file")
        changed = [i for i, (a, b) in enumerate(zip(raw, content)) if a != b]
        check_equal({content[i] for i in changed}, {ord("*")}, "what is written")
        secret = 3 * len("spantruth-0000002a") + 2 * len("x-truth-id") + len("X_TRUTH_ID")
        check_equal(len(changed), secret, "bytes overwritten")
        requests = [e for e in entries if e["request"]]
        check_equal([(e["client"], e["truth"]) for e in requests],
                    [(client, "spantruth-0000002a") for client in (False, True, True)], f"the list, cut at {cut}")
        check_equal([e["path"] for e in requests], ["/r2/1007", "/r2/1007", "/stock/1007"], "paths")
        hide.assert_hidden(target)


def test_what_is_left_is_found(env):
    """The check itself: it must see a truth that nobody took out, whole or in two pieces."""
    for cut in (0, 30, 60):
        file = env.tmp / "raw.rec"
        file.write_bytes(conversation(cut))
        try:
            hide.assert_hidden(file)
        except AssertionError:
            continue
        check(False, f"the truth of a file cut at {cut} went unnoticed")


def test_the_linker_sees_the_same_exchanges(env):
    _, _, target = rewritten(env, 40)
    seen = []
    for file in (env.tmp / "raw.rec", target):
        done = subprocess.run([binary(), "replay", str(file), "--json"], capture_output=True, text=True, check=True)
        seen.append(done.stdout)
    check_equal(seen[0], seen[1], "spans with and without the truth")
    spans = [json.loads(line) for line in seen[1].splitlines()]
    check_equal([(s["kind"], s["path"], s["rule"]) for s in spans],
                [("server", "/r2/1007", None), ("client", "/stock/1007", "calm")], "spans")
