# SPDX-License-Identifier: Apache-2.0
"""Interleaved rounds, ratios with their spread, and CPU time of processes.

Absolute figures move from machine to machine and from minute to minute: everything is compared with its neighbour
in the same round, A B B A, and printed as median [min..max].
"""
import pathlib
import re
import statistics


def interleave(variants, rounds, measure):
    """measure(variant) once per round for each variant, every second round backwards; {variant: [results]}."""
    results = {variant: [] for variant in variants}
    for number in range(rounds):
        for variant in list(variants)[::-1 if number % 2 else 1]:
            results[variant].append(measure(variant))
    return results


def spread(values, digits=2):
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}..{max(values):.{digits}f}]"


def verdict(value, goal):
    """`goal` is ("<=" or ">=", number); returns what to print behind the figure."""
    if goal is None:
        return ""
    sign, number = goal
    met = value <= number if sign == "<=" else value >= number
    return f" goal {sign} {number:g}{'' if met else ' MISSED'}"


def print_ratio(name, values, base, goal=None):
    """values[i] / base[i], pairs of one round."""
    ratios = [value / other for value, other in zip(values, base)]
    print(f"{name}: ratio {spread(ratios, 3)}{verdict(statistics.median(ratios), goal)}", flush=True)


def print_figure(name, values, unit, goal=None, digits=1):
    print(f"{name}: {spread(values, digits)} {unit}{verdict(statistics.median(values), goal)}", flush=True)


def cpu_seconds(pids):
    """User and system time so far of these processes and their children, from the scheduler's nanoseconds."""
    total = 0
    for pid in with_children(pids):
        for schedstat in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
            total += int(schedstat.read_text().split()[0])
    return total / 1e9


def with_children(pids):
    found = list(pids)
    for pid in found:
        for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
            found += [int(child) for child in children.read_text().split()]
    return found


def memory_mib(pid):
    """(peak RSS without the ring buffer, anonymous memory). The ring is mapped twice in a row, so RSS counts it twice."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    ring = 0
    inside = False
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if "-" in line.split()[0]:
            inside = line.endswith("anon_inode:bpf-map")
        elif inside and line.startswith("Rss:"):
            ring += int(line.split()[1])
    peak, anonymous = (int(re.search(rf"^{field}:\s+(\d+) kB", status, re.M)[1]) for field in ("VmHWM", "RssAnon"))
    return (peak - ring) / 1024, anonymous / 1024


# Student's t, two-sided 95 %, by degrees of freedom; beyond: the last.
T95 = [0, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10, 2.09,
       2.09, 2.08, 2.07, 2.07, 2.06, 2.06, 2.06, 2.05, 2.05, 2.05, 2.04]


def interval(values):
    """(mean, half of its 95 % interval)."""
    if len(values) < 2:
        return statistics.fmean(values), float("inf")
    half = T95[min(len(values), len(T95)) - 1] * statistics.stdev(values) / len(values) ** 0.5
    return statistics.fmean(values), half


def print_interval(name, values, unit="", goal=None, within=None, digits=1):
    """The mean of independent values with its 95 % interval. `within` (low, high): the interval must lie there."""
    mean, half = interval(values)
    missed = "" if within is None else f" goal: interval contains {statistics.fmean(within):g}, lies in {within[0]:g}..{within[1]:g}"
    if within and not (mean - half <= statistics.fmean(within) <= mean + half and within[0] <= mean - half and
                       mean + half <= within[1]):
        missed += " MISSED"
    print(f"{name}: {mean:.{digits}f} [95 %: {mean - half:.{digits}f}..{mean + half:.{digits}f}, n={len(values)}]"
          f"{' ' + unit if unit else ''}{verdict(mean, goal)}{missed}", flush=True)
