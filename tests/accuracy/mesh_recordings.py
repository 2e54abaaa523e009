#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Records the meshes of tests/e2e/mesh for fit.py: a new set mesh-DATE in the cache, five minutes.

Applications behind sidecars, eight clients, after a calm of 160 requests only: what the servers of this folder do not show.
No header tells the truth here, so none is hidden; it comes from the logs of Envoys and applications (mesh/judge.py). These
sets are for fitting; the mesh's own bar is tried live (tests/e2e/test_mesh.py).
"""
import argparse
import collections
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import hide  # noqa: E402
import record_file  # noqa: E402
import recording  # noqa: E402
import server_table  # noqa: E402
from harness import Env  # noqa: E402
from harness.certificates import Certificates  # noqa: E402
from harness.spantap import Agent  # noqa: E402
from mesh import services  # noqa: E402
from mesh.judge import requests_of  # noqa: E402

PARENT_ID = re.compile(rb"\r\ntraceparent: *[0-9a-f]{2}-[0-9a-f]{32}-([0-9a-f]{16})-", re.I)
LOADS = ((1, 160), (8, 800))
BARE = (("go", "asyncio", "threads"), ("node", "go", "asyncio"), ("asyncio", "node", "go"), ("threads", "asyncio", "node"),
        ("asyncio", "go", "node"))
# (runtimes, tokens, TLS between the sidecars)
MESHES = tuple((runtimes, False, False) for runtimes in BARE) + (
    (("threads", "node", "go"), False, True), (("node", "go", "asyncio"), True, False))


def name_of(mesh, number):
    runtimes, tokens, tls = mesh
    return "-".join(["mesh", *runtimes, "tokens" if tokens else "bare", "mtls" if tls else "plain", str(number)])


def tell_truth(found, requests, applications):
    """Writes to each application's heads whose they are: of the request with the id that its sidecar sent."""
    came, sent = {}, collections.defaultdict(list)
    for entry, text in found:
        if entry["pid"] not in applications or not entry["request"]:
            continue
        if entry["client"]:
            sent[entry["local_port"], entry["path"]].append(entry)
        else:
            came[PARENT_ID.search(text).group(1).decode()] = entry

    def follow(inbound):
        came[inbound.span]["truth"] = inbound.span
        for call in inbound.calls:
            sent[call.peer_port, call.path][call.index]["truth"] = inbound.span
            follow(call.next)

    for one in requests:
        follow(one.next)


def record(mesh_of, number, folder):
    runtimes, tokens, tls = mesh_of
    name = name_of(mesh_of, number)
    env, failed = Env(name), True
    try:
        mesh = services.Mesh(env, runtimes, Certificates(env) if tls else None)
        target = folder / f"{name}.rec"
        agent = Agent(env, target, *[word for pid in mesh.pids for word in ("--pid", pid)], "--turns", "on",
                      "--ring-bytes", recording.RING, command="record")
        phases = []
        for load, (clients, total) in enumerate(LOADS):
            start = time.monotonic_ns()
            mesh.load(clients, total, tokens, seed=len(LOADS) * number + load)
            time.sleep(0.3)
            phases.append({"clients": clients, "start_ns": start, "end_ns": time.monotonic_ns()})
        recording.stop_whole(agent, name)
        mesh.stop()
        found = hide.heads_of(record_file.read(target))
        tell_truth(found, requests_of(mesh), {service.pid for service in mesh.services})
        recording.save_truth(folder, name, {"phases": phases, "entries": [entry for entry, _ in found]})
        failed = False
    finally:
        env.close(failed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=3, help="recordings of each mesh")
    times = parser.parse_args().times
    folder = server_table.cache_folder() / time.strftime("mesh-%Y%m%dT%H%M")
    folder.mkdir(parents=True)
    for number in range(1, times + 1):
        for mesh in MESHES:
            record(mesh, number, folder)
            print(name_of(mesh, number), flush=True)
    print(folder)


if __name__ == "__main__":
    main()
