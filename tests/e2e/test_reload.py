# SPDX-License-Identifier: Apache-2.0
"""SIGHUP: the agent reads its configuration again; a bad file changes nothing."""
import re
import signal

from harness import deadline
from harness.env import check, check_equal, wait_until
from harness.load import Request, run
from harness.origin import Origin
from harness.proxies import Nginx
from harness.sink import OtlpSink
from harness.spantap import Agent

SIDE_BY_SIDE = True


@deadline(30)
def test_reload(env):
    origin, sink = Origin(env), OtlpSink(env)
    proxy = Nginx(env, origin.port)
    config = env.write("spantap.yaml", f"pid: {proxy.pid}\nendpoint: {sink.endpoint}\nsample: 100\n")
    agent = Agent(env, "--config", config)
    run(proxy.port, [Request("/ok/1")], 1)
    sink.wait_spans(2)

    env.write("spantap.yaml", "pid: 1\nsample: lots\n")
    agent.process.send(signal.SIGHUP)
    wait_until(lambda: "not reloaded" in agent.process.output(), 5, "a bad file is named")
    check(re.search(r"spantap\.yaml:2: .*lots.* is not a number", agent.process.output()), agent.process.output())
    run(proxy.port, [Request("/ok/2")], 1)
    sink.wait_spans(4)

    env.write("spantap.yaml", f"pid: {proxy.pid}\nendpoint: {sink.endpoint}\nsample: 0\n")
    agent.process.send(signal.SIGHUP)
    wait_until(lambda: agent.process.output().count('msg="ready"') == 2, 5, "the new settings are in force")
    run(proxy.port, [Request("/ok/3")], 1)
    ledger = agent.stop()
    check_equal((ledger["created"], ledger["unsampled"]), (0, 2), "spans created and left out after the reload")
    check_equal(sink.span_count, 4, "spans at the sink")
