#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up what the test programs in the given build folders reported and prints one closing line: N passed, N failed.

usage: summary.py BUILD-FOLDER...
"""

import pathlib
import re
import sys

CHECK = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)", re.M)
PYTEST = re.compile(r"^=+ .*\bin [0-9.]+s.* =+$", re.M)
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
    return passed, failed


def main() -> int:
    """Returns 1 where a log tells of a failure."""
    passed = failed = 0
    for folder in map(pathlib.Path, sys.argv[1:]):
        for log in sorted(folder.glob("tests/**/*.log")):
            good, bad = counts(log.read_text(errors="replace"))
            status = log.with_suffix(".trs")
            broken = status.exists() and ":test-result: FAIL" in status.read_text()
            if broken:
                print(f"FAIL {log}")
                bad = max(bad, 1)
            passed += good
            failed += bad
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
