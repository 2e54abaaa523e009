# SPDX-License-Identifier: Apache-2.0
"""What happens to nginx, Envoy and HAProxy with their adapters when agents come and go, and when they are reloaded or
die themselves: no failed request, no lost span that is not counted. Agents that die or hang: test_adapter_waits.py.
"""
import os
import time

from harness import deadline
from harness.adapter_faults import Rig
from harness.env import check, check_equal, wait_until
from harness.load import get

SIDE_BY_SIDE = True

ROUNDS = int(os.environ.get("SPANTAP_ROUNDS", "1"))


@deadline(60 + 40 * ROUNDS)
def test_agent_stopped_and_restarted_in_order(env):
    rig = Rig.flowing(env)
    rounds = 3 * ROUNDS
    for round_ in range(rounds):
        rig.stop_agent()
        time.sleep((0.0, 0.4)[round_ % 2])
        rig.start_agent()
        rig.wait_flowing()
    done, account = rig.finish()
    account.check_no_failures()
    env.figure(f"{rounds} orderly restarts under load: {account.requests} requests, 0 failed; {account.spans} spans "
               f"arrived, counted as dropped {dict(rig.claims)}, missing by proxy {account.missing_by_lane()}")
    account.check_counted(rig.claims)


@deadline(60 + 60 * ROUNDS)
def test_proxy_reloaded(env):
    rig = Rig.flowing(env)
    rounds, before = {}, {lane: lane.holds() for lane in rig.lanes}
    for round_ in range(5 * ROUNDS):
        for lane in rig.lanes:
            lane.proxy.reload()
            rounds[lane.name] = round_ + 1
        time.sleep(0.3)
    held = rig.growth(before)
    done, account = rig.finish()
    account.check_no_failures()
    env.figure(f"reloads under load {rounds}: {account.requests} requests, 0 failed; {account.again} made again as "
               f"their kept connection had been closed; {account.spans} spans arrived, missing by proxy "
               f"{account.missing_by_lane()}, counted {dict(rig.claims)}")
    account.check_counted(rig.claims)
    env.figure(f"growth: {held}")
    check(not rig.claims["full"] and not rig.claims["invalid"], f"dropped {dict(rig.claims)}")


@deadline(60 + 60 * ROUNDS)
def test_envoy_restarted_hot(env):
    """The next epoch takes the listener over, the one before drains and ends: Envoy's reload of everything."""
    base = os.getpid()
    rig = Rig.flowing(env, names=("envoy",), hot=(base, 0))
    lane, rounds = rig.lanes[0], 2 * ROUNDS
    for epoch in range(1, rounds + 1):
        before = lane.proxy.process
        lane.start_again(hot=(base, epoch))
        wait_until(lambda: not before.running(), 15, "the epoch before has ended")
        check_equal(before.returncode, 0, "its exit code")
    done, account = rig.finish()
    account.check_no_failures()
    env.figure(f"{rounds} hot restarts of Envoy under load: {account.requests} requests, 0 failed, {account.again} "
               f"made again; {account.spans} spans arrived, {len(account.missing)} missing, counted {dict(rig.claims)}")
    account.check_counted(rig.claims)


@deadline(60 + 60 * ROUNDS)
def test_proxy_killed(env):
    """A request's span is certainly committed once a later one of its connection is answered: adapters hand a span off
    before the next request of the connection is read."""
    rig = Rig.flowing(env)
    killed = {}
    for _ in range(ROUNDS):
        for lane in rig.lanes:
            kill_proxy(rig, lane, killed.setdefault(lane, []))
    done, account = rig.finish()
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
    began, count = time.monotonic(), rig.count_of(lane)
    wait_until(lambda: rig.count_of(lane) >= count + 100, 10, f"100 spans of {lane.name}")
    killed = time.monotonic()
    lane.kill9()
    wait_until(lambda: served_again(lane), 10, f"{lane.name} answers again")
    times.append((began, killed, time.monotonic()))
    rig.wait_flowing()
    rig.ledger()  # the agent answers


def served_again(lane):
    """Whether it answers; by a worker that its master has started, or by a new start if all of it has died."""
    if not lane.proxy.process.running():
        lane.start_again()
    return get(lane.proxy.port, "/ok/probe").status == 200


def certainly_committed(requests):
    """Keys of answered requests with a later answered one on the same connection."""
    last, certain = {}, set()
    for request in sorted(requests, key=lambda r: r.start):
        if request.outcome == "ok":
            if request.socket in last:
                certain.add(last[request.socket])
            last[request.socket] = request.key
    return certain


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
    done, account = rig.finish()
    account.check_no_failures()
    env.figure(f"first spans of all proxies {took:.2f} s after the agent was ready; {account.requests} requests, "
               f"0 failed; dropped and counted {dict(rig.claims)}")
    check(took < 2.0, f"attached after {took:.2f} s")
    account.check_counted(rig.claims)
