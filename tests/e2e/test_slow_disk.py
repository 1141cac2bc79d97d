# SPDX-License-Identifier: Apache-2.0
"""A call of the disk that takes its time while files are fetched: it holds up its own job, and no other."""

from __future__ import annotations

import concurrent.futures
import itertools
import re
import tempfile
import time
from pathlib import Path
from typing import Iterator

import numpy as np
import pytest

from checkpoints import write_safetensors
from origin import Origin
from sweep import Control, Fault, SweptKend

KINDS = ("open", "read", "write", "room", "sync", "name")
#: Where such a call is the fetcher's. What makes room (cache_room.c) asks the disk under a lock that all who look for room take.
PLACES = {"cache.c", "cached.c", "entry.c", "entry_source.c", "durable.c", "meta.c", "piece.c", "pieces.c", "writing.c"}
#: One call of each kind: of whom.
SOME = {
    "open": "kend_cache_open",
    "read": "kend_meta_read",
    "write": "write_all",
    "room": "kend_cached_truncate",
    "sync": "kend_cached_save",
    "name": "kend_cached_detach",
}


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Origin]:
    with Origin(tmp_path) as serving:
        yield serving


class Held:
    """Jobs on one kend, each with one call that does not return before another job has ended."""

    weights = np.random.default_rng(1).standard_normal((48, 64), np.float32)

    def __init__(self, folder: Path, origin: Origin, kind: str) -> None:
        self.control = Control(folder / "sweep")
        self.kend = SweptKend(folder, self.control, jobs__max_running=2, disk__reserve_bytes=0)
        self.origin = origin
        self.fault = Fault(kind, holds=True)
        self.places: set[str] = set()

    def run(self, name: str, seconds: float) -> None:
        """A job from its submission to its end."""
        model, base = (f"{self.origin.url}/{side}.safetensors?{name}" for side in ("model", "base"))
        done = self.kend.wait(self.kend.submit({"model": model, "base": base, "keep": 0.5}), seconds)
        assert done["status"] == "succeeded", done["error"]

    def put(self, side: str, number: int) -> None:
        path = self.control.path.with_name("put")
        write_safetensors(path, {"a.weight": self.weights + np.float32(number)})
        self.origin.put(f"/{side}.safetensors", path.read_bytes())

    def check(self, place: str, name: str) -> None:
        """Another job is not held up, if this is a call of the fetcher's that was not held before."""
        files = set(re.findall(r"at (\w+\.c):", place))
        if place in self.places or "cache_room.c" in files or not files & PLACES:
            return
        self.places.add(place)
        try:
            self.run(name, 20)
        except Exception as failure:
            raise AssertionError(f"{place} holds up others") from failure

    def one(self, first: int) -> bool:
        """Holds the call `first`; whether there was one. The model is another one each time: the cache lets go of that before."""
        self.put("model", first)
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            self.control.arm(self.fault, first)
            slow = threads.submit(self.run, "slow", 60)
            while not self.control.place() and not slow.done():
                time.sleep(0.001)
            try:
                self.check(self.control.place(), f"other{first}")
            finally:
                held = self.control.disarm() > 0
            slow.result()
        return held


@pytest.fixture
def folder() -> Iterator[Path]:
    """It is slow enough."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


def hold(folder: Path, origin: Origin, kind: str, where: str) -> None:
    """One call after the other, until one was held of that name; none is: all."""
    held = Held(folder, origin, kind)
    held.put("base", 0)
    with held.kend:
        held.put("model", 0)
        held.run("slow", 60)
        for first in itertools.count(1):
            if not held.one(first) or any(where and where in place for place in held.places):
                break
    assert any(where in place for place in held.places), held.places


@pytest.mark.parametrize("kind", KINDS)
def test_slow_call_holds_up_no_other_job(folder: Path, origin: Origin, kind: str) -> None:
    hold(folder, origin, kind, SOME[kind])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_all_slow_calls_hold_up_no_other_job(folder: Path, origin: Origin, kind: str) -> None:
    hold(folder, origin, kind, "")
