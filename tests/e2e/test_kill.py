# SPDX-License-Identifier: Apache-2.0
"""kill -9 in every stage: no job is lost, work resumes where it was durable, and the same digests come out as without kills."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pytest

from checkpoints import write_safetensors
from daemon import Kend
from origin import Behaviour, Origin
from running import poll, until_stage
from tokens import House

KILLS = 10
DURABLE_SECONDS = 1.8  # work becomes durable about every second, and the store hears of it within half a second
RESUMED = re.compile(r"attempt (\d+) goes on: (\d+) of (\d+) bytes are there, (\d+) of (\d+) rows are done")


def make_pair(folder: Path, tensors: int, rows: int = 512, n: int = 1024) -> None:
    """base.safetensors and model.safetensors with so many F32 tensors [rows, n]."""
    random = np.random.default_rng(1)
    base = {f"layer.{i}.weight": random.standard_normal((rows, n), np.float32) for i in range(tensors)}
    model = {name: value + 0.02 * random.standard_normal((rows, n), np.float32) for name, value in base.items()}
    write_safetensors(folder / "base.safetensors", base)
    write_safetensors(folder / "model.safetensors", model)


def digests(job: dict) -> dict[str, str]:
    assert job["status"] == "succeeded", job["error"]
    return {artifact["name"]: artifact["sha256"] for artifact in job["artifacts"]}


def undisturbed(folder: Path, document: dict, settings: dict) -> dict[str, str]:
    """The digests of the same job in a kend of its own that is left alone."""
    folder.mkdir()
    with Kend(folder, settings) as kend:
        return digests(kend.wait(kend.submit(document)))


def kill_and_restart(kend: Kend, job: str) -> None:
    kend.kill()
    no_half_artifact(kend, job)
    kend.start()


def no_half_artifact(kend: Kend, job: str) -> None:
    """Nothing of a job that has not ended is in sight."""
    published = kend.data / "artifacts" / job
    assert not published.exists() or (published / ".kend" / "result.json").exists()


def resumptions(kend: Kend, job: str) -> list[tuple[int, int]]:
    """Bytes and rows that each later attempt found done, from the job's durable events."""
    found = []
    for event in kend.events(job):
        match = RESUMED.match(event["data"].get("message", ""))
        if match:
            found.append((int(match[2]), int(match[4])))
    return found


def published_before(kend: Kend, job: str) -> int:
    """How many attempts found the artifacts in sight already: the kill came between the rename and the row."""
    return sum("published by an earlier attempt" in event["data"].get("message", "") for event in kend.events(job))


@pytest.fixture
def slow_origin(tmp_path: Path) -> Iterator[Origin]:
    (tmp_path / "origin").mkdir()
    make_pair(tmp_path / "origin", tensors=6)
    with Origin(tmp_path / "origin") as origin:
        yield origin


def http_document(origin: Origin) -> dict:
    return {"model": f"{origin.url}/model.safetensors", "base": f"{origin.url}/base.safetensors", "keep": 0.5}


def test_checking(tmp_path: Path, slow_origin: Origin) -> None:
    """Every request of the origin takes a while, so that the headers take seconds. Two kills a job: a third without progress would end it."""
    document = http_document(slow_origin)
    expected = undisturbed(tmp_path / "alone", document, {})
    with Kend(tmp_path) as kend:
        for _ in range(KILLS // 2):
            for path in ("/model.safetensors", "/base.safetensors"):
                slow_origin.behave(path, Behaviour(delay=0.4))
            job = kend.submit(document)
            for attempt in (1, 2):
                until_stage(kend, job, "checking", attempt)
                time.sleep(0.3)
                until_stage(kend, job, "checking", attempt, seconds=1)
                kill_and_restart(kend, job)
            for path in ("/model.safetensors", "/base.safetensors"):
                slow_origin.behave(path)
            ended = kend.wait(job)
            assert digests(ended) == expected
            assert ended["attempt"] == 3


def test_fetching(tmp_path: Path, slow_origin: Origin) -> None:
    """One job is killed ten times while its bytes trickle in: each attempt begins with more of them, and none is asked for twice as a whole."""
    document = http_document(slow_origin)
    expected = undisturbed(tmp_path / "alone", document, {})
    size = sum((tmp_path / "origin" / name).stat().st_size for name in ("model.safetensors", "base.safetensors"))
    slow_origin.rate = size / 40
    slow_origin.forget()
    with Kend(tmp_path) as kend:
        job = kend.submit(document)
        for attempt in range(1, KILLS + 1):
            until_stage(kend, job, "fetching", attempt)
            time.sleep(DURABLE_SECONDS)
            until_stage(kend, job, "fetching", attempt, seconds=1)
            kill_and_restart(kend, job)
        slow_origin.rate = 0
        ended = kend.wait(job)
        assert digests(ended) == expected
        assert ended["attempt"] == KILLS + 1
        found = [resumed for resumed, _ in resumptions(kend, job)]
        assert len(found) == KILLS and sorted(set(found)) == found and found[0] > 0
    sent = sum(slow_origin.stats(path).sent for path in ("/model.safetensors", "/base.safetensors"))
    assert sent < 1.8 * size, "each kill may cost what was not yet durable, not the whole"


def test_another_model(tmp_path: Path, slow_origin: Origin) -> None:
    """A model that became another one at its origin while kend was down, with the same header: nothing pruned of the old one is used."""
    document = http_document(slow_origin)
    model = (tmp_path / "origin" / "model.safetensors").read_bytes()
    other = model[:-1] + bytes([model[-1] ^ 1])
    slow_origin.rate = 2 * len(model) / 20
    with Kend(tmp_path) as kend:
        job = kend.submit(document)
        poll(lambda: kend.job(job)["progress"]["rows_done"], 60)
        time.sleep(DURABLE_SECONDS)
        until_stage(kend, job, "fetching", 1, seconds=1)
        kend.kill()
        slow_origin.put("/model.safetensors", other)
        slow_origin.rate = 0
        kend.start()
        ended = kend.wait(job)
        assert [rows for _, rows in resumptions(kend, job)] == [0]
    assert digests(ended) == undisturbed(tmp_path / "alone", document, {})


VARIANTS = [{"name": f"k{i}", "k": 32 * (i + 1)} for i in range(16)]


def make_files(tmp_path: Path, tensors: int) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    make_pair(folder, tensors)
    return folder


def file_document(folder: Path, outputs: list[str], variants: list[dict]) -> dict:
    return {
        "model": f"file://{folder}/model.safetensors",
        "base": f"file://{folder}/base.safetensors",
        "variants": variants,
        "outputs": outputs,
    }


def kill_while_pruning(kend: Kend, job: str, kills: int) -> tuple[dict, int]:
    """Kills up to so many times, for as long as the job prunes; the ended job and the number of kills."""
    for attempt in range(1, kills + 1):
        try:
            until_stage(kend, job, "pruning", attempt)
            time.sleep(DURABLE_SECONDS)
            until_stage(kend, job, "pruning", attempt, seconds=1)
        except AssertionError:
            return kend.wait(job, 120), attempt - 1
        kill_and_restart(kend, job)
    return kend.wait(job, 120), kills


def test_pruning(tmp_path: Path) -> None:
    """Jobs of many variants are killed while they prune, ten times in all: each attempt begins with more rows."""
    file_pair = make_files(tmp_path, tensors=32)
    settings = {"fetch.file_roots": file_pair, "prune.threads": 1}
    document = file_document(file_pair, ["delta", "report"], VARIANTS)
    expected = undisturbed(tmp_path / "alone", document, {"fetch.file_roots": file_pair})
    with Kend(tmp_path, settings) as kend:
        left = KILLS
        for _ in range(KILLS):  # a fast machine ends a job after some kills: then there are more jobs
            job = kend.submit(document)
            ended, kills = kill_while_pruning(kend, job, left)
            assert digests(ended) == expected
            assert ended["attempt"] == kills + 1
            rows_found = [rows for _, rows in resumptions(kend, job)]
            assert len(rows_found) == kills
            assert rows_found == sorted(set(rows_found)), "each attempt goes on further"
            left -= kills
            if not left:
                return
        raise AssertionError(f"{left} kills of {KILLS} could not be made")


def test_publishing(tmp_path: Path) -> None:
    """Five jobs are killed twice each while their deltas are assembled: no row is pruned again, the same comes out."""
    file_pair = make_files(tmp_path, tensors=24)
    settings = {"fetch.file_roots": file_pair}
    document = file_document(file_pair, ["delta", "model", "report"], VARIANTS[:4])
    expected = undisturbed(tmp_path / "alone", document, settings)
    with Kend(tmp_path, settings) as kend:
        for _ in range(KILLS // 2):
            job = kend.submit(document)
            for attempt in (1, 2):
                until_stage(kend, job, "publishing", attempt)
                kill_and_restart(kend, job)
            ended = kend.wait(job, 120)
            assert digests(ended) == expected
            for _, rows in resumptions(kend, job):
                assert rows == ended["progress"]["rows_total"]
            assert len(resumptions(kend, job)) + published_before(kend, job) == 2


def test_a_neighbour_has_a_try_of_its_own(tmp_path: Path) -> None:
    """A job kills the process three times; the other owner's beside it is not given up with it, and what waits runs after both."""
    house = House(tmp_path, **{"jobs.max_running": 2})
    with Origin(tmp_path / "files") as origin, house.kend as kend:
        origin.put("/silent.safetensors", b"")
        origin.behave("/silent.safetensors", Behaviour(delay=600))
        for side in ("model", "base"):
            origin.behave(f"/{side}.safetensors", Behaviour(delay=3))
        silent = f"{origin.url}/silent.safetensors"
        pair: "dict[str, Any]" = {side: f"{origin.url}/{side}.safetensors" for side in ("model", "base")}
        wanted: "tuple[tuple[str, dict[str, Any]], ...]" = (
            ("submit", {"model": silent, "base": silent, "k": 1}),
            ("foreign", {**pair, "k": 1}),
            ("submit", house.pair),
        )
        jobs: "list[tuple[str, str]]" = []

        def show() -> "list[dict[str, Any]]":
            return [house.ask(who, "GET", f"/v1/jobs/{job}").json for who, job in jobs]

        def submit(who: str, document: "dict[str, Any]") -> None:
            jobs.append((who, str(house.ask(who, "POST", "/v1/jobs", document).json["id"])))

        for who, document in wanted[:2]:
            submit(who, document)
        for attempts in ([1, 1], [2, 2], [3, 2]):
            poll(lambda: [job["attempt"] for job in show()[:2]] == attempts)
            if len(jobs) == 2:
                submit(*wanted[2])
            assert [job["status"] for job in show()] == ["running", "running", "queued"]
            kend.kill()
            kend.start()
        poll(lambda: show()[2]["status"] == "succeeded")
        culprit, neighbour, last = show()
        assert culprit["error"]["code"] == "attempts_exhausted" and culprit["attempt"] == 3
        assert neighbour["status"] == "succeeded" and neighbour["attempt"] == 3
        assert last["attempt"] == 1
