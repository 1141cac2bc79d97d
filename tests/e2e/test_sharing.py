# SPDX-License-Identifier: Apache-2.0
"""How owners share a kend: turns, and limits of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest

from origin import Behaviour, Origin
from running import poll
from tokens import House


@pytest.fixture
def stalled(tmp_path: Path) -> Iterator["dict[str, object]"]:
    """A job that does not end by itself."""
    (tmp_path / "origin").mkdir()
    with Origin(tmp_path / "origin") as origin:
        origin.put("/stalled.safetensors", b"x" * 100)
        origin.behave("/stalled.safetensors", Behaviour(stall_at=0))
        url = origin.url + "/stalled.safetensors"
        yield {"model": url, "base": url, "k": 1}


def submit(house: House, who: str, document: "dict[str, object]") -> str:
    answer = house.ask(who, "POST", "/v1/jobs", document)
    assert answer.status == 202, answer.body
    return str(answer.json["id"])


def status(house: House, who: str, job: str) -> str:
    return str(house.ask(who, "GET", f"/v1/jobs/{job}").json["status"])


def test_owners_take_turns(tmp_path: Path, stalled: "dict[str, object]") -> None:
    """One that comes later, with few jobs, does not wait for the end of another's many."""
    house = House(tmp_path, **{"jobs.max_running": 1, "jobs.drain_seconds": 0})
    with house.kend:
        blocker = submit(house, "submit", stalled)
        poll(lambda: status(house, "submit", blocker) == "running")
        many = [submit(house, "submit", house.pair) for _ in range(6)]
        few = [submit(house, "foreign", house.pair) for _ in range(2)]
        assert house.ask("submit", "POST", f"/v1/jobs/{blocker}/cancel").status == 202
        started = {}
        for who, jobs in (("submit", many), ("foreign", few)):
            for job in jobs:
                ended = house.ask(who, "GET", f"/v1/jobs/{job}?wait=60").json
                assert ended["status"] == "succeeded"
                started[ended["started_at"], ended["id"]] = job
        order = [job for _, job in sorted(started.items())]
        assert order == [many[0], few[0], many[1], few[1], *many[2:]]


def test_owners_have_limits_of_their_own(tmp_path: Path, stalled: "dict[str, object]") -> None:
    """Who has used up theirs is told which it is; others go on."""
    limits = {"jobs.max_running": 3, "jobs.max_running_per_owner": 1, "jobs.max_queued_per_owner": 2}
    house = House(tmp_path, **limits, **{"jobs.max_queued": 4, "jobs.drain_seconds": 0})
    with house.kend:
        first = submit(house, "submit", stalled)
        poll(lambda: status(house, "submit", first) == "running")
        waiting = [submit(house, "submit", stalled) for _ in range(2)]
        refused = house.ask("submit", "POST", "/v1/jobs", stalled)
        assert (refused.status, refused.json["code"]) == (429, "queue_full")
        assert "jobs.max_queued_per_owner" in refused.json["detail"] and int(refused.headers["retry-after"]) > 0
        assert house.job("foreign")
        assert [status(house, "submit", job) for job in waiting] == ["queued", "queued"]
        # All queues together.
        blocker = submit(house, "foreign", stalled)
        poll(lambda: status(house, "foreign", blocker) == "running")
        for _ in range(2):
            submit(house, "foreign", stalled)
        assert "jobs.max_queued_per_owner" in house.ask("foreign", "POST", "/v1/jobs", stalled).json["detail"]
        refused = house.ask("admin", "POST", "/v1/jobs", stalled)
        assert (refused.status, refused.json["code"]) == (429, "queue_full")
        assert refused.json["detail"].endswith("jobs.max_queued allows")
        text = house.ask("admin", "GET", "/metrics").body.decode()
        assert "kend_queue_owners 2\n" in text and "foreign" not in text
        # Room for one.
        assert house.ask("submit", "POST", f"/v1/jobs/{first}/cancel").status == 202
        poll(lambda: status(house, "submit", waiting[0]) == "running")
        assert status(house, "submit", waiting[1]) == "queued"
        submit(house, "submit", stalled)


def test_a_limit_holds_after_a_restart(tmp_path: Path, stalled: "dict[str, object]") -> None:
    """What ran goes on first, in its own place, and not more than may."""
    house = House(tmp_path, **{"jobs.max_running": 3, "jobs.max_running_per_owner": 1, "jobs.drain_seconds": 0})
    with house.kend as kend:
        first, second = (submit(house, "submit", stalled) for _ in range(2))
        poll(lambda: status(house, "submit", first) == "running")
        for crash in (True, False):
            if crash:
                kend.kill()
            else:
                assert kend.stop() == 0
            kend.start()
            poll(lambda: status(house, "submit", first) == "running")
            assert status(house, "submit", second) == "queued"


def test_a_list_of_jobs_leaves_artifacts_out(tmp_path: Path) -> None:
    """A job of many variants and shards has thousands; they are a request away."""
    house = House(tmp_path)
    with house.kend:
        job = house.job()
        (listed,) = house.ask("submit", "GET", "/v1/jobs").json["data"]
        shown = house.ask("submit", "GET", f"/v1/jobs/{job}").json
        assert shown.pop("artifacts") and listed == shown
