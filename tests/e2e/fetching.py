# SPDX-License-Identifier: Apache-2.0
"""Runs fetch_probe, which fetches as a job would, and reads what it says."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any, Iterator, Mapping, Optional

import pytest

from daemon import BUILD
from origin import Certificates, Origin, make_certificates

PROBE = BUILD / "tests/unit/fetch_probe"


def body(size: int, seed: int = 1) -> bytes:
    """Bytes that look like weights: the same for the same arguments."""
    return random.Random(seed).randbytes(size)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclasses.dataclass
class Fetched:
    """What came of one URL."""

    url: str
    code: str
    message: str
    size: int = 0
    folder: bool = False
    sha256: str = ""  # as the fetcher tells it; "" where the reader is to hash
    seen: str = ""  # of the bytes that were read
    notes: list[str] = dataclasses.field(default_factory=list)
    reads: list[str] = dataclasses.field(default_factory=list)
    total: int = 0
    there: int = 0
    durable: int = 0
    resumed: int = 0
    complete: bool = False
    ms: int = 0
    received: int = 0
    read_in_place: int = 0
    cache_bytes: int = 0


class Prober:
    """Runs the probe with one cache and the options of a test."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache

    def command(self, urls: tuple[str, ...], options: Mapping[str, object]) -> list[str]:
        command = [str(PROBE), "--cache", str(self.cache)]
        defaults: dict[str, object] = {"retries": 1, "stall": 2}
        for name, value in {**defaults, **options}.items():
            for one in value if isinstance(value, list) else [value]:
                command += [f"--{name.replace('_', '-')}", str(one)]
        return command + list(urls)

    def all(self, *urls: str, env: Optional[Mapping[str, str]] = None, **options: object) -> list[Fetched]:
        """Fetches the URLs at once."""
        done = subprocess.run(
            self.command(urls, options), capture_output=True, timeout=60, env={**os.environ, **(env or {})}
        )
        assert done.returncode == 0, done.stderr.decode()
        results: list[dict[str, Any]] = json.loads(done.stdout)
        held = sum(data.stat().st_size for data in self.cache.glob("*/data"))  # once the probe has let go of everything
        for one in results:
            one.setdefault("url", "")
            one["cache_bytes"] = held
        return [Fetched(**one) for one in results]

    def __call__(self, url: str, env: Optional[Mapping[str, str]] = None, **options: object) -> Fetched:
        return self.all(url, env=env, **options)[0]

    def start(self, *urls: str, **options: object) -> "subprocess.Popen[bytes]":
        """For a test that kills it."""
        return subprocess.Popen(self.command(urls, options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


# ---- what the tests of fetching share: a good file, an origin that has it, a fetcher with a cache of its own

#: All header fields that kend ever sends to an origin. None of them is a credential.
FIELDS = {"host", "accept", "user-agent", "range", "if-range", "if-none-match", "if-modified-since"}
SIZE = 300_000
BODY = body(SIZE)
PATH = "/model.safetensors"


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as serving:
        serving.put(PATH, BODY)
        yield serving


@pytest.fixture
def fetch(tmp_path: Path) -> Prober:
    return Prober(tmp_path / "cache")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))
