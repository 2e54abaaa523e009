# SPDX-License-Identifier: Apache-2.0
"""nginx and HAProxy observed like Envoy, judged by their own access logs and their upstream's."""
import collections
import random

import truth
from harness import deadline
from harness.env import check, check_equal
from harness.load import Request, run
from harness.origin import Origin
from harness.proxies import HAProxy, Nginx
from harness.sink import OtlpSink
from harness.spantap import Agent
from test_truth_envoy import check_load, kinds

NO_RESPONSE = {499: 0, -1: 0}  # what nginx and HAProxy log when the client left before the answer


def unique_mix(count, seed, without=()):
    dice = random.Random(seed)
    weights, makers = zip(*kinds())
    requests = []
    while len(requests) < count:
        request = dice.choices(makers, weights)[0](len(requests))
        if request.path.split("/")[1] in without:
            continue
        if dice.random() < 0.3:
            parent = f"00-{dice.getrandbits(128) | 1:032x}-{dice.getrandbits(64) | 1:016x}-01"
            request.headers = (("traceparent", parent),)
        requests.append(request)
    return requests


def observe(env, kind, requests):
    """Returns (access log, origin log, views of SERVER spans, views of CLIENT spans)."""
    origin, sink = Origin(env), OtlpSink(env)
    proxy = kind(env, [("/nowhere/", env.free_port()), ("/", origin.port)])
    agent = Agent(env, "--pid", proxy.pid, "--endpoint", sink.endpoint)
    run(proxy.port, requests[: len(requests) // 4], 1)
    run(proxy.port, requests[len(requests) // 4:], 8)
    ledger = agent.stop(15)
    proxy.process.stop()
    check_equal(sink.span_count, ledger["acknowledged"], "spans at the sink against the ledger")
    check_equal(ledger["created"], ledger["acknowledged"], "created against acknowledged")
    spans = [dict(truth.spantap_view(s), kind=s["kind"]) for s in sink.snapshot()]
    servers = [s for s in spans if s["kind"] == "SERVER"]
    clients = [s for s in spans if s["kind"] == "CLIENT"]
    return proxy.access_log(), origin.snapshot(), servers, clients


def one_per_path(views, wanted_paths, what):
    """{path: view}; Fail unless every wanted path has exactly one."""
    counts = collections.Counter(v["path"] for v in views)
    wanted = collections.Counter(wanted_paths)
    missing, extra = wanted - counts, counts - wanted
    check(not missing and not extra, f"{what}: missing {list(missing)[:8]}, left over {list(extra)[:8]} "
                                     f"({sum(missing.values())} and {sum(extra.values())})")
    return {v["path"]: v for v in views}


def check_proxy(env, kind, requests):
    access, asked, servers, clients = observe(env, kind, requests)
    check_load([r for r in requests if "/nowhere/" not in r.path])  # nginx says 502 where others say 503
    logged = {e["path"]: NO_RESPONSE.get(int(e["status"]), int(e["status"])) for e in access}
    # HAProxy neither answers nor logs a request whose reused upstream connection was reset.
    unlogged = [r for r in requests if r.path not in logged]
    check(all("/reset/" in r.path and kind is HAProxy for r in unlogged), "every request is in the access log")
    by_path = one_per_path(servers, [r.path for r in requests], "server spans")
    different = []
    for request in requests:
        got = by_path[request.path]
        if (got["method"], got["status"]) != (request.method, logged.get(request.path, request.status)):
            different.append(f"{truth.text(vars(request))}, logged {logged.get(request.path)}: {truth.text(got)}")
    client_of = one_per_path(clients, [e["path"] for e in asked], "client spans")
    check_upstream(different, asked, client_of)
    rules, wrong, traces = check_links(requests, by_path, client_of)
    env.figure(f"{kind.__name__}: {len(servers)} server and {len(clients)} client spans for {len(access)} requests, "
               f"{len(asked)} of them sent on; different {len(different)}; links {dict(rules)}, wrong {len(wrong)}")
    check(not different, f"different: {len(different)}, first {different[:8]}")
    check(not wrong, f"not linked to its server span: {len(wrong)}, first {wrong[:8]}")
    check(not traces, f"trace context: {len(traces)}, first {traces[:8]}")


def check_upstream(different, asked, client_of):
    for entry in asked:
        got = client_of[entry["path"]]
        statuses = {entry["status"]} | ({0} if "/abort" in entry["path"] else set())
        if got["method"] != entry["method"] or got["status"] not in statuses:
            different.append(f"client {truth.text(entry)}: {truth.text(got)}")


def check_links(requests, by_path, client_of):
    """Every client span hangs on its server span; a traceparent passed on verbatim names no span of ours."""
    rules, wrong, traces = collections.Counter(), [], []
    for path, client in client_of.items():
        server = by_path[path]
        rules[client["rule"]] += 1
        if client["parent"] != server["id"] or client["trace"] != server["trace"] or client["confidence"] < 0.9:
            wrong.append(f"{path} rule {client['rule']!r} confidence {client['confidence']}")
    for request in requests:
        header = dict(request.headers).get("traceparent")
        if not header:
            continue
        trace, parent = truth.split_traceparent(header)
        server, client = by_path[request.path], client_of.get(request.path)
        if (server["trace"], server["parent"], server["rule"]) != (trace, parent, "wire"):
            traces.append(f"{request.path}: server span {server['trace']} below {server['parent']} by {server['rule']!r}")
        if client and client["id"] in (parent, server["id"]):
            traces.append(f"{request.path}: the client span has the id of another span")
    return rules, wrong, traces


@deadline(60)
def test_nginx(env):
    check_proxy(env, Nginx, unique_mix(600, 11, without=("hints",)))


@deadline(60)
def test_haproxy(env):
    check_proxy(env, HAProxy, unique_mix(600, 12))
