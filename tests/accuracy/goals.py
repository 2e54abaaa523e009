# SPDX-License-Identifier: Apache-2.0
"""The bars that the linker must reach, as rows (what, figure, wanted, reached?). Honest stands above right."""
import prototype
import server_table
from cells import add_bins, add_bounded, hand_off_split, share


def honest(cells):
    claimed = [c for c in cells if c.sure]
    if not claimed:
        return []
    clean = share(sum(c.sure_wrong == 0 for c in claimed), len(claimed))
    worst = max(claimed, key=lambda c: share(c.sure_wrong, c.sure))
    figure = share(worst.sure_wrong, worst.sure)
    overall = share(sum(c.sure_wrong for c in claimed), sum(c.sure for c in claimed))
    over = _worst_bin(add_bins(cells))
    bounded, least, bounded_right = add_bounded(cells)
    where = f" ({worst.name}, {worst.clients} clients)" if worst.sure_wrong else ""
    return [
        ("cells without a wrong link above 0.9", f"{clean:.1f} % of {len(claimed)}", "90 %", clean >= 90),
        ("wrong above 0.9 in the worst cell", f"{figure:.3f} %{where}", "0.2 %", figure <= 0.2),
        ("wrong above 0.9 overall", f"{overall:.4f} % of {sum(c.sure for c in claimed)}", "0.05 %", overall <= 0.05),
        ("worst bin of confidences: stated minus right", f"{over:+.1f} points", "+-3", abs(over) <= 3),
        ("held back without a confidence, stated is a bound: right", f"{share(bounded_right, bounded):.1f} % of {bounded}",
         f">= {share(least, bounded):.1f} %", bounded_right >= least),
    ]


def _worst_bin(bins):
    return max((100 * total / n - share(right, n) for n, total, right in bins if n >= 100), key=abs, default=0.0)


# What, which cells, whole traces in %. Counted as the prototype did, whose figures the bars were set by: every best
# candidate, however unsure. What of it is drawn is a row of its own: no bar, but what a user sees.
_TRACES = (
    ("tokens, ample, 8 and 32 clients", ("node", "go", "asyncio", "threads", "javaurl"), (8, 32), True, 97),
    ("tokens, ample, 128 clients", ("node", "go", "asyncio", "threads", "javaurl"), (128,), True, 90),
    ("no tokens, ample, 8 clients", ("node", "asyncio"), (8,), False, 97),
    ("no tokens, ample, 8 clients", ("go", "javaurl"), (8,), False, 93),
)


def right(cells):
    plain = [c for c in cells if not c.work]
    rows = []
    for what, servers, clients, tokens, wanted in _TRACES:
        some = [c for c in plain if c.server in servers and c.clients in clients and c.tokens == tokens and not c.tiny]
        title = f"{', '.join(servers)}: {what}"
        rows += _worst(f"whole traces right, {title}", [(best_traces(c), c) for c in some], [wanted] * len(some))
        rows += _worst(f"... and drawn, {title}", [(synchronous_traces(c), c) for c in some], [wanted] * len(some))
    measured = [c for c in plain if prototype.of(c)]
    best = [(share(c.traces_best, c.traces), c) for c in measured]
    rows += _worst("best whole traces against before", best, [float(prototype.of(c)[1]) for c in measured])
    tiny = [c for c in measured if c.tiny and not c.tokens and c.clients == 32]
    best = [(share(c.traces_best, c.traces), c) for c in tiny]
    rows += _worst("the same, tiny pools, no tokens, 32 clients", best, [float(prototype.of(c)[1]) + 15 for c in tiny])
    rows += _worst("whole traces, one client", [(share(c.traces_right, c.traces), c) for c in cells if c.clients == 1],
                   [100] * len(cells))
    threaded = [c for c in cells if is_threaded(c)]
    rows += _worst("whole traces of synchronous routes, thread per request",
                   [(synchronous_traces(c), c) for c in threaded], [100] * len(threaded))
    return rows


def is_threaded(cell):
    return server_table.by_name(cell.server).thread_class


def best_traces(cell):
    return synchronous_traces(cell) if is_threaded(cell) else share(cell.traces_best, cell.traces)


def synchronous_traces(cell):
    """Whole traces; for a thread-per-request server those of its synchronous routes."""
    if not is_threaded(cell):
        return share(cell.traces_right, cell.traces)
    synchronous, _ = hand_off_split(cell)
    return share(synchronous[5], synchronous[4])


def _worst(what, figures, wanted):
    """One row: how many cells reach what is wanted of each, and the one that is furthest below."""
    if not figures:
        return []
    # What is wanted was published with one digit.
    reached = sum(round(figure, 1) >= limit for (figure, _), limit in zip(figures, wanted))
    (figure, cell), limit = min(zip(figures, wanted), key=lambda pair: pair[0][0] - pair[1])
    return [(what, f"{reached} of {len(figures)} cells; furthest: {figure:.1f} % ({cell.name}, {cell.clients})",
             f"{limit:g} %", reached == len(figures))]
