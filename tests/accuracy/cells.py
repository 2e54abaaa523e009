# SPDX-License-Identifier: Apache-2.0
"""From verdicts to the figures of a cell (one recording at one load)."""
import collections
import dataclasses

SURE = 0.9
BINS = (0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.985, 1.0001)
# Routes of a thread-per-request server whose calls go to other threads.
HAND_OFF = ("r1", "r5", "r8")


@dataclasses.dataclass
class Cell:
    name: str
    server: str
    tiny: bool
    tokens: bool
    work: bool
    clients: int
    links: int = 0
    right: int = 0
    wrong: int = 0
    best: int = 0           # right if every best candidate is drawn, however unsure
    traces: int = 0
    traces_right: int = 0
    traces_best: int = 0
    sure: int = 0
    sure_wrong: int = 0
    thread_right: int = 0
    thread_wrong: int = 0
    tick_right: int = 0
    tick_wrong: int = 0
    cpu_us: float = 0.0     # per link
    rules: collections.Counter = dataclasses.field(default_factory=collections.Counter)  # (rule, right?) -> links
    routes: dict = dataclasses.field(default_factory=dict)  # route -> [links, right, wrong, sure wrong, traces, right]
    bins: list = dataclasses.field(default_factory=lambda: [[0, 0.0, 0] for _ in BINS[1:]])  # links, sum, right
    bounded: list = dataclasses.field(default_factory=lambda: [0, 0.0, 0])  # the same, of which only a bound is stated


def count(cell, phase, drawn, best):
    """`drawn`: the verdict at the linker's own threshold; `best`: with everything drawn (the same if it cannot)."""
    routes = cell.routes
    for link in (link for link in drawn.links if link.phase == phase):
        route = routes.setdefault(link.route, [0] * 6)
        right = link.found == link.right
        route[0] += 1
        cell.links += 1
        cell.thread_right += link.thread == link.right
        cell.thread_wrong += link.thread not in (link.right, None)
        cell.tick_right += link.tick == link.right
        cell.tick_wrong += link.tick not in (link.right, None)
        if right:
            cell.right += 1
            route[1] += 1
        if link.found is not None and not right:
            cell.wrong += 1
            route[2] += 1
        if link.found is not None:
            cell.rules[link.rule, right] += 1
            if link.confidence > SURE:
                cell.sure += 1
                cell.sure_wrong += not right
                route[3] += not right
    whole = whole_traces(drawn, phase)
    for index, (of, name) in drawn.servers.items():
        if of == phase:
            route = routes.setdefault(name, [0] * 6)
            route[4] += 1
            route[5] += index in whole
            cell.traces += 1
    cell.traces_right = len(whole)
    cell.traces_best = len(whole_traces(best, phase))
    _count_best(cell, phase, best)


def whole_traces(verdict, phase):
    """The incoming requests whose calls are all linked to them, and nobody else's."""
    whole = {index for index, (of, _) in verdict.servers.items() if of == phase}
    for link in verdict.links:
        if link.found != link.right:
            whole.discard(link.right)
            whole.discard(link.found)
    return whole


def _count_best(cell, phase, best):
    for link in best.links:
        if link.phase != phase:
            continue
        right = link.found == link.right
        cell.best += right
        if link.found is None:
            continue
        _add(cell.bounded if link.at_least else cell.bins[_bin_of(link.confidence)], (1, link.confidence, right))


def _bin_of(confidence):
    return max(i for i, low in enumerate(BINS[:-1]) if confidence >= low)


def _add(into, some):
    for i, value in enumerate(some):
        into[i] += value


def add_bins(cells):
    """Of all cells together."""
    total = [[0, 0.0, 0] for _ in BINS[1:]]
    for cell in cells:
        for into, some in zip(total, cell.bins):
            _add(into, some)
    return total


def add_bounded(cells):
    total = [0, 0.0, 0]
    for cell in cells:
        _add(total, cell.bounded)
    return total


def share(part, whole):
    return 100.0 * part / whole if whole else 0.0


def hand_off_split(cell):
    """For a thread-per-request server: (links, right, wrong) of its synchronous routes, and of the others."""
    sums = ([0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0])
    for route, values in cell.routes.items():
        side = sums[route in HAND_OFF]
        for i, value in enumerate(values):
            side[i] += value
    return sums
