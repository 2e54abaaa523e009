# SPDX-License-Identifier: Apache-2.0
"""What happens to nginx, Envoy and HAProxy with their adapters when agents die, stop, hang, and when proxies do.

Never a failed request; never a lost span that is not counted. SPANTAP_ROUNDS scales the rounds (1 in `make test`, 20 in
`make soak`: 100 kills, 100 reloads), SPANTAP_PROXIES=nginx,envoy picks proxies.
"""
import os
import signal
import socket
import time

from harness import deadline
from harness.adapter_faults import Account, Rig, percentile
from harness.env import Fail, check, check_equal, wait_until
from harness.fault_load import FaultLoad

ROUNDS = int(os.environ.get("SPANTAP_ROUNDS", "1"))
KILLS = 3 if ROUNDS == 1 else 5 * ROUNDS
# The spans which a killed agent has taken and not sent: those of this time, its batch delay of 50 ms and the time that
# reading a ring, a request to the sink and its answer take.
LOST_WITH_AGENT_S = 0.5
GROWTH_BYTES = 2 << 20


def start(env, **load):
    """A rig under load whose spans flow."""
    rig = Rig(env)
    rig.start_agent()
    rig.begin(**load)
    rig.wait_flowing()
    time.sleep(0.3)
    rig.learn_kinds()
    env.figure("spans of a request: " + ", ".join(f"{l.name} {sorted(l.kinds)}" for l in rig.lanes))
    return rig


def finish(rig):
    """Ends load and agent; the account."""
    done = rig.end_load()
    rig.settle()
    rig.stop_agent()
    return done, Account(rig, done)


def growth(rig, before):
    """Fails if a lane's processes hold more than before, and go on to; what they do as text."""
    texts = []
    for lane in rig.lanes:
        now, old = None, before[lane]

        def as_before():  # connections that are being closed are in no table, and workers may still be ending
            nonlocal now
            now = lane.holds()
            return now["rings"] <= old["rings"] and now["descriptors"] <= old["descriptors"] + 1

        try:
            wait_until(as_before, 10, "", interval=0.2)
        except Fail:
            raise Fail(f"{lane.name} holds more: {dict(old)}, then {dict(now)}") from None
        check(now["rss"] - old["rss"] <= GROWTH_BYTES, f"memory of {lane.name}: {dict(old)}, then {dict(now)}")
        texts.append(f"{lane.name} {(now['rss'] - old['rss']) // 1024:+d} KiB, "
                     f"{now['descriptors'] - old['descriptors']:+d} descriptors")
    return "; ".join(texts)


@deadline(60 + 60 * ROUNDS)
def test_agent_killed_and_restarted(env):
    """Spans lost = those counted by the proxies' libraries + those that the killed agents had taken and not sent. The
    latter die with their only counter: each is shown to be of a request that ended shortly before a kill, and their
    number is what the libraries' counters leave."""
    rig = start(env)
    kills, before = [], None
    for round_ in range(KILLS):
        kills.append(rig.kill_agent(hang=round_ % 5 == 0))
        time.sleep((0.3, 0.0, 2.2)[round_ % 3])  # before the proxies notice, and after
        rig.start_agent()
        rig.wait_flowing()
        before = before or {lane: lane.holds() for lane in rig.lanes}
    held = growth(rig, before)
    done, account = finish(rig)
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
    check(len(late) <= counted, f"{len(late)} spans are missing that no kill explains, {counted} are counted: {late[:3]}")


@deadline(60 + 40 * ROUNDS)
def test_agent_stopped_and_restarted_in_order(env):
    rig = start(env)
    rounds = 3 * ROUNDS
    for round_ in range(rounds):
        rig.stop_agent()
        time.sleep((0.0, 0.4)[round_ % 2])
        rig.start_agent()
        rig.wait_flowing()
    done, account = finish(rig)
    account.check_no_failures()
    env.figure(f"{rounds} orderly restarts under load: {account.requests} requests, 0 failed; {account.spans} spans "
               f"arrived, counted as dropped {dict(rig.claims)}, missing by proxy {account.missing_by_lane()}")
    check_equal(len(account.missing), sum(rig.claims.values()), "missing spans, against the counted")


@deadline(60 + 60 * ROUNDS)
def test_proxy_reloaded(env):
    rig = start(env)
    rounds, before = {}, {lane: lane.holds() for lane in rig.lanes}
    for round_ in range(5 * ROUNDS):
        for lane in rig.lanes:
            lane.proxy.reload()
            rounds[lane.name] = round_ + 1
        time.sleep(0.3)
    held = growth(rig, before)
    done, account = finish(rig)
    account.check_no_failures()
    env.figure(f"reloads under load {rounds}: {account.requests} requests, 0 failed; {account.again} made again because "
               f"their kept connection had been closed; {account.spans} spans arrived, {len(account.missing)} missing, "
               f"counted {dict(rig.claims)}")
    check_equal(len(account.missing), sum(rig.claims.values()), "missing spans, against the counted")
    env.figure(f"growth: {held}")
    check(not rig.claims["full"] and not rig.claims["invalid"], f"dropped {dict(rig.claims)}")


@deadline(60 + 60 * ROUNDS)
def test_proxy_killed(env):
    """A request's span is certainly committed once a later one of its connection is answered: adapters hand a span off
    before the next request of the connection is read."""
    rig = start(env)
    killed = {}
    for _ in range(ROUNDS):
        for lane in rig.lanes:
            kill_proxy(rig, lane, killed.setdefault(lane, []))
    done, account = finish(rig)
    for lane, requests in done.items():
        attached = [r for r in requests if any(a <= r.end < b for a, b, _ in killed[lane])]
        certain = certainly_committed(attached)
        missing = [m for m in account.missing if m[0] is lane and m[1].key in certain]
        failed = [r for l, r in account.failed if l is lane]
        env.figure(f"{lane.name} killed {len(killed[lane])} times: {len(requests)} requests, {len(failed)} failed; "
                   f"{len(certain)} spans certainly committed before a kill, {len(missing)} missing")
        check(len(certain) > 20 and not missing, f"committed before the kill and not delivered: {missing[:3]}")
        away = [r for r in failed if not any(a - 0.2 <= r.end and r.start <= b + 0.2 for _, a, b in killed[lane])]
        check(not away, f"requests of {lane.name} failed while it was not killed: {away[:3]}")


def kill_proxy(rig, lane, times):
    """Appends (since when its spans flow, its death, when it answers again)."""
    rig.wait_flowing()
    began = time.monotonic()
    time.sleep(0.3)
    killed = time.monotonic()
    lane.kill9()
    time.sleep(0.1)
    if not answers(lane.proxy.port):
        lane.start_again()
    wait_until(lambda: answers(lane.proxy.port), 5, f"{lane.name} answers again")
    times.append((began, killed, time.monotonic()))
    rig.wait_flowing()
    rig.ledger()  # the agent answers


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def certainly_committed(requests):
    """Keys of answered requests with a later answered one on the same connection."""
    last, certain = {}, set()
    for request in sorted(requests, key=lambda r: r.start):
        if request.outcome == "ok":
            if request.socket in last:
                certain.add(last[request.socket])
            last[request.socket] = request.key
    return certain


@deadline(90)
def test_agent_absent_or_hanging(env):
    """Whatever is at the socket's path, requests neither fail nor wait; what was lost meanwhile is counted after."""
    rig = start(env)
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
    rig.folder.rename(rig.env.tmp / "gone")
    phase("no folder")
    (rig.env.tmp / "gone").rename(rig.folder)
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
    done, account = finish(rig)
    account.check_no_failures()
    check_equal(len(account.missing), sum(rig.claims.values()), f"missing spans, against the counted {dict(rig.claims)}")
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
            f"{name} {took[name] * 1e3:.1f}, {percentile(requests, 0.99, at, end) * 1e3:.1f}" for name, at, end in windows))
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


@deadline(40)
def test_agent_after_the_proxies(env):
    """Proxies first, without even the socket's folder: they attach within 2 s after the agent is there."""
    rig = Rig(env, folder=False)
    rig.begin()
    time.sleep(1.5)
    rig.make_folder()
    rig.start_agent()
    took = rig.wait_flowing()
    time.sleep(0.3)
    rig.learn_kinds()
    done, account = finish(rig)
    account.check_no_failures()
    env.figure(f"first spans of all proxies {took:.2f} s after the agent was ready; {account.requests} requests, "
               f"0 failed; dropped and counted {dict(rig.claims)}")
    check(took < 2.0, f"attached after {took:.2f} s")
    check_equal(len(account.missing), sum(rig.claims.values()), f"missing spans, against the counted {dict(rig.claims)}")
