# SPDX-License-Identifier: Apache-2.0
"""Replays one recording through `spantap replay` and gives the figures of its cells."""
import json
import os
import pathlib
import subprocess

import cells
import hide
import judge
import recording

BUILD = pathlib.Path(__file__).resolve().parents[2] / "build"
COST_RUNS = 3


def binary():
    return os.environ.get("SPANTAP_BIN") or str(BUILD / "bin" / "spantap")


def can_draw_all():
    """Whether the threshold can be set, so that unsure candidates are seen as well."""
    text = subprocess.run([binary(), "replay", "--help"], capture_output=True, text=True, check=True).stdout
    return "--link-confidence" in text


def spans(file, *options):
    done = subprocess.run([binary(), "replay", str(file), "--json", *options], capture_output=True, text=True,
                          timeout=600)
    if done.returncode:
        raise AssertionError(f"replay of {file} failed: {done.stderr[-500:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def link_cost(file, phases):
    """[{"link_ns", "clients"}], one a load: the least of some runs, because whoever shares the machine only adds."""
    runs = [_link_cost(file, phases) for _ in range(COST_RUNS)]
    return [min(of_phase, key=lambda cost: cost["link_ns"]) for of_phase in zip(*runs)]


def _link_cost(file, phases):
    ends = [str(phase["end_ns"]) for phase in phases[:-1]]
    done = subprocess.run([BUILD / "accuracy" / "link_cost", file, *ends], capture_output=True, text=True, check=True,
                          timeout=600)
    return json.loads(done.stdout)


def measure(folder, name, draw_all, options=()):
    """[cells.Cell], one a load."""
    file = folder / f"{name}.rec"
    hide.assert_hidden(file)
    truth = recording.load_truth(folder, name)
    drawn = judge.judge(truth["entries"], spans(file, *options))
    best = judge.judge(truth["entries"], spans(file, "--link-confidence", "0", *options)) if draw_all else drawn
    of = truth["combination"]
    result = []
    for number, (phase, cost) in enumerate(zip(truth["phases"], link_cost(file, truth["phases"]))):
        cell = cells.Cell(name, of["server"], of["pool"] > 0, of["tokens"] > 0, of["routes"] == "work",
                          phase["clients"])
        cells.count(cell, number, drawn, best)
        cell.cpu_us = cost["link_ns"] / 1e3 / cost["clients"] if cost["clients"] else 0.0
        result.append(cell)
    return result
