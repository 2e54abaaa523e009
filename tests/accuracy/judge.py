# SPDX-License-Identifier: Apache-2.0
"""Compares what the linker drew with the truth, and what two simple rules would have drawn.

The linker's spans and the truth's request heads are the same messages seen twice: they are paired by process, role and
ports, in order of time.
"""
import collections
import dataclasses
import math
from typing import Optional


@dataclasses.dataclass
class Link:
    """One outgoing request: whose it is, and whose the linker says it is."""
    phase: int
    route: str
    right: int                  # index of the incoming request's entry that caused it
    found: Optional[int] = None
    confidence: float = 0.0
    at_least: bool = False      # `confidence` is a lower bound (agent/cause/confidence.h)
    rule: str = ""
    seen: bool = False          # the replay reported it
    thread: Optional[int] = None    # what the simple rules say
    tick: Optional[int] = None


@dataclasses.dataclass
class Verdict:
    links: list
    servers: dict               # entry index -> (phase, route) of each incoming request
    strangers: int              # outgoing requests without truth, or whose cause was not recorded


def phase_of(value):
    return int(value[len("spantruth-")], 16)


def route_of(path):
    return path.split("/")[1]


def pair(entries, spans):
    """{span id: entry index} for every span that is one of the entries."""
    ours, theirs = collections.defaultdict(list), collections.defaultdict(list)
    for index, entry in enumerate(entries):
        if entry["request"]:
            ours[entry["pid"], entry["client"], entry["local_port"], entry["peer_port"]].append(index)
    for span in spans:
        theirs[span["pid"], span["kind"] == "client", span["local_port"], span["peer_port"]].append(span)
    found, late = {}, []
    for key, some in theirs.items():
        some.sort(key=lambda span: span["start_unix_ns"])
        if len(some) == len(ours[key]):
            found.update((span["span_id"], index) for span, index in zip(some, ours[key]))
        else:
            late.append((some, ours[key]))
    _pair_by_time(entries, spans, late, found)
    return found


def _pair_by_time(entries, spans, late, found):
    """Where one side has messages that the other has not: by the time itself."""
    starts = {span["span_id"]: span["start_unix_ns"] for span in spans}
    offsets = sorted(starts[span] - entries[index]["mono_ns"] for span, index in found.items())
    if not offsets:
        return
    offset = offsets[len(offsets) // 2]
    for some, indices in late:
        for span in some:
            best = min(indices, key=lambda i: abs(span["start_unix_ns"] - offset - entries[i]["mono_ns"]), default=None)
            if best is not None and abs(span["start_unix_ns"] - offset - entries[best]["mono_ns"]) < 500_000:
                found[span["span_id"]] = best


def judge(entries, spans):
    by_truth = {}  # where a process behind another one (FastCGI) reads the same request again: the first
    for index, entry in enumerate(entries):
        if entry["request"] and not entry["client"] and entry["truth"]:
            by_truth.setdefault(entry["truth"], index)
    servers = {i: (phase_of(t), route_of(entries[i]["path"])) for t, i in by_truth.items()}
    links, strangers = {}, 0
    for index, entry in enumerate(entries):
        if not (entry["request"] and entry["client"]):
            continue
        cause = by_truth.get(entry["truth"])
        if cause is None:
            strangers += 1
        else:
            links[index] = Link(*servers[cause], cause)
    of_span, by_id = pair(entries, spans), {span["span_id"]: span for span in spans}
    for span in spans:
        link = links.get(of_span.get(span["span_id"])) if span["kind"] == "client" else None
        if link is None:
            continue
        link.seen = True
        if span["parent_span_id"] is not None and not span["remote_parent"]:
            link.found, link.confidence, link.at_least = _cause(span, by_id, of_span, set(by_truth.values()))
            link.rule = span["rule"] or ""
    simple_rules(entries, links)
    for link in links.values():
        link.thread, link.tick = (index if index is None else by_truth.get(entries[index]["truth"], index)
                                  for index in (link.thread, link.tick))
    return Verdict(list(links.values()), servers, strangers)


def _cause(span, by_id, of_span, firsts):
    """(entry index, confidence, a bound?) of the request that a client's span hangs below; up through the processes in
    between, (None, 0, False) if a step there is missing."""
    stated = [span]
    while True:
        server = by_id.get(span["parent_span_id"])
        index = of_span.get(span["parent_span_id"], -1)
        if index == -1 or index in firsts:
            return index, *_together(stated)
        span = by_id.get(server["parent_span_id"])  # the client's end of the connection it came over
        if span is None or span["parent_span_id"] is None:
            return None, 0.0, False
        stated += server, span


def _together(spans):
    bounds = [span["confidence"] is None for span in spans]
    confidences = [span["min_confidence" if bound else "confidence"] for span, bound in zip(spans, bounds)]
    return math.prod(confidences), any(bounds)


def simple_rules(entries, links):
    """The thread rule: the last request that this thread read. The last-read rule: what this thread read last in this
    turn of its loop, the answer to a call counting as a read for whomever the rule took that call for."""
    last_request, last_read, waiting, guess = {}, {}, collections.defaultdict(collections.deque), {}
    for index, entry in enumerate(entries):
        tid, turn = entry["tid"], entry["turns"][0] if entry["turns"] else 0
        if entry["request"] and not entry["client"]:
            last_request[tid], last_read[tid] = index, (turn, index)
        elif entry["request"]:
            read = last_read.get(tid)
            guess[index] = read[1] if read and read[0] == turn else None
            waiting[entry["pid"], entry["conn"]].append(index)
            if index in links:
                links[index].thread, links[index].tick = last_request.get(tid), guess[index]
        elif entry["client"] and waiting[entry["pid"], entry["conn"]]:
            last_read[tid] = (turn, guess[waiting[entry["pid"], entry["conn"]].popleft()])
