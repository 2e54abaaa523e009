# SPDX-License-Identifier: Apache-2.0
"""Which BPF programs, maps and links the kernel has, and whose they are.

An object lives while a descriptor, a pin or another object holds it; ids are not reused. So what a run left
behind is what is new since `snapshot()` and held by no process. Other agents may run meanwhile.
"""
import json
import pathlib
import re
import subprocess
import time

from . import tools
from .env import Fail

KINDS = ("prog", "map", "link")
_FDINFO = re.compile(r"^(prog|map|link)_id:\s*(\d+)", re.M)


def snapshot():
    """All objects as {(kind, id): name}."""
    found = {}
    for kind in KINDS:
        output = subprocess.run([tools.system("bpftool"), "-j", kind, "show"], capture_output=True, check=True).stdout
        for entry in json.loads(output or b"[]"):
            found[kind, entry["id"]] = entry.get("name") or entry.get("type", "")
    return found


def held_by(pid):
    """The objects that one process has descriptors of, as {(kind, id)}."""
    held = set()
    for info in pathlib.Path(f"/proc/{pid}/fdinfo").glob("*"):
        try:
            held.update((kind, int(number)) for kind, number in _FDINFO.findall(info.read_text()))
        except OSError:
            pass  # closed meanwhile
    return held


def _held_by_anyone():
    held = set()
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            held |= held_by(process.name)
        except OSError:
            pass  # ended meanwhile
    return held


def check_nothing_left(before, seconds=5.0):
    """Fail if an object appeared since `before` that no process holds; the kernel frees with a delay."""
    end = time.monotonic() + seconds
    while True:
        now = snapshot()
        left = set(now) - set(before) - _held_by_anyone()
        if not left:
            return
        if time.monotonic() > end:
            raise Fail(f"left in the kernel: {sorted((kind, number, now[kind, number]) for kind, number in left)}")
        time.sleep(0.1)


def check_gone(objects, seconds=5.0):
    """Fail if one of these objects still exists."""
    end = time.monotonic() + seconds
    while left := set(objects) & set(snapshot()):
        if time.monotonic() > end:
            raise Fail(f"still in the kernel: {sorted(left)}")
        time.sleep(0.1)
