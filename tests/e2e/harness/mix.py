# SPDX-License-Identifier: Apache-2.0
"""The mixes of requests that the truth tests send: every way an HTTP/1 exchange goes right or wrong.

Deterministic by seed. /nowhere/ must be routed to a port where nobody listens.
"""
import random

from .env import check, check_equal
from .load import Request
from .origin import body_of

BIG = 10 * 1024 * 1024


def parent(dice):
    """A sampled traceparent header, as a pair."""
    return ("traceparent", f"00-{dice.getrandbits(128) | 1:032x}-{dice.getrandbits(64) | 1:016x}-01")


def kinds():
    """(weight, function of an id) for every kind of request in the mix."""
    post = dict(method="POST")
    return [
        (30, lambda i: Request(f"/ok/{i}")),
        (6, lambda i: Request(f"/ok/{i}", method="HEAD")),
        (3, lambda i: Request(f"/ok/{i}", method="DELETE")),
        (8, lambda i: Request(f"/status/{(301, 302, 307)[i % 3]}/{i}")),
        (10, lambda i: Request(f"/status/{(400, 404, 418, 429)[i % 4]}/{i}")),
        (8, lambda i: Request(f"/status/{(500, 502, 503)[i % 3]}/{i}")),
        (2, lambda i: Request(f"/nocontent/{i}")),
        (2, lambda i: Request(f"/notmodified/{i}")),
        (8, lambda i: Request(f"/echo/{i}", body=body_of(i % 5000), **post)),
        (5, lambda i: Request(f"/echo/{i}", body=body_of(100_000 + i), method="PUT")),
        (5, lambda i: Request(f"/echo/{i}", body=body_of(20_000), expect=True, **post)),
        (5, lambda i: Request(f"/echo/{i}", body=body_of(60_000), chunked=True, **post)),
        (2, lambda i: Request(f"/chunked/90000/{i}", body=body_of(30_000), chunked=True, expect=True, **post)),
        (8, lambda i: Request(f"/chunked/{(1, 5_000, 300_000)[i % 3]}/{i}")),
        (3, lambda i: Request(f"/lines/4000/{i}")),
        (6, lambda i: Request(f"/bytes/{(0, 100, 200_000)[i % 3]}/{i}")),
        (3, lambda i: Request(f"/close/{(0, 70_000)[i % 2]}/{i}")),
        (4, lambda i: Request(f"/delay/{i % 15}/{i}")),
        (3, lambda i: Request(f"/slow/{i % 15}/{i}")),
        (2, lambda i: Request(f"/hints/{i}")),
        (2, lambda i: Request(f"/reset/{i}")),
        (2, lambda i: Request(f"/cut/40000/{i}")),
        (3, lambda i: Request(f"/nowhere/{i}")),
        (2, lambda i: Request(f"/delay/150/abort-{i}", abort="request")),
        (2, lambda i: Request(f"/bytes/4000000/abort-{i}", abort="response", abort_delay=0)),
    ]


def mix(count, first, seed, equal_share=0.12):
    """`count` requests with unique paths, apart from `equal_share` that are all the same."""
    dice = random.Random(seed)
    weights, makers = zip(*kinds())
    requests = []
    for i in range(first, first + count):
        if dice.random() < equal_share:
            requests.append(Request("/ok/same"))
            continue
        request = dice.choices(makers, weights)[0](i)
        if dice.random() < 0.25:
            request.headers = (parent(dice),)
        requests.append(request)
    big = [Request(f"/bytes/{BIG}/big-{first}", digest=False),
           Request(f"/chunked/{BIG}/big-{first}", digest=False),
           Request(f"/echo/big-{first}", method="POST", body=body_of(BIG)),
           Request(f"/echo/bigc-{first}", method="PUT", body=body_of(BIG), chunked=True)]
    for place, request in enumerate(big):
        requests.insert((place + 1) * count // 6, request)
    return requests


def unique_mix(count, seed, without=()):
    """`count` requests, each with a path of its own."""
    dice = random.Random(seed)
    weights, makers = zip(*kinds())
    requests = []
    while len(requests) < count:
        request = dice.choices(makers, weights)[0](len(requests))
        if request.path.split("/")[1] in without:
            continue
        if dice.random() < 0.3:
            request.headers = (parent(dice),)
        requests.append(request)
    return requests


def check_load(requests):
    """The traffic itself is as intended; otherwise the comparison would judge something else."""
    for r in requests:
        what = r.path.split("/")[1]
        may_fail = r.abort or what in ("reset", "cut")
        check(may_fail or not r.error, f"the load itself failed: {r.method} {r.path}: {r.error}")
        if what == "nowhere":
            check_equal(r.status, 503, f"status of {r.path}")
