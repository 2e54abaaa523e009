#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fits how often links with such evidence are right (agent/cause/sureness.h), on sets of recordings that are looked at.

fit.py --sets tuning,fresh-DATE [--check] [--write]

Each recording is replayed whole, and those of the first set also from their third load on (a process that was never
seen when it was calm), and with some incoming requests hidden (their calls are nobody's, as of a background job). Sets
of meshes (mesh_recordings.py) are learned from, too. Boosted trees, monotone where a sign's direction is beyond doubt.
From which odds on a link is stated is chosen on folds that were left out, one a set, meshes aside, with a margin to the
bars of goals.py. --check adds folds that leave out a server each: what to expect of one that nobody has seen. --write
replaces agent/cause/sureness_trees.cc.
"""
import argparse
import concurrent.futures
import datetime
import os
import pathlib
import subprocess
import sys

import numpy
from sklearn.ensemble import HistGradientBoostingClassifier

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import recording  # noqa: E402

TREE = pathlib.Path(__file__).resolve().parents[2]
ROOT = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "spantap" / "accuracy"
# How a recording is replayed: from which load on, how many of a hundred incoming requests are hidden. All but the first
# are of the first set only.
VARIANTS = ((0, 0), (2, 0), (0, 4))
TITLES = ("whole", "never calm", "with calls of nobody")
SURE_DIGITS = 1  # what the sums are less sure of is stated as they say (agent/cause/gates.cc)
TREES, LEAVES, RATE = 100, 31, 0.15
RIGHT_SHARE = 0.5  # of the right ones that are learned from; they count for all
MESH_WEIGHT = 3.0  # a few thousand links stand for what most users run
# Cells with a wrong link, of all: in processes whose calls do not wait for connections, and where they do. The bar is
# 0.1 together.
MOST_DIRTY, MOST_DIRTY_POOLS = 0.06, 0.016
# As in agent/cause/sureness.h: below each number of open handlers, and from the last on, links are stated from odds of
# their own. What a stated link is worth there: most users run at low load.
OPEN, WORTH = (5, 9, 33), (3, 3, 1, 1)
GRID = numpy.arange(9.0, 3.9, -0.25)


class Data:
    """Rows of all recordings: signs, whether right, cell, set and server by number, whether of a whole replay."""

    def __init__(self):
        self.names, self.direction, self.parts = [], [], []

    def join(self):
        self.signs = numpy.concatenate([part[0] for part in self.parts])
        self.right = numpy.concatenate([part[1] for part in self.parts])
        self.clients = numpy.concatenate([part[2] for part in self.parts])
        lengths = [len(part[1]) for part in self.parts]
        self.part = numpy.repeat(numpy.arange(len(self.parts)), lengths)
        column = lambda at: numpy.array([part[at] for part in self.parts])[self.part]
        self.set, self.name, self.variant = column(3), column(4), column(5)
        self.server = numpy.array([name.split("-")[0] for name in self.name])
        self.mesh = self.server == "mesh"
        self.cell = self.part * 1000 + self.clients
        self.parts = []


def replayed(task):
    folder, name, (start, hidden) = task
    truth = recording.load_truth(folder, name)
    phases = truth["phases"]
    command = [TREE / "build" / "accuracy" / "evidence", folder / f"{name}.rec"]
    command += [str(phases[start]["start_ns"] if start else 0), str(hidden)]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout
    head, _, body = text.partition("\n")
    names = [(word.split(":")[0], int(word.split(":")[1])) for word in head.split()]
    rows = numpy.fromstring(body, sep=" ").reshape(-1, 4 + len(names)) if body else numpy.zeros((0, 4 + len(names)))
    rows = rows[rows[:, 4 + [word for word, _ in names].index("joint")] > SURE_DIGITS]
    whose, parents = {}, {}
    for entry in truth["entries"]:
        if not entry["request"]:
            continue
        place = (entry["conn"], entry["mono_ns"])
        whose[place] = entry["truth"]
        if not entry["client"] and entry["truth"]:
            parents[entry["truth"]] = place
    keep, right, clients = [], [], []
    for at, row in enumerate(rows[:, :4].astype(numpy.int64).tolist()):
        parent = parents.get(whose.get((row[0], row[1])))
        load = next((p["clients"] for p in phases if p["start_ns"] <= row[1] <= p["end_ns"]), None)
        if parent is None or load is None:
            continue
        keep.append(at), right.append(parent == (row[2], row[3])), clients.append(load)
    signs = rows[keep, 4:].astype(numpy.float32)
    return names, (signs, numpy.array(right, bool), numpy.array(clients, int), folder.name, name,
                   VARIANTS.index((start, hidden)))


def load(sets):
    tasks = [(ROOT / name, file.name[:-4], variant) for at, name in enumerate(sets)
             for file in sorted((ROOT / name).glob("*.rec")) for variant in (VARIANTS if at == 0 else VARIANTS[:1])]
    data = Data()
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        for names, part in pool.map(replayed, tasks, chunksize=2):
            data.names = [name for name, _ in names]
            data.direction = [direction for _, direction in names]
            if len(part[1]):
                data.parts.append(part)
    data.join()
    return data


def fit(data, rows, trees=TREES):
    rows = rows & (~data.right | (numpy.random.RandomState(1).rand(len(rows)) < RIGHT_SHARE))
    weight = numpy.where(data.right[rows], 1 / RIGHT_SHARE, 1.0) * numpy.where(data.mesh[rows], MESH_WEIGHT, 1.0)
    model = HistGradientBoostingClassifier(max_iter=trees, learning_rate=RATE, max_leaf_nodes=LEAVES,
                                           min_samples_leaf=60, l2_regularization=1.0, monotonic_cst=data.direction,
                                           early_stopping=False, random_state=1)
    model.fit(data.signs[rows], data.right[rows], sample_weight=weight)
    return model


def left_out(data, groups):
    """Odds of each row by a model that has not seen its group."""
    odds = numpy.full(len(data.right), -99.0)
    for group in numpy.unique(groups):
        rows = groups == group
        odds[rows] = fit(data, ~rows).decision_function(data.signs[rows])
    return odds


def sign(data, name):
    return data.signs[:, data.names.index(name)]


def pools(data):
    return sign(data, "pools") > 0


def blind(data):
    """As in agent/cause/gates.cc."""
    return (sign(data, "token") < 1) & (sign(data, "proposal") < 0) & (sign(data, "unsimulated") > 0.85)


def step(data):
    return numpy.searchsorted(OPEN, sign(data, "open"), side="right")


def outcome(data, odds, rows, stated):
    """(cells, those with a wrong one, worst share, share of all, coverage). `stated`: the odds of each step, and where
    calls wait for connections."""
    chosen = rows & ~blind(data) & (odds > numpy.where(pools(data), stated[-1], numpy.array(stated[:-1])[step(data)]))
    cells = numpy.unique(data.cell[rows])
    count = lambda some: numpy.bincount(numpy.searchsorted(cells, data.cell[some]), minlength=len(cells))
    wrong, all_of = count(chosen & ~data.right), count(chosen)
    return (len(cells), int((wrong > 0).sum()), (wrong / numpy.maximum(all_of, 1)).max(),
            wrong.sum() / max(1, all_of.sum()), all_of.sum() / rows.sum())


def say(title, of):
    print(f"{title}: {of[1]} of {of[0]} cells with a wrong one, worst {100 * of[2]:.3f} %, overall {100 * of[3]:.4f} %, "
          f"stated {100 * of[4]:.1f} %", flush=True)


def tell(data, odds, stated, what):
    for variant, title in enumerate(TITLES):
        say(f"  left out by {what}, {title}", outcome(data, odds, (data.variant == variant) & ~data.mesh, stated))
    if data.mesh.any():
        say(f"  left out by {what}, meshes", outcome(data, odds, data.mesh, stated))


def stated_at(data, odds, rows, worth=1):
    """For each of the grid: what is stated is worth, and (a row of 0 and 1) which cells have a wrong link."""
    cells = numpy.unique(data.cell)
    at = numpy.searchsorted(cells, data.cell[rows])
    chosen = odds[rows] > GRID[:, None]
    wrong = [numpy.bincount(at[some & ~data.right[rows]], minlength=len(cells)) > 0 for some in chosen]
    return worth * chosen.sum(axis=1), numpy.array(wrong, float)


def both(one, two):
    """Each choice of the one with each of the other."""
    return (one[0][:, None] + two[0]).ravel(), numpy.maximum(one[1][:, None], two[1]).reshape(-1, one[1].shape[1])


def best(low, high, most_dirty):
    """Where in `low` and `high` most is stated, with few enough cells that have a wrong link in either."""
    dirty = low[1].sum(axis=1)[:, None] + high[1].sum(axis=1) - low[1] @ high[1].T
    value = numpy.where(dirty <= most_dirty, low[0][:, None] + high[0], -1)
    return numpy.unravel_index(value.argmax(), value.shape)


def choose(data, odds):
    """The lowest odds from which on few enough cells have a wrong link: by open handlers, and with small pools."""
    rows = (data.variant == 0) & ~data.mesh
    some = len(recording.LOADS) - 1  # of one client no link is unsure
    cells = len(numpy.unique(data.cell[rows])) * len(recording.LOADS) / some
    rows &= ~blind(data)
    usual = [stated_at(data, odds, rows & ~pools(data) & (step(data) == number), worth)
             for number, worth in enumerate(WORTH)]
    small = stated_at(data, odds, rows & pools(data))
    nothing = (numpy.zeros(1), numpy.zeros((1, small[1].shape[1])))
    low, high = best(both(*usual[:2]), both(*usual[2:]), MOST_DIRTY * cells)
    chosen = [*divmod(low, len(GRID)), *divmod(high, len(GRID)), best(small, nothing, MOST_DIRTY_POOLS * cells)[0]]
    return [float(GRID[i]) for i in chosen]


def number(value):
    text = f"{value:.4g}"
    return text if any(c in text for c in ".en") else text + "."


def trees_of(model):
    nodes, roots = [], []
    for (tree,) in model._predictors:
        roots.append(len(nodes))
        for at, node in enumerate(tree.nodes):
            if node["is_leaf"]:
                nodes.append(f"{{L, {number(node['value'])}f, 0, 0}}")
            else:
                nodes.append(f"{{{node['feature_idx']}, {number(node['num_threshold'])}f, {node['left'] - at}, "
                             f"{node['right'] - at}}}")
    return nodes, roots


def wrapped(items, width=118):
    lines, line = [], " "
    for item in items:
        if len(line) + len(item) + 2 > width:
            lines.append(line)
            line = " "
        line += f" {item},"
    return "\n".join([*lines, line])


def write(model, stated, sets, rows):
    nodes, roots = trees_of(model)
    base = float(numpy.ravel(model._baseline_prediction)[0])
    (TREE / "agent" / "cause" / "sureness_trees.cc").write_text(f"""// SPDX-License-Identifier: Apache-2.0
//
// Written by tests/accuracy/fit.py on {datetime.date.today()}, from {rows} links of {sets} sets of recordings.
// Not to be changed by hand.
#include "agent/cause/sureness.h"

namespace spantap {{
namespace {{

constexpr uint8_t L = SurenessNode::kLeaf;

// clang-format off
constexpr SurenessNode kNodes[] = {{
{wrapped(nodes)}
}};

constexpr uint16_t kRoots[] = {{
{wrapped(map(str, roots))}
}};
// clang-format on

}}  // namespace

const SurenessModel& FittedSureness() {{
  static const SurenessModel model{{{base:.4f}, {{{", ".join(map(str, stated[:-1]))}}}, {stated[-1]}, kNodes, kRoots}};
  return model;
}}

}}  // namespace spantap
""")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", required=True)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    sets = arguments.sets.split(",")
    data = load(sets)
    print(f"{len(data.right)} links that the sums are sure of, {100 * (~data.right).mean():.2f} % of them wrong", flush=True)
    odds = left_out(data, data.set)
    stated = choose(data, odds)
    print(f"stated from odds of e^{stated[:-1]} on by open handlers, where calls wait for connections of e^{stated[-1]}")
    tell(data, odds, stated, "set")
    if arguments.check:
        odds = left_out(data, data.server)
        tell(data, odds, stated, "server")
    if arguments.write:
        write(fit(data, numpy.ones(len(data.right), bool)), stated, len(sets), len(data.right))


if __name__ == "__main__":
    main()
