# SPDX-License-Identifier: Apache-2.0
"""kenctl cancel and delete with --owner: what an admin does with the jobs of a token that was revoked."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

from daemon import BUILD
from fake_kend import Fake, Handler, fake  # noqa: F401  a fixture
from running import poll
from test_sharing import stalled, submit  # noqa: F401  a fixture
from tokens import House

PAGE = 200


def kenctl(house: House, who: str, *words: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "KENCTL_TOKEN": house.tokens.text[who]}
    command = [str(BUILD / "kenctl"), "--server", house.kend.url, *words]
    settings: "dict[str, Any]" = {"env": environment, "capture_output": True, "text": True, "timeout": 120, **options}
    return subprocess.run(command, **settings)


def count(house: House, owner: str, *statuses: str) -> int:
    shown = json.loads(kenctl(house, "admin", "-o", "json", "list", "--all", "--owner", owner).stdout)["data"]
    return sum(not statuses or job["status"] in statuses for job in shown)


def test_jobs_of_a_revoked_token(tmp_path: Path, stalled: "dict[str, object]") -> None:  # noqa: F811
    """More than a page of them, and none of another owner's."""
    house = House(tmp_path, **{"jobs.max_running": 1})
    with house.kend as kend:
        ended = house.job()
        jobs = [submit(house, "submit", stalled) for _ in range(PAGE + 5)]
        poll(lambda: house.ask("admin", "GET", f"/v1/jobs/{jobs[0]}").json["status"] == "running")
        other = submit(house, "foreign", stalled)
        for name in ("read", "submit"):
            house.tokens.revoke(name)
        kend.reload()
        assert house.ask("submit", "GET", "/v1/jobs").status == 401
        assert count(house, "nlp", "queued", "running") == len(jobs)

        for command in ("cancel", "delete"):
            refused = kenctl(house, "foreign", command, "--owner", "nlp")
            assert (refused.returncode, refused.stdout) == (1, "") and "scope admin" in refused.stderr
        early = kenctl(house, "admin", "-o", "json", "delete", "--owner", "nlp")
        assert early.returncode == 1 and "kenctl cancel --owner" in early.stderr
        assert json.loads(early.stdout) == {"owner": "nlp", "deleted": 1, "active": len(jobs)}
        assert house.ask("admin", "GET", f"/v1/jobs/{ended}").status == 404

        done = kenctl(house, "admin", "cancel", "--owner", "nlp")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"{len(jobs) - 1} jobs cancelled, 1 stopping\n"
        poll(lambda: count(house, "nlp", "queued", "running") == 0)
        again = kenctl(house, "admin", "-o", "json", "cancel", "--owner", "nlp")
        assert (again.returncode, json.loads(again.stdout)) == (0, {"owner": "nlp", "cancelled": 0, "stopping": 0})

        gone = kenctl(house, "admin", "delete", "--owner", "nlp")
        assert (gone.returncode, gone.stdout, gone.stderr) == (0, f"{len(jobs)} jobs deleted\n", "")
        assert kenctl(house, "admin", "delete", "--owner", "nlp").stdout == "0 jobs deleted\n"
        assert count(house, "nlp") == 0
        assert house.ask("foreign", "GET", f"/v1/jobs/{other}").json["status"] in ("queued", "running")


def test_the_nameless_owner(tmp_path: Path) -> None:
    house = House(tmp_path, **{"auth.allow_anonymous": "true"})
    with house.kend:
        house.job("none")
        mine = house.job()
        gone = kenctl(house, "admin", "-o", "json", "delete", "--owner", "")
        assert (gone.returncode, json.loads(gone.stdout)) == (0, {"owner": None, "deleted": 1, "active": 0})
        assert house.ask("submit", "GET", f"/v1/jobs/{mine}").status == 200


@pytest.mark.parametrize("answer, left", [("n", 1), ("", 1), ("y", 0)])
def test_a_person_is_asked(tmp_path: Path, answer: str, left: int) -> None:
    house = House(tmp_path)
    with house.kend:
        house.job()
        person, terminal = pty.openpty()
        os.write(person, answer.encode() + b"\n")
        done = kenctl(
            house, "admin", "delete", "--owner", "nlp", stdin=terminal, stdout=-1, stderr=terminal, capture_output=False
        )
        os.close(terminal)
        assert b"Delete 1 job of nlp? [y/N]" in os.read(person, 4096)
        os.close(person)
        assert done.returncode == left
        assert count(house, "nlp") == left


def test_which_jobs_must_be_said(fake: Fake) -> None:  # noqa: F811
    for words, message in (
        ((), "needs ID, or --owner NAME"),
        (("job_x", "--owner", "nlp"), "takes an ID or --owner, not both"),
    ):
        for command in ("cancel", "delete"):
            done = subprocess.run(
                [str(BUILD / "kenctl"), "--server", fake.url, command, *words],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 2 and message in done.stderr
    assert fake.asked == []


def test_what_others_do_meanwhile_is_no_fault(fake: Fake) -> None:  # noqa: F811
    """A server that is busy is asked again; a job that ended or went away by itself is left out; any other answer ends it."""
    ids = [f"job_{i}" for i in range(4)]
    tries = {name: 0 for name in ids}

    def answer(handler: Handler, _: int) -> None:
        if handler.command == "GET":
            data = [{"id": name} for name in ids] if "status=queued" in handler.path else []
            handler.json(200, {"object": "list", "data": data, "has_more": False, "next": None})
            return
        name = handler.path.split("/")[3]
        tries[name] += 1
        if name == ids[0]:
            handler.problem(404, "not_found")
        elif name == ids[1]:
            handler.problem(409, "job_finished")
        elif tries[name] == 1:
            handler.problem(429, "rate_limited") if name == ids[2] else handler.cut()
        elif name == ids[2]:
            handler.json(202, {"id": name, "status": "cancelled"})
        else:
            handler.problem(500, "internal")

    fake.answer = answer
    done = subprocess.run(
        [str(BUILD / "kenctl"), "--server", fake.url, "cancel", "--owner", "nlp"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "1 job cancelled\n")
    assert "500 internal" in done.stderr
    assert list(tries.values()) == [1, 1, 2, 2]
