# SPDX-License-Identifier: Apache-2.0
"""Measures whole sets of recordings, prints the table and writes it as Markdown (RESULTS.md)."""
import concurrent.futures
import datetime
import functools
import pathlib
import subprocess
import time

import cells
import goals
import prototype
import replay
import server_table
from cells import share

HERE = pathlib.Path(__file__).resolve().parent
HEAD = ("| server | pool | tokens | clients | links | right % | wrong % | traces % | best % | before | above 0.9 % | "
        "wrong above 0.9 | thread | last read | µs |")


def measure_set(folder, chosen, jobs, options):
    names = sorted(path.name[:-len(".truth.gz")] for path in folder.glob("*.truth.gz"))
    names = [name for name in names if chosen(name)]
    draw_all = replay.can_draw_all()
    measure = functools.partial(replay.measure, folder, draw_all=draw_all, options=options)
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        found = [cell for some in pool.map(measure, names) for cell in some]
    order = {server.name: number for number, server in enumerate(server_table.SERVERS)}
    return sorted(found, key=lambda c: (order.get(c.server, 99), c.work, c.tiny, c.tokens, c.clients))


def label(cell):
    """Its first three columns."""
    server = cell.server + (" +work" if cell.work else "")
    return f"| {server} | {'tiny' if cell.tiny else 'ample'} | {'yes' if cell.tokens else 'no'} "


def row(cell):
    earlier = prototype.of(cell)
    before = f"{earlier[0]}/{earlier[1]}" if earlier else ""
    return (f"{label(cell)}| {cell.clients} | {cell.links} "
            f"| {share(cell.right, cell.links):.1f} | {share(cell.wrong, cell.links):.2f} "
            f"| {share(cell.traces_right, cell.traces):.1f} "
            f"| {share(cell.best, cell.links):.1f}/{share(cell.traces_best, cell.traces):.1f} | {before} "
            f"| {share(cell.sure, cell.links):.1f} | {cell.sure_wrong} "
            f"| {share(cell.thread_right, cell.links):.0f} | {share(cell.tick_right, cell.links):.0f} "
            f"| {cell.cpu_us:.1f} |")


def table(found):
    return [HEAD, "|" + "-|" * (HEAD.count("|") - 1), *map(row, found)]


def summary(found, traces):
    """One row a server: `traces`, an attribute of cells, at 1 / 8 / 32 / 128 clients."""
    kinds = [(work, tiny, tokens) for work, tiny, tokens in
             ((0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 0))]
    lines = ["| server | ample | ample, tokens | tiny | tiny, tokens | +work |", "|" + "-|" * (len(kinds) + 1)]
    for server in dict.fromkeys(cell.server for cell in found):
        values = []
        for kind in kinds:
            some = [c for c in found if (c.server, (c.work, c.tiny, c.tokens)) == (server, kind)]
            values.append(" / ".join(f"{share(getattr(c, traces), c.traces):.0f}" for c in some))
        lines.append(f"| {server} | " + " | ".join(values) + " |")
    return lines


def bars(found):
    lines = ["| bar | figure | wanted | |", "|-|-|-|-|"]
    lines += [f"| {what} | {figure} | {wanted} | {'' if good else 'MISSED'} |"
              for what, figure, wanted, good in goals.honest(found) + goals.right(found)]
    busy = [c for c in found if c.clients == 32 and c.links]
    cost = sum(c.cpu_us * c.links for c in busy) / max(1, sum(c.links for c in busy))
    lines.append(f"| CPU per link at 32 clients | {cost:.2f} µs | <= 10 µs | {'' if cost <= 10 else 'MISSED'} |")
    return lines


def bins(found):
    lines = ["| confidence | links | stated % | right % |", "|-|-|-|-|"]
    for low, high, (n, total, right) in zip(cells.BINS, cells.BINS[1:], cells.add_bins(found)):
        if n:
            lines.append(f"| {low:g} to {min(1, high):g} | {n} | {100 * total / n:.1f} | {share(right, n):.2f} |")
    n, least, right = cells.add_bounded(found)
    lines.append(f"| no more said than at least | {n} | {share(least, n):.1f} | {share(right, n):.2f} |")
    return lines


def rules(found):
    names = sorted({rule for cell in found for rule, _ in cell.rules})
    lines = ["| rule | links | wrong |", "|-|-|-|"]
    for name in names:
        right = sum(cell.rules[name, True] for cell in found)
        wrong = sum(cell.rules[name, False] for cell in found)
        lines.append(f"| {name} | {right + wrong} | {wrong} |")
    return lines


def routes(found):
    """Per server and route at 8 clients or more: where links are missed."""
    names = sorted({route for cell in found for route in cell.routes})
    lines = ["| server | pool | tokens | " + " | ".join(names) + " |", "|" + "-|" * (len(names) + 3)]
    groups = {}
    for cell in found:
        if cell.clients > 1:
            groups.setdefault(label(cell), []).append(cell)
    for start, some in groups.items():
        values = []
        for name in names:
            sums = [sum(cell.routes.get(name, [0] * 6)[i] for cell in some) for i in range(6)]
            values.append(f"{share(sums[1], sums[0]):.0f} / {share(sums[2], sums[0]):.1f}" if sums[0] else "")
        lines.append(f"{start}| " + " | ".join(values) + " |")
    return lines


def split(found):
    """Thread-per-request servers: synchronous routes apart from hand-offs."""
    threaded = {server.name for server in server_table.SERVERS if server.thread_class}
    lines = ["| server | pool | tokens | clients | synchronous: right % | wrong | traces % "
             "| hand-offs: right % | wrong | traces % |", "|" + "-|" * 10]
    for cell in found:
        if cell.server in threaded:
            sync, other = cells.hand_off_split(cell)
            parts = [f"{share(s[1], s[0]):.1f} | {s[2]} | {share(s[5], s[4]):.1f}" for s in (sync, other)]
            lines.append(f"{label(cell)}| {cell.clients} | {parts[0]} | {parts[1]} |")
    return lines


def section(title, found):
    if not found:
        return []
    parts = [(f"## {title}", bars(found)),
             ("### Whole traces right and drawn, %, at 1 / 8 / 32 / 128 clients", summary(found, "traces_right")),
             ("### The same if every best candidate were drawn", summary(found, "traces_best")),
             ("### Cells", table(found)),
             ("### Stated and real confidence", bins(found)),
             ("### Rules", rules(found)), ("### Thread-per-request servers", split(found)),
             ("### Routes at 8, 32 and 128 clients: right % / wrong %", routes(found))]
    return [line for head, lines in parts for line in (head, "", *lines, "")]


def commit():
    git = ["git", "-C", str(HERE)]
    head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True).stdout.strip()
    status = subprocess.run([*git, "status", "--porcelain", "--untracked-files=no", ":/agent", ":/bpf"],
                            capture_output=True, text=True)
    dirty = status.stdout.strip()
    return head + (" with changes" if dirty else "")


def run(sets, chosen, jobs, options, skipped, write):
    """`sets`: [(title, folder)]."""
    start = time.monotonic()
    text = [f"Links against the truth, {datetime.date.today()}, commit {commit()}; words: [README.md](README.md).", ""]
    for title, folder in sets:
        text += section(title, measure_set(folder, chosen, jobs, options))
    missing = {**server_table.NOT_TO_BE_HAD, **skipped}
    text += ["## Not measured", ""] + [f"- {name}: {reason}" for name, reason in sorted(missing.items())]
    print("\n".join(text))
    print(f"measured in {time.monotonic() - start:.0f} s")
    if write:
        (HERE / "RESULTS.md").write_text("\n".join(text).rstrip() + "\n")
    return 0
