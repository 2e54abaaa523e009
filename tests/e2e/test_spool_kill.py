# SPDX-License-Identifier: Apache-2.0
"""The spool under `kill -9` and on disks that fail: what was acknowledged to disk arrives, span by span.

The witness is tests/tools/audit_spool.h: it writes down, in the driver's process, which spans' Append() returned OK.
span_sink says which arrived, and checks each bit by bit. SPANTAP_ROUNDS=N makes N times 20 kills; SPANTAP_SEED=N
repeats a run's choices.
"""
import contextlib
import os
import pathlib
import random
import subprocess
import threading
import time

from harness import deadline
from harness.driver import Driver, SpanSink
from harness.env import Skip, check, check_equal

SIDE_BY_SIDE = True

ROUNDS = int(os.environ.get("SPANTAP_ROUNDS", "1"))
KILLS = 20 * ROUNDS
BATCH = 200


def spooling(sink, seed, folder, *args, end="settled", **options):
    """Arguments of a driver with a spool: small batches, a small queue, everything quick."""
    return ["--seed", seed, "--endpoint", sink.endpoint, "--spool", folder, "--end", end, "--batch-target", 50,
            "--batch-spans", BATCH, "--queue-spans", 2000, "--delay-ms", 5, "--retry-initial-ms", 10,
            "--retry-max-ms", 50, "--timeout-ms", 1000, "--spool-rate", 1 << 30, *args]


def audited(path, seed):
    """The span indexes that the witness wrote down. A line cut by the kill counts up to its last whole range."""
    indexes = set()
    for line in path.read_text().splitlines() if path.exists() else ():
        head, ranges = line.split(" ", 1)
        check_equal(int(head), seed, "seed in the audit file")
        for part in ranges.split(","):
            first, last = part.split("-")
            indexes.update(range(int(first), int(last) + 1))
    return indexes


class Collector:
    """The sink, up or not, until the end of the block; then up."""

    def __init__(self, sink, mode, dice):
        self._sink, self._mode, self._dice = sink, mode, dice
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._flap)

    def _flap(self):
        while not self._over.wait(self._dice.uniform(0.005, 0.05)):
            self._sink.ask(self._dice.choice(("up", "down", "busy", "up")))

    def __enter__(self):
        if self._mode == "flapping":
            self._thread.start()
        else:
            self._sink.ask(self._mode)

    def __exit__(self, *_):
        self._over.set()
        if self._mode == "flapping":
            self._thread.join()
        self._sink.ask("up")


def recover(env, sink, seed, folder, *args):
    """A last run that makes nothing and sends what lies there. Returns its final event."""
    driver = Driver(env, *spooling(sink, seed, folder, "--spans", 0, "--settle-ms", 15000, *args))
    final = driver.finish(30)
    ledger = final["ledger"]
    check_equal((ledger["spooled"], ledger["in_flight"]), (0, 0), f"spooled and in flight in the end ({ledger['line']})")
    check_equal(ledger["created"], ledger["recovered"], "the last run's created against recovered")
    return final


def episode(env, sink, seed, dice, kills):
    """Some kills over one folder, then a recovery and the audit. Returns (audited, duplicates)."""
    folder, witness = env.tmp / f"spool-{seed}", env.tmp / f"audit-{seed}"
    segment = dice.choice((16 << 10, 128 << 10, 8 << 20))
    first, modes = 0, []
    for _ in range(kills):
        modes.append(dice.choice(("down", "down", "busy", "flapping", "up")))
        spans = dice.choice((2000, 20000))
        with Collector(sink, modes[-1], dice):
            driver = Driver(env, *spooling(sink, seed, folder, "--audit", witness, "--first", first, "--spans", spans,
                                           "--rate", dice.choice((5000, 40000)), "--spool-segment", segment, end="wait"))
            if dice.random() < 0.8:  # else it dies while it starts
                driver.wait_event("started")
            time.sleep(dice.uniform(0, 0.3))
            driver.process.kill()
        first += spans
    final = recover(env, sink, seed, folder)
    on_disk, seen, arrived = audited(witness, seed), sink.seen(seed), sink.run(seed)
    ledger = final["ledger"]
    label = f"seed {seed}, kills with the collector {', '.join(modes)}"
    check_equal(sorted(on_disk - seen)[:20], [], f"{label}: spans acknowledged to disk that never arrived ({ledger})")
    check_equal((ledger["dropped"], ledger["acknowledged"]), ({}, ledger["created"]), f"{label}: dropped, acknowledged")
    check(arrived["duplicates"] <= kills * BATCH,
          f"{label}: {arrived['duplicates']} duplicates, more than a batch of {BATCH} for each of {kills} kills")
    return len(on_disk), arrived["duplicates"]


@deadline(60 + 3 * KILLS)
def test_kill_9(env):
    base = int(os.environ.get("SPANTAP_SEED", time.time_ns() % 1_000_000))
    dice = random.Random(base)
    sink = SpanSink(env)
    killed = total = duplicates = 0
    seed = 1
    while killed < KILLS:
        kills = min(dice.randrange(1, 5), KILLS - killed)
        spans, again = episode(env, sink, seed, dice, kills)
        killed, total, duplicates, seed = killed + kills, total + spans, duplicates + again, seed + 1
    env.figure(f"{killed} kill -9 (SPANTAP_SEED={base}): {total} spans acknowledged to disk, 0 lost; "
               f"{duplicates} duplicates, at most {killed * BATCH}")


@deadline(60)
def test_stop_with_the_collector_down(env):
    """Nothing is lost by an orderly end: what is unsent goes to disk, and to the collector the next time."""
    sink = SpanSink(env)
    sink.ask("down")
    driver = Driver(env, *spooling(sink, 1, env.tmp / "spool", "--spans", 5000, "--back-pressure", end="wait"))
    driver.wait_event("made")
    driver.terminate()
    final = driver.finish(10)
    check_equal((final["ledger"]["spooled"], final["ledger"]["dropped"]), (5000, {}), "spooled, dropped")
    check(final["stop_ms"] <= 3000, f"it ended in {final['stop_ms']} ms with a drain of 2 s")
    sink.ask("up")
    check_equal(recover(env, sink, 1, env.tmp / "spool")["ledger"]["acknowledged"], 5000, "acknowledged afterwards")
    check_equal(sink.run(1)["distinct"], 5000, "spans at the sink")


@contextlib.contextmanager
def mounted(path, *options):
    path.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", path], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Skip(f"no tmpfs can be mounted here: {error}") from None
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=False)


@deadline(60)
def test_disk_full(env):
    """A full disk degrades to memory with a line in the log; what is on it still arrives."""
    sink = SpanSink(env)
    sink.ask("down")
    with mounted(env.tmp / "small", "size=512k") as disk:
        witness = env.tmp / "audit"
        driver = Driver(env, *spooling(sink, 1, disk / "spool", "--audit", witness, "--spans", 20000, "--rate", 20000,
                                       end="wait"))
        driver.wait_event("made")
        driver.terminate()
        final = driver.finish(10)
        ledger, spool = final["ledger"], final["status"]["spool"]
        check(spool["append_errors"] > 0, f"the disk was full: {spool}")
        check(ledger["spooled"] > 0 and set(ledger["dropped"]) <= {"queue_full", "shutdown"}, f"{ledger['line']}")
        check("spool" in driver.process.output() and "space" in driver.process.output(),
              f"the log says that the disk is full:\n{driver.process.tail(10)}")
        on_disk = audited(witness, 1)
        check_equal(len(on_disk), ledger["spooled"], "spans on disk by the witness against the ledger")
        sink.ask("up")
        again = recover(env, sink, 1, disk / "spool")
        check_equal((again["ledger"]["recovered"], again["ledger"]["dropped"]), (len(on_disk), {}),
                    "recovered, dropped")
        check_equal(sink.seen(1), on_disk, "indexes at the sink against those on disk")


@deadline(60)
def test_folder_that_cannot_be_written(env):
    """Read-only, a file in its place, or another process's: said in the log, and the run goes on without a spool."""
    sink = SpanSink(env)
    with mounted(env.tmp / "read_only", "ro") as disk:
        (env.tmp / "file").write_text("no folder")
        holder = Driver(env, *spooling(sink, 99, env.tmp / "taken", "--spans", 0, end="wait"))
        holder.wait_event("started")
        for seed, folder in enumerate((disk / "spool", env.tmp / "file", env.tmp / "no" / "parent", env.tmp / "taken"), 1):
            driver = Driver(env, *spooling(sink, seed, folder, "--spans", 1000, "--back-pressure"))
            ledger = driver.finish(15)["ledger"]
            check_equal((ledger["acknowledged"], ledger["dropped"]), (1000, {}), f"{folder}: acknowledged, dropped")
            check("spool state=off" in driver.process.output(), f"the log says so:\n{driver.process.tail(10)}")
        holder.terminate()
        holder.finish(10)


def filled(env, sink, seed, folder, spans=4000):
    """Segments of an orderly end with the collector down, and which spans lie in them."""
    sink.ask("down")
    witness = env.tmp / f"audit-{seed}"
    driver = Driver(env, *spooling(sink, seed, folder, "--audit", witness, "--spans", spans, "--back-pressure",
                                   "--spool-segment", 64 << 10, end="wait"))
    driver.wait_event("made")
    driver.terminate()
    check_equal(driver.finish(10)["ledger"]["spooled"], spans, "spooled")
    sink.ask("up")
    check_equal(len(audited(witness, seed)), spans, "spans that the witness saw")
    return sorted(p for p in folder.iterdir() if p.is_file() and p.stat().st_size > 4096)


def _flip(path, dice):
    data = bytearray(path.read_bytes())
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    path.write_bytes(data)


def _cut(path, dice):
    os.truncate(path, dice.randrange(path.stat().st_size))


def _overwrite(path, dice):
    data = bytearray(path.read_bytes())
    at = dice.randrange(len(data))
    data[at:at + 4096] = dice.randbytes(min(4096, len(data) - at))
    path.write_bytes(data)


DAMAGES = {
    "flipped": _flip, "cut": _cut, "overwritten": _overwrite,
    "empty": lambda path, dice: os.truncate(path, 0),
    "garbage": lambda path, dice: path.write_bytes(dice.randbytes(100_000)),
    "zeros": lambda path, dice: path.write_bytes(bytes(100_000)),
    "gone": lambda path, dice: path.unlink(),
    "a folder": lambda path, dice: (path.unlink(), path.mkdir()),
}


@deadline(60 + 10 * ROUNDS)
def test_damaged_segments(env):
    """One segment damaged in each way: the others arrive whole, what arrives is right, and the next start is clean."""
    base = int(os.environ.get("SPANTAP_SEED", time.time_ns() % 1_000_000))
    dice = random.Random(base)
    sink = SpanSink(env)
    lost = {}
    for seed, name in enumerate(list(DAMAGES) * ROUNDS, 1):
        folder = env.tmp / f"spool-{seed}"
        segments = filled(env, sink, seed, folder)
        check(len(segments) >= 10, f"many segments: {segments}")
        DAMAGES[name](dice.choice(segments), dice)
        final = recover(env, sink, seed, folder)
        arrived = sink.run(seed)["distinct"]
        what = f"a segment is {name} (SPANTAP_SEED={base}, seed {seed})"
        # A segment holds 64 KiB and the batch that crosses that line: some 150 spans each of 300 bytes.
        check(4000 - arrived <= 600, f"{what}: {4000 - arrived} of 4000 spans are lost")
        lost[name] = max(lost.get(name, 0), 4000 - arrived)
        ledger = final["ledger"]
        check_equal(ledger["acknowledged"], arrived, f"{what}: acknowledged against the sink ({ledger['line']})")
        check(set(ledger["dropped"]) <= {"spool_damaged"}, f"{what}: dropped ({ledger['line']})")
        again = recover(env, sink, seed, folder)
        check_equal((again["ledger"]["created"], again["status"]["spool"]["segments"]), (0, 0),
                    f"{what}: spans and segments at the next start")
    env.figure("spans lost of 4000 with one damaged segment: " + ", ".join(f"{n} {k}" for n, k in lost.items()))


@deadline(60)
def test_limits_of_size_and_age(env):
    sink = SpanSink(env)
    sink.ask("down")
    folder = env.tmp / "spool"
    driver = Driver(env, *spooling(sink, 1, folder, "--spans", 10000, "--back-pressure", "--spool-bytes", 500_000,
                                   "--spool-segment", 64 << 10, end="wait"))
    driver.wait_event("made")
    driver.terminate()
    ledger = driver.finish(10)["ledger"]
    check(ledger["dropped"].get("spool_full", 0) > 0 and set(ledger["dropped"]) == {"spool_full"}, ledger["line"])
    size = sum(p.stat().st_size for p in pathlib.Path(folder).iterdir())
    check(size <= 500_000 + 4096, f"{size} bytes on disk with a limit of 500,000")
    time.sleep(2.1)
    sink.ask("up")
    final = recover(env, sink, 1, folder, "--spool-age-s", 1)
    check_equal(final["ledger"]["acknowledged"], sink.run(1)["arrived"], "acknowledged against the sink")
    check_equal(final["ledger"]["acknowledged"], 0, f"sent although they are too old ({final['ledger']['line']})")
