# SPDX-License-Identifier: Apache-2.0
"""Streams of events: what comes, in which order, how often, how it is resumed, and what it costs."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Iterator

import pytest

from daemon import FINISHED, Kend
from exposition import metrics
from origin import Certificates
from running import files, kend_of, large, of_files, poll, stalled  # noqa: F401
from sanitizers import SANITIZED
from streams import Event, Stream, broken, of_job, open_stream, streams
from test_limits import POST, connect, refused
from test_tls import Secured, certificates  # noqa: F401
from tokens import Tokens

PROMPT = 10.0 if SANITIZED else 2.0
NOBODY = "job_01BX5ZZKBKACTAV9WEVGEMMVRZ"


@pytest.fixture
def kend(tmp_path: Path, files: Path) -> Iterator[Kend]:  # noqa: F811
    with kend_of(tmp_path, jobs__max_running=1) as running:
        yield running


def durable(events: "list[Event]") -> "list[Any]":
    return [event.data for event in events if event.id is not None]


def statuses(events: "list[Event]") -> "list[str]":
    return [event.data["data"]["status"] for event in events if event.type == "status"]


def where_it_was(events: "list[Event]") -> "list[str]":
    """The header of a client that comes again."""
    return [f"Last-Event-ID: {event.id}" for event in events if event.id is not None][-1:]


# ---- of a job


def test_a_job_from_its_beginning_to_its_end(kend: Kend, large: Path) -> None:  # noqa: F811
    job = kend.submit(of_files(large, "large-"))
    with open_stream(kend, of_job(job)) as stream:
        events = list(stream)
        assert stream.whole
    assert durable(events) == kend.events(job)
    assert statuses(events)[0] == "queued" and statuses(events)[-1] == "succeeded"
    assert events[-1].type == "status"
    progress = [event for event in events if event.type == "progress"]
    assert progress[-1].data["stage"] in ("pruning", "publishing")
    percents = [event.data["progress"]["percent"] for event in progress]
    assert percents == sorted(percents)  # how many depends on how fast it is
    # At most four a second, however they are counted; what was read late counts as come together.
    for i in range(len(progress) - 8):
        assert progress[i + 8].at - progress[i].at > 1.5
    lines = [line for line in kend.log_text().splitlines() if "/events" in line and "message=request" in line]
    stream_line = [line for line in lines if " waited_seconds=0.000000" not in line]
    assert len(stream_line) == 1 and "status=200" in stream_line[0] and "ended=" not in stream_line[0]


def test_who_comes_again_gets_the_rest(kend: Kend, files: Path) -> None:  # noqa: F811
    job = kend.submit(of_files(files))
    kend.wait(job)
    every = kend.events(job)
    for i, event in enumerate(every[:-1]):
        with open_stream(kend, of_job(job), f"Last-Event-ID: {event['id']}") as stream:
            assert durable(list(stream)) == every[i + 1 :]
        with open_stream(kend, f"{of_job(job)}?after={event['id']}") as stream:
            assert durable(list(stream)) == every[i + 1 :]
    last = {"Accept": "text/event-stream", "Last-Event-ID": str(every[-1]["id"])}
    assert kend.get(of_job(job), headers=last).status == 204
    with open_stream(kend, f"{of_job(job)}?after=999", f"Last-Event-ID: {every[0]['id']}") as stream:
        assert durable(list(stream)) == every[1:]  # the header is the newer one
    for bad in ("x", "-1", "1.0", "9" * 19):
        response = kend.get(of_job(job), headers={"Accept": "text/event-stream", "Last-Event-ID": bad})
        assert (response.status, response.json["code"]) == (400, "bad_request")


def test_nothing_is_lost_over_kills(tmp_path: Path, large: Path) -> None:  # noqa: F811
    """The server is killed twice while the job runs: what one listener put together is what the store has."""
    got: list[Event] = []
    document = {**of_files(large, "large-"), "variants": [{"name": f"v{i}", "keep": i / 10} for i in range(1, 9)]}
    del document["keep"]
    with kend_of(tmp_path, prune__kernel="scalar", prune__threads=1) as kend:
        job = kend.submit(document)
        for _ in range(2):
            with open_stream(kend, of_job(job), *where_it_was(got)) as stream, pytest.raises(ConnectionResetError):
                for event in stream:
                    got.append(event)
                    if event.type == "progress" and event.data.get("stage") == "pruning" and kend.process:
                        kend.kill()
            kend.start()
        with open_stream(kend, of_job(job), *where_it_was(got)) as stream:
            got += list(stream)
        assert durable(got) == kend.events(job)
        assert statuses(got)[-1] == "succeeded" and kend.job(job)["attempt"] == 3


def test_a_cancelled_job_ends_its_streams(kend: Kend, stalled: str) -> None:  # noqa: F811
    job = kend.submit({"model": stalled, "base": stalled, "k": 1})
    with open_stream(kend, of_job(job)) as stream, open_stream(kend, of_job(job)) as other:
        events = iter(stream)
        while next(events).type != "progress":
            pass
        begin = time.monotonic()
        assert kend.request("POST", f"/v1/jobs/{job}/cancel").status == 202
        assert statuses(list(events))[-1] == "cancelled"
        assert statuses(list(other))[-1] == "cancelled"
        assert time.monotonic() - begin < PROMPT
    poll(lambda: streams(kend) == 0)


def test_a_job_that_is_deleted_meanwhile(tmp_path: Path, stalled: str) -> None:  # noqa: F811
    """Its events are gone with it: who follows it hears the end of the stream, and then that there is no such job."""
    with kend_of(tmp_path, jobs__max_running=1) as kend:
        job = kend.submit({"model": stalled, "base": stalled, "k": 1})
        with open_stream(kend, of_job(job)) as stream:
            kend.request("POST", f"/v1/jobs/{job}/cancel")
            poll(lambda: kend.job(job)["status"] in FINISHED)
            assert kend.request("DELETE", f"/v1/jobs/{job}").status == 204
            list(stream)
            assert stream.whole
        assert kend.get(of_job(job), headers={"Accept": "text/event-stream"}).status == 404


def test_what_is_no_stream(kend: Kend, files: Path) -> None:  # noqa: F811
    job = kend.submit(of_files(files))
    for path in (of_job(job), "/v1/events"):
        response = kend.request("HEAD", path, headers={"Accept": "text/event-stream"})
        assert (response.status, response.headers["content-type"], response.body) == (200, "text/event-stream", b"")
        response = kend.get(path, headers={"Accept": "image/png"})
        assert (response.status, response.json["code"]) == (406, "not_acceptable")
        assert kend.request("POST", path, {}).status == 405
    assert kend.get("/v1/events", headers={"Accept": "application/json"}).status == 406
    for query in ("seconds=x", "seconds=86401", "limit=1"):
        assert kend.get(f"/v1/events?{query}").status == 400
    for unknown in (NOBODY, "job_x"):
        assert kend.get(of_job(unknown), headers={"Accept": "text/event-stream"}).status == 404
    assert streams(kend) == 0


def test_over_tls(tmp_path: Path, files: Path, certificates: Certificates) -> None:  # noqa: F811
    """A stream waits there, too; and one whose client hangs up gives its place back."""
    secured = Secured(tmp_path, certificates, **{"fetch.file_roots": files})
    with secured.kend as kend:
        with subprocess.Popen(
            ["curl", "-sN", "--cacert", certificates.authority, f"{kend.url}/v1/events"], stdout=subprocess.PIPE
        ) as curl:
            poll(lambda: streams(kend) == 1)
            job = kend.submit(of_files(files))
            body = kend.get(of_job(job), headers={"Accept": "text/event-stream"}).body.decode()
            assert [int(number) for number in re.findall(r"^id: (\d+)$", body, re.M)] == [
                event["id"] for event in kend.events(job)
            ]
            assert curl.stdout
            while b"succeeded" not in curl.stdout.readline():
                pass
            curl.kill()
        poll(lambda: streams(kend) == 0)


# ---- of all jobs


def test_all_jobs(kend: Kend, large: Path) -> None:  # noqa: F811
    with open_stream(kend, "/v1/events") as stream:
        events = iter(stream)
        job = kend.submit(of_files(large, "large-"))
        seen: list[Event] = []
        while not seen or seen[-1].data["status"] not in FINISHED:
            seen.append(next(events))
        assert {event.type for event in seen} == {"job"} and {event.data["id"] for event in seen} == {job}
        assert seen[-1].data["status"] == "succeeded"
        assert seen[-1].data == kend.get("/v1/jobs").json["data"][0]
        assert {event.data.get("stage") for event in seen} >= {"pruning", None}
        for i in range(len(seen) - 8):
            assert seen[i + 8].at - seen[i].at > 1.5
        assert kend.request("DELETE", f"/v1/jobs/{job}").status == 204
        event = next(events)
        assert (event.type, event.data) == ("deleted", {"id": job})


def test_all_jobs_for_a_while(kend: Kend) -> None:
    begin = time.monotonic()
    with open_stream(kend, "/v1/events?seconds=1") as stream:
        assert list(stream) == [] and stream.whole
    assert 1 <= time.monotonic() - begin < 1 + PROMPT
    assert kend.get("/v1/events?seconds=0").body == b"retry: 1000\n\n"


def test_who_sees_what(tmp_path: Path, files: Path, stalled: str) -> None:  # noqa: F811
    """Of other owners' jobs nothing is told, not even that they were deleted; admins are told of all, and whose they are."""
    tokens = Tokens(tmp_path)
    for owner, scope in (("ann", "submit"), ("bob", "submit"), ("root", "admin")):
        tokens.make(owner, owner, scope)
    headers = {name: tokens.bearer(name) for name in tokens.text}
    with kend_of(tmp_path, auth__tokens_file=tokens.path) as kend:
        listen = {name: [f"Authorization: {given['Authorization']}"] for name, given in headers.items()}
        with contextlib.ExitStack() as stack:
            following = {
                name: stack.enter_context(open_stream(kend, "/v1/events", *lines)) for name, lines in listen.items()
            }
            jobs: dict[str, str] = {}
            for owner in ("ann", "bob"):
                answer = kend.request("POST", "/v1/jobs", of_files(files), headers=headers[owner])
                jobs[owner] = answer.json["id"]
                path = f"/v1/jobs/{jobs[owner]}"
                poll(lambda: kend.get(path, headers=headers[owner]).json["status"] in FINISHED)
                time.sleep(0.6)  # so that more is told than its deletion
                who = headers["root" if owner == "ann" else owner]
                assert kend.request("DELETE", f"/v1/jobs/{jobs[owner]}", headers=who).status == 204
            seen: dict[str, list[Event]] = {name: [] for name in following}
            for name, stream in following.items():
                for event in stream:
                    seen[name].append(event)
                    if event.type == "deleted" and event.data["id"] in (jobs.get(name), jobs["bob"]):
                        break
            for owner in ("ann", "bob"):
                assert {event.data["id"] for event in seen[owner]} == {jobs[owner]}
                assert not [event for event in seen[owner] if "owner" in event.data]
            assert {event.data["id"] for event in seen["root"]} == set(jobs.values())
            assert {event.data["owner"] for event in seen["root"] if event.type == "job"} == {"ann", "bob"}
        job = kend.request("POST", "/v1/jobs", of_files(files), headers=headers["ann"]).json["id"]
        accept = {"Accept": "text/event-stream"}
        assert kend.get(of_job(job), headers={**headers["bob"], **accept}).status == 404
        assert kend.get(of_job(job), headers={**headers["root"], **accept}).status == 200
        assert kend.get(of_job(job), headers=accept).status == 401
        assert kend.get("/v1/events?seconds=0", headers=accept).status == 401


def test_a_revoked_token_ends_its_streams(tmp_path: Path, files: Path) -> None:  # noqa: F811
    """At the next ping; those of others go on."""
    tokens = Tokens(tmp_path)
    for name in ("ann", "bob"):
        tokens.make(name, name, "read")
    with kend_of(tmp_path, auth__tokens_file=tokens.path) as kend, contextlib.ExitStack() as stack:
        kend.headers = tokens.bearer("ann")
        ann = stack.enter_context(open_stream(kend, "/v1/events"))
        kend.headers = tokens.bearer("bob")
        bob = stack.enter_context(open_stream(kend, "/v1/events?seconds=20"))
        begin = time.monotonic()
        tokens.revoke("ann")
        kend.reload()
        assert list(ann) == [] and ann.whole
        assert time.monotonic() - begin < 15 + PROMPT
        assert list(bob) == [] and len(bob.pings) == 1
        assert 19 < time.monotonic() - begin


# ---- crowds


def test_a_thousand_idle_listeners(tmp_path: Path, stalled: str) -> None:  # noqa: F811
    """They cost less than 64 MiB, starve nobody, are all told at once when something happens, and leave nothing behind."""
    settings = {"http.max_connections": 1400, "http.max_connections_per_address": 0, "http.max_streams": 1000}
    count = 1000
    with kend_of(tmp_path, **settings) as kend, contextlib.ExitStack() as stack:
        job = kend.submit({"model": stalled, "base": stalled, "k": 1})
        poll(lambda: kend.job(job).get("stage") == "checking")
        before = metrics(kend)["process_resident_memory_bytes"]
        crowd = [
            stack.enter_context(Stream(kend, "/v1/events" if i % 2 else of_job(job), second=i % 4 < 2))
            for i in range(count)
        ]
        for stream in crowd:
            assert stream.head()[0] == 200
        poll(lambda: streams(kend) == count)
        taken = metrics(kend)["process_resident_memory_bytes"] - before
        print(f"{taken / 2**20:.1f} MiB")
        assert SANITIZED or taken < 64 << 20
        for i in range(20):
            begin = time.monotonic()
            if i % 2:
                assert kend.get("/livez").status == 200
            else:
                response = kend.request("POST", "/v1/jobs", {"model": stalled, "base": stalled, "k": 1})
                assert response.status == 202
            assert time.monotonic() - begin < PROMPT
        response = kend.get("/v1/events", headers={"Accept": "text/event-stream"})
        assert (response.status, response.json["code"]) == (429, "rate_limited")
        assert "http.max_streams" in response.json["detail"] and int(response.headers["retry-after"]) > 0
        assert refused(kend, "streams") == 1
        begin = time.monotonic()
        assert kend.request("POST", f"/v1/jobs/{job}/cancel").status == 202
        poll(lambda: streams(kend) == count / 2)
        print(f"{time.monotonic() - begin:.2f} s")
        assert time.monotonic() - begin < 2 * PROMPT
        for i, stream in enumerate(crowd):
            for event in stream:
                if i % 2 and event.data["id"] == job and event.data["status"] == "cancelled":
                    break
            assert i % 2 or stream.whole
        stack.close()
        poll(lambda: streams(kend) == 0)


@pytest.mark.parametrize("pages", [1, 8, 28])
def test_blank_lines_before_a_stream(tmp_path: Path, stalled: str, pages: int) -> None:  # noqa: F811
    """They put the head elsewhere in the connection's memory, of which zeros are given back."""
    with kend_of(tmp_path) as kend, contextlib.ExitStack() as stack:
        job = kend.submit({"model": stalled, "base": stalled, "k": 1})
        crowd = [
            stack.enter_context(Stream(kend, path, blank=pages * 2048))
            for path in ("/v1/events?seconds=2", of_job(job)) * 3
        ]
        for stream in crowd:
            assert stream.head()[0] == 200
        assert kend.request("POST", f"/v1/jobs/{job}/cancel").status == 202
        for stream in crowd:
            last = list(stream)[-1].data
            assert stream.whole and last.get("status", last.get("data", {}).get("status")) == "cancelled"


def test_an_owner_has_so_many(tmp_path: Path, files: Path) -> None:  # noqa: F811
    tokens = Tokens(tmp_path)
    for owner in ("ann", "bob"):
        tokens.make(owner, owner, "read")
    settings = {"auth.tokens_file": tokens.path, "http.max_streams_per_owner": 2}
    with kend_of(tmp_path, **settings) as kend, contextlib.ExitStack() as stack:
        kend.headers = tokens.bearer("ann")
        one, two = (stack.enter_context(open_stream(kend, "/v1/events")) for _ in range(2))
        response = kend.get("/v1/events?seconds=0")
        assert response.status == 429 and "http.max_streams_per_owner" in response.json["detail"]
        kend.headers = tokens.bearer("bob")
        assert kend.get("/v1/events?seconds=0").status == 200
        one.connection.close()
        kend.headers = tokens.bearer("ann")
        poll(lambda: kend.get("/v1/events?seconds=0").status == 200)
        assert two.pings == []


def test_who_does_not_read_loses_the_stream(tmp_path: Path, stalled: str) -> None:  # noqa: F811
    """What it does not take is not kept for it: the others' streams go on, and it is closed when it has taken nothing for a while."""
    with kend_of(tmp_path, http__idle_seconds=2) as kend:
        document = {"model": stalled, "base": stalled, "k": 1, "metadata": {f"k{i}": "x" * 500 for i in range(16)}}
        with open_stream(kend, "/v1/events", buffer=2048) as deaf, open_stream(kend, "/v1/events") as other:
            before = metrics(kend)["process_resident_memory_bytes"]
            events = iter(other)
            end = time.monotonic() + 120
            while streams(kend) == 2:
                assert time.monotonic() < end
                job = kend.submit(document)
                while next(events).data["id"] != job:
                    pass
            assert broken(deaf.connection)
            assert SANITIZED or metrics(kend)["process_resident_memory_bytes"] - before < 16 << 20
            assert streams(kend) == 1


# ---- the end of the server


def test_a_drain_ends_streams(tmp_path: Path, stalled: str) -> None:  # noqa: F811
    """As they should end: whoever comes again is answered by the next server, and goes on where it was."""
    with kend_of(tmp_path) as kend:
        job = kend.submit({"model": stalled, "base": stalled, "k": 1})
        with open_stream(kend, of_job(job)) as stream, open_stream(kend, "/v1/events") as all_jobs:
            events = iter(stream)
            first = [next(events)]
            while first[-1].type != "progress":
                first.append(next(events))
            begin = time.monotonic()
            assert kend.stop() == 0
            assert time.monotonic() - begin < 5 * PROMPT
            first += list(events)
            list(all_jobs)
            assert stream.whole and all_jobs.whole
        kend.start()
        kend.request("POST", f"/v1/jobs/{job}/cancel")
        with open_stream(kend, of_job(job), *where_it_was(first)) as stream:
            first += list(stream)
        assert durable(first) == kend.events(job)


def test_a_stream_that_begins_at_the_end(tmp_path: Path, stalled: str) -> None:  # noqa: F811
    """Who comes again while the server ends is told to come once more: a status would stop an EventSource for good."""
    with kend_of(tmp_path) as kend, connect(kend) as late, open_stream(kend, "/v1/events") as first:
        job = kend.submit({"model": stalled, "base": stalled, "k": 1})
        late.sendall(POST + b"Content-Length: 200\r\n\r\n")  # the server waits for it
        assert kend.process
        time.sleep(0.2)
        kend.process.send_signal(signal.SIGTERM)
        list(first)
        for path in ("/v1/events", of_job(job)) * 3:
            with open_stream(kend, path) as stream:
                assert list(stream) == [] and stream.whole
