# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the end-to-end tests: the real programs in folders of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import contract  # noqa: E402,F401  every answer of every test is checked
from daemon import BUILD, Kend  # noqa: E402
from deltas import Run, make_pair, ok  # noqa: E402
from origin import Origin  # noqa: E402
from sanitizers import no_sanitizer_reports, sanitizer_reports  # noqa: E402,F401  whatever they say fails the test

DATA = Path(os.environ.get("KEND_TEST_DATA", Path(__file__).parents[1] / "data"))


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: "pytest.CallInfo[None]") -> "Iterator[None]":
    outcome: Any = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or outcome.get_result().failed


@pytest.fixture
def tmp_path(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """pytest's, which goes when the test has passed: together they would be more than ten gigabytes."""
    yield tmp_path
    if not request.node.stash.get(FAILED, False):
        shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def data() -> Path:
    """The folder of test data."""
    return DATA


@pytest.fixture
def kend(tmp_path: Path) -> Iterator[Kend]:
    """A kend with defaults, allowed to fetch from this machine, and files below tmp_path/files and the test data."""
    (tmp_path / "files").mkdir()
    with Kend(tmp_path, {"fetch.file_roots": f"{tmp_path / 'files'},{DATA}"}) as running:
        yield running


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Origin]:
    """An HTTP origin that serves tmp_path/origin."""
    root = tmp_path / "origin"
    root.mkdir()
    with Origin(root) as serving:
        yield serving


@pytest.fixture
def kenctl(tmp_path: Path) -> Run:
    """Runs kenctl with the given arguments in tmp_path and returns what came of it; keyword arguments go to subprocess.run."""

    def run(*arguments: object, **options: object) -> "subprocess.CompletedProcess[str]":
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("KEND_", "KENCTL_"))}
        settings: dict = {
            "env": environment,
            "cwd": tmp_path,
            "timeout": 120,
            "capture_output": True,
            "text": True,
            **options,
        }
        return subprocess.run([str(BUILD / "kenctl"), *map(str, arguments)], **settings)

    return run


@pytest.fixture
def pruned(tmp_path: Path, kenctl: Run) -> "tuple[Path, Path]":
    """The base, and a folder with what pruning gave."""
    model, base = make_pair(tmp_path)
    ok(kenctl("prune", "--model", model, "--base", base, "--k", 20, "-o", "out"))
    return base, tmp_path / "out"
