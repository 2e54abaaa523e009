# SPDX-License-Identifier: Apache-2.0
"""The judge itself: right, wrong and open links, whole traces, and the two simple rules, on traffic made by hand."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import cells  # noqa: E402
import judge  # noqa: E402
from harness.env import check_equal  # noqa: E402

SIDE_BY_SIDE = True
OFFSET = 10 ** 18  # wall clock minus monotonic


class Traffic:
    """Two requests, x and y, open at the same time on one thread; x calls once and y twice."""

    def __init__(self):
        self.now, self.entries, self.spans = 0, [], []
        self.head("x", server=1, path="/r2")
        self.head("x", client=11, path="/stock")        # right after its read
        self.head("y", server=2, path="/r5", turn=2)
        self.head("y", client=12, path="/reviews", turn=2)
        self.answer(client=11, turn=3)                  # x's answer is read,
        self.head("y", client=13, path="/reviews", turn=3)  # but y calls

    def entry(self, request, client, conn, truth, path, turn):
        self.now += 1_000_000
        self.entries.append({
            "request": request, "client": client, "conn": conn, "position": 0, "mono_ns": self.now, "pid": 1, "tid": 1,
            "turns": [turn, 0, 0, 0, 0], "local_port": conn, "peer_port": 80, "path": path,
            "truth": truth and f"spantruth-1000000{truth == 'y':d}"})

    def head(self, truth, server=0, client=0, path="", turn=1):
        self.entry(True, bool(client), server or client, truth, path, turn)
        self.spans.append({
            "span_id": str(server or client), "parent_span_id": None, "kind": "client" if client else "server", "pid": 1,
            "local_port": server or client, "peer_port": 80, "start_unix_ns": self.now + OFFSET, "remote_parent": False,
            "rule": None, "confidence": 1})

    def answer(self, client, turn):
        self.entry(False, True, client, None, "", turn)

    def link(self, client, server, confidence):
        span = next(s for s in self.spans if s["span_id"] == str(client))
        span.update(parent_span_id=str(server), rule="thread", confidence=confidence)

    def cell(self):
        verdict = judge.judge(self.entries, self.spans)
        cell = cells.Cell("made", "node", False, False, False, 8)
        cells.count(cell, 1, verdict, verdict)
        return cell


def test_right_wrong_and_open_are_told_apart(env):
    traffic = Traffic()
    traffic.link(11, 1, 0.99)
    traffic.link(12, 1, 0.95)  # wrong, and sure
    cell = traffic.cell()
    check_equal((cell.links, cell.right, cell.wrong, cell.sure, cell.sure_wrong), (3, 1, 1, 2, 1), "links")
    check_equal((cell.traces, cell.traces_right), (2, 0), "a stranger spoils x, a missing call y")
    check_equal((cell.rules["thread", True], cell.rules["thread", False]), (1, 1), "by rule")


def test_a_trace_is_whole_when_nothing_is_missing(env):
    traffic = Traffic()
    for client, server in ((11, 1), (12, 2), (13, 2)):
        traffic.link(client, server, 0.8)
    cell = traffic.cell()
    check_equal((cell.right, cell.wrong, cell.traces_right, cell.sure), (3, 0, 2, 0), "all right, none sure")
    traffic.link(13, 1, 0.8)
    check_equal(traffic.cell().traces_right, 0, "both are spoilt by one wrong link")


def test_a_bound_is_in_no_bin(env):
    traffic = Traffic()
    traffic.link(11, 1, 0.7)
    traffic.link(12, 2, None)
    traffic.spans[3]["min_confidence"] = 0.89
    cell = traffic.cell()
    check_equal([n for n, _, _ in cell.bins if n], [1], "what has a confidence")
    check_equal(cell.bounded, [1, 0.89, 1], "what has only a bound")
    check_equal((cell.right, cell.sure), (2, 0), "both are links")


def test_simple_rules(env):
    cell = Traffic().cell()
    check_equal((cell.thread_right, cell.thread_wrong), (3, 0), "last request on the thread: right here")
    check_equal((cell.tick_right, cell.tick_wrong), (2, 1), "last read in the turn: takes x's answer for y's cause")


def test_spans_without_a_partner_do_not_shift_the_others(env):
    traffic = Traffic()
    for client, server in ((11, 1), (12, 2), (13, 2)):
        traffic.link(client, server, 0.99)
    traffic.head("x", client=11, path="/price")
    traffic.entries.pop()  # the replay has a request more on this connection than the list
    check_equal(traffic.cell().right, 3, "links that are right")
