# SPDX-License-Identifier: Apache-2.0
"""The REST interface: jobs from POST to DELETE, lists, waiting. Every answer is checked against the contract."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
import urllib.parse
from pathlib import Path
from typing import Any, Iterator

import pytest

import contract
from daemon import Kend, Response
from exposition import metrics
from origin import Behaviour, Origin
from running import poll

ID = re.compile(r"job_[0-7][0-9A-HJKMNP-TV-Z]{25}")


@pytest.fixture
def stalled(tmp_path: Path) -> Iterator[str]:
    """A document's `model` that is never answered: its job runs until it is stopped."""
    with Origin(tmp_path) as origin:
        origin.put("/model.safetensors", b"x" * 100)
        origin.behave("/model.safetensors", Behaviour(stall_at=0))
        yield origin.url + "/model.safetensors"


@pytest.fixture
def one_runner(tmp_path: Path, stalled: str) -> Iterator[Kend]:
    """A kend whose only runner is busy with a job that does not end: whatever is submitted stays queued."""
    with Kend(tmp_path, {"jobs.max_running": 1, "jobs.max_queued": 3, "jobs.drain_seconds": 0}) as kend:
        busy = kend.submit({"model": stalled, "base": stalled, "k": 1, "name": "busy"})
        poll(lambda: kend.job(busy)["status"] == "running")
        yield kend


def document(**fields: Any) -> dict[str, Any]:
    """A document whose job fails at once: nothing may be fetched from there."""
    return {"model": "https://192.0.2.1/m.safetensors", "base": "https://192.0.2.1/b.safetensors", "k": 1, **fields}


# ---- creating


@pytest.mark.smoke
def test_a_job_is_created(kend: Kend) -> None:
    response = kend.request("POST", "/v1/jobs", document(name="first", metadata={"team": "nlp"}))
    assert response.status == 202
    job = response.json
    assert ID.fullmatch(job["id"])
    assert response.headers["location"] == f"{kend.url}/v1/jobs/{job['id']}"
    assert (job["object"], job["status"], job["attempt"]) == ("job", "queued", 0)
    assert (job["name"], job["metadata"], job["k"], job["method"]) == ("first", {"team": "nlp"}, 1, "ken")
    assert kend.get(urllib.parse.urlsplit(response.headers["location"]).path).json["id"] == job["id"]


def test_query_strings_are_never_shown(kend: Kend) -> None:
    job = kend.submit(document(model="https://192.0.2.1/m.safetensors?signature=hidden"))
    shown = kend.get(f"/v1/jobs/{job}").body + kend.get("/v1/jobs").body + json.dumps(kend.events(job)).encode()
    assert b"m.safetensors?..." in shown
    assert b"hidden" not in shown
    kend.wait(job)
    assert "hidden" not in kend.log_text()


def test_content_types_of_json(kend: Kend) -> None:
    for kind in (
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
    ):
        assert kend.request("POST", "/v1/jobs", json.dumps(document()), {"Content-Type": kind}).status == 202, kind


def test_the_same_key_gives_the_same_job(kend: Kend) -> None:
    key = {"Idempotency-Key": "a key with blanks"}
    first = kend.request("POST", "/v1/jobs", document(seed=7), key)
    again = kend.request(
        "POST", "/v1/jobs", json.dumps(document(seed=7), indent=4), key | {"Content-Type": "application/json"}
    )
    other = kend.request("POST", "/v1/jobs", document(seed=8), key)
    assert (first.status, again.status, other.status) == (202, 200, 422)
    assert again.json["id"] == first.json["id"]
    assert again.headers["location"] == first.headers["location"]
    assert other.json["code"] == "idempotency_mismatch"
    assert len(kend.get("/v1/jobs").json["data"]) == 1
    kend.stop()
    kend.start()
    assert kend.request("POST", "/v1/jobs", document(seed=7), key).json["id"] == first.json["id"]


def test_a_key_used_at_once_makes_one_job(kend: Kend) -> None:
    answers: list[Response] = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(kend.request("POST", "/v1/jobs", document(), {"Idempotency-Key": "at once"}))
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status for answer in answers) == [200] * 7 + [202]
    assert len({answer.json["id"] for answer in answers}) == 1


def test_a_full_queue_refuses(one_runner: Kend) -> None:
    for _ in range(3):
        one_runner.submit(document())
    response = one_runner.request("POST", "/v1/jobs", document())
    assert (response.status, response.json["code"]) == (429, "queue_full")
    assert len(one_runner.get("/v1/jobs").json["data"]) == 4


def test_without_disk_nothing_is_accepted(tmp_path: Path) -> None:
    with Kend(tmp_path, {"disk.reserve_bytes": "1000TiB"}) as kend:
        response = kend.request("POST", "/v1/jobs", document())
        assert (response.status, response.json["code"]) == (503, "no_space")
        assert kend.get("/readyz").json["code"] == "no_space"
        assert kend.get("/livez").status == 200
        assert kend.get("/v1/jobs").json["data"] == []


def test_urls_come_from_the_configuration(tmp_path: Path) -> None:
    settings = {"http.public_url": "https://kend.example/prune/", "http.allowed_hosts": "other.example"}
    with Kend(tmp_path, settings) as kend:
        for host in ("kend.example", "other.example:1", "localhost"):
            response = kend.request("POST", "/v1/jobs", document(), {"Host": host})
            assert response.headers["location"].startswith("https://kend.example/prune/v1/jobs/job_")
        assert kend.get("/livez", headers={"Host": "third.example"}).status == 403


# ---- lists


def test_lists_are_newest_first_and_paged(kend: Kend) -> None:
    jobs = [kend.submit(document(seed=i)) for i in range(5)]
    assert [job["id"] for job in kend.get("/v1/jobs").json["data"]] == jobs[::-1]
    seen, after, pages = [], "", 0
    while True:
        page = kend.get(f"/v1/jobs?limit=2{after}").json
        seen += [job["id"] for job in page["data"]]
        pages += 1
        assert page["has_more"] == (page["next"] is not None)
        if not page["has_more"]:
            break
        after = f"&after={page['next']}"
        kend.submit(document(seed=100 + pages))  # newer ones do not shift the pages
    assert (seen, pages) == (jobs[::-1], 3)
    assert kend.get(f"/v1/jobs?after={jobs[0]}").json == {"object": "list", "data": [], "has_more": False, "next": None}


def test_lists_are_filtered(one_runner: Kend) -> None:
    kend = one_runner
    a = kend.submit(document(metadata={"team": "nlp", "run.id": "1"}))
    b = kend.submit(document(metadata={"team": "nlp", "run.id": "2"}))
    c = kend.submit(document(metadata={"team": "a & b = ü"}))
    kend.request("POST", f"/v1/jobs/{c}/cancel")

    def ids(query: str) -> list[str]:
        return [job["id"] for job in kend.get(f"/v1/jobs?{query}").json["data"]]

    assert ids("metadata.team=nlp") == [b, a]
    assert ids("metadata.team=nlp&metadata.run.id=1") == [a]
    assert ids(urllib.parse.urlencode({"metadata.team": "a & b = ü"})) == [c]
    assert ids("metadata.team=NLP") == []
    assert ids("status=queued") == [b, a]
    assert ids("status=queued&metadata.run.id=2&limit=1") == [b]
    assert ids("status=cancelled") == [c]
    assert len(ids("status=running")) == 1
    assert ids("status=succeeded") == []


# ---- waiting


def test_etag_of_a_job(one_runner: Kend) -> None:
    job = one_runner.submit(document())
    first = one_runner.get(f"/v1/jobs/{job}")
    tag = first.headers["etag"]
    assert re.fullmatch(r'"[0-9a-f]{32}"', tag)
    assert one_runner.get(f"/v1/jobs/{job}").headers["etag"] == tag
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        same = one_runner.get(f"/v1/jobs/{job}", headers={"If-None-Match": known})
        assert (same.status, same.body, same.headers["etag"]) == (304, b"", tag)
    assert one_runner.get(f"/v1/jobs/{job}", headers={"If-None-Match": '"x"'}).status == 200
    one_runner.request("POST", f"/v1/jobs/{job}/cancel")
    assert one_runner.get(f"/v1/jobs/{job}", headers={"If-None-Match": tag}).headers["etag"] != tag


def timed(kend: Kend, path: str, **options: Any) -> tuple[Response, float]:
    begin = time.monotonic()
    response = kend.get(path, **options)
    return response, time.monotonic() - begin


def test_waiting_ends_at_the_limit(one_runner: Kend) -> None:
    job = one_runner.submit(document())
    response, seconds = timed(one_runner, f"/v1/jobs/{job}?wait=1")
    assert (response.status, response.json["status"]) == (200, "queued")
    assert 0.9 < seconds < 10
    tag = response.headers["etag"]
    response, seconds = timed(one_runner, f"/v1/jobs/{job}?wait=1", headers={"If-None-Match": tag})
    assert (response.status, response.headers["etag"]) == (304, tag)
    assert 0.9 < seconds < 10
    response, seconds = timed(one_runner, f"/v1/jobs/{job}?wait=60", headers={"If-None-Match": '"other"'})
    assert response.status == 200 and seconds < 5
    response, seconds = timed(one_runner, f"/v1/jobs/{job}?wait=0")
    assert response.status == 200 and seconds < 5


@pytest.mark.parametrize("known", [False, True])
def test_waiting_ends_with_the_change(one_runner: Kend, known: bool) -> None:
    job = one_runner.submit(document())
    headers = {"If-None-Match": one_runner.get(f"/v1/jobs/{job}").headers["etag"]} if known else {}
    timer = threading.Timer(0.3, lambda: one_runner.request("POST", f"/v1/jobs/{job}/cancel"))
    timer.start()
    response, seconds = timed(one_runner, f"/v1/jobs/{job}?wait=999999", headers=headers)
    timer.join()
    assert (response.status, response.json["status"]) == (200, "cancelled")
    assert 0.2 < seconds < 10
    response, seconds = timed(one_runner, f"/v1/jobs/{job}?wait=60")
    assert response.status == 200 and seconds < 5


def test_waiting_longer_than_a_connection_may_be_idle(tmp_path: Path, stalled: str) -> None:
    with Kend(tmp_path, {"http.idle_seconds": 1, "jobs.drain_seconds": 0}) as kend:
        job = kend.submit({"model": stalled, "base": stalled, "k": 1})
        response, seconds = timed(kend, f"/v1/jobs/{job}?wait=3")
        assert response.status == 200 and seconds > 2.5


def test_waiting_for_a_job_that_is_deleted(one_runner: Kend) -> None:
    job = one_runner.submit(document())
    one_runner.request("POST", f"/v1/jobs/{job}/cancel")
    tag = one_runner.get(f"/v1/jobs/{job}").headers["etag"]
    timer = threading.Timer(0.3, lambda: one_runner.request("DELETE", f"/v1/jobs/{job}"))
    timer.start()
    response, seconds = timed(one_runner, f"/v1/jobs/{job}?wait=60", headers={"If-None-Match": tag})
    timer.join()
    assert response.status == 404 and seconds < 10


def wait_open(kend: Kend, job: str, seconds: int = 60) -> socket.socket:
    where = urllib.parse.urlsplit(kend.url)
    connection = socket.create_connection((where.hostname or "", where.port or 0), 20)
    connection.sendall(f"GET /v1/jobs/{job}?wait={seconds} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return connection


def descriptors(kend: Kend) -> int:
    return len(list(Path(f"/proc/{kend.pid}/fd").iterdir()))


def test_many_wait_and_nothing_is_blocked(one_runner: Kend) -> None:
    job = one_runner.submit(document())
    before = descriptors(one_runner)
    waiting = [wait_open(one_runner, job) for _ in range(100)]
    poll(lambda: descriptors(one_runner) >= before + 95)  # the connection that submitted may have counted in `before`
    assert timed(one_runner, "/livez")[1] < 2
    assert timed(one_runner, "/v1/jobs")[1] < 2
    for gone in waiting[:50]:  # clients that go away free their places
        gone.close()
    poll(lambda: descriptors(one_runner) <= before + 60)
    one_runner.request("POST", f"/v1/jobs/{job}/cancel")
    for connection in waiting[50:]:
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        connection.close()
    poll(lambda: descriptors(one_runner) <= before + 5)


def test_too_many_wait(tmp_path: Path, stalled: str) -> None:
    """A quarter of the connections is for those that do not wait: whoever finds no place is answered at once."""
    with Kend(tmp_path, {"http.max_connections": 8, "http.threads": 2, "jobs.drain_seconds": 0}) as kend:
        job = kend.submit({"model": stalled, "base": stalled, "k": 1})
        waiting = []
        for _ in range(6):
            waiting.append(wait_open(kend, job, 60))
        time.sleep(0.2)
        for _ in range(10):
            response, seconds = timed(kend, f"/v1/jobs/{job}?wait=60")
            assert response.status == 200 and response.json["finished_at"] is None and seconds < 10
            assert timed(kend, "/livez")[1] < 10
        kend.request("POST", f"/v1/jobs/{job}/cancel")
        for connection in waiting:
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
            connection.close()


def test_who_waits_is_answered_at_shutdown(tmp_path: Path, stalled: str) -> None:
    with Kend(tmp_path, {"jobs.drain_seconds": 0}) as kend:
        job = kend.submit({"model": stalled, "base": stalled, "k": 1})
        connection = wait_open(kend, job)
        time.sleep(0.2)
        assert kend.stop() == 0
        connection.settimeout(10)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        connection.close()


# ---- events, cancel, delete


def test_events_are_a_list(kend: Kend) -> None:
    job = kend.submit(document())
    kend.wait(job)
    events = kend.events(job)
    ids = [event["id"] for event in events]
    assert ids == sorted(set(ids)) and ids[0] == 1
    status = [event["data"]["status"] for event in events if event["type"] == "status"]
    assert (status[0], status[-1]) == ("queued", "failed")
    page = kend.get(f"/v1/jobs/{job}/events?limit=1").json
    assert [event["id"] for event in page["data"]] == [1] and page["has_more"]
    rest = kend.get(f"/v1/jobs/{job}/events?after={page['next']}").json
    assert [event["id"] for event in rest["data"]] == ids[1:] and not rest["has_more"]
    for accept in ("application/json", "*/*", "text/event-stream;q=0.5, application/json", "application/*"):
        assert kend.get(f"/v1/jobs/{job}/events", headers={"Accept": accept}).status == 200, accept
    response = kend.get(f"/v1/jobs/{job}/events", headers={"Accept": "text/html"})
    assert (response.status, response.json["code"]) == (406, "not_acceptable")


def test_a_queued_job_is_cancelled_at_once(one_runner: Kend) -> None:
    job = one_runner.submit(document())
    first = one_runner.request("POST", f"/v1/jobs/{job}/cancel")
    assert (first.status, first.json["status"]) == (202, "cancelled")
    assert first.json["cancel_requested_at"] and first.json["finished_at"] and first.json["expires_at"]
    again = one_runner.request("POST", f"/v1/jobs/{job}/cancel", {})
    assert (again.status, again.json["code"]) == (409, "job_finished")


def test_a_running_job_is_cancelled_within_a_second(kend: Kend, stalled: str) -> None:
    job = kend.submit({"model": stalled, "base": stalled, "k": 1})
    poll(lambda: kend.job(job)["status"] == "running")
    begin = time.monotonic()
    first = kend.request("POST", f"/v1/jobs/{job}/cancel")
    assert first.status == 202 and first.json["cancel_requested_at"]
    assert kend.wait(job)["status"] == "cancelled"
    assert time.monotonic() - begin < 1.5
    assert kend.request("POST", f"/v1/jobs/{job}/cancel").json["code"] == "job_finished"


def test_deleting(one_runner: Kend) -> None:
    job = one_runner.submit(document())
    response = one_runner.request("DELETE", f"/v1/jobs/{job}")
    assert (response.status, response.json["code"]) == (409, "job_active")
    one_runner.request("POST", f"/v1/jobs/{job}/cancel")
    response = one_runner.request("DELETE", f"/v1/jobs/{job}")
    assert (response.status, response.body) == (204, b"")
    assert one_runner.request("DELETE", f"/v1/jobs/{job}").status == 404
    assert one_runner.get(f"/v1/jobs/{job}").status == 404
    assert one_runner.get(f"/v1/jobs/{job}/events").status == 404
    assert job not in [item["id"] for item in one_runner.get("/v1/jobs").json["data"]]


def test_a_job_without_artifacts(one_runner: Kend) -> None:
    job = one_runner.submit(document())
    assert one_runner.get(f"/v1/jobs/{job}/artifacts").json["data"] == []
    assert one_runner.get(f"/v1/jobs/{job}/artifacts/model.safetensors").status == 404
    response = one_runner.get(f"/v1/jobs/{job}/tensors")
    assert (response.status, response.json["code"]) == (409, "job_active")
    one_runner.request("POST", f"/v1/jobs/{job}/cancel")
    assert one_runner.get(f"/v1/jobs/{job}/tensors").json["data"] == []


# ---- around


@pytest.mark.smoke
def test_probes_and_contract(kend: Kend) -> None:
    assert kend.get("/livez").json == {"status": "ok"}
    assert kend.get("/readyz").json == {"status": "ok"}
    assert kend.get("/version").json["name"] == "kend"
    assert kend.get("/openapi.json").json == contract.DOCUMENT
    for path in ("/livez", "/v1/jobs", "/openapi.json", "/metrics"):
        head, get = kend.request("HEAD", path), kend.get(path)
        assert (head.status, head.body) == (200, b"")
        assert path == "/metrics" or head.headers["content-length"] == str(len(get.body))


def test_request_ids(kend: Kend) -> None:
    for given in ("a", "01H-x_y.z:/+=@", "x" * 128):
        assert kend.get("/livez", headers={"X-Request-Id": given}).headers["x-request-id"] == given
        assert kend.get("/nope", headers={"X-Request-Id": given}).headers["x-request-id"] == given
    made = set()
    for given in ("", " ", "a b", 'a"b', "x" * 129, "é"):
        made.add(kend.request("GET", "/livez", headers={"X-Request-Id": given}).headers["x-request-id"])
    assert len(made) == 6 and all(re.fullmatch("[0-9a-f]{32}", text) for text in made)
    kend.get("/v1/jobs", headers={"X-Request-Id": "find-me"})
    poll(lambda: "request=find-me" in kend.log_text())


def test_metrics(kend: Kend) -> None:
    before = metrics(kend)
    assert before['kend_jobs{status="failed"}'] == 0
    kernel = kend.get("/version").json["kernel"]
    assert kernel in ("scalar", "avx2", "avx512", "neon")
    assert [name for name in before if re.fullmatch(rf'kend_build_info\{{version="[0-9.]+",kernel="{kernel}"\}}', name)]
    job = kend.submit(document())
    kend.wait(job)
    for path in (f"/v1/jobs/{job}", "/v1/jobs/x", "/nope", "/nope/2"):
        kend.get(path)
    kend.request("BREW", "/livez")
    after = metrics(kend)
    assert after['kend_jobs{status="failed"}'] == 1
    assert after['kend_jobs_total{status="failed"}'] == 1
    assert after['kend_http_requests_total{route="/v1/jobs",method="POST",code="202"}'] == 1
    assert after['kend_http_requests_total{route="/v1/jobs/{id}",method="GET",code="404"}'] == 1
    assert after['kend_http_requests_total{route="other",method="GET",code="404"}'] == 2
    assert after['kend_http_requests_total{route="/livez",method="other",code="405"}'] == 1
    assert after['kend_http_request_seconds_count{route="other"}'] == 2
    assert after['kend_http_request_seconds_bucket{route="other",le="+Inf"}'] == 2
    assert after['kend_job_stage_seconds_count{stage="checking"}'] == 1
    assert job not in kend.get("/metrics").body.decode()
