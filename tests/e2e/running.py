# SPDX-License-Identifier: Apache-2.0
"""Jobs that run in a real kend: what to give them, and how to look at them from outside and from below."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

import numpy as np
import pytest

from checkpoints import write_safetensors, write_tiled
from daemon import FINISHED, Kend
from origin import Behaviour, Origin

HUGE = 1 << 60
#: Stopping takes 1 s at most; the rest is for a busy machine.
STOP_SECONDS = 1.5


def poll(condition: Callable[[], Any], seconds: float = 30) -> None:
    """Waits until that is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not within time"
        time.sleep(0.01)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder for file: URLs with a small pair."""
    folder = tmp_path / "files"
    folder.mkdir()
    random = np.random.default_rng(1)
    base = {"a.weight": random.standard_normal((64, 256), np.float32)}
    write_safetensors(folder / "base.safetensors", base)
    write_safetensors(folder / "model.safetensors", {name: value + 0.1 for name, value in base.items()})
    return folder


@pytest.fixture
def large(files: Path) -> Path:
    """A pair whose pruning takes seconds."""
    write_tiled(files / "large-base.safetensors", 64 << 20, 1)
    write_tiled(files / "large-model.safetensors", 64 << 20, 1, 0.02)
    return files


def of_files(files: Path, prefix: str = "", **fields: Any) -> dict[str, Any]:
    return {
        "model": f"file://{files}/{prefix}model.safetensors",
        "base": f"file://{files}/{prefix}base.safetensors",
        "keep": 0.5,
        **fields,
    }


def kend_of(tmp_path: Path, **settings: Any) -> Kend:
    names = {name.replace("__", "."): value for name, value in settings.items()}
    return Kend(tmp_path, {"fetch.file_roots": tmp_path / "files", "jobs.drain_seconds": 0, **names})


@pytest.fixture
def stalled(files: Path) -> Iterator[str]:
    """A URL that is never answered."""
    with Origin(files) as origin:
        origin.put("/stalled.safetensors", b"x" * 100)
        origin.behave("/stalled.safetensors", Behaviour(stall_at=0))
        yield origin.url + "/stalled.safetensors"


def until_stage(kend: Kend, job: str, stage: str, attempt: Optional[int] = None, seconds: float = 60) -> dict[str, Any]:
    """The job once that attempt, or any, is in that stage; it must not have ended before."""
    end = time.monotonic() + seconds
    while True:
        shown = kend.job(job)
        if shown.get("stage") == stage and attempt in (None, shown["attempt"]):
            return shown
        assert shown["status"] not in FINISHED, f"ended before {stage}: {shown}"
        assert time.monotonic() < end, f"not in {stage}: {shown}"
        time.sleep(0.005)


def edit(kend: Kend, *statements: str) -> None:
    """Changes the database of a kend that does not run."""
    with closing(sqlite3.connect(kend.data / "kend.db")) as database, database:
        for statement in statements:
            database.execute(statement)


def files_of(kend: Kend, job: str) -> list[str]:
    artifacts = kend.data / "artifacts"
    return [str(path.relative_to(artifacts)) for path in (artifacts / job, artifacts / ".work" / job) if path.exists()]


def messages(kend: Kend, job: str) -> list[str]:
    return [event["data"]["message"] for event in kend.events(job) if event["type"] == "log"]


def metric(kend: Kend, series: str) -> float:
    for line in kend.get("/metrics").body.decode().splitlines():
        if line.startswith(series + " "):
            return float(line.rpartition(" ")[2])
    raise AssertionError(f"no {series}")


def cancel(kend: Kend, job: str) -> dict[str, Any]:
    begin = time.monotonic()
    assert kend.request("POST", f"/v1/jobs/{job}/cancel").status == 202
    ended = kend.wait(job)
    assert time.monotonic() - begin < STOP_SECONDS
    return ended
