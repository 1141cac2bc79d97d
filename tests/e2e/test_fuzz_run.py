# SPDX-License-Identifier: Apache-2.0
"""How tests/fuzz/run reads its words: a tree of its own, in which nothing is built and a target is a script that tells what it was given."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deltas import Run

RUN = Path(__file__).parents[1] / "fuzz" / "run"

BUILD_SH = """
configure_in() { mkdir -p "$1/tests/fuzz"; }
build_quietly() {
    for target in a b; do
        printf '%s\\n' '#!/bin/sh' 'echo "$0 $*" >>"$TOLD"' 'echo "stat::number_of_executed_units: 7"' >build-fuzz/tests/fuzz/fuzz_$target
        chmod +x build-fuzz/tests/fuzz/fuzz_$target
    done
}
"""


@pytest.fixture
def fuzz(tmp_path: Path) -> Run:
    """Runs the script with targets a and b."""
    for folder in ("tests/fuzz", ".ci"):
        (tmp_path / folder).mkdir(parents=True)
    for target in "ab":
        (tmp_path / f"tests/fuzz/fuzz_{target}.c").touch()
    (tmp_path / "tests/fuzz/run").write_bytes(RUN.read_bytes())
    (tmp_path / ".ci/packages.sh").write_text("packages_build='' packages_fuzz=''\ninstall_packages() { :; }\n")
    (tmp_path / ".ci/build.sh").write_text(BUILD_SH)

    def run(*words: object, **_options: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["sh", str(tmp_path / "tests/fuzz/run"), *map(str, words)],
            env={"PATH": "/usr/bin:/bin", "TOLD": str(tmp_path / "told")},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


@pytest.mark.parametrize(
    "words, runs, seconds, targets",
    [
        ((), -1, 60, "ab"),
        (("--seconds", 5, "b"), -1, 5, "b"),
        (("--runs", 9, "--jobs", 2), 9, 60, "ab"),
    ],
)
def test_what_is_not_told_has_a_default(
    fuzz: Run, tmp_path: Path, words: "tuple[object, ...]", runs: int, seconds: int, targets: str
) -> None:
    done = fuzz(*words)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    told = sorted((tmp_path / "told").read_text().splitlines())
    assert [line.split()[0][-1] for line in told] == list(targets)
    assert all(f" -runs={runs} -max_total_time={seconds} " in line for line in told)
    assert [line.split()[:2] for line in done.stdout.splitlines()[2:]] == [[target, "7"] for target in targets]


@pytest.mark.parametrize("words", [("--runs",), ("--runs", "-1"), ("--seconds", "x"), ("--other",), ("c",)])
def test_what_it_does_not_know_is_refused(fuzz: Run, tmp_path: Path, words: "tuple[str, ...]") -> None:
    done = fuzz(*words)
    assert done.returncode == 2 and done.stderr
    assert not (tmp_path / "told").exists()
