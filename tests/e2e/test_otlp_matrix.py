# SPDX-License-Identifier: Apache-2.0
"""Every transport against the real Collector: what is acknowledged arrives, each span bit for bit.

export_driver -> Collector -> span_sink, which knows what each span must be (tests/tools/made_spans.h). One Collector
serves all runs. SPANTAP_MATRIX_SPANS: how many spans each of them has; 30,000 in `make test`, 100,000 in `make soak`.
"""
import os
import time

from harness import deadline
from harness.certificates import Certificates
from harness.collector import Collector
from harness.driver import Driver, SpanSink
from harness.env import check_equal, wait_until

SPANS = int(os.environ.get("SPANTAP_MATRIX_SPANS", "100000" if "SPANTAP_ROUNDS" in os.environ else "30000"))
PROTOCOLS = ("http/protobuf", "http/json", "grpc")
RUNS = ([(protocol, compression, "plain") for protocol in PROTOCOLS for compression in ("none", "gzip", "zstd")] +
        [(protocol, "gzip", security) for protocol in PROTOCOLS for security in ("tls", "mtls")])


def arguments(collector, certificates, protocol, compression, security):
    port = collector.ports["grpc" if protocol == "grpc" else "http", security]
    scheme = "http" if security == "plain" else "https"
    args = ["--endpoint", f"{scheme}://127.0.0.1:{port}", "--protocol", protocol, "--compression", compression,
            "--header", "Authentication=secret-token"]
    if security != "plain":
        args += ["--ca", certificates.ca]
    if security == "mtls":
        certificate, key = certificates.client()
        args += ["--cert", certificate, "--key", key]
    return args


def accepted(collector, protocol, security):
    return collector.counter("otelcol_receiver_accepted_spans",
                             receiver="otlp" if security == "plain" else f"otlp/{security}",
                             transport="grpc" if protocol == "grpc" else "http")


@deadline(240)
def test_fifteen_ways_into_the_collector(env):
    certificates = Certificates(env)
    sink = SpanSink(env)
    collector = Collector(env, sink, certificates=certificates)
    started = time.monotonic()
    for seed, (protocol, compression, security) in enumerate(RUNS, start=1):
        label = f"{protocol} {compression} {security}"
        before = accepted(collector, protocol, security)
        run_started = time.monotonic()
        driver = Driver(env, "--seed", seed, "--spans", SPANS, "--back-pressure", "--chunk", 256, "--timeout-ms", 10000,
                        *arguments(collector, certificates, protocol, compression, security))
        final = driver.finish(60)
        seconds = time.monotonic() - run_started
        ledger, arrived = final["ledger"], sink.run(seed)
        check_equal((ledger["created"], ledger["acknowledged"], ledger["dropped"]), (SPANS, SPANS, {}),
                    f"{label}: created, acknowledged, dropped")
        check_equal((arrived["distinct"], arrived["duplicates"], arrived["different"]), (SPANS, 0, 0),
                    f"{label}: distinct, duplicate and different spans at the sink")
        wait_until(lambda: accepted(collector, protocol, security) >= before + SPANS, 5, "the Collector's counter")
        check_equal(accepted(collector, protocol, security) - before, SPANS, f"{label}: accepted by the Collector")
        requests = final["status"]["endpoints"][0]
        check_equal(requests["failures"], 0, f"{label}: failed requests")
        env.figure(f"{label}: {SPANS} spans equal on both sides, {requests['requests']} requests, {seconds:.1f} s, "
                   f"{SPANS / seconds / 1000:.0f} k spans/s, RSS {final['rss_peak_kib'] / 1024:.1f} MiB")
    check_equal(collector.counter("otelcol_receiver_refused_spans"), 0, "spans that the Collector refused")
    env.figure(f"{len(RUNS)} runs of {SPANS} spans in {time.monotonic() - started:.1f} s")
