# SPDX-License-Identifier: Apache-2.0
"""The harness itself against the real proxies, without spantap: what the other tests rely on."""
import hashlib

from harness import deadline
from harness.env import check_equal, wait_until
from harness.load import Request, get, run
from harness.origin import Origin, body_of
from harness.proxies import Envoy, HAProxy, Nginx
from harness.sink import OtlpSink

SHA = hashlib.sha256


def mixed_requests():
    return [
        Request("/ok/1"), Request("/ok/2", method="HEAD"), Request("/status/503/3"), Request("/nocontent/4"),
        Request("/bytes/200000/5"), Request("/chunked/100000/6"), Request("/close/50000/7"),
        Request("/echo/8", method="POST", body=body_of(70000)),
        Request("/echo/9", method="POST", body=body_of(30000), chunked=True),
        Request("/echo/10", method="POST", body=body_of(1000), expect=True),
        Request("/slow/20/11"), Request("/lines/5000/12"),
    ]


def check_answers(requests, name):
    for request in requests:
        what, number = request.path.split("/")[1], request.path.split("/")[2]
        wanted = {"status": int(number), "nocontent": 204}.get(what, 200)
        check_equal((request.error, request.status), ("", wanted), f"{name} {request.path}")
        if what in ("bytes", "chunked", "close", "lines"):
            check_equal(request.sha256, SHA(body_of(int(number))).hexdigest(), f"{name} body of {request.path}")


def test_proxies_pass_the_mix(env):
    origin = Origin(env)
    for kind in (Nginx, HAProxy, Envoy):
        proxy = kind(env, origin.port)
        before = len(origin.snapshot())
        requests = mixed_requests()
        if kind is not Nginx:  # nginx 1.22 takes 103 for the final answer
            requests.append(Request("/hints/13"))
        run(proxy.port, requests, 3)
        check_answers(requests, kind.__name__)
        check_equal(len(origin.snapshot()) - before, len(requests), f"requests behind {kind.__name__}")
        if kind is not Envoy:  # Envoy writes its log at the end; HAProxy's end loses what it has not written
            wait_until(lambda: len(proxy.access_log()) >= len(requests), 5, f"the log of {kind.__name__}")
        proxy.process.stop()
        log = proxy.access_log()
        check_equal(sorted(e["path"] for e in log), sorted(r.path for r in requests), f"log of {kind.__name__}")
        check_equal(sorted(int(e["status"]) for e in log), sorted(r.status for r in requests),
                    f"status codes in the log of {kind.__name__}")


@deadline(30)
def test_aborts_and_resets(env):
    origin = Origin(env)
    envoy = Envoy(env, [("/nowhere/", env.free_port()), ("/", origin.port)])
    check_equal(get(envoy.port, "/nowhere/1").status, 503, "no upstream")
    check_equal(get(envoy.port, "/reset/2").status, 503, "upstream reset")
    cut = get(envoy.port, "/cut/50000/3")
    check_equal((cut.status, bool(cut.error)), (200, True), "upstream cut")
    aborted = [Request("/delay/200/4", abort="request"), Request("/bytes/10000000/5", abort="response")]
    run(envoy.port, aborted)
    check_equal([r.status for r in aborted], [0, 200], "client aborts")


def test_envoy_tracer_to_sink(env):
    origin, sink = Origin(env), OtlpSink(env)
    envoy = Envoy(env, origin.port, tracer_port=sink.port)
    requests = [Request(f"/ok/{i}", headers=(("traceparent", f"00-{i + 1:032x}-{i + 1:016x}-01"),))
                for i in range(20)]
    run(envoy.port, requests, 4)
    spans = sink.wait_spans(20, 10)
    check_equal(len(spans), 20, "Envoy's spans")
    check_equal({s["trace_id"] for s in spans}, {f"{i + 1:032x}" for i in range(20)}, "trace ids")
    check_equal({s["kind"] for s in spans}, {"SERVER"}, "kinds")
    check_equal(sink.bad_requests, [], "undecodable bodies")
