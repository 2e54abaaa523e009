#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs clang's thread-safety analysis and clang-tidy over the given files, a few at a time.

Exits 1 if any file has a finding; prints the findings only.
"""
import argparse
import concurrent.futures
import shlex
import subprocess
import sys


def check(path, flags):
    safety = subprocess.run(['clang++-14', '-fsyntax-only', '-Wthread-safety', '-Werror=thread-safety', *flags, path],
                            capture_output=True, text=True)
    if safety.returncode != 0:
        return safety.stderr
    tidy = subprocess.run(['clang-tidy-14', '--quiet', path, '--', *flags], capture_output=True, text=True)
    return tidy.stdout if tidy.returncode != 0 or 'warning:' in tidy.stdout else ''


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('--flags', default='')
    parser.add_argument('files', nargs='+')
    args = parser.parse_args()
    flags = shlex.split(args.flags) + ['-USPANTAP_VERSION', '-DSPANTAP_VERSION="lint"']
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for path, findings in zip(args.files, pool.map(lambda f: check(f, flags), args.files)):
            if findings:
                bad += 1
                print(findings)
    print(f'clang: {len(args.files)} files, {bad} with findings')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
