# SPDX-License-Identifier: Apache-2.0
"""The table of test_faults.py: what the collector does (fake_collector/README.md), and what must become of the spans.

Every row sends 300 spans in three batches of 100 unless it says otherwise, to a fake collector that does `acts` with
the requests in turn, the last one for ever. What is not said must not happen: no drop, no fault, no growth.
"""
import dataclasses
import re

SPANS, BATCH = 300, 100
OK = {"do": "ok"}
STOP_DRAIN_MS = 200


@dataclasses.dataclass
class Row:
    name: str
    acts: list = dataclasses.field(default_factory=lambda: [OK])
    script: dict = dataclasses.field(default_factory=dict)  # besides acts
    args: tuple = ()                 # of export_driver, besides the defaults of test_faults.py
    spans: int = SPANS
    dropped: dict = dataclasses.field(default_factory=dict)  # exactly, by reason
    any_of: tuple = None             # instead: only these reasons, in any number
    requests: tuple = None           # (least, most) that the collector saw
    waits: tuple = None              # (least, most) seconds between the first request and its retry
    stop: bool = False               # SIGTERM while it hangs in the first act
    cause: str = ""                  # a pattern that the log must have
    second: dict = None              # script of a second collector, for fail-over
    second_requests: tuple = None
    endpoint: str = ""               # instead of the collector's own; {port}, {port2}
    env: dict = dataclasses.field(default_factory=dict)
    clock_jumps: bool = False
    check: object = None             # a function of the collector's requests
    odd_requests: bool = False       # the collector may find fault with requests: they are for another protocol
    duplicates: bool = False         # answers may be lost on their way: what was acknowledged comes again
    rss_mib: int = 40


def grpc(row):
    row.script = {"protocol": "grpc", **row.script}
    return row


def status(code, **more):
    return {"do": "status", "code": code, **more}


def raw(data, **more):
    return {"do": "raw", "bytes": data, **more}


# ---------------------------------------------------------------- whole answers, HTTP
HTTP_RETRIED = (429, 502, 503, 504)
HTTP_DROPPED = (300, 301, 302, 303, 304, 305, 307, 308, *range(400, 413), *range(414, 419), *range(421, 427), 428, 431,
                451, 499, 500, 501, *range(505, 509), 510, 511, 520, 599)
FORMS = (("protobuf", ()), ("json", ("--protocol", "http/json")))


def http_statuses():
    for code in HTTP_DROPPED:
        yield Row(f"http/status/{code}", [status(code), OK], dropped={"http_status": BATCH}, requests=(3, 3))
    for code in HTTP_RETRIED:
        yield Row(f"http/status/{code}", [status(code), OK], requests=(4, 4))
        yield Row(f"http/status/{code}/for-ever", [status(code)], args=("--give-up-ms", 200),
                  dropped={"retries_exhausted": SPANS}, requests=(3, 40))
    for code in (200, 201, 202, 203, 206, 226, 299):
        yield Row(f"http/status/{code}", [{"do": "ok", "code": code}], requests=(3, 3))
    yield Row("http/status/204", [raw("HTTP/1.1 204 No Content\r\n\r\n", then="keep", acknowledges=True)],
              requests=(3, 3))
    yield Row("http/status/413/once", [status(413), OK], requests=(5, 9))
    yield Row("http/status/413/for-ever", [status(413)], dropped={"http_status": SPANS})
    yield Row("http/status/413/one-span", [status(413)], args=("--filler", 40000), spans=1,
              dropped={"too_large": 1}, requests=(1, 1))
    yield Row("http/one-span-over-the-limit", args=("--filler", 8000, "--batch-bytes", 6000), spans=20,
              dropped={"too_large": 20}, requests=(0, 0))
    for code in (301, 302, 303, 307, 308):
        yield Row(f"http/redirect/{code}", [{"do": "redirect", "code": code}], dropped={"http_status": SPANS},
                  requests=(3, 3))
        yield Row(f"http/redirect/{code}/elsewhere", [{"do": "redirect", "code": code, "to": "second"}],
                  dropped={"http_status": SPANS}, requests=(3, 3), second={}, second_requests=(0, 0), endpoint="{url}",
                  args=("--header", "Authentication=token"))


RETRY_MAX = ("--retry-max-ms", 250)
ABSURD = ("99999999999999999999999", "1000000000", "-5", "1.5", "0x10", "", "soon", "\x80\xff", "Fri, 31 Dec 9999",
          "Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "Sun, 06 Nov 1994 08:49:37 GMT", "9" * 5000)


def retry_after():
    for code in HTTP_RETRIED:
        yield Row(f"http/retry-after/{code}/seconds", [status(code, headers={"Retry-After": "1"}), OK], requests=(4, 4),
                  waits=(1.0, 2.5))
    yield Row("http/retry-after/date", [status(503, retry_date_ms=500), OK], requests=(4, 4), waits=(0.5, 2.6))
    yield Row("http/retry-after/date/429", [status(429, retry_date_ms=500), OK], requests=(4, 4), waits=(0.5, 2.6))
    yield Row("http/retry-after/json", [status(503, headers={"Retry-After": "1"}), OK], requests=(4, 4),
              args=("--protocol", "http/json"), waits=(1.0, 2.5))
    for n, value in enumerate(ABSURD):
        yield Row(f"http/retry-after/absurd/{n}", [status(503, headers={"Retry-After": value}), OK], requests=(4, 4),
                  args=RETRY_MAX, waits=(0.0, 1.0))
    yield Row("http/retry-after/not-for-500", [status(500, headers={"Retry-After": "30"}), OK],
              dropped={"http_status": BATCH}, requests=(3, 3))


def partial_success():
    for form, args in FORMS:
        for rejected, lost in ((3, 3), (0, 0), (100, 100), (1 << 40, 100), (-5, 0), (-(1 << 63), 0)):
            yield Row(f"http/partial/{form}/{rejected}", [{"do": "partial", "rejected": rejected}, OK], args=args,
                      dropped={"rejected": lost} if lost else {}, requests=(3, 3))
    for rejected, lost in ((3, 3), (0, 0), (100, 100), (1 << 40, 100), (-5, 0), (-(1 << 63), 0)):
        yield grpc(Row(f"grpc/partial/{rejected}", [{"do": "partial", "rejected": rejected}, OK],
                       dropped={"rejected": lost} if lost else {}, requests=(3, 3)))


# ---------------------------------------------------------------- broken answers, HTTP
LONG = "Content-Length: 100\r\n\r\n"
# name, act, what becomes of a batch that meets it: "retry", "ok" or the reason it is dropped for
HTTP_FAULTS = (
    ("silent", {"do": "silent"}, "retry"),
    ("never-read", {"do": "never_read"}, "retry"),
    ("drip", {"do": "drip", "ms": 20}, "retry"),
    ("reset-in-body", {"do": "reset_in_body"}, "retry"),
    ("reset-before-answer", {"do": "reset_before_answer"}, "retry"),
    ("close-before-answer", {"do": "close_before_answer"}, "retry"),
    ("half-body", raw("HTTP/1.1 200 OK\r\n" + LONG + "xx"), "retry"),
    ("half-body-stall", raw("HTTP/1.1 200 OK\r\n" + LONG + "xx", then="stall"), "retry"),
    ("half-body-reset", raw("HTTP/1.1 200 OK\r\n" + LONG + "xx", then="reset"), "retry"),
    ("half-head", raw("HTTP/1.1 200 OK\r\nContent-Ty"), "retry"),
    ("half-head-stall", raw("HTTP/1.1 200 OK\r\nContent-Ty", then="stall"), "retry"),
    ("half-status-line", raw("HTTP/1.1 20", then="stall"), "retry"),
    ("half-chunk", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc"), "retry"),
    ("half-error", raw("HTTP/1.1 500 No\r\n" + LONG + "xx"), "http_status"),
    ("half-503", raw("HTTP/1.1 503 No\r\n" + LONG + "xx"), "retry"),
    ("only-interim", raw("HTTP/1.1 100 Continue\r\n\r\n"), "retry"),
    ("garbage", raw("\x00\x01\x02\xff not http at all\n\n"), "bad_response"),
    ("ssh", raw("SSH-2.0-OpenSSH_9.2\r\n"), "bad_response"),
    ("tls-alert", raw("\x15\x03\x01\x00\x02\x02\x46"), "bad_response"),
    ("html-200", {"do": "success_of_no_otlp", "body": "<html>login</html>"}, "bad_response"),
    ("text-200", {"do": "success_of_no_otlp", "body": "ok", "content_type": "text/plain"}, "bad_response"),
    ("garbage-200", {"do": "success_of_no_otlp", "body": "\xff\xff\xff", "content_type": "application/x-protobuf"},
     "bad_response"),
    ("json-garbage-200", {"do": "success_of_no_otlp", "body": '{"partialSuccess": ', "content_type": "application/json"},
     "bad_response"),
    ("deep-json-200", {"do": "success_of_no_otlp", "body": "[" * 60000, "content_type": "application/json"},
     "bad_response"),
    ("endless-body", {"do": "endless_body"}, "bad_response"),
    ("endless-chunks", {"do": "endless_body", "chunked": True}, "bad_response"),
    ("endless-error-body", {"do": "endless_body", "code": 400}, "http_status"),
    ("endless-503-body", {"do": "endless_body", "code": 503}, "retry"),
    ("gigabyte-header", {"do": "endless_header"}, "bad_response"),
    ("endless-headers", {"do": "endless_headers"}, "bad_response"),
    ("interim-flood", {"do": "interim_flood"}, "bad_response"),
    ("gzip-bomb", {"do": "gzip_bomb"}, "bad_response"),
    ("gzip-bomb-503", {"do": "gzip_bomb", "code": 503}, "retry"),
    ("slow-read", {"do": "slow_read", "bytes": 4096, "ms": 5}, "ok"),
    ("slow-answer", {"do": "ok", "delay_ms": 100}, "ok"),
    ("interim", {"do": "interim_then_ok"}, "ok"),
    ("chunked", {"do": "chunked_ok"}, "ok"),
    ("close-after-answer", {"do": "ok_then_close"}, "ok"),
    ("close-after-a-while", {"do": "ok_then_close", "ms": 30}, "ok"),
)


def _faults(prefix, faults, wrap):
    """Each fault once, for ever, and at the moment of a SIGTERM."""
    short = ("--timeout-ms", 250)
    for name, act, fate in faults:
        lost = {} if fate in ("retry", "ok") else {fate: BATCH}
        once = (4, 4) if fate == "retry" else (3, 3)
        yield wrap(Row(f"{prefix}/{name}", [act, OK], args=short, dropped=lost, requests=once))
        if fate == "ok":
            continue
        reason = "retries_exhausted" if fate == "retry" else fate
        yield wrap(Row(f"{prefix}/{name}/for-ever", [act], args=(*short, "--give-up-ms", 100), dropped={reason: SPANS}))
        yield wrap(Row(f"{prefix}/{name}/stop", [act], any_of=("shutdown", fate), stop=True))


def http_faults():
    yield from _faults("http/fault", HTTP_FAULTS, lambda row: row)
    yield Row("http/too-slow-read", [{"do": "slow_read", "bytes": 512, "ms": 50}, OK],
              args=("--timeout-ms", 250, "--filler", 2000), requests=(4, 4))
    yield Row("http/on-connect/close", script={"on_connect": "close"}, args=("--give-up-ms", 200),
              dropped={"retries_exhausted": SPANS}, requests=(0, 0))
    yield Row("http/on-connect/reset", script={"on_connect": "reset"}, args=("--give-up-ms", 200),
              dropped={"retries_exhausted": SPANS}, requests=(0, 0))
    yield Row("http/backoff-is-no-storm", [status(503)], args=("--retry-initial-ms", 100, "--give-up-ms", 1000),
              dropped={"retries_exhausted": SPANS}, requests=(3, 25))


# ---------------------------------------------------------------- gRPC
GRPC_RETRIED = (1, 4, 10, 11, 14, 15)
GRPC_DROPPED = (2, 3, 5, 6, 7, 9, 12, 13, 16, 17, 99, -1, "abc", "")


def grpc_statuses():
    for code in GRPC_DROPPED:
        yield grpc(Row(f"grpc/status/{code}", [status(code), OK], dropped={"grpc_status": BATCH}, requests=(3, 3)))
    for code in GRPC_DROPPED[:9]:
        yield grpc(Row(f"grpc/status/{code}/retry-info", [status(code, retry_ms=60000), OK],
                       dropped={"grpc_status": BATCH}, requests=(3, 3)))
    for code in GRPC_RETRIED:
        yield grpc(Row(f"grpc/status/{code}", [status(code), OK], requests=(4, 4)))
        yield grpc(Row(f"grpc/status/{code}/with-head", [status(code, with_head=True), OK], requests=(4, 4)))
        yield grpc(Row(f"grpc/status/{code}/retry-info", [status(code, retry_ms=700), OK], requests=(4, 4),
                       waits=(0.7, 1.8)))
    yield grpc(Row("grpc/status/8/retry-info", [status(8, retry_ms=700), OK], requests=(4, 4), waits=(0.7, 1.8)))
    yield grpc(Row("grpc/status/14/retry-info-padded", [status(14, retry_ms=700, padded=True), OK], requests=(4, 4),
                   waits=(0.7, 1.8)))
    yield grpc(Row("grpc/status/14/retry-info-absurd", [status(14, retry_ms=10**15), OK], args=RETRY_MAX,
                   requests=(4, 4), waits=(0.2, 1.0)))
    yield grpc(Row("grpc/status/14/details-garbage", [status(14, details="!!!\x7f"), OK], requests=(4, 4)))
    yield grpc(Row("grpc/status/14/details-huge", [status(14, details="A" * 40000), OK], requests=(4, 4)))
    yield grpc(Row("grpc/status/8", [status(8), OK], requests=(5, 9)))
    yield grpc(Row("grpc/status/8/for-ever", [status(8)], dropped={"grpc_status": SPANS}))
    yield grpc(Row("grpc/status/14/for-ever", [status(14)], args=("--give-up-ms", 200),
                   dropped={"retries_exhausted": SPANS}))
    yield grpc(Row("grpc/message-percent", [status(3, message="100%25 caf%C3%A9 %zz%"), OK],
                   dropped={"grpc_status": BATCH}, cause="100% café %zz%"))
    for code in (400, 401, 403, 404, 418, 500):
        yield grpc(Row(f"grpc/http-status/{code}", [{"do": "http_status", "code": code}, OK],
                       dropped={"http_status": BATCH}, requests=(3, 3)))
    for code in (429, 502, 503, 504):
        yield grpc(Row(f"grpc/http-status/{code}", [{"do": "http_status", "code": code}, OK], requests=(4, 4)))
    yield grpc(Row("grpc/http-status/200", [{"do": "http_status", "code": 200}, OK], dropped={"bad_response": BATCH},
                   requests=(3, 3)))


OTLP_ANSWER = "\0\0\0\0\0"
GRPC_FAULTS = (
    ("silent", {"do": "silent"}, "retry"),
    ("never-read", {"do": "never_read", "at": "head"}, "retry"),
    ("drip", {"do": "drip", "ms": 20}, "retry"),
    ("reset-at-head", {"do": "reset", "at": "head"}, "retry"),
    ("reset-in-body", {"do": "reset", "at": "body"}, "retry"),
    ("reset-before-answer", {"do": "reset"}, "retry"),
    ("close-before-answer", {"do": "close"}, "retry"),
    ("goaway-at-head", {"do": "goaway", "at": "head"}, "retry"),
    ("goaway-in-body", {"do": "goaway", "at": "body"}, "retry"),
    ("goaway-before-answer", {"do": "goaway"}, "retry"),
    ("goaway-calm", {"do": "goaway", "code": 11, "debug": "too_many_pings"}, "retry"),
    ("half-head", {"do": "half_answer", "part": "head"}, "retry"),
    ("half-data", {"do": "half_answer", "part": "data"}, "retry"),
    ("half-data-rst", {"do": "half_answer", "part": "data", "rst": 2}, "retry"),
    ("message-without-trailers", {"do": "half_answer", "part": "message"}, "retry"),
    ("message-then-rst", {"do": "half_answer", "part": "message", "rst": 2}, "retry"),
    ("http1-answer", raw("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), "retry"),
    ("garbage", raw("\x00\x01\x02 not a frame of anything" * 20), "retry"),
    ("frame-too-large", raw("\xff\xff\xff\x00\x00\x00\x00\x00\x01" + "x" * 100), "retry"),
    ("data-before-head", {"do": "raw", "frames": [[0, 0, -1, "hello"]]}, "retry"),
    ("bad-hpack", {"do": "raw", "frames": [[1, 5, -1, "\xff\xff\xff\xff\xff\xff"]]}, "retry"),
    ("even-stream", {"do": "raw", "frames": [[1, 5, 2, "\x88"]]}, "retry"),
    ("no-message", {"do": "odd_answer", "body": ""}, "bad_response"),
    ("half-message", {"do": "odd_answer", "body": "\0\0\0\0\x09\x0a"}, "bad_response"),
    ("two-messages", {"do": "odd_answer", "body": OTLP_ANSWER * 2}, "bad_response"),
    ("garbage-message", {"do": "odd_answer", "body": "\0\0\0\0\x03\xff\xff\xff"}, "bad_response"),
    ("compressed-garbage", {"do": "odd_answer", "body": "\1\0\0\0\x03\xff\xff\xff"}, "bad_response"),
    ("length-of-4-GiB", {"do": "odd_answer", "body": "\0\xff\xff\xff\xff"}, "bad_response"),
    ("no-status", {"do": "odd_answer", "body": OTLP_ANSWER, "no_trailers": True}, None),
    ("trailers-without-status", {"do": "odd_answer", "body": OTLP_ANSWER, "code": None}, None),
    ("wrong-content-type", {"do": "odd_answer", "body": "hello", "content_type": "text/plain", "no_trailers": True},
     "bad_response"),
    ("endless-body", {"do": "endless_body"}, "bad_response"),
    ("endless-error-body", {"do": "endless_body", "code": 500}, None),
    ("endless-headers", {"do": "endless_headers"}, None),
    ("endless-trailers", {"do": "endless_trailers"}, None),
    ("interim-flood", {"do": "interim_flood"}, None),
    ("ping-flood", {"do": "ping_flood"}, "retry"),
    ("settings-flood", {"do": "settings_flood"}, "retry"),
    ("slow-answer", {"do": "ok", "delay_ms": 100}, "ok"),
    ("interim", {"do": "interim_then_ok"}, "ok"),
    ("busy", {"do": "busy_then_ok"}, "ok"),
)
# RST_STREAM: what gRPC's own mapping (PROTOCOL-HTTP2, "Errors") makes of it is retried, as a broken connection is.
RST_CODES = range(0, 14)


def grpc_faults():
    yield from _faults("grpc/fault", [f for f in GRPC_FAULTS if f[2]], grpc)
    for name, act, fate in GRPC_FAULTS:
        if fate is None:  # the specification leaves it open: retried or dropped, but bounded, counted and over
            yield grpc(Row(f"grpc/fault/{name}", [act, OK], args=("--timeout-ms", 500, "--give-up-ms", 400),
                           any_of=("grpc_status", "http_status", "bad_response", "retries_exhausted")))
            yield grpc(Row(f"grpc/fault/{name}/stop", [act], stop=True,
                           any_of=("grpc_status", "http_status", "bad_response", "shutdown")))
    for code in RST_CODES:
        yield grpc(Row(f"grpc/rst/{code}", [{"do": "rst", "code": code}, OK], requests=(4, 4),
                       odd_requests=code == 13))  # HTTP_1_1_REQUIRED
    # libcurl 7.88 may forget the trailers of a stream when a GOAWAY comes before them: the batch is sent again. The
    # second is how grpc-go announces the end of a connection.
    for name, more in (("names-this-stream", {}), ("announces-the-end", {"last": 0x7FFFFFFF, "ms": 30})):
        yield grpc(Row(f"grpc/goaway-{name}", [{"do": "ok_then_goaway", **more}, OK], duplicates=True, requests=(3, 4)))
    yield grpc(Row("grpc/rst/7/for-ever", [{"do": "rst", "code": 7}], args=("--give-up-ms", 200),
                   dropped={"retries_exhausted": SPANS}))
    yield grpc(Row("grpc/rst/7/stop", [{"do": "rst", "code": 7}], stop=True, any_of=("shutdown",)))
    large = ("--filler", 2000)  # 200 KiB a batch: more than a window
    for to in (0, 1, 100):
        yield grpc(Row(f"grpc/settings/window-shrinks-to-{to}",
                       [{"do": "shrink_window", "at": "head", "to": to, "hold_ms": 100}, OK], args=large,
                       requests=(3, 3)))
        yield grpc(Row(f"grpc/settings/window-stays-at-{to}",
                       [{"do": "shrink_window", "at": "head", "to": to, "hold_ms": 60000}, OK],
                       args=(*large, "--timeout-ms", 250), requests=(4, 4)))
    yield grpc(Row("grpc/settings/window-stays/stop",
                   [{"do": "shrink_window", "at": "head", "to": 0, "hold_ms": 60000}], args=large, stop=True,
                   any_of=("shutdown",)))
    for name, values in (("tiny-window", {"4": 500}), ("default-window", {}), ("no-table", {"1": 0}),
                         ("one-stream", {"3": 1}), ("unknown", {"4242": 7}), ("largest-frame", {"5": 16777215})):
        yield grpc(Row(f"grpc/settings/{name}", script={"settings": values}, requests=(3, 3)))
    # Whether a request goes out before these are heard of is a race, so the answer is none in the second kind.
    for name, values in (("window-of-0", {"4": 0}), ("no-streams", {"3": 0})):
        yield grpc(Row(f"grpc/settings/{name}", script={"settings": values},
                       args=("--timeout-ms", 250, "--give-up-ms", 100), any_of=("retries_exhausted",)))
    for name, values in (("window-too-large", {"4": 1 << 31}), ("frame-too-small", {"5": 1}), ("push-of-2", {"2": 2})):
        yield grpc(Row(f"grpc/settings/{name}", [{"do": "silent"}], script={"settings": values},
                       args=("--timeout-ms", 250, "--give-up-ms", 100), dropped={"retries_exhausted": SPANS}))
    for how in ("close", "reset", "http1", "goaway"):
        yield grpc(Row(f"grpc/on-connect/{how}", script={"on_connect": how}, args=("--give-up-ms", 200),
                       any_of=("retries_exhausted", "bad_response", "grpc_status"), requests=(0, 0)))


# ---------------------------------------------------------------- the network
def network():
    for name, wrap in (("http", lambda r: r), ("grpc", grpc)):
        protocol = ("--protocol", "grpc") if name == "grpc" else ()
        for listen, cause in (("refused", "refused"), ("full", "")):
            yield wrap(Row(f"{name}/{listen}", script={"listen": listen},
                           args=("--timeout-ms", 300, "--give-up-ms", 200), dropped={"retries_exhausted": SPANS},
                           cause=cause))
            yield wrap(Row(f"{name}/{listen}/stop", script={"listen": listen}, stop=True, any_of=("shutdown",)))
        yield wrap(Row(f"{name}/no-such-name", endpoint="http://collector.invalid:4318",
                       args=("--give-up-ms", 200), dropped={"retries_exhausted": SPANS}, cause="(?i)name|resolve|DNS"))
        yield wrap(Row(f"{name}/no-such-name/stop", endpoint="http://collector.invalid:4318", stop=True,
                       any_of=("shutdown",)))
        # libcurl may forget an HTTP/2 answer that arrives together with the end of its connection: sent again.
        yield wrap(Row(f"{name}/flapping", script={"flap_ms": 100}, spans=3000, duplicates=name == "grpc",
                       args=("--rate", 2000, "--chunk", 20, "--retry-max-ms", 60)))
        yield wrap(Row(f"{name}/flapping/stop", script={"flap_ms": 100}, spans=100000, stop=True,
                       args=("--rate", 2000, "--chunk", 20, "--retry-max-ms", 60), any_of=("shutdown",)))
        yield wrap(Row(f"{name}/unix", script={"unix": "@unix@"}, requests=(3, 3)))
        yield wrap(Row(f"{name}/unix/no-socket", endpoint="unix:/nonexistent/otlp.sock", args=("--give-up-ms", 100),
                       dropped={"retries_exhausted": SPANS}))
        yield wrap(Row(f"{name}/proxy-of-the-environment", env={
            "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "all_proxy": "http://127.0.0.1:9",
            "HTTP_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9"}, requests=(3, 3)))
        yield wrap(Row(f"{name}/fail-over/refused", script={"listen": "refused"}, second={}, second_requests=(3, 3)))
        yield wrap(Row(f"{name}/fail-over/silent", [{"do": "silent"}], second={}, second_requests=(3, 3),
                       args=("--timeout-ms", 200, "--retry-initial-ms", 1000)))
        yield wrap(Row(f"{name}/fail-over/and-back",
                       [status(503 if name == "http" else 14), OK], second={}, second_requests=(1, 3), spans=2000,
                       args=("--rate", 2000, "--chunk", 100), requests=(2, 40)))
        yield wrap(Row(f"{name}/fail-over/none-up", script={"listen": "refused"}, second={"listen": "refused"},
                       args=("--give-up-ms", 200), dropped={"retries_exhausted": SPANS}))
        yield wrap(Row(f"{name}/clock-jumps", [status(503 if name == "http" else 14), OK] * 5 + [OK], spans=2000,
                       args=("--rate", 1500, "--chunk", 50), clock_jumps=True))
        yield wrap(Row(f"{name}/clock-jumps/stop", [{"do": "silent"}], stop=True, clock_jumps=True,
                       any_of=("shutdown",)))
        yield wrap(Row(f"{name}/queue-full", [{"do": "silent"}], spans=3000, stop=True,
                       args=("--queue-spans", 500, "--chunk", 100), any_of=("shutdown", "queue_full")))
        # Three queues of spans while nobody takes any: dropped at the door, and memory stays where it is.
        yield wrap(Row(f"{name}/overload", script={"listen": "refused"}, spans=100000, rss_mib=64,
                       args=("--rate", 80000, "--chunk", 200, "--queue-bytes", 8 << 20, "--queue-spans", 30000,
                             "--give-up-ms", 100, "--end", "stop", "--drain-ms", 100),
                       any_of=("retries_exhausted", "queue_full", "shutdown")))
        yield wrap(Row(f"{name}/headers", args=("--header", "Authentication=se%cret", "--header", "X-Two=a b"),
                       check=lambda requests: all(
                           r["headers"].get("authentication") == "se%cret" and r["headers"].get("x-two") == "a b" and
                           re.match(r"spantap/\S+ OTel-OTLP-Exporter-Cpp/\S+$", r["headers"].get("user-agent", ""))
                           for r in requests)))
    yield Row("http/clock-jumps/date", [status(503, retry_date_ms=500), OK], args=RETRY_MAX, clock_jumps=True,
              requests=(4, 4), waits=(0.0, 1.0))
    yield Row("http/proxy-configured", endpoint="http://collector.invalid:4318", args=("--proxy", "{url}"),
              requests=(3, 3), check=lambda rs: all(r["target"].startswith("http://collector.invalid") for r in rs))
    yield Row("http/proxy-wants-a-password", [status(407)], endpoint="http://collector.invalid:4318",
              args=("--proxy", "{url}"), dropped={"http_status": SPANS}, requests=(3, 3))
    for text, signal, path in (("{url}", (), "/v1/traces"), ("{url}/", (), "/v1/traces"),
                               ("{url}/v1/traces", (), "/v1/traces"), ("{url}/base/", (), "/base/v1/traces"),
                               ("{url}", ("--signal-endpoint",), "/"), ("{url}/x/y", ("--signal-endpoint",), "/x/y")):
        yield Row(f"http/path/{text}{' as it is' * bool(signal)}", endpoint=text, args=signal, requests=(3, 3),
                  check=lambda rs, path=path: all(r["target"] == path for r in rs))


# ---------------------------------------------------------------- TLS
def tls():
    for name, wrap in (("http", lambda r: r), ("grpc", grpc)):
        ca = ("--ca", "@ca@")
        lost = {"dropped": {"retries_exhausted": SPANS}, "requests": (0, 0)}
        brief = ("--give-up-ms", 150)
        yield wrap(Row(f"{name}/tls/right", script={"tls": "server"}, args=ca, requests=(3, 3)))
        yield wrap(Row(f"{name}/tls/1.2", script={"tls": "server", "max_version": "1.2"}, args=ca, requests=(3, 3)))
        yield wrap(Row(f"{name}/tls/expired", script={"tls": "expired"}, args=(*ca, *brief), cause="(?i)expired",
                       **lost))
        yield wrap(Row(f"{name}/tls/wrong-name", script={"tls": "wrong_name"}, args=(*ca, *brief),
                       cause="(?i)name|another.test", **lost))
        yield wrap(Row(f"{name}/tls/wrong-name/named", script={"tls": "wrong_name"},
                       args=(*ca, "--server-name", "another.test"), requests=(3, 3)))
        yield wrap(Row(f"{name}/tls/unknown-ca", script={"tls": "unknown_ca"}, args=(*ca, *brief),
                       cause="(?i)certificate|issuer|trust", **lost))
        yield wrap(Row(f"{name}/tls/client-demanded", script={"tls": "server", "client_ca": True}, args=(*ca, *brief),
                       cause="(?i)client certificate|certificate", **lost))
        yield wrap(Row(f"{name}/tls/client-given", script={"tls": "server", "client_ca": True},
                       args=(*ca, "--cert", "@client_cert@", "--key", "@client_key@"), requests=(3, 3)))
        yield wrap(Row(f"{name}/tls/expired/stop", script={"tls": "expired"}, args=ca, stop=True, any_of=("shutdown",)))
        yield wrap(Row(f"{name}/tls/to-plaintext", endpoint="https://127.0.0.1:{port}", args=(*ca, *brief), odd_requests=True,
                       **lost))
        yield wrap(Row(f"{name}/tls/from-plaintext", script={"tls": "server"}, endpoint="http://127.0.0.1:{port}",
                       args=brief, any_of=("retries_exhausted", "bad_response", "http_status"), requests=(0, 0)))
        yield wrap(Row(f"{name}/tls/reset", [{"do": "reset_in_body" if name == "http" else "reset", "at": "body"}, OK],
                       script={"tls": "server"}, args=ca, requests=(4, 4)))
    yield grpc(Row("grpc/tls/no-h2", script={"tls": "server", "alpn": ["http/1.1"]}, args=("--ca", "@ca@", *brief),
                   any_of=("retries_exhausted", "bad_response"), requests=(0, 0), odd_requests=True))


GROUPS = {"http_answers": (http_statuses, retry_after, partial_success), "http_faults": (http_faults,),
          "grpc": (grpc_statuses, grpc_faults), "network": (network, tls)}


def rows(group):
    return [row for part in GROUPS[group] for row in part()]
