#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the pictures in the READMEs against the includes: who may include whom.

The stage order comes from the Makefile (a stage may include itself and the stages to its right).
Prints one line per violation, exits 1 if there is any.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)

# Words that may appear in one file (or folder) only: what needs privileges, generated code, the environment.
CONFINED = [
    (re.compile(r'spantap\.skel\.h|bpf/libbpf\.h|bpf/bpf\.h'), ('agent/capture/',), 'libbpf and the skeleton'),
    (re.compile(r'\bpb_encode\.h|\bpb_decode\.h|\.pb\.h'), ('exporter/otlp/', 'tests/'), "nanopb's and generated headers"),
    (re.compile(r'\bgetenv\s*\('), ('agent/cli/parse.cc', 'tests/'), 'getenv'),
    (re.compile(r'\bcurl/curl\.h'), ('exporter/transport/', 'tests/'), 'libcurl'),
    (re.compile(r'\bllhttp\.h'), ('agent/protocols/', 'tests/'), 'llhttp'),
]


def stages():
    text = (ROOT / 'Makefile').read_text()
    found = []
    for name in ('AGENT_STAGES', 'EXPORTER_STAGES'):
        found += re.search(rf'^{name}\s*:=\s*(.+)$', text, re.M).group(1).split()
    return found


def stage_of(path, order):
    return next((s for s in order if path.startswith(s + '/')), None)


def allowed(path, target, order):
    """None if `path` may include `target` (both relative to the tree), else the reason why not."""
    top, other = path.split('/')[0], target.split('/')[0]
    if top == 'tests' or other == 'base':
        return None
    if top == 'bpf':
        return None if other == 'bpf' else 'bpf/ includes only bpf/ and kernel headers'
    if top == 'include':
        return None if other in ('include', 'spantap') else 'include/ depends on nothing'
    if other == 'bpf':
        if top == 'agent' and target == 'bpf/events.h':
            return None
        return 'of bpf/ only events.h, and only by agent/'
    if top == 'exporter' and other == 'agent':
        return 'exporter/ never includes agent/'
    here, there = stage_of(path, order), stage_of(target, order)
    if here and there and order.index(there) < order.index(here):
        return f'{here} stands after {there} in the Makefile'
    return None


def main():
    order = stages()
    files = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard', '*.cc', '*.h', '*.c'], cwd=ROOT, check=True,
                           capture_output=True, text=True).stdout.split()
    bad = 0
    for name in files:
        text = (ROOT / name).read_text(errors='replace')
        for _, target in INCLUDE.findall(text):
            if target.split('/')[0] not in ('agent', 'exporter', 'bpf', 'include', 'tests'):
                continue
            if target in ('bpf/libbpf.h', 'bpf/bpf.h', 'bpf/btf.h', 'bpf/bpf_helpers.h', 'bpf/bpf_tracing.h',
                          'bpf/bpf_core_read.h', 'bpf/bpf_endian.h'):
                continue
            reason = allowed(name, target, order)
            if reason:
                print(f'{name}: includes {target}: {reason}')
                bad += 1
        for pattern, places, what in CONFINED:
            if pattern.search(text) and not any(name.startswith(p) for p in places) and not name.startswith('bpf/'):
                print(f'{name}: {what} belong in {" or ".join(places)}')
                bad += 1
    print(f'arrows: {len(files)} files, {bad} violations')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
