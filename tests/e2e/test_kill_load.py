# SPDX-License-Identifier: Apache-2.0
"""kill -9 again and again while clients submit, cancel, delete, download and list: no job is lost, doubled or wrong, and nothing is left over."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import os
import random
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from churn import Client, Kind, learn, make_kinds, wait_for_all
from daemon import Kend
from origin import Origin

CLIENTS = 4
SEED = int(os.environ.get("KEND_KILL_SEED", "1"))
CACHE = 24 << 20
BLOCK = 4096  # of the disk: the last one of a file is not full
LEARNT = 3  # seconds within which an idle machine does a job of each kind
STAGES = ("checking", "fetching", "pruning", "publishing")


def pause(random_: random.Random) -> float:
    """Until the next kill, on an idle machine: mostly too short for progress to become durable, sometimes long enough."""
    return random_.uniform(0.9, 1.5) if random_.random() < 0.2 else random_.uniform(0.02, 0.5)


def kill_often(
    kend: Kend, up: threading.Event, clients: "list[Client]", kills: int, slowness: float
) -> "collections.Counter[str]":
    """How many jobs were in which stage when kend was killed."""
    random_ = random.Random(SEED)
    met: "collections.Counter[str]" = collections.Counter()
    for _ in range(kills):
        time.sleep(slowness * pause(random_))
        met.update(job.get("stage") for job in kend.get("/v1/jobs?status=running&limit=5").json["data"])
        kend.kill()
        up.clear()
        kend.start()
        up.set()
        if not all(client.is_alive() for client in clients):
            break  # one has failed, and is asked why
    return met


def all_jobs(kend: Kend) -> "dict[str, dict]":
    """Every job that kend has, by id; none is listed twice."""
    jobs: "dict[str, dict]" = {}
    after = ""
    while True:
        page = kend.get(f"/v1/jobs?limit=200{after}").json
        for job in page["data"]:
            assert job["id"] not in jobs
            jobs[job["id"]] = kend.job(job["id"])  # with its artifacts
        if not page["has_more"]:
            return jobs
        after = f"&after={page['next']}"


def check_jobs(jobs: "dict[str, dict]", clients: "list[Client]") -> None:
    """What was accepted is there unless it was deleted, and nothing else is; each key has made one job."""
    sent = [one for client in clients for one in client.sent]
    assert set(jobs) == {one.id for one in sent if not one.deleted}
    keys = [job["metadata"]["key"] for job in jobs.values()]
    assert len(set(keys)) == len(keys)
    for one in sent:
        if not one.deleted:
            one.kind.check(jobs[one.id])


def check_disk(kend: Kend, jobs: "dict[str, dict]") -> None:
    """Of a kend that has been started once more and stopped: the store is sound, and the folders hold what it tells of, whole."""
    with contextlib.closing(sqlite3.connect(f"file:{kend.data}/kend.db?mode=ro", uri=True)) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert store.execute("PRAGMA foreign_key_check").fetchall() == []
        assert {row[0] for row in store.execute("SELECT id FROM job")} == set(jobs)
        assert store.execute("SELECT count(*) FROM event WHERE id NOT IN (SELECT id FROM job)").fetchone() == (0,)
        assert store.execute("SELECT count(*) FROM removed").fetchone() == (0,)
        counted = dict(store.execute("SELECT status, jobs FROM counter WHERE jobs > 0"))
        assert counted == collections.Counter(job["status"] for job in jobs.values())
        loads = "SELECT name, queued, running FROM owner_load WHERE queued <> 0 OR running <> 0"
        active = (
            "SELECT owner, sum(status = 'queued'), sum(status = 'running') FROM job"
            " WHERE status IN ('queued', 'running') GROUP BY owner"
        )
        assert sorted(store.execute(loads)) == sorted(store.execute(active))
        total = store.execute("SELECT coalesce(sum(size), 0) FROM artifact").fetchone()
        assert store.execute("SELECT bytes FROM artifact_total").fetchall() == [total]
    artifacts = kend.data / "artifacts"
    whole = {job["id"]: job["artifacts"] for job in jobs.values() if job["status"] == "succeeded"}
    assert {path.name for path in artifacts.iterdir()} == {".work", ".trash", *whole}
    assert list((artifacts / ".work").iterdir()) == list((artifacts / ".trash").iterdir()) == []
    for job, listed in whole.items():
        files = {
            str(path.relative_to(artifacts / job)): path for path in (artifacts / job).rglob("*") if path.is_file()
        }
        assert {name for name in files if not name.startswith(".kend/")} == {one["name"] for one in listed}
        for one in listed:
            assert hashlib.sha256(files[one["name"]].read_bytes()).hexdigest() == one["sha256"]
    cached = [path for path in (kend.data / "cache").iterdir() if path.is_dir()]
    assert all({file.name for file in entry.iterdir()} == {"data", "meta"} for entry in cached)
    assert sum((entry / "data").stat().st_blocks * 512 - BLOCK for entry in cached) <= CACHE


def churn(
    kend: Kend, kinds: "list[Kind]", kills: int, slowness: float
) -> "tuple[list[Client], collections.Counter[str]]":
    """Clients at work while kend is killed; they have stopped, and every job has ended."""
    up = threading.Event()
    up.set()
    clients = [Client(f"client{i}", kend, up, kinds, SEED + i) for i in range(CLIENTS)]
    for client in clients:
        client.start()
    met = kill_often(kend, up, clients, kills, slowness)
    for client in clients:
        client.finish()
    wait_for_all(clients, kend, 120)
    return clients, met


@pytest.mark.parametrize("kills", [25, pytest.param(500, marks=pytest.mark.slow)])
def test_kills_under_load(tmp_path: Path, origin: Origin, kills: int) -> None:
    kinds = make_kinds(tmp_path, origin)
    settings = {"fetch.file_roots": tmp_path / "files", "cache.max_bytes": CACHE, "disk.reserve_bytes": 0}
    (tmp_path / "alone").mkdir()
    with Kend(tmp_path / "alone", settings) as kend:
        begin = time.monotonic()
        learn(kinds, kend, tmp_path / "files")
        slowness = max(1, (time.monotonic() - begin) / LEARNT)
    origin.rate = 4e6
    with Kend(tmp_path, settings) as kend:
        clients, met = churn(kend, kinds, kills, slowness)
        jobs = all_jobs(kend)
        check_jobs(jobs, clients)
        kend.stop()
        kend.start()
    sent = [one for client in clients for one in client.sent]
    ends = collections.Counter(one.ended for one in sent)
    exhausted = sum(one.error == "attempts_exhausted" for one in sent)
    print(
        f"{kills} kills, seed {SEED}: {len(sent)} jobs accepted, {sum(one.deleted for one in sent)} deleted, {dict(ends)}, {exhausted} "
        f"exhausted, {sum(client.requests for client in clients)} requests, {sum(client.cut_off for client in clients)} cut off, killed in {dict(met)}"
    )
    check_disk(kend, jobs)
    assert len(sent) >= kills / 2 and ends["succeeded"] >= len(sent) / 3
    assert kills < 100 or all(met[stage] >= kills / 100 for stage in STAGES), met
