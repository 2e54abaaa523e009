#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The accuracy bench: records what is missing, replays it through the linker, prints and writes the table.

    tests/accuracy/run.py                    # the tuning recordings and the newest fresh ones
    tests/accuracy/run.py --fresh            # records a new fresh set first
    tests/accuracy/run.py --only go,node     # some servers (or words of a recording's name, such as go-ample)

`make accuracy` builds what it needs. Needs root to record; a set that is recorded needs none.
"""
import argparse
import functools
import os
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import recording  # noqa: E402
import server_table  # noqa: E402


def programs_folder():
    return HERE.parents[1] / "build" / "accuracy"


def wanted(name, only):
    return not only or any(name == word or name.startswith(word + "-") for word in only.split(","))


def record(combination, folder, fresh):
    """A loaded machine may spoil a recording: there is a second attempt."""
    for last in (False, True):
        start = time.monotonic()
        try:
            recording.make(combination, folder, programs_folder(), fresh)
            print(f"recorded {combination.name} ({time.monotonic() - start:.0f} s)", flush=True)
            return
        except AssertionError:
            if last:
                raise


def record_missing(folder, only, fresh):
    """Returns {server: reason} of what cannot be had here."""
    skipped = {}
    folder.mkdir(parents=True, exist_ok=True)
    for combination in recording.combinations():
        if (folder / f"{combination.name}.truth.gz").exists() or not wanted(combination.name, only):
            continue
        if combination.server in skipped:
            continue
        try:
            record(combination, folder, fresh)
        except server_table.Unavailable as reason:
            skipped[combination.server] = str(reason)
            print(f"skip {combination.server}: {reason}", flush=True)
        except AssertionError as failure:
            skipped[combination.name] = f"could not be recorded: {str(failure).splitlines()[0]}"
            print(f"FAIL {combination.name}: {failure}", flush=True)
    return skipped


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fresh", action="store_true", help="record a new fresh set")
    parser.add_argument("--only", default="", help="names of servers or recordings, separated by commas")
    parser.add_argument("--set", choices=("tuning", "fresh"), help="only this set (while tuning: leave the fresh one)")
    parser.add_argument("--replay-options", default="", help="more options for spantap replay; prints only")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="recordings replayed at a time")
    parser.add_argument("--as-is", action="store_true", help="record nothing, measure what is there")
    parser.add_argument("--record-only", action="store_true", help="record what is missing, and end")
    options = parser.parse_args()
    names = [combination.name for combination in recording.combinations()]
    for word in filter(None, options.only.split(",")):
        if not any(wanted(name, word) for name in names):
            parser.error(f"--only: no recording is called {word!r}; there are:\n" + "\n".join(names))
    root = server_table.cache_folder()
    fresh = sorted(p for p in root.glob("fresh-*") if p.is_dir())
    if options.fresh:
        fresh.append(root / time.strftime("fresh-%Y%m%dT%H%M"))
    sets = [("Recordings for tuning", root / "tuning")] if options.set != "fresh" else []
    if fresh and options.set != "tuning":
        sets.insert(0, (f"Fresh recordings ({fresh[-1].name})", fresh[-1]))
    skipped = {}
    for _, folder in sets if not options.as_is else ():
        skipped.update(record_missing(folder, options.only, folder.name != "tuning"))
    if options.record_only:
        return 0
    import report
    chosen = functools.partial(wanted, only=options.only)
    more = options.replay_options.split()
    return report.run(sets, chosen, options.jobs, more, skipped, not (options.only or options.set or more))


if __name__ == "__main__":
    sys.exit(main())
