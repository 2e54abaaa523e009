# SPDX-License-Identifier: Apache-2.0
"""From verdicts to the figures of a cell (one recording at one load), and from cells to the bars that must hold."""
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
    sure: int = 0
    sure_wrong: int = 0
    thread_right: int = 0
    thread_wrong: int = 0
    tick_right: int = 0
    tick_wrong: int = 0
    cpu_us: float = 0.0     # per link
    rps: float = 0.0
    rules: collections.Counter = dataclasses.field(default_factory=collections.Counter)  # (rule, right?) -> links
    routes: dict = dataclasses.field(default_factory=dict)  # route -> [links, right, wrong, sure wrong, traces, right]
    bins: list = dataclasses.field(default_factory=lambda: [[0, 0.0, 0] for _ in BINS[1:]])  # links, sum, right


def count(cell, phase, drawn, best):
    """`drawn`: the verdict at the linker's own threshold; `best`: with everything drawn (the same if it cannot)."""
    routes = cell.routes
    children, foreign = collections.Counter(), set()
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
        else:
            children[link.right] += 1
        if link.found is not None and not right:
            cell.wrong += 1
            route[2] += 1
            foreign.add(link.found)
        if link.found is not None:
            cell.rules[link.rule, right] += 1
            if link.confidence > SURE:
                cell.sure += 1
                cell.sure_wrong += not right
                route[3] += not right
    _count_traces(cell, phase, drawn, children, foreign)
    _count_best(cell, phase, best)


def _count_traces(cell, phase, drawn, missed, foreign):
    for index, (of, name) in drawn.servers.items():
        if of != phase:
            continue
        route = cell.routes.setdefault(name, [0] * 6)
        good = not missed[index] and index not in foreign
        cell.traces += 1
        cell.traces_right += good
        route[4] += 1
        route[5] += good


def _count_best(cell, phase, best):
    for link in best.links:
        if link.phase != phase:
            continue
        right = link.found == link.right
        cell.best += right
        if link.found is None:
            continue
        number = max(i for i, low in enumerate(BINS[:-1]) if link.confidence >= low)
        entry = cell.bins[number]
        entry[0] += 1
        entry[1] += link.confidence
        entry[2] += right


def add_bins(cells):
    total = [[0, 0.0, 0] for _ in BINS[1:]]
    for cell in cells:
        for into, some in zip(total, cell.bins):
            for i, value in enumerate(some):
                into[i] += value
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


def honest(cells):
    """The first bar, as [(what, figure, wanted, reached)]."""
    claimed = [c for c in cells if c.links]
    clean = sum(c.sure_wrong == 0 for c in claimed)
    worst = max(claimed, key=lambda c: share(c.sure_wrong, c.sure), default=None)
    overall = share(sum(c.sure_wrong for c in claimed), sum(c.sure for c in claimed))
    if worst is None:
        return []
    return [
        ("cells without a wrong link above 0.9", f"{share(clean, len(claimed)):.1f} % of {len(claimed)}", ">= 90 %",
         share(clean, len(claimed)) >= 90),
        ("wrong above 0.9 in the worst cell",
         f"{share(worst.sure_wrong, worst.sure):.3f} % ({worst.name}, {worst.clients} clients)", "<= 0.2 %",
         share(worst.sure_wrong, worst.sure) <= 0.2),
        ("wrong above 0.9 overall", f"{overall:.4f} % of {sum(c.sure for c in claimed)}", "<= 0.05 %", overall <= 0.05),
        ("bins more than 3 points off", str(bad_bins(claimed)), "0", bad_bins(claimed) == 0),
    ]


def bad_bins(cells):
    return sum(abs(100 * total / n - share(right, n)) > 3 for n, total, right in add_bins(cells) if n >= 100)
