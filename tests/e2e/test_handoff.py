# SPDX-License-Identifier: Apache-2.0
"""--socket: finished spans handed over by shared memory. Ends of either side, users, lies, a reload, and the cost."""
import errno
import json
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
import urllib.request

from harness import deadline, handoff, libspantap
from harness.env import REPO, Fail, check, check_equal, wait_until
from harness.handoff import RingProducer, attribute, record
from harness.sink import OtlpSink
from harness.spantap import Agent, binary, parse_ledger

SIDE_BY_SIDE = True

ROUNDS = int(os.environ.get("SPANTAP_ROUNDS", "1"))
LIBRARY_PROGRAM = REPO / "tests" / "e2e" / "harness" / "libspantap.py"
PROGRAM = REPO / "tests" / "e2e" / "harness" / "handoff.py"


class Rig:
    """A sink, a folder for the socket, and the options of an agent without a target."""

    def __init__(self, env, keep="spans"):
        self.env, self.sink = env, OtlpSink(env, keep=keep)
        self.folder = env.tmp / "run"
        self.folder.mkdir(mode=0o755)
        self.path = self.folder / "agent.sock"
        self.options = ["--socket", self.path, "--endpoint", self.sink.endpoint]

    def agent(self, *more, **how):
        return Agent(self.env, *self.options, *more, **how)


def ledger_of(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/ledger", timeout=5) as answer:
        return json.loads(answer.read())


@deadline(30)
def test_spans_arrive_whole_without_a_target(env):
    rig = Rig(env)
    agent = rig.agent()
    check_equal(stat.S_IMODE(rig.path.stat().st_mode), 0o666, "mode of the socket")
    producer = RingProducer(rig.path, "front")
    check_equal(producer.error, 0, "errno of the welcome")
    for number in range(1, 1001):
        check(producer.submit(record(number, attributes=[
            attribute(handoff.METHOD, "GET"), attribute(handoff.STATUS_CODE, 200),
            attribute(0, "mine", "my.own"), attribute(0, 1, "process.pid")])), "room in the ring")
    spans = rig.sink.wait_spans(1000)
    check_equal(sorted(int(s["span_id"], 16) for s in spans), list(range(1, 1001)), "span ids")
    span = spans[0]
    check_equal((span["name"], span["attributes"]["http.request.method"], span["attributes"]["my.own"]),
                ("GET /handoff", "GET", "mine"), "name and attributes")
    check_equal(span["attributes"]["http.response.status_code"], 200, "status code")
    check_equal((span["resource"]["service.name"], span["resource"]["process.pid"]), ("front", os.getpid()),
                "service and process of the resource")
    ledger = agent.stop()
    check_equal([ledger[k] for k in ("created", "acknowledged", "handoff_spans", "handoff_attached")],
                [1000, 1000, 1000, 1], "created, acknowledged, taken, attached")
    check(not rig.path.exists(), "the socket is removed")
    check(producer.ring.closed and producer.ended(), "the producer is told, and the connection ended")


@deadline(30)
def test_what_was_committed_survives_kill_9(env):
    rig = Rig(env)
    agent = rig.agent()
    fds = len(os.listdir(f"/proc/{agent.pid}/fd"))
    total = 0
    for round_ in range(10):
        child = subprocess.Popen([sys.executable, str(PROGRAM), str(rig.path), "500", f"killed{round_}"],
                                 stdout=subprocess.PIPE)
        env.on_exit(child.kill)
        total += int(child.stdout.readline())
        child.kill()
        child.wait()
    check_equal(total, 5000, "spans committed")
    rig.sink.wait_spans(total)
    wait_until(lambda: len(os.listdir(f"/proc/{agent.pid}/fd")) <= fds + 2, 5, "descriptors of dead producers are freed")
    with open(f"/proc/{agent.pid}/maps") as maps:
        check_equal(maps.read().count("memfd:spantap-ring"), 0, "rings of dead producers")
    ledger = agent.stop()
    check_equal((ledger["created"], ledger["acknowledged"]), (total, total), "created, acknowledged")


@deadline(60)
def test_agent_restarted_under_load_loses_nothing_uncounted(env):
    rig = Rig(env, keep="count")
    rounds, producers, stop = 6, [], threading.Event()

    def work(producer):
        number = 0
        while not stop.is_set():
            number += 1
            producer.submit(record(number))
            if number % 20 == 0:
                time.sleep(0.002)

    agent = rig.agent()
    for i in range(3):
        producers.append(RingProducer(rig.path, f"p{i}"))
    threads = [threading.Thread(target=work, args=(p,)) for p in producers]
    for thread in threads:
        thread.start()
    created = 0
    for _ in range(rounds):
        time.sleep(0.4)  # of load for each agent
        ledger = agent.stop()
        check_equal(ledger["dropped"], 0, "dropped by the agent")
        created += ledger["created"]
        agent = rig.agent()
    time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join()
    handed_off = sum(p.handed_off for p in producers)
    wait_until(lambda: all(p.ring.tail == p.ring.head for p in producers if p.connection), 5, "all rings are read")
    for producer in producers:
        producer.close()
    created += agent.stop()["created"]
    env.figure(f"{rounds} restarts: {handed_off} spans handed off, {sum(p.dropped for p in producers)} dropped by "
               f"producers while there was no agent")
    check_equal(created, handed_off, "created by the agents, handed off by the producers")
    check_equal(rig.sink.span_count, handed_off, "at the collector")


@deadline(30)
def test_drops_of_producers_are_in_the_ledger_and_metrics(env):
    rig = Rig(env)
    port = env.free_port()
    agent = rig.agent("--listen", f"127.0.0.1:{port}")
    producer = RingProducer(rig.path, ring_bytes=1)
    check_equal(producer.ring.data_bytes, 131072, "the smallest ring")
    agent.process.send(signal.SIGSTOP)
    while producer.submit(record(1)):
        pass
    for _ in range(9):
        producer.submit(record(2))
    agent.process.send(signal.SIGCONT)
    taken = producer.handed_off
    rig.sink.wait_spans(taken)
    wait_until(lambda: ledger_of(port).get("handoff_dropped.full") == 10, 5, "/ledger has the drops")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    for line in ('spantap_handoff_dropped_total{reason="full"} 10', "spantap_handoff_producers 1",
                 f"spantap_handoff_spans_total {taken}"):
        check(line in text, f"{line} in /metrics")
    ledger = agent.stop()
    check_equal((ledger["created"], ledger["handoff_dropped.full"]), (taken, 10), "created, dropped by the producer")


@deadline(30)
def test_who_lies_harms_nobody_else(env):
    rig = Rig(env)
    agent = rig.agent()
    good = RingProducer(rig.path, "good")
    child = subprocess.Popen([sys.executable, "-c", f"""
import sys; sys.path.insert(0, {str(PROGRAM.parent)!r})
from handoff import *
p = RingProducer({str(rig.path)!r}, "bad")
p.ring.word(HEAD).value = 2**64 - 8
while not p.ended(): time.sleep(0.001)
print(p.attach(), flush=True)
"""], stdout=subprocess.PIPE, text=True)
    env.on_exit(child.kill)
    for number in range(1, 2001):
        while not good.submit(record(number)):
            time.sleep(0.001)
    check_equal(child.communicate(timeout=10)[0].strip(), str(errno.EACCES), "errno of who lied and came again")
    rig.sink.wait_spans(2000)
    ledger = agent.stop()
    check_equal([ledger[k] for k in ("created", "handoff_quarantined", "handoff_refused")], [2000, 1, 1],
                "created, quarantined, refused")
    check("quarantined" in agent.process.output(), "it is said")


@deadline(30)
def test_users_who_are_not_allowed(env):
    rig = Rig(env)
    agent = rig.agent("--socket-allow-uid", 12345)
    check_equal(RingProducer(rig.path).error, errno.EACCES, "errno for user 0")
    child = subprocess.Popen([sys.executable, "-S", str(PROGRAM), str(rig.path), "7"], user=12345, group=12345,
                             extra_groups=[], stdout=subprocess.PIPE)
    env.on_exit(child.kill)
    check_equal(child.stdout.readline(), b"7\n", "spans of user 12345")
    rig.sink.wait_spans(7)
    check_equal(agent.stop()["handoff_refused"], 1, "refused")


@deadline(40)
def test_a_reload_keeps_the_rings(env):
    rig = Rig(env)
    agent = rig.agent()
    producer = RingProducer(rig.path)
    check(producer.submit(record(1)), "the first span")
    rig.sink.wait_spans(1)
    for number in range(2, 6):
        agent.process.send(signal.SIGHUP)
        wait_until(lambda: agent.process.output().count('msg="reloaded"') == number - 1, 10, "reloaded")
        check(producer.submit(record(number)), "a span after a reload")
        rig.sink.wait_spans(number)
    check(not producer.ring.closed and not producer.ended(), "the producer's ring is the first one")
    ledgers = [parse_ledger(line) for line in agent.process.output().splitlines() if line.startswith("ledger ")]
    check_equal(sum(l["created"] for l in ledgers) + agent.stop()["created"], 5, "created by the five runs")


@deadline(40)
def test_wrong_use_says_what_to_do(env):
    rig = Rig(env)
    others = env.tmp / "others"
    others.mkdir()
    others.chmod(0o777)
    precious = rig.folder / "precious"
    precious.write_text("x")
    rows = [
        ([], "no target; say what to observe with --pid N, --exe NAME, --port N or --cgroup PATH, or where spans are"),
        (["--socket", others / "s"], f"the folder {others} can be written by others (mode 0777)"),
        (["--socket", rig.folder / "none" / "s"], "No such file or directory; make it with mode 0755"),
        (["--socket", precious], "there is a file that is no socket"),
        (["--socket", "x" * 108], "is too long"),
        (["--socket", rig.path, "--socket", rig.path], "is given twice"),
        (["--exe", "x", "--socket-allow-uid", 1], "is given without socket"),
        (["--socket", rig.path, "--socket-allow-uid", "root"], "accepted: a user id, 0 to 4294967294"),
    ]
    for args, words in rows:
        done = subprocess.run([binary(), "agent", *map(str, args)], capture_output=True, text=True, timeout=20)
        check_equal(done.returncode, 2, f"exit code with {args}: {done.stderr}")
        check(words in done.stderr, f"{words!r} in {done.stderr!r}")
    check_equal(precious.read_text(), "x", "the file that was no socket")
    first = rig.agent()
    done = subprocess.run([binary(), "agent", "--socket", str(rig.path)], capture_output=True, text=True, timeout=20)
    check_equal(done.returncode, 2, "exit code of a second agent")
    check("another process listens there" in done.stderr, done.stderr)
    check_equal(RingProducer(rig.path).error, 0, "the first agent still answers")
    first.process.kill()
    check(rig.path.exists(), "a killed agent leaves its socket")
    second = rig.agent()
    check_equal(RingProducer(rig.path).error, 0, "the stale socket is replaced")
    second.stop()


@deadline(40)
def test_idle_producers_cost_next_to_nothing(env):
    rig = Rig(env)
    agent = rig.agent()
    producers = [RingProducer(rig.path, ring_bytes=1) for _ in range(100)]
    check(all(p.error == 0 for p in producers), "100 producers")
    time.sleep(1.5)  # a ring counts as calm after a second
    before = agent.process.cpu_seconds()
    seconds = 4.0
    time.sleep(seconds)
    share = (agent.process.cpu_seconds() - before) / seconds
    env.figure(f"agent with 100 idle producers: {100 * share:.2f} % of a core")
    check(share < 0.01, f"{100 * share:.2f} % of a core with 100 idle producers")
    agent.stop()


def library_program(env, path, spans, pause_us, service):
    if not libspantap.LIBRARY.exists():
        raise Fail(f"{libspantap.LIBRARY} is not built (make all)")
    child = subprocess.Popen([sys.executable, str(LIBRARY_PROGRAM), str(path), str(spans), str(pause_us), service],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    env.on_exit(child.kill)
    return child


@deadline(40)
def test_spans_of_the_library_survive_kill_9(env):
    rig = Rig(env)
    agent = rig.agent()
    for round_ in range(5):
        child = library_program(env, rig.path, 1000, 0, f"library{round_}")
        stats = json.loads(child.stdout.readline())
        child.kill()
        child.wait()
        check_equal((stats["handed_off"], stats["refused_agent"]), (1000, 0), "handed off, refused")
    span = rig.sink.wait_spans(5000)[-1]
    check_equal((span["name"], span["kind"], span["resource"]["process.pid"]), ("GET /library", "SERVER", child.pid),
                "name, kind, process")
    check_equal(span["attributes"], {"http.request.method": "GET", "http.response.status_code": 200}, "attributes")
    check_equal(span["resource"]["service.name"], "library4", "service")
    ledger = agent.stop()
    check_equal((ledger["created"], ledger["acknowledged"]), (5000, 5000), "created, acknowledged")


def rings_of(pid):
    with open(f"/proc/{pid}/maps") as maps:
        return maps.read().count("memfd:spantap-ring")


def producer_cost(pid):
    """(descriptors but those of a connection, anonymous KiB, mapped rings) of a producer."""
    with open(f"/proc/{pid}/status") as status:
        anonymous = next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
    links = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            links.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:  # it was just closed
            pass
    return sum(not link.startswith("socket:") for link in links), anonymous, rings_of(pid)


@deadline(120 if ROUNDS == 1 else 1500)
def test_agent_restarted_again_and_again(env):
    rig = Rig(env, keep="count")
    restarts = min(1000, 50 * ROUNDS) if ROUNDS > 1 else 12
    children = [library_program(env, rig.path, 0, 300, f"p{i}") for i in range(3)]
    created = claims = 0
    before = None
    dice = random.Random(7)
    for round_ in range(restarts):
        agent = rig.agent()
        if dice.random() < 0.8:
            wait_until(lambda: rings_of(agent.pid) == 3, 5, "three producers attached", interval=0.005)
            time.sleep(dice.choice((0, 0.03, 0.1)))
        if round_ == 5:
            before = [producer_cost(child.pid) for child in children]
        ledger = agent.stop()
        check_equal(ledger["dropped"], 0, "dropped by the agent")
        created += ledger["created"]
        claims += sum(v for k, v in ledger.items() if k.startswith("handoff_dropped."))
    agent = rig.agent()
    wait_until(lambda: all(producer_cost(child.pid)[-1] == 1 for child in children), 5, "one ring in each producer")
    after = [producer_cost(child.pid) for child in children]
    for child in children:
        child.stdin.write(b"end\n")
        child.stdin.flush()
    stats = [json.loads(child.stdout.readline()) for child in children]
    last = agent.stop()
    created += last["created"]
    claims += sum(v for k, v in last.items() if k.startswith("handoff_dropped."))
    handed_off = sum(s["handed_off"] for s in stats)
    dropped = sum(v for s in stats for k, v in s.items() if k.startswith("dropped_"))
    env.figure(f"{restarts} restarts: {handed_off} spans handed off, {dropped} dropped by producers, {claims} of them told "
               f"to agents; attached {[s['attached_times'] for s in stats]} times; (descriptors, anonymous KiB, rings) "
               f"{before} -> {after}")
    check_equal([s["flushed"] for s in stats], [0, 0, 0], "flushed")
    check_equal(sum(s["submitted"] for s in stats), handed_off + dropped, "submitted, handed off and dropped")
    check_equal((created, rig.sink.span_count), (handed_off, handed_off), "created by the agents, at the collector")
    check_equal(claims, dropped, "drops in the agents' ledgers")
    for (fds, anonymous, _), (fds_after, anonymous_after, rings) in zip(before, after):
        check(fds_after <= fds, f"descriptors of a producer: {fds} -> {fds_after}")
        check(anonymous_after <= anonymous + 300, f"anonymous KiB of a producer: {anonymous} -> {anonymous_after}")
        check_equal(rings, 1, "rings mapped by a producer")
