#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up what the test programs in the given build folders reported and prints one closing line: N passed, N failed.

usage: summary.py [--tests N] [--others N] BUILD-FOLDER...

--tests: how many runs of tests failed as a whole; matters where no log tells of it, as when a test does not compile.
--others: how many other steps failed, each of which counts as one. Exits 1 where anything failed, or nothing was run.
"""

import argparse
import pathlib
import re
import sys

CHECK = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)", re.M)
PYTEST = re.compile(r"^(?:=+ )?\d+ (?:passed|failed|skipped|error).*\bin [0-9.]+s.*$", re.M)
NODE = re.compile(r"^(?:#|\u2139) (pass|fail|cancelled) (\d+)$", re.M)
COUNT = re.compile(r"(\d+) (passed|failed|error)")


def counts(text: str) -> tuple[int, int]:
    """Tests passed and failed according to one log."""
    passed = failed = 0
    for checks, failures, errors in CHECK.findall(text):
        failed += int(failures) + int(errors)
        passed += int(checks) - int(failures) - int(errors)
    for line in PYTEST.findall(text):
        for number, word in COUNT.findall(line):
            if word == "passed":
                passed += int(number)
            else:
                failed += int(number)
    for word, number in NODE.findall(text):
        if word == "pass":
            passed += int(number)
        else:
            failed += int(number)
    return passed, failed


def main() -> int:
    """Returns 1 where a log or a step tells of a failure, or where there is nothing to tell of."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tests", type=int, default=0)
    parser.add_argument("--others", type=int, default=0)
    parser.add_argument("folders", type=pathlib.Path, nargs="+")
    arguments = parser.parse_args()
    passed = failed = 0
    for folder in arguments.folders:
        for log in sorted(folder.glob("tests/**/*.log")):
            good, bad = counts(log.read_text(errors="replace"))
            status = log.with_suffix(".trs")
            broken = status.exists() and not re.search("^:test-result: (PASS|SKIP)", status.read_text(), re.M)
            if broken:
                print(f"FAIL {log}")
                bad = max(bad, 1)
            passed += good
            failed += bad
    failed = max(failed, arguments.tests) + arguments.others
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
