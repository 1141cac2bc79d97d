# SPDX-License-Identifier: Apache-2.0
"""Every test that docs/design/threats.md names is there."""

from __future__ import annotations

import re
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
FILES = {
    "e2e": "tests/e2e/test_{}.py",
    "unit": "tests/unit/test_{}.c",
    "fuzz": "tests/fuzz/fuzz_{}.c",
    "browser": "tests/browser/test_{}.js",
}
NAMED = re.compile(r"\b(e2e|unit|fuzz|browser)/([a-z0-9_]+)((?:,? `[a-z0-9_]+`)*)")


def test_tests_of_threats_are_there() -> None:
    rows = [line for line in (TREE / "docs/design/threats.md").read_text().splitlines() if line.startswith("| ")]
    shown = [row.rsplit("|", 2)[1] for row in rows]
    named = [match.groups() for cell in shown for match in NAMED.finditer(cell)]
    assert len(named) > 40
    for kind, name, functions in named:
        text = (TREE / FILES[kind].format(name)).read_text()
        for function in re.findall("`([a-z0-9_]+)`", functions):
            assert f"def test_{function}(" in text, (name, function)
