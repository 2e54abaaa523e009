# SPDX-License-Identifier: Apache-2.0
"""The fault matrix: each row of fault_rows.py is a run of the exporter against a collector that misbehaves.

After each: the ledger balances to the span, `acknowledged` is what the collector acknowledged, spans are dropped for
the expected reason only, retried when they must be and not before it was asked for, memory stays under its bound,
and the exporter ends within its drain and a second. Rows run four at a time; SPANTAP_ROWS=TEXT picks some.
"""
import contextlib
import os
import re
import struct
import subprocess
import sys
import time
import traceback

import fault_rows
from harness import Env, deadline
from harness.certificates import Certificates
from harness.driver import SANITIZED, Driver
from harness.env import Fail, Skip, check, check_equal
from harness.fake_collector import FakeCollector

SIDE_BY_SIDE = True

WORKERS = 4
HERE = os.path.dirname(os.path.abspath(__file__))


class Runner:
    """One worker's part: a fake collector of its own, one row after the other."""

    def __init__(self, env, certificates, preload):
        self.env, self.preload = env, preload
        self.collector = FakeCollector(env)
        certificate, key = certificates.client()
        self.certificates = certificates
        self.words = {"@ca@": str(certificates.ca), "@client_cert@": certificate, "@client_key@": key,
                      "@unix@": str(env.tmp / "otlp.sock")}

    def _script(self, row, script, acts):
        script = dict(script, acts=acts)
        if "unix" in script:
            script["unix"] = self.words[script["unix"]]
        if "tls" in script:
            certificate, key = getattr(self.certificates, script["tls"])()
            script["tls"] = {"cert": certificate, "key": key}
            for word in ("max_version", "alpn"):
                if word in script:
                    script["tls"][word] = script.pop(word)
            if script.pop("client_ca", False):
                script["tls"]["client_ca"] = str(self.certificates.ca)
        return script

    def _arguments(self, row, addresses, seed):
        args = ["--seed", seed, "--spans", row.spans, "--batch-target", fault_rows.BATCH,
                "--batch-spans", fault_rows.BATCH, "--settle-ms", 8000]
        if "--chunk" not in row.args:
            args += ["--chunk", row.spans]
        if row.script.get("protocol") == "grpc":
            args += ["--protocol", "grpc"]
        if row.stop:
            args += ["--end", "wait", "--drain-ms", fault_rows.STOP_DRAIN_MS]
        words = {"{url}": addresses[0].endpoint, "{port}": str(addresses[0].port), **self.words}

        def fill(text):
            for word, value in words.items():
                text = text.replace(word, value)
            return text

        endpoints = [fill(row.endpoint)] if row.endpoint else [address.endpoint for address in addresses]
        for endpoint in endpoints:
            args += ["--endpoint", endpoint]
        return args + [fill(str(a)) for a in row.args]

    def run(self, row, seed):
        with contextlib.ExitStack() as stack:
            addresses = []
            if row.second is not None:
                second = stack.enter_context(self.collector.serve(
                    self._script(row, {**row.script, "listen": "normal", **row.second}, [fault_rows.OK])))
                addresses.append(second)
            acts = [dict(act, to=addresses[0].endpoint + "/v1/traces") if act.get("to") == "second" else act
                    for act in row.acts]
            addresses.insert(0, stack.enter_context(self.collector.serve(self._script(row, row.script, acts))))
            env = dict(row.env)
            if row.clock_jumps:  # the option: AddressSanitizer wants to be the first library, needlessly here
                env.update(LD_PRELOAD=self.preload, ASAN_OPTIONS="verify_asan_link_order=0")
            driver = Driver(self.env, *self._arguments(row, addresses, seed), extra_env=env)
            if row.stop:
                self._stop(driver, addresses[0])
            final = driver.finish(20)
            self._judge(row, final, [address.stats() for address in addresses], driver.process.output())

    def _stop(self, driver, address):
        """SIGTERM once the collector has the first request, or after a while if it cannot have one."""
        driver.wait_event("started")
        end = time.monotonic() + 0.15
        while time.monotonic() < end and not address.stats()["requests"]:
            time.sleep(0.01)
        time.sleep(0.02)
        driver.terminate()

    def _judge(self, row, final, stats, log):
        ledger = final["ledger"]
        if not row.stop:
            check_equal(ledger["created"], row.spans, "spans created")
        check_equal((ledger["in_flight"], ledger["spooled"]), (0, 0), "in flight and spooled at the end")
        if not row.duplicates:
            check_equal(ledger["acknowledged"], sum(s["acknowledged"] for s in stats),
                        f"acknowledged by the ledger against the collector ({ledger['line']})")
        if not any(s["rejected"] for s in stats):
            check_equal(sum(s["distinct_acknowledged"] for s in stats), ledger["acknowledged"],
                        "distinct span ids that the collector acknowledged against the ledger")
        self._judge_drops(row, ledger, log)
        if not row.odd_requests:
            check_equal([f for s in stats for f in s["faults"]], [], "what the collector found wrong with requests")
        self._judge_requests(row, stats)
        check(re.search(row.cause, log), f"the log says {row.cause!r}:\n{log}")
        check(final["stop_ms"] <= fault_rows.STOP_DRAIN_MS + 1000 or not row.stop,
              f"the end took {final['stop_ms']} ms with a drain of {fault_rows.STOP_DRAIN_MS}")
        if not SANITIZED:
            check(final["rss_peak_kib"] <= row.rss_mib << 10, f"{final['rss_peak_kib']} KiB of memory at the peak")

    def _judge_drops(self, row, ledger, log):
        if row.any_of:
            check(set(ledger["dropped"]) <= set(row.any_of), f"dropped for {row.any_of} only: {ledger['line']}\n{log}")
        else:
            check_equal(ledger["dropped"], row.dropped, f"dropped ({ledger['line']}; log: {log})")

    def _judge_requests(self, row, stats):
        requests = stats[0]["requests"]
        for limits, seen in ((row.requests, requests), (row.second_requests, stats[-1]["requests"])):
            if limits:
                check(limits[0] <= len(seen) <= limits[1], f"{len(seen)} requests, wanted {limits}")
        if row.waits:
            waited = requests[1]["t"] - requests[0]["t"]
            check(row.waits[0] <= waited <= row.waits[1], f"retried after {waited:.2f} s, wanted {row.waits}")
        if row.check:
            check(row.check(requests), f"what the collector got is wrong: {str(requests)[:1000]}")


def work(env, number, rows, queue, results, certificates, preload):
    """A worker process: takes row numbers from the pipe `queue`, writes a line for each failed row."""
    own = Env(f"{env.name}-{number}")
    failed = True
    try:
        runner = Runner(own, certificates, preload)
        while len(data := os.read(queue, 2)) == 2:
            row = rows[struct.unpack("<H", data)[0]]
            try:
                runner.run(row, 1 + struct.unpack("<H", data)[0])
            except (Exception, Fail):
                os.write(results, f"--- {row.name}\n{traceback.format_exc(limit=-1)}\n".encode()[:4000])
        failed = False
    finally:
        own.close(failed)
        sys.stdout.flush()
        os._exit(1 if failed else 0)


def chosen_rows(group):
    """Those of SPANTAP_ROWS. A text that no row of any group has is a slip, and must not pass as a run without faults."""
    text = os.environ.get("SPANTAP_ROWS", "")
    rows = {each: [row for row in fault_rows.rows(each) if text in row.name] for each in fault_rows.GROUPS}
    names = [row.name for each in fault_rows.GROUPS for row in fault_rows.rows(each)]
    check(any(rows.values()), f"SPANTAP_ROWS={text}: no row's name has this text; the rows are:\n" + "\n".join(names))
    if not rows[group]:
        raise Skip(f"SPANTAP_ROWS={text} leaves no row of {group}")
    return rows[group]


def run_group(env, group):
    rows = chosen_rows(group)
    rows.sort(key=lambda row: -(row.waits or (0,))[0] - (row.spans > 1000))  # long ones first
    certificates = Certificates(env)
    for make in ("client", "server", "expired", "wrong_name", "unknown_ca"):
        getattr(certificates, make)()
    preload = str(env.tmp / "clock_jumps.so")
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", preload, os.path.join(HERE, "harness", "clock_jumps.c")],
                   check=True)
    started = time.monotonic()
    queue, queue_in = os.pipe()
    results_path = env.tmp / "failed"
    results = os.open(results_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in range(len(rows)):
        os.write(queue_in, struct.pack("<H", number))
    os.close(queue_in)
    sys.stdout.flush()
    workers = []
    for number in range(WORKERS):
        pid = os.fork()
        if pid == 0:
            work(env, number, rows, queue, results, certificates, preload)
        workers.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers]
    failed = results_path.read_text(errors="replace")
    env.figure(f"{len(rows)} rows of {group} in {time.monotonic() - started:.1f} s")
    check(not failed and codes == [0] * WORKERS,
          f"{failed.count('--- ')} of {len(rows)} rows failed, workers ended with {codes}:\n{failed}")


@deadline(120)
def test_http_answers(env):
    run_group(env, "http_answers")


@deadline(120)
def test_http_faults(env):
    run_group(env, "http_faults")


@deadline(180)
def test_grpc(env):
    run_group(env, "grpc")


@deadline(120)
def test_network_and_tls(env):
    run_group(env, "network")
