# SPDX-License-Identifier: Apache-2.0
"""Makes one recording: a server under four loads in turn, `spantap record` beside it, the truth taken out.

One server process lives through all loads, the calm one first, as in production; so what the linker learned in the calm
is there when it gets busy. Product: NAME.rec, what the linker gets, and NAME.truth.gz, what only the judge reads.
"""
import dataclasses
import gzip
import json
import subprocess
import time

import hide
import server_table
from harness import Env
from harness.spantap import Agent

# (clients, requests)
LOADS = ((1, 480), (8, 1600), (32, 2400), (128, 2560))
THINK_MS = 5
RING = "64MiB"
ROUTES = {"plain": 6, "work": 8}


@dataclasses.dataclass(frozen=True)
class Combination:
    """One recording; with a load it is a cell of the table."""
    server: str
    pool: int       # 0: ample
    tokens: int     # 0 or 1
    routes: str = "plain"

    @property
    def name(self):
        return "-".join([self.server, f"pool{self.pool}" if self.pool else "ample", "tokens" if self.tokens else "bare",
                         self.routes])


def combinations():
    for server in server_table.SERVERS:
        for pool in server.pools:
            for tokens in (0, 1):
                yield Combination(server.name, pool, tokens)
        yield Combination(server.name, 0, 0, "work")


def seed_of(combination, fresh):
    """Fixed for a tuning recording; a fresh one has requests that nobody has seen."""
    base = sum(ord(c) * 31 ** i for i, c in enumerate(combination.name)) % 1_000_003
    return base + (time.time_ns() // 1_000_000_000 % 1_000_000_007 if fresh else 0)


def make(combination, folder, programs, fresh):
    """Records it into `folder`; raises server_table.Unavailable or AssertionError."""
    server = server_table.by_name(combination.server)
    server_table.install(server)
    out = server_table.build_folder(server_table.cache_folder())
    server_table.run_build(server, out)
    env, failed = Env(combination.name), True
    try:
        _record(env, combination, server, out, folder, programs, seed_of(combination, fresh))
        failed = False
    finally:
        env.close(failed)


def _record(env, combination, server, out, folder, programs, seed):
    ports = [env.free_port() for _ in range(4)]
    env.start("backends", [programs / "backends", seed, *ports[1:]], port=ports[3])
    settings = {"LISTEN_PORT": str(ports[0]), "BACKENDS": ",".join(map(str, ports[1:])), "POOL": str(combination.pool),
                "SEED": str(seed)}
    pids = server_table.start_server(env, server, settings, out)
    time.sleep(0.5)
    raw = env.tmp / "raw.rec"
    targets = [word for pid in pids for word in ("--pid", pid)]
    agent = Agent(env, raw, *targets, "--turns", "on", "--ring-bytes", RING, command="record")
    phases = [_phase(env, combination, ports[0], programs, seed, number, load) for number, load in enumerate(LOADS)]
    stop_whole(agent, combination.name)
    entries, recording = hide.rewrite(raw, folder / f"{combination.name}.rec")
    if not recording.counted:
        raise AssertionError(f"{combination.name}: no head carries the thread's counters")
    truth = {"combination": dataclasses.asdict(combination), "seed": seed, "phases": phases, "pids": pids,
             "entries": entries}
    save_truth(folder, combination.name, truth)


def stop_whole(agent, name):
    """Ends `spantap record`; a recording that lost events is none."""
    lost = {key: value for key, value in agent.stop(20).items() if key.startswith("events_dropped.") and value}
    if lost:
        raise AssertionError(f"{name}: events were lost: {lost}")


def save_truth(folder, name, truth):
    (folder / f"{name}.truth.gz").write_bytes(gzip.compress(json.dumps(truth).encode(), 3))


def load_truth(folder, name):
    return json.loads(gzip.decompress((folder / f"{name}.truth.gz").read_bytes()))


def _phase(env, combination, port, programs, seed, number, load):
    clients, total = load
    start = time.monotonic_ns()
    done = subprocess.run([programs / "load", *map(str, (port, clients, total, ROUTES[combination.routes],
                                                         combination.tokens, THINK_MS, seed + number, number))],
                          capture_output=True, text=True, timeout=120)
    result = json.loads(done.stdout or "{}")
    # What fails in a server under load (Puma hangs up now and then) is part of life; a server that fails is none.
    if not result or result["unfinished"] or result["bad"] > total * 0.005:
        raise AssertionError(f"{combination.name}, {clients} clients: the load failed: {done.stdout} {done.stderr}")
    time.sleep(0.3)
    return {"clients": clients, "start_ns": start, "end_ns": time.monotonic_ns(), **result}
