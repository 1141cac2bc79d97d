# SPDX-License-Identifier: Apache-2.0
"""A misbehaving origin: every behaviour of behaviours.py has one exact outcome, within bounds, and leaves kend as it was."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from pathlib import Path
from typing import Any, Iterator

import pytest

from behaviours import BASE, CASES, MODEL, MOST, SIZE, Case
from daemon import Kend
from exposition import metrics
from fetching import FIELDS, certificates, sha256  # certificates is a fixture
from origin import Behaviour, Certificates, Origin
from running import poll
from sanitizers import SANITIZED

PATH = "/model.safetensors"


@contextlib.contextmanager
def cutter() -> Iterator[str]:
    """A server that hangs up once it has been greeted; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with listening.accept()[0] as connection:
                        connection.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


class House:
    """A kend that fetches from origins that misbehave."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self.certificates = certificates
        (folder / "base.safetensors").write_bytes(BASE)
        self.base = f"file://{folder}/base.safetensors"
        self.kend = Kend(
            folder,
            {
                "fetch.file_roots": folder,
                "fetch.allow_networks": "127.0.0.1/32",
                "fetch.ca_file": certificates.authority,
                "fetch.retries": 1,
                "fetch.stall_seconds": 1,
                "fetch.max_bytes": MOST,
                "disk.reserve_bytes": 0,
            },
        )

    @contextlib.contextmanager
    def origin(self, kind: str = "") -> Iterator["tuple[Origin, str]"]:
        """An origin, and the URL that a job gets."""
        tls = getattr(self.certificates, kind) if kind not in ("", "text", "cut") else None
        with Origin(tls=tls) as origin, cutter() as cut:
            origin.put(PATH, MODEL)
            yield origin, cut if kind == "cut" else origin.url.replace("http:", "https:") if kind else origin.url

    def run(self, url: str) -> "tuple[dict[str, Any], list[dict[str, Any]]]":
        """A job whose model is the URL, and its events."""
        document = {"model": url, "base": self.base, "keep": 0.5, "outputs": ["report"]}
        job = self.kend.wait(self.kend.submit(document), 60)
        return job, self.kend.events(job["id"])

    def is_good(self, job: "dict[str, Any]") -> bool:
        """Whether it succeeded, with the file as it should be."""
        if job["status"] != "succeeded":
            return False
        report = json.loads(self.kend.download(job["id"], "report.json"))
        return [file["sha256"] for file in report["inputs"]["model"]["files"]] == [sha256(MODEL)]

    def received(self) -> float:
        return metrics(self.kend)['kend_fetch_bytes_total{source="http"}']

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.kend.pid}/fd").iterdir()))

    def memory(self) -> int:
        status = Path(f"/proc/{self.kend.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[House]:
    """One for all cases: in the end it must be as well as it was in the beginning."""
    house = House(tmp_path_factory.mktemp("house"), certificates)
    with house.kend:
        with house.origin() as (_, url):
            assert house.is_good(house.run(url + PATH)[0])
        descriptors, memory = house.descriptors(), house.memory()
        yield house
        time.sleep(1.1)  # after that libcurl looks for connections that were closed
        with house.origin() as (_, url):
            assert house.is_good(house.run(url + PATH)[0])
        assert house.descriptors() <= descriptors + 4
        assert house.memory() <= memory + (16 << 20) or SANITIZED
        assert "secret" not in house.kend.log_text()


def parameters() -> "list[Any]":
    return [pytest.param(case, id=name, marks=[pytest.mark.slow] if case.slow else []) for name, case in CASES.items()]


@pytest.mark.parametrize("case", parameters())
def test_each_behaviour_has_its_outcome(case: Case, house: House) -> None:
    with house.origin(case.server) as (origin, url):
        origin.behave(PATH, *case.behaviours)
        before, begun = house.received(), time.monotonic()
        job, events = house.run(f"{url}{PATH}?token=secret")
        assert time.monotonic() - begun < case.seconds * (5 if SANITIZED else 1)
        assert house.received() - before <= case.bodies
        assert origin.stats().sent <= case.sent
        retries = [one for one in events if one["data"].get("message", "").startswith("retrying (1 of 1) in ")]
        if case.code:
            assert (job["status"], job["error"]["code"]) == ("failed", case.code), job["error"]
            assert re.match(r"model: [a-z]+://", job["error"]["message"]), job["error"]
            assert re.search(case.message, job["error"]["message"]), job["error"]
        else:
            assert house.is_good(job), job["error"]
        assert len(retries) == case.retries, events
        assert "secret" not in json.dumps([job, events])
        assert all(one.headers.keys() <= FIELDS for one in origin.seen())
        if case.server and case.code:
            assert origin.seen() == []
            return
        # What failed does not stand in the way of what comes later.
        origin.behave(PATH)
        assert house.is_good(house.run(f"{url}{PATH}?token=secret")[0])


def test_a_response_behind_a_body_is_no_answer_to_the_next_request(house: House) -> None:
    with house.origin() as (origin, url):
        evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        origin.behave(PATH, Behaviour(extra=evil, times=2))
        job, _ = house.run(url + PATH)
        assert house.is_good(job) or job["error"]["code"] == "fetch_failed"
        origin.behave(PATH)  # however many of the two requests the first job needed
        assert house.is_good(house.run(url + PATH)[0])


def test_a_huge_retry_after_is_cut_short_and_can_be_cancelled(house: House) -> None:
    with house.origin() as (origin, url):
        origin.behave(PATH, Behaviour(status=503, retry_after="999999999"))
        document = {"model": url + PATH, "base": house.base, "keep": 0.5, "outputs": ["report"]}
        job = house.kend.submit(document)
        poll(lambda: any("retrying (1 of 1) in 120.0 s" in json.dumps(one) for one in house.kend.events(job)))
        begun = time.monotonic()
        assert house.kend.request("POST", f"/v1/jobs/{job}/cancel").status in (200, 202)
        assert house.kend.wait(job)["status"] == "cancelled"
        assert time.monotonic() - begun < 5


def test_there_are_more_behaviours_than_were_asked_for() -> None:
    assert len(CASES) > 100 and SIZE == len(MODEL)


def test_a_dry_run_is_answered_soon(tmp_path: Path) -> None:
    """Somebody waits for it: one short retry at most, where a job goes on for a while."""
    (tmp_path / "base.safetensors").write_bytes(BASE)
    with Kend(tmp_path, {"fetch.file_roots": tmp_path}) as kend, Origin() as origin:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            dead = f"http://127.0.0.1:{taken.getsockname()[1]}{PATH}"
            origin.behave("/busy", Behaviour(status=503, retry_after="20"))
            for url, told in ((dead, r"\(tried 2 times\)$"), (origin.url + "/busy", "the server answered 503$")):
                document = {"model": url, "base": f"file://{tmp_path}/base.safetensors", "keep": 0.5}
                begun = time.monotonic()
                answer = kend.request("POST", "/v1/jobs?dry_run=true", document)
                assert time.monotonic() - begun < 5
                assert answer.status == 422 and re.search(told, answer.json["detail"]), answer.body
                job = kend.submit(document)
                poll(lambda: any("retrying (1 of 5)" in json.dumps(one) for one in kend.events(job)))
                kend.request("POST", f"/v1/jobs/{job}/cancel")
                assert kend.wait(job)["status"] == "cancelled"
