# SPDX-License-Identifier: Apache-2.0
"""A call of the disk that takes its time while files are fetched: it holds up its own job, and no other."""

from __future__ import annotations

import concurrent.futures
import itertools
import re
import tempfile
import time
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pytest

from checkpoints import write_safetensors
from origin import Origin
from sweep import Control, Fault, SweptKend

KINDS = ("open", "read", "write", "room", "sync", "name")
#: Where such a call is the fetcher's.
PLACES = {"cache.c", "cached.c", "entry.c", "durable.c", "meta.c", "piece.c", "pieces.c", "writing.c"}


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Origin]:
    """A pair whose second state is another file, so that the cache lets go of the first."""
    random = np.random.default_rng(1)
    base = {"a.weight": random.standard_normal((48, 64), np.float32)}
    write_safetensors(tmp_path / "base.safetensors", base)
    write_safetensors(tmp_path / "model.safetensors", {"a.weight": base["a.weight"] + 0.1})
    with Origin(tmp_path) as serving:
        yield serving


def document(origin: Origin, number: str) -> dict[str, Any]:
    model, base = (f"{origin.url}/{name}.safetensors?{number}" for name in ("model", "base"))
    return {"model": model, "base": base, "keep": 0.5}


class Held:
    """Jobs on one kend, each with one call that does not return before another job has ended."""

    def __init__(self, folder: Path, origin: Origin, kind: str) -> None:
        self.control = Control(folder / "sweep")
        self.kend = SweptKend(folder, self.control, jobs__max_running=2, disk__reserve_bytes=0)
        self.origin = origin
        self.fault = Fault(kind, holds=True)
        self.places: set[str] = set()

    def run(self, name: str, seconds: float) -> None:
        """A job from its submission to its end."""
        done = self.kend.wait(self.kend.submit(document(self.origin, name)), seconds)
        assert done["status"] == "succeeded", done["error"]

    def check(self, place: str, name: str) -> None:
        """Another job is not held up, if this is a call of the fetcher's that was not held before."""
        if place in self.places or not PLACES.intersection(re.findall(r"at (\w+\.c):", place)):
            return
        self.places.add(place)
        try:
            self.run(name, 20)
        except Exception as failure:
            raise AssertionError(f"{place} holds up others") from failure

    def one(self, first: int) -> bool:
        """Holds the call `first`; whether there was one."""
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            self.control.arm(self.fault, first)
            slow = threads.submit(self.run, f"slow{first}", 60)
            while not self.control.place() and not slow.done():
                time.sleep(0.001)
            try:
                self.check(self.control.place(), f"other{first}")
            finally:
                held = self.control.disarm() > 0
            slow.result()
        return held


@pytest.mark.parametrize("kind", KINDS)
def test_slow_call_holds_up_its_own_job_alone(origin: Origin, kind: str) -> None:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        held = Held(Path(folder), origin, kind)
        with held.kend:
            for first in itertools.count(1):
                if not held.one(first):
                    break
        assert held.places
        print(kind, first, *sorted(held.places), sep="\n")
