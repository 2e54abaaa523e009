# SPDX-License-Identifier: Apache-2.0
"""A program in embedded mode, run by test_embedded.py: `embedded.py WHAT [N]` does one thing with build/lib/libspantap.so,
prints what it saw as one line of JSON, and ends by exit() when its stdin does."""
import ctypes
import json
import os
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from libspantap import LibraryProducer  # noqa: E402


def tasks():
    return len(os.listdir("/proc/self/task"))


def fds():
    return len(os.listdir("/proc/self/fd"))


def plain(count):
    """Spans by one thread; when there are how many threads."""
    start = time.monotonic()
    producer = LibraryProducer("")
    seen = {"open_s": time.monotonic() - start, "attach": producer._lib.spantap_attach(producer._producer),
            "enabled": producer._lib.spantap_enabled(producer._producer), "flush_before": producer.flush(1000)}
    seen["tasks_before"] = tasks()
    seen["first"] = producer.submit()
    seen["tasks_after"] = tasks()
    seen["others"] = sorted({producer.submit() for _ in range(count - 1)}) if count > 1 else []
    return producer, seen


def flushed(count):
    producer, seen = plain(count)
    start = time.monotonic()
    seen["flushed"] = producer.flush(5000)
    seen["flush_s"] = time.monotonic() - start
    seen["stats"] = producer.stats()
    return seen


def many_threads(count):
    """Threads that come, hand off, close and go; descriptors afterwards."""
    first = LibraryProducer("")
    first.submit("first")
    time.sleep(0.3)
    before = fds()
    failed = []

    def work():
        producer = LibraryProducer("")
        for _ in range(count):
            while producer.submit() != 0:
                time.sleep(0.001)
        failed.extend(v for k, v in producer.stats().items() if k in ("dropped_too_large", "refused_agent") and v)
        producer._lib.spantap_producer_close(producer._producer)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    flushed_ = first.flush(5000)
    end = time.monotonic() + 4
    while fds() > before and time.monotonic() < end:
        time.sleep(0.05)
    return {"flushed": flushed_, "failed": failed, "fds_before": before, "fds_after": fds()}


def forks(count):
    """Children of a process that exports itself, and is busy: every second one hands off a span, the others only end."""
    libc = ctypes.CDLL(None)
    producer = LibraryProducer("")
    producer.submit("parent")
    done = threading.Event()

    def be_busy():
        while not done.is_set():
            other = LibraryProducer("")
            for _ in range(20):
                other.submit("busy")
            other._lib.spantap_producer_close(other._producer)
            time.sleep(0.002)

    busy = [threading.Thread(target=be_busy) for _ in range(2)]
    for thread in busy:
        thread.start()
    bad, longest = [], 0.0
    for first in range(0, count, 10):
        start, pids = time.monotonic(), []
        for number in range(first, min(first + 10, count)):
            pid = os.fork()
            if pid == 0:
                before = tasks()
                status = producer.submit(f"child {number}") if number % 2 == 0 else 0
                libc.exit(0 if status == 0 and before == 1 else 1)
            pids.append(pid)
        for pid in pids:
            if os.waitpid(pid, 0)[1] != 0:
                bad.append(pid)
        longest = max(longest, time.monotonic() - start)
    done.set()
    for thread in busy:
        thread.join()
    producer.submit("parent again")
    return {"bad": len(bad), "flushed": producer.flush(5000), "stats": producer.stats(), "longest_s": longest}


def main():
    what, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
    made = {"plain": lambda: plain(count)[1], "flushed": lambda: flushed(count), "forks": lambda: forks(count),
            "threads": lambda: many_threads(count)}[what]()
    print(json.dumps(made), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
