# SPDX-License-Identifier: Apache-2.0
"""What is lost is counted, to the last event and span, and loss never makes a wrong span.

The answer to /s/CODE/N is CODE, so a span whose status is not in its path was paired wrongly.
"""
import re
import signal
import time

from harness import deadline, tools
from harness.env import check, check_equal, wait_until
from harness.proxies import Envoy, HAProxy, Nginx
from harness.sink import Answer, OtlpSink
from harness.spantap import Agent

CODES = (200, 404, 503, 201, 410)
TINY_RING = 65536

# Every connection walks through the codes; the query makes each request one of a kind.
LUA = """
local codes, n = {%s}, 0
function request()
  local parts = {}
  for i = 1, %d do
    n = n + 1
    parts[i] = wrk.format("GET", "/s/" .. codes[n %% #codes + 1] .. "/" .. n .. "?pad=" .. string.rep("x", n %% 300))
  end
  return table.concat(parts)
end
"""


def codes_origin(env):
    """An nginx that answers /s/CODE/anything with CODE."""
    locations = "".join(f"location /s/{code}/ {{ return {code} 'answer {code}'; }}\n" for code in CODES)
    return Nginx(env, name="origin", body="fine", log=False, extra=locations)


def start_load(env, port, seconds, pipeline=1, connections=32, extra=()):
    script = env.write("wrk.lua", LUA % (", ".join(map(str, CODES)), pipeline))
    return env.start("wrk", [tools.system("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script, *extra,
                             f"http://127.0.0.1:{port}"])


def finish_load(load):
    check_equal(load.wait(30), 0, "exit code of wrk")
    return int(re.search(r"(\d+) requests in", load.output())[1])


def stutter(agent, seconds):
    """Stops the agent for 60 ms out of each 100: the ring must overflow, however fast the machine is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and agent.process.running():
        agent.process.send(signal.SIGSTOP)
        time.sleep(0.06)
        agent.process.send(signal.SIGCONT)
        time.sleep(0.04)


def path_of(span):
    return span["attributes"].get("url.path") or re.sub(r"^https?://[^/]+", "", span["attributes"]["url.full"]).split("?")[0]


def wrong_spans(spans):
    """Spans whose status is not the one in their path, or whose path differs from their parent's."""
    by_id = {span["span_id"]: span for span in spans}
    wrong = []
    for span in spans:
        path = path_of(span)
        match = re.match(r"/s/(\d+)/(\d+)$", path)
        status = span["attributes"].get("http.response.status_code")
        if not match or (status is not None and status != int(match[1])):
            wrong.append((span["kind"], path, status))
        parent = by_id.get(span["parent_span_id"])
        if parent is not None and path_of(parent) != path:
            wrong.append((span["kind"], path, "child of", path_of(parent), span["attributes"].get("spantap.link.rule")))
    return wrong


def lossy_run(env, target, port, hooks="auto", pipeline=1, seconds=2, must_lose=True, least=100):
    sink = OtlpSink(env)
    agent = Agent(env, "--pid", target.pid, "--endpoint", sink.endpoint, "--hooks", hooks, "--ring-bytes", TINY_RING)
    load = start_load(env, port, seconds, pipeline)
    stutter(agent, seconds)
    requests = finish_load(load)
    ledger = agent.stop()  # checks both balances, exactly
    spans = sink.snapshot()
    lost = sum(count for name, count in ledger.items() if name.startswith("events_dropped."))
    env.figure(f"{requests} requests, {ledger['events_captured']} events, {lost} lost, {len(spans)} spans, "
               f"exchanges_lost={ledger.get('exchanges_lost', 0)} gaps_lost={ledger.get('gaps_lost', 0)}")
    check(lost > 0 or not must_lose, f"nothing was lost: this run proves nothing ({ledger})")
    check(len(spans) > least, f"too few spans to prove anything ({ledger})")
    check_equal(len(spans), ledger["acknowledged"], "spans at the sink against acknowledged")
    wrong = wrong_spans(spans)
    check_equal(wrong[:10], [], f"{len(wrong)} wrong spans of {len(spans)}; the first")
    incomplete = sum("http.response.status_code" not in span["attributes"] for span in spans)
    env.figure(f"{incomplete} of the spans say that their response was not seen")
    return spans, ledger


@deadline(60)
def test_tiny_ring_on_an_origin(env):
    origin = codes_origin(env)
    lossy_run(env, origin, origin.port, "socket")


@deadline(60)
def test_tiny_ring_by_system_calls(env):
    origin = codes_origin(env)
    lossy_run(env, origin, origin.port, "syscall")


@deadline(60)
def test_tiny_ring_pipelined(env):
    """Pipelining is where a lost response would shift every later one by one: after its first loss such a
    connection reports nothing more, so few spans are left to judge."""
    origin = codes_origin(env)
    lossy_run(env, origin, origin.port, pipeline=8, least=10)


@deadline(60)
def test_tiny_ring_on_envoy(env):
    """Both sides of a proxy, and the links inside it."""
    origin = codes_origin(env)
    proxy = Envoy(env, origin.port, log=False)
    lossy_run(env, proxy, proxy.port)


@deadline(60)
def test_tiny_ring_on_haproxy(env):
    origin = codes_origin(env)
    proxy = HAProxy(env, origin.port)
    lossy_run(env, proxy, proxy.port)


@deadline(60)
def test_slow_collector(env):
    """The queue overflows before a collector that takes 0.3 s for each batch: dropped, counted, balanced."""
    origin, sink = codes_origin(env), OtlpSink(env, keep="count")
    sink.script(*[Answer(delay=0.3, accept=True)] * 200)
    agent = Agent(env, "--pid", origin.pid, "--endpoint", sink.endpoint)
    requests = finish_load(start_load(env, origin.port, 3))
    ledger = agent.stop()
    env.figure(f"{requests} requests: {ledger}")
    check(ledger.get("dropped.queue_full", 0) > 0, "the queue never filled: this run proves nothing")
    # The batch that is under way when the drain ends may have been taken, but nobody said so: dropped (shutdown).
    unsure = sink.span_count - ledger["acknowledged"]
    check(0 <= unsure <= ledger.get("dropped.shutdown", 0), f"sink has {sink.span_count}: {ledger}")


@deadline(60)
def test_collector_comes_and_goes(env):
    """Refused, answered 503, cut, and back again: every span is acknowledged once or dropped with a reason."""
    origin = codes_origin(env)
    sink = OtlpSink(env, keep="count")
    agent = Agent(env, "--pid", origin.pid, "--endpoint", sink.endpoint)
    load = start_load(env, origin.port, 4, connections=2)
    wait_until(lambda: sink.span_count > 0, 3, "spans while all is well")
    sink.script(Answer(503), Answer(0), Answer(429, headers={"retry-after": "1"}), Answer(400))
    finish_load(load)
    wait_until(lambda: not sink._script, 10, "every scripted answer was asked for")
    ledger = agent.stop()
    env.figure(str(ledger))
    check(ledger.get("dropped.http_status", 0) > 0, "the batch that was refused with 400 is not in the ledger")
    # A connection that is cut after the request leaves open whether it was taken: resent, so >=.
    check(sink.span_count >= ledger["acknowledged"] > 0, f"sink has {sink.span_count}")


@deadline(60)
def test_balance_while_connections_come_and_go(env):
    """A connection per request: kernel-side state is made and freed all the time, while records get lost."""
    origin = codes_origin(env)
    sink = OtlpSink(env, keep="count")
    agent = Agent(env, "--pid", origin.pid, "--endpoint", sink.endpoint, "--ring-bytes", TINY_RING)
    load = start_load(env, origin.port, 2, extra=("-H", "Connection: close"))
    stutter(agent, 2)
    finish_load(load)
    ledger = agent.stop()
    env.figure(str(ledger))
    check_equal(sink.span_count, ledger["acknowledged"], "spans at the sink against acknowledged")
