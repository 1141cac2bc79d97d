# SPDX-License-Identifier: Apache-2.0
"""Whatever a sanitizer says in a program that a test runs, kend, kenctl or fetch_probe, killed or not, fails that test."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Iterator

import pytest

#: Whether the programs are built with a sanitizer, as the Makefile tells: then they are neither small nor fast.
SANITIZED = bool(os.environ.get("KEND_SANITIZED"))
VARIABLES = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")


def take_reports(folder: Path) -> str:
    """The text of all reports so far; they are removed."""
    texts = []
    for path in sorted(folder.iterdir()):
        texts.append(path.read_text(errors="replace"))
        path.unlink()
    return "\n".join(texts)


@pytest.fixture(scope="session")
def sanitizer_reports() -> Iterator[Path]:
    """The folder that reports go to, one file for each process."""
    folder = Path(tempfile.mkdtemp(prefix="kend-reports-"))
    for name in VARIABLES:
        os.environ[name] = ":".join(filter(None, [os.environ.get(name), f"log_path={folder}/report"]))
    yield folder
    text = take_reports(folder)  # of daemons that several tests shared and that have ended by now
    shutil.rmtree(folder)
    assert not text, text


@pytest.fixture(autouse=True)
def no_sanitizer_reports(sanitizer_reports: Path) -> Iterator[None]:
    """Fails a test during which a report came."""
    yield
    text = take_reports(sanitizer_reports)
    assert not text, text
