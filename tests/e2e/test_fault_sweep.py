# SPDX-License-Identifier: Apache-2.0
"""The n-th call of each kind fails, for n = 1, 2, ... until none is met any more: nothing leaks, no job is lost, no artifact is wrong."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator

import numpy as np
import pytest

from checkpoints import write_safetensors
from daemon import FINISHED, Response
from origin import Origin
from sweep import FAULTS, Control, Fault, SweptKend

#: What a request may be answered with because of a fault.
PROBLEMS = {500: ("internal",), 503: ("no_space", "store_unavailable")}
LASTING_SECONDS = 2  # for so long all calls of a kind fail
NEVER = 2**32 - 1
ASKED = ("memory", "jansson", "sqlite", "open", "read", "sql", "answer")  # kinds that a request for reading meets
AS_JSON, AS_STREAM = ({"Accept": kind} for kind in ("application/json", "text/event-stream"))
SOME = 6  # numbers of each kind in the short version
LIVES = 2  # of starts, which take longer


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    """A pair of two tensors."""
    folder = tmp_path_factory.mktemp("origin")
    random = np.random.default_rng(1)
    base = {name: random.standard_normal((48, 64), np.float32) for name in ("a.weight", "b.weight")}
    write_safetensors(folder / "base.safetensors", base)
    write_safetensors(folder / "model.safetensors", {name: value + 0.1 for name, value in base.items()})
    with Origin(folder) as serving:
        yield serving


def document(origin: Origin, kind: str, number: str) -> dict[str, Any]:
    """A job of its own: what an earlier one has fetched is of no use to it."""

    def url(name: str) -> str:
        return f"{origin.url}/{name}.safetensors?{number}"

    if kind == "inject":
        return {"kind": kind, "base": url("base"), "delta": url("delta")}
    variants = [{"name": "half", "keep": 0.5, "rescale": "l1"}, {"name": "some", "k": 5}]
    return {"model": url("model"), "base": url("base"), "variants": variants, "delta_encoding": "packed"}


def outcome(job: dict[str, Any]) -> dict[str, Any]:
    """What is the same for every job: digests and totals."""
    assert job["status"] == "succeeded", job["error"]
    return {"summary": job["summary"], **{artifact["name"]: artifact["sha256"] for artifact in job["artifacts"]}}


def check_answer(answer: "Response | None", good: "tuple[int, ...]") -> bool:
    """Whether it is good; what is not must be a problem that a fault may lead to, or the connection was closed."""
    if answer is None:
        return False
    if answer.status in good:
        return True
    assert answer.json["code"] in PROBLEMS.get(answer.status, ()), answer.body
    return False


class JobSweep:
    """Jobs on one kend, each with one fault from its submission to its end."""

    def __init__(self, folder: Path, origin: Origin, kind: str, fault: Fault) -> None:
        self.control = Control(folder / "sweep")
        self.kend = SweptKend(folder, self.control, jobs__max_running=1, cache__max_bytes=400000, disk__reserve_bytes=0)
        self.origin = origin
        self.kind = kind
        self.fault = fault
        self.wanted: dict[str, Any] = {}

    def undisturbed(self, number: str) -> None:
        """A job without a fault gives what it gave before."""
        found = outcome(self.kend.wait(self.kend.submit(document(self.origin, self.kind, number))))
        assert found == (self.wanted or found)
        self.wanted = found

    def begin(self) -> None:
        pruned = self.kend.wait(self.kend.submit(document(self.origin, "prune", "first")))
        self.origin.put("/delta.safetensors", self.kend.download(pruned["id"], "half/delta.safetensors"))
        for number in range(3):
            self.undisturbed(f"warm{number}")
        self.kend.usual = self.kend.open_files()

    def submit_and_wait(self, job_document: dict[str, Any], key: dict[str, str]) -> str:
        """With the fault armed; the job's id if the submission was answered with 202."""
        created = self.kend.ask("POST", "/v1/jobs", job_document, headers=key, timeout=30)
        if not check_answer(created, (202,)) or created is None:
            return ""
        job = created.headers["location"].rpartition("/")[2]
        assert not created.body or created.json["id"] == job  # its address is told without memory for more
        seconds = LASTING_SECONDS if self.fault.lasting else 20
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            shown = self.kend.ask("GET", f"/v1/jobs/{job}?wait={seconds}", timeout=30)
            if not check_answer(shown, (200,)) or shown is None or shown.json["status"] in FINISHED:
                break
        return job

    def one(self, first: int) -> int:
        """A job of which the use `first` fails; how many uses failed."""
        wanted, key = document(self.origin, self.kind, f"n{first}"), {"Idempotency-Key": f"{self.fault} {first}"}
        self.control.arm(self.fault, first)
        promised = self.submit_and_wait(wanted, key)
        failed = self.control.disarm()
        assert self.kend.process and self.kend.process.poll() is None, "kend ended"
        again = self.kend.request("POST", "/v1/jobs", wanted, headers=key)
        assert again.status in (200, 202), again.body
        assert promised in ("", again.json["id"]), "another job for the same key: the first was lost"
        self.check_end(self.kend.wait(again.json["id"]), failed)
        self.kend.check_open_files()
        return failed

    def check_end(self, job: dict[str, Any], failed: int) -> None:
        if job["status"] == "succeeded":
            assert outcome(job) == self.wanted
            result = self.kend.data / "artifacts" / job["id"] / ".kend" / "result.json"
            assert len(json.loads(result.read_text())["artifacts"]) == len(job["artifacts"])
            return
        assert failed, job["error"]
        assert job["status"] == "failed" and job["error"]["code"] in self.fault.codes, job["error"]
        assert re.search(self.fault.text, job["error"]["message"]), job["error"]
        assert job["artifacts"] == []
        self.undisturbed(f"after{job['id']}")

    def check_left_over(self) -> None:
        """What could not be removed goes at the next start."""
        assert self.kend.stop() == 0
        self.kend.start()
        for name in (".work", ".trash"):
            assert list((self.kend.data / "artifacts" / name).glob("*")) == []

    def count(self) -> int:
        """How many uses a job makes, more or less."""
        self.control.arm(self.fault, NEVER)
        self.undisturbed("counted")
        self.control.disarm()
        return self.control.count


class AnswerSweep:
    """Requests about a job that has ended, with one fault each: the answer is the usual one, or tells of the fault."""

    def __init__(self, folder: Path, origin: Origin, fault: Fault) -> None:
        self.control = Control(folder / "sweep")
        self.kend = SweptKend(folder, self.control, disk__reserve_bytes=0)
        self.origin = origin
        self.fault = fault
        self.usual: dict[str, bytes] = {}
        self.stream, self.events = "", b""

    def begin(self) -> None:
        job = self.kend.wait(self.kend.submit(document(self.origin, "prune", "asked")))["id"]
        paths = ["", "/artifacts", "/artifacts/some/report.json", "/events", "/tensors?variant=half"]
        for path in ["/v1/jobs", "/version", *(f"/v1/jobs/{job}{path}" for path in paths)]:
            self.usual[path] = self.kend.get(path, headers=AS_JSON).body
        self.stream = f"/v1/jobs/{job}/events"
        self.events = self.kend.get(self.stream, headers=AS_STREAM).body
        self.kend.usual = self.kend.open_files()

    def one(self, first: int) -> int:
        failed = 0
        for path, usual in self.usual.items():
            self.control.arm(self.fault, first)
            answer = self.kend.ask("GET", path, headers=AS_JSON, timeout=30)
            failed += self.control.disarm()
            if check_answer(answer, (200,)) and answer:
                assert answer.body == usual, path
        failed += self.one_stream(first)
        assert self.kend.process and self.kend.process.poll() is None, "kend ended"
        for path, usual in self.usual.items():
            assert self.kend.get(path, headers=AS_JSON).body == usual
        assert self.kend.get(self.stream, headers=AS_STREAM).body == self.events
        self.kend.check_open_files()
        return failed

    def one_stream(self, first: int) -> int:
        """It may end too early, but between two events: its client comes again and goes on from there."""
        self.control.arm(self.fault, first)
        answer = self.kend.ask("GET", self.stream, headers=AS_STREAM, timeout=30)
        failed = self.control.disarm()
        if check_answer(answer, (200,)) and answer:
            assert self.events.startswith(answer.body)
            assert not answer.body or answer.body.endswith(b"\n\n")
        return failed


class LifeSweep:
    """Starts and ends of a kend, with one fault in each: it lives, or says why it cannot."""

    def __init__(self, folder: Path, fault: Fault, fresh: bool) -> None:
        self.control = Control(folder / "sweep")
        self.kend = SweptKend(folder, self.control, jobs__max_running=1, disk__reserve_bytes=0)
        self.fault = fault
        self.fresh = fresh

    def live(self) -> None:
        """To the end."""
        assert self.kend.stop() == 0
        if self.fresh:
            shutil.rmtree(self.kend.data)

    def begin(self) -> None:
        self.kend.start()
        self.live()

    def one(self, first: int) -> int:
        begin = self.kend.log.stat().st_size
        self.control.arm(self.fault, first)
        try:
            self.kend.start()
        except AssertionError:
            process = self.kend.process
            assert process, "not started"
            told = self.kend.log.read_text(errors="replace")[begin:]
            assert process.wait(30) in (1, 2), f"ended with {process.returncode}: {told}"
            self.kend.process = None
            assert re.search(r'error=".+"|^kend: .+', told, re.MULTILINE), told
        status = self.kend.stop()
        failed = self.control.disarm()
        assert status == 0, f"ended with {status}"
        self.kend.start()
        assert self.kend.get("/readyz").status == 200
        self.live()
        return failed

    def count(self) -> int:
        self.control.arm(self.fault, NEVER)
        self.begin()
        self.control.disarm()
        return self.control.count


def sweep(swept: "JobSweep | AnswerSweep | LifeSweep", numbers: "Iterable[int]") -> int:
    """Until a number is not reached, twice in a row; how many were."""
    reached, missed = 0, 0
    for first in numbers:
        try:
            failed = swept.one(first)
        except Exception as failure:
            raise AssertionError(f"{swept.fault}, use {first}: {swept.control.place()}: {failure}") from failure
        reached, missed = (reached + 1, 0) if failed else (reached, missed + 1)
        if missed == 2:
            break
    return reached


def some(count: int, most: int) -> "list[int]":
    """Numbers up to about that, spread evenly."""
    return sorted({1 + count * (2 * i + 1) // (2 * most) for i in range(most)})


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """There is no power to fail, so memory serves as a disk."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


every_fault = pytest.mark.parametrize("fault", FAULTS, ids=str)
asked_fault = pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.kind in ASKED], ids=str)


def run_jobs(
    folder: Path, origin: Origin, kind: str, fault: Fault, numbers: "Callable[[JobSweep], Iterable[int]]"
) -> None:
    swept = JobSweep(folder, origin, kind, fault)
    with swept.kend:
        swept.begin()
        reached = sweep(swept, numbers(swept))
        assert reached or fault.kind == "thread"
        swept.check_left_over()


def run_lives(folder: Path, fault: Fault, fresh: bool, numbers: "Callable[[LifeSweep], Iterable[int]]") -> None:
    swept = LifeSweep(folder, fault, fresh)
    swept.begin()
    sweep(swept, numbers(swept))


@every_fault
def test_some_in_jobs(folder: Path, origin: Origin, fault: Fault) -> None:
    run_jobs(folder, origin, "prune", fault, lambda swept: some(swept.count(), SOME))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ("prune", "inject"))
@every_fault
def test_all_in_jobs(folder: Path, origin: Origin, kind: str, fault: Fault) -> None:
    run_jobs(folder, origin, kind, fault, lambda _: itertools.count(1))


def run_answers(folder: Path, origin: Origin, fault: Fault, numbers: "Iterable[int]") -> None:
    swept = AnswerSweep(folder, origin, fault)
    with swept.kend:
        swept.begin()
        sweep(swept, numbers)


@asked_fault
def test_some_in_answers(folder: Path, origin: Origin, fault: Fault) -> None:
    run_answers(folder, origin, fault, range(1, SOME + 1))


@pytest.mark.slow
@asked_fault
def test_all_in_answers(folder: Path, origin: Origin, fault: Fault) -> None:
    run_answers(folder, origin, fault, itertools.count(1))


@every_fault
def test_some_in_lives(folder: Path, fault: Fault) -> None:
    run_lives(folder, fault, True, lambda swept: some(swept.count(), LIVES))


@pytest.mark.slow
@pytest.mark.parametrize("fresh", (True, False), ids=("fresh", "old"))
@every_fault
def test_all_in_lives(folder: Path, fault: Fault, fresh: bool) -> None:
    run_lives(folder, fault, fresh, lambda _: itertools.count(1))
