# SPDX-License-Identifier: Apache-2.0
"""A soak: owners who work and visitors who misbehave, for KEND_SOAK_SECONDS. Memory, descriptors, threads and disk stay what they are."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import re
import sqlite3
import threading
import time
import urllib.parse
from pathlib import Path
from typing import Iterator, Optional, Union

import numpy as np
import pytest

from churn import Client, Kind, learn, make_kinds, wait_for_all
from daemon import Kend
from origin import Origin
from sanitizers import SANITIZED
from tokens import Tokens
from visitors import Visitor

MIB = 1 << 20
LONG = int(os.environ.get("KEND_SOAK_SECONDS", "1200"))
ROUNDS = 40  # samples of a long soak
WARM_UP = 0.5  # of the samples: by then what is kept for the next time is there
CACHE = 8 * MIB
OWNERS = 3
AGED = "aged"  # the owner whose jobs grow old
#: Else each thread's arena keeps the largest block that it ever held, and it takes thousands of jobs until all of them have: a leak would not
#: be told from that.
ONE_ARENA = {"MALLOC_ARENA_MAX": "1"}
KEPT_CONNECTIONS = 8  # that the fetcher may keep open to origins
#: The most that a field may grow after the warm-up, by the line that fits best.
FLAT = {"private": 4 * MIB, "resident": 4 * MIB, "files": 2, "threads": 0.5, "store": 2 * MIB, "disk": MIB}
SHORT = 3  # a short soak may grow by so many times as much: it has hardly warmed up


@dataclasses.dataclass
class Sample:
    """Of a kend that has nothing to do."""

    seconds: float
    jobs: int  # ended so far
    requests: int
    resident: int  # bytes
    private: int
    files: int  # descriptors
    threads: int
    store: int  # bytes of the database
    disk: int  # bytes of all that is neither the database, nor artifacts, nor cached
    cache: int


def blocks(folder: Path) -> int:
    """Bytes on disk; files that go meanwhile do not matter."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_blocks * 512
    return total


class Soak:
    """A kend with owners and a visitor at work, who can be halted."""

    def __init__(self, kend: Kend, tokens: Tokens, kinds: "list[Kind]") -> None:
        self.kend, self.tokens, self.kinds, self.begin = kend, tokens, kinds, time.monotonic()
        self.up = threading.Event()
        self.owners = [Client(f"owner{i}", kend, self.up, self.kinds, i) for i in range(OWNERS)]
        for owner in self.owners:
            owner.headers = tokens.bearer(owner.name)
        self.visitor = Visitor(kend, self.up, self.owners[0], tokens, 99)
        self.aged = 0  # jobs of that owner so far

    def threads(self) -> "list[Union[Client, Visitor]]":
        return [*self.owners, self.visitor]

    def work(self, seconds: float) -> None:
        self.up.set()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for thread in self.threads():
                if not thread.is_alive():
                    thread.finish()  # says why
            time.sleep(0.1)
        self.up.clear()

    def age(self) -> None:
        """Some jobs whose time is over at once: retention takes them within its minute."""
        with contextlib.closing(sqlite3.connect(self.kend.data / "kend.db", timeout=30)) as store, store:
            store.execute("UPDATE job SET expires_at = 1 WHERE owner = ? AND expires_at > 1", (AGED,))
        for kind in self.kinds[:3]:
            self.kend.submit(kind.document(0), headers=self.tokens.bearer(AGED))
            self.aged += 1

    def metric(self, name: str) -> int:
        text = self.kend.get("/metrics", headers=self.tokens.bearer("root")).body.decode()
        found = re.search(re.escape(name) + r" (\S+)$", text, re.M)
        assert found, name
        return int(float(found[1]))

    def settle(self) -> None:
        """Until nothing runs and nobody is connected any more."""
        end, files = time.monotonic() + 120, -1
        while time.monotonic() < end:
            active = self.metric('kend_jobs{status="running"}') + self.metric('kend_jobs{status="queued"}')
            time.sleep(0.3)
            before, files = files, len(os.listdir(f"/proc/{self.kend.pid}/fd"))
            if not active and before == files:
                return
        raise AssertionError("it does not come to rest")

    def sample(self) -> Sample:
        self.settle()
        proc = Path(f"/proc/{self.kend.pid}")
        memory = dict(re.findall(r"^(\w+):\s+(\d+) kB", (proc / "smaps_rollup").read_text(), re.M))
        status = (proc / "status").read_text()
        store = sum(path.stat().st_size for path in self.kend.data.glob("kend.db*"))
        cache, artifacts = blocks(self.kend.data / "cache"), blocks(self.kend.data / "artifacts")
        return Sample(
            seconds=time.monotonic() - self.begin,
            jobs=sum(
                self.metric(f'kend_jobs_total{{status="{ended}"}}') for ended in ("succeeded", "failed", "cancelled")
            ),
            requests=sum(owner.requests for owner in self.owners) + self.visitor.visits,
            resident=int(memory["Rss"]) * 1024,
            private=(int(memory["Private_Clean"]) + int(memory["Private_Dirty"])) * 1024,
            files=len(os.listdir(proc / "fd")),
            threads=int(re.search(r"Threads:\s+(\d+)", status)[1]),  # type: ignore[index]
            store=store,
            disk=blocks(self.kend.data) - store - cache - artifacts,
            cache=cache,
        )


def listed(kend: Kend, query: str) -> "dict[str, str]":
    """Statuses by id, of all pages."""
    found: "dict[str, str]" = {}
    after: Optional[str] = ""
    while after is not None:
        page = kend.get(f"/v1/jobs?limit=50&{query}" + (f"&after={urllib.parse.quote(after)}" if after else "")).json
        assert not found.keys() & {job["id"] for job in page["data"]}, "none is listed twice"
        found.update({job["id"]: job["status"] for job in page["data"]})
        after = page["next"]
    return found


def nothing_is_lost(soak: Soak) -> None:
    """Each owner has the jobs that it did not delete, all of them and no other, as they ended; and their artifacts, of those alone."""
    kend = soak.kend
    deleted: "set[str]" = set()
    for owner in soak.owners:
        kept = {sent.id: sent for sent in owner.sent if not sent.deleted}
        assert kept, f"{owner.name} did nothing"
        assert listed(kend, f"metadata.client={owner.name}") == {job: sent.ended for job, sent in kept.items()}
        for job, sent in kept.items():
            if sent.ended != "succeeded":
                continue
            for name, digest in sent.kind.digests.items():
                assert hashlib.sha256(kend.download(job, name)).hexdigest() == digest, (job, name)
        gone = [sent.id for sent in owner.sent if sent.deleted]
        assert all(kend.get(f"/v1/jobs/{job}").status == 404 for job in gone[-20:])
        deleted |= set(gone)
    folders = {path.name for path in (kend.data / "artifacts").iterdir() if not path.name.startswith(".")}
    assert not folders & deleted, "artifacts of deleted jobs"
    assert folders <= set(listed(kend, "status=succeeded")), "artifacts that are no job's"
    assert len(listed(kend, f"owner={AGED}")) <= soak.aged


def growth(samples: "list[Sample]", field: str) -> float:
    """Of the field, from the first job to the last, along the line that fits best."""
    jobs = [one.jobs for one in samples]
    slope = np.polyfit(jobs, [getattr(one, field) for one in samples], 1)[0]
    return float(slope) * (jobs[-1] - jobs[0])


def check(samples: "list[Sample]", long: bool) -> None:
    """Whether what was measured after the warm-up is flat."""
    warm = samples[int(len(samples) * WARM_UP) :]
    grown = {field: growth(warm, field) for field in FLAT}
    print(f"{warm[-1].jobs} jobs; grown in the last {warm[-1].jobs - warm[0].jobs} by {grown}")
    assert max(one.files for one in warm) <= warm[0].files + KEPT_CONNECTIONS
    assert max(one.cache for one in warm) <= CACHE + MIB
    for field, most in FLAT.items():
        kept = SANITIZED and field in ("private", "resident")  # sanitizers keep what is freed
        assert kept or grown[field] <= most * (1 if long else SHORT), (field, grown)


@pytest.fixture
def soak(tmp_path: Path, origin: Origin) -> Iterator[Soak]:
    tokens = Tokens(tmp_path)
    tokens.make("root", "root", "admin")
    for name in (AGED, *(f"owner{i}" for i in range(OWNERS))):
        tokens.make(name, name, "submit")
    settings = {
        "auth.tokens_file": tokens.path,
        "fetch.file_roots": tmp_path / "files",
        "cache.max_bytes": CACHE,
        "disk.reserve_bytes": 0,
        "http.idle_seconds": 4,
        "jobs.keep_days": 1,
    }
    kinds = make_kinds(tmp_path, origin)
    with Kend(tmp_path, settings, ONE_ARENA) as kend:
        kend.headers = tokens.bearer("root")
        learn(kinds, kend, tmp_path / "files")
        kend.headers = {}  # visitors come without a token
        yield Soak(kend, tokens, kinds)


@pytest.mark.parametrize("seconds", [20, pytest.param(LONG, marks=pytest.mark.slow)])
def test_soak(soak: Soak, seconds: int) -> None:
    rounds = ROUNDS if seconds >= 60 else 5
    for thread in soak.threads():
        thread.start()
    samples = []
    for _ in range(rounds):
        soak.work(seconds / rounds)
        samples.append(soak.sample())
        print(samples[-1], flush=True)
        soak.age()
    soak.up.set()
    soak.visitor.finish()
    for owner in soak.owners:
        owner.finish()
    soak.kend.headers = soak.tokens.bearer("root")
    wait_for_all(soak.owners, soak.kend, 120)
    nothing_is_lost(soak)
    check(samples, seconds >= 600)
