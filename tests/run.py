#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every test that `make test` built: kernel tests, unit tests under ASan+UBSan, the fuzz corpora, e2e.

Unit tests and corpora run as many at a time as there are cores; kernel tests and e2e alone.
Ends with `N passed, N failed, N skipped`; exits 1 if anything failed or a program did not report.
"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parents[1]
os.chdir(ROOT)


class Totals:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, passed, failed, skipped=0):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped


def run(argv, timeout):
    """Returns (output, exit code, seconds). Nothing that it started outlives it, or keeps us waiting."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code, late = process.wait(timeout), ''
        except subprocess.TimeoutExpired:
            code, late = -1, f'\ndeadline of {timeout} s passed'
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        output.seek(0)
        return output.read().decode(errors='replace') + late, code, time.monotonic() - start


def told(ok, what, out):
    return f'{"ok" if ok else "FAIL":5}{what}' + ('' if ok else '\n' + out[-6000:])


def catch2(binary):
    """Returns (passed, failed, what to print)."""
    out, code, seconds = run([str(binary)], 1800 if 'SPANTAP_ROUNDS' in os.environ else 300)
    whole = re.search(r'All tests passed \(\d+ assertions? in (\d+) test cases?\)', out)
    part = re.search(r'test cases:\s*(\d+) \|(?:\s*(\d+) passed \|)?\s*(\d+) failed', out)
    if whole and code == 0:
        passed, failed = int(whole.group(1)), 0
    elif part:
        failed = int(part.group(3))
        passed = int(part.group(1)) - failed
    else:
        passed, failed = 0, 1
    return passed, failed, told(not failed, f'{binary}: {passed} passed, {failed} failed ({seconds:.1f} s)', out)


def fuzz_corpus(binary):
    corpus = ROOT / 'tests' / 'data' / binary.name
    files = sorted(str(p) for p in corpus.glob('*')) if corpus.is_dir() else []
    out, code, seconds = run([str(binary), *files], 120)
    ok = code == 0 and len(files) > 0
    return int(ok), int(not ok), told(ok, f'{binary}: corpus of {len(files)} files ({seconds:.1f} s)', out)


def e2e(totals):
    print('e2e:', flush=True)
    process = subprocess.Popen(['/usr/bin/python3', 'tests/e2e/run.py'], stdout=subprocess.PIPE, text=True, errors='replace')
    last = ''
    for line in process.stdout:
        print('  ' + line, end='', flush=True)
        last = line if re.match(r'\d+ passed', line) else last
    code = process.wait()
    counts = re.match(r'(\d+) passed, (\d+) failed, (\d+) skipped', last)
    if not counts:
        totals.add(0, 1)
        print('FAIL tests/e2e/run.py ended without its closing line', flush=True)
        return
    passed, failed, skipped = map(int, counts.groups())
    totals.add(passed, failed or (1 if code else 0), skipped)


def programs(pattern):
    return [b.relative_to(ROOT) for b in sorted(ROOT.glob(pattern)) if b.is_file() and os.access(b, os.X_OK)]


# Begun first, so that none of them is what all wait for at the end.
LONG = ('agent_cause', 'agent_link', 'exporter_otlp', 'agent_connections')


def units(totals):
    jobs = []
    for pattern, kind in (('build/test/handoff_model', catch2), ('build/san/test/*', catch2), ('build/san/fuzz/fuzz_*', fuzz_corpus)):
        found = [b for b in programs(pattern) if b.suffix == '']
        if not found:
            totals.add(0, 1)
            print(f'FAIL {pattern}: not built', flush=True)
        jobs += [(kind, binary) for binary in found]
    jobs.sort(key=lambda job: job[1].name not in LONG)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for passed, failed, text in pool.map(lambda job: job[0](job[1]), jobs):
            totals.add(passed, failed)
            print(text, flush=True)


def kernel(totals):
    passed, failed, text = catch2(pathlib.Path('build/test/bpf'))
    totals.add(passed, failed)
    print(text, flush=True)


def main():
    totals = Totals()
    kernel(totals)
    units(totals)
    e2e(totals)
    print(f'{totals.passed} passed, {totals.failed} failed, {totals.skipped} skipped')
    return 1 if totals.failed else 0


if __name__ == '__main__':
    sys.exit(main())
