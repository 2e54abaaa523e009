# SPDX-License-Identifier: Apache-2.0
"""nginx, Envoy and HAProxy with their adapters while the agent dies, hangs, refuses or is none: requests neither fail
nor wait, and every span arrives or is counted. SPANTAP_ROUNDS scales the kills: 3 in `make test`, 100 in `make soak`.
"""
import os
import signal
import socket
import time

from harness import deadline
from harness.adapter_faults import Rig, percentile
from harness.env import check
from harness.fault_load import FaultLoad

SIDE_BY_SIDE = True

ROUNDS = int(os.environ.get("SPANTAP_ROUNDS", "1"))
KILLS = 3 if ROUNDS == 1 else 5 * ROUNDS
# The spans which a killed agent has taken and not sent: those of this time, its batch delay of 50 ms and the time that
# reading a ring, a request to the sink and its answer take.
LOST_WITH_AGENT_S = 0.5


@deadline(60 + 60 * ROUNDS)
def test_agent_killed_and_restarted(env):
    """Spans lost = those counted by the proxies' libraries + those that the killed agents had taken and not sent. The
    latter die with their only counter: each is shown to be of a request that ended shortly before a kill, and their
    number is what the libraries' counters leave."""
    rig = Rig.flowing(env)
    kills, before = [], None
    for round_ in range(KILLS):
        kills.append(rig.kill_agent(hang=round_ % 5 == 0))
        time.sleep((0.3, 0.0, 2.2)[round_ % 3])  # before the proxies notice, and after
        rig.start_agent()
        rig.wait_flowing()
        before = before or {lane: lane.holds() for lane in rig.lanes}
    held = rig.growth(before)
    done, account = rig.finish()
    account.check_no_failures()
    near = [m for m in account.missing if any(-LOST_WITH_AGENT_S <= m[1].end - at <= 0.1 for at in kills)]
    counted = sum(rig.claims.values())
    lost = len(account.missing) - counted
    env.figure(f"{len(kills)} kills under load: {account.requests} requests, 0 failed; {account.spans} spans arrived, "
               f"{counted} counted as dropped {dict(rig.claims)}, {lost} lost with the killed agents; missing by proxy "
               f"{account.missing_by_lane()}")
    env.figure(f"growth from the first to the last restart: {held}")
    check(0 <= lost <= len(near), f"{len(account.missing)} spans missing, {counted} counted, {len(near)} near a kill")
    late = [m for m in account.missing if not any(-LOST_WITH_AGENT_S <= m[1].end - at <= 0.1 for at in kills)]
    check(len(late) <= counted, f"{len(late)} spans are missing far from any kill, {counted} are counted: {late[:3]}")


@deadline(90)
def test_agent_absent_or_hanging(env):
    """Whatever is at the socket's path, requests neither fail nor wait; what was lost meanwhile is counted after."""
    rig = Rig.flowing(env)
    control = FaultLoad(env, rig.origin.port, "control")
    phases = [("agent", time.monotonic())]
    time.sleep(1.1)

    def phase(name, seconds=1.1):
        phases.append((name, time.monotonic()))
        time.sleep(seconds)

    rig.stop_agent()
    phase("nothing at the path")
    rig.path.write_text("no socket")
    phase("a file at the path")
    rig.path.unlink()
    rig.start_agent("--socket-allow-uid", 12345)
    phase("an agent that refuses", 1.2)
    check(rig.stop_agent().get("handoff_refused", 0) > 0, "refused")
    deaf = silent_listener(rig.path)
    phase("a listener that says nothing", 1.2)
    deaf.close()
    rig.path.unlink()
    rig.start_agent()
    rig.wait_flowing()
    phase("an agent that hangs", 0)
    rig.hang_agent(1.2)
    phases.append(("end", time.monotonic()))
    rig.agent.process.send(signal.SIGCONT)
    rig.wait_flowing()
    done, account = rig.finish()
    account.check_no_failures()
    account.check_counted(rig.claims)
    env.figure(f"{account.requests} requests, 0 failed; {account.spans} spans arrived, dropped and counted "
               f"{dict(rig.claims)}, missing by proxy {account.missing_by_lane()}")
    check_no_waiting(env, phases, {lane.name: requests for lane, requests in done.items()}, control.stop())


def check_no_waiting(env, phases, done, control):
    """p95 with an agent, and what the origin alone takes meanwhile, say how busy the machine is: a proxy that waited
    for an agent for a tenth of each second would be far slower than either."""
    windows = [(name, at, end) for (name, at), (_, end) in zip(phases, phases[1:])]
    slow = []
    for who, requests in {**done, "without a proxy": control}.items():
        took = {name: percentile(requests, 0.95, at, end) for name, at, end in windows}
        env.figure(f"{who}: p95, p99 in ms: " + ", ".join(
            f"{name} {took[name] * 1e3:.1f}, {percentile(requests, 0.99, at, end) * 1e3:.1f}"
            for name, at, end in windows))
        for name, at, end in windows[1:]:
            allowed = max(0.1, 5 * took["agent"], 5 * percentile(control, 0.95, at, end))
            if took[name] > allowed:
                slow.append(f"{who}, {name}: p95 {took[name] * 1e3:.1f} ms, allowed {allowed * 1e3:.1f}")
    check(not slow, "; ".join(slow))


def silent_listener(path):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(path))
    path.chmod(0o666)
    listener.listen(64)
    return listener
