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
