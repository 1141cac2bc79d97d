# SPDX-License-Identifier: Apache-2.0
"""kenctl follows jobs by their events: over streams that break off, kills of the server, and for all jobs at once."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Iterator, Optional

from daemon import BUILD, Kend
from fake_kend import ID, Fake, Handler, Run, fake, job  # noqa: F401
from running import files, kend_of, large, of_files, poll, stalled, until_stage  # noqa: F401
from streams import streams

# ---- a server that breaks off


def send_events(handler: Handler, text: str) -> None:
    """A stream, broken off behind the text."""
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    handler.wfile.write(text.encode())
    handler.cut()


def event(number: int, kind: str, **data: object) -> str:
    item = {"id": number, "type": kind, "time": "2026-01-02T03:04:05.678Z", "data": data}
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(item)}\n\n"


def test_waiting_is_by_events(kenctl: Run, fake: Fake) -> None:  # noqa: F811
    """Streams that break off are resumed behind the last event; nothing is told twice. -o json gives each event a line."""
    counts = {"percent": 10, "bytes_fetched": 10, "bytes_total": 100, "rows_done": 0, "rows_total": 5}
    data = json.dumps({"status": "running", "stage": "fetching", "progress": counts})
    progress = f"event: progress\ndata: {data}\n\n"
    streams = [
        "retry: 1000\n\n" + event(1, "status", status="queued", attempt=0),
        ": ping\n\n"
        + event(2, "status", status="running", stage="fetching", attempt=1)
        + progress
        + "id: 3\nevent: log\nda",
        event(3, "log", level="warn", message="one\x1b") + event(4, "log", level="info", message="no"),
        event(5, "status", status="failed", attempt=1),
    ]
    asked: list[Optional[str]] = []

    def answer(handler: Handler, count: int) -> None:
        if handler.headers["Accept"] == "text/event-stream":
            asked.append(handler.headers["Last-Event-ID"])
            return send_events(handler, streams[len(asked) - 1])
        if "/events" in handler.path:
            return handler.json(200, {"data": [], "has_more": False, "next": None})
        error = {"code": "fetch_failed", "message": "gone", "stage": "fetching"}
        handler.json(200, job("failed", error=error) if len(asked) == len(streams) else job(), ETag='"1"')

    fake.answer = answer
    result = kenctl("--server", fake.url, "watch", ID)
    assert result.returncode == 1 and "error          fetch_failed: gone (while fetching)" in result.stdout
    assert asked == [None, "1", "2", "4"]
    lines = result.stderr.splitlines()
    assert lines[:-1] == ["queued", "fetching, 100 B", "warning: one\\x1b"]
    asked.clear()
    result = kenctl("--server", fake.url, "watch", "-q", "-o", "json", ID)
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [item.get("id") for item in events] == [1, 2, None, 3, 4, 5, ID]
    assert events[2] == {"type": "progress", "data": json.loads(data)}
    assert (result.returncode, events[-1]["status"], result.stderr) == (1, "failed", "warning: one\\x1b\n")


def test_a_status_that_is_not_known(kenctl: Run, fake: Fake) -> None:  # noqa: F811
    """It is no broken stream: asked again, the server would say the same."""

    def answer(handler: Handler, count: int) -> None:
        if handler.headers["Accept"] == "text/event-stream":
            return send_events(handler, event(1, "status", status="pondering", attempt=1))
        handler.json(200, job(), ETag='"1"')

    fake.answer = answer
    result = kenctl("--server", fake.url, "watch", ID)
    assert result.returncode == 1
    assert result.stderr.count("the server tells a status that this kenctl does not know: pondering") == 1
    assert len([asked for asked in fake.asked if asked[1].endswith("/events")]) == 1


def test_all_jobs_over_a_break(kenctl: Run, fake: Fake) -> None:  # noqa: F811
    """An end is told once, whatever changes later; a long list is read to its end; what became of others is asked for."""
    names = [f"{ID[:-1]}{letter}" for letter in "ABCDEF"]
    first, second, third, ended, old, new = names

    def line(name: str, status: str, **more: object) -> str:
        return f"event: job\ndata: {json.dumps({**job(status, **more), 'id': name})}\n\n"

    evicted = {"evicted_at": "2026-01-02T03:04:05.678Z"}
    events = [line(name, "running", stage="pruning") for name in (first, second, third)]
    events += [line(ended, "succeeded"), line(ended, "succeeded"), line(ended, "succeeded", **evicted)]
    events += [line(old, "succeeded", **evicted)]
    begun: "list[str]" = []

    def answer(handler: Handler, count: int) -> None:
        path, _, query = handler.path.partition("?")
        if path == "/v1/events":
            begun.append(path)
            if len(begun) > 2:
                return handler.problem(403, "forbidden")
            return send_events(handler, "retry: 1000\n\n" + "".join(events if len(begun) == 1 else []))
        if path == f"/v1/jobs/{first}":
            return handler.problem(404, "not_found")
        if path == f"/v1/jobs/{second}":
            return handler.json(200, {**job("cancelled"), "id": second})
        assert path == "/v1/jobs"
        page: "dict[str, object]" = {"data": [], "has_more": False, "next": None}
        if len(begun) == 2 and "status=running" in query:
            if "after=" in query:
                page["data"] = [{**job("running", stage="publishing"), "id": third}]
            else:
                page = {"data": [{**job("running"), "id": new}], "has_more": True, "next": "more"}
        handler.json(200, page)

    fake.answer = answer
    result = kenctl("--server", fake.url, "watch")
    assert result.returncode == 1 and "forbidden" in result.stderr
    assert [row.split()[:3] for row in result.stdout.splitlines()] == [
        [first, "running", "pruning"],
        [second, "running", "pruning"],
        [third, "running", "pruning"],
        [ended, "succeeded", "n"],
        [third, "running", "publishing"],
        [new, "running", "n"],
        [first, "deleted"],
        [second, "cancelled", "n"],
    ]


def test_a_list_that_cannot_be_read(kenctl: Run, fake: Fake) -> None:  # noqa: F811
    begun: "list[str]" = []

    def answer(handler: Handler, count: int) -> None:
        if handler.path != "/v1/events":
            return handler.problem(500, "internal")
        begun.append(handler.path)
        if len(begun) > 1:
            return handler.problem(403, "forbidden")
        send_events(handler, f"event: deleted\ndata: {json.dumps({'id': ID})}\n\n")

    fake.answer = answer
    result = kenctl("--server", fake.url, "watch")
    assert result.stdout.split() == [ID, "deleted"]
    assert "Title of internal" in result.stderr


def test_a_server_that_has_no_stream_of_all(kenctl: Run, fake: Fake) -> None:  # noqa: F811
    result = kenctl("--server", fake.url, "watch")
    assert result.returncode == 1
    assert "the server is older and has no stream of all jobs; `kenctl list` shows them" in result.stderr
    assert [asked[1] for asked in fake.asked] == ["/v1/events"]


# ---- the real one


@contextlib.contextmanager
def watching(kend: Kend, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
    command = [str(BUILD / "kenctl"), "--server", kend.url, "watch", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def fix_port(kend: Kend) -> None:
    """It comes back where it was."""
    kend.settings["http.listen"] = kend.url.removeprefix("http://")


def test_watching_over_a_kill(tmp_path: Path, large: Path) -> None:  # noqa: F811
    """Nothing is lost, and nothing told twice."""
    with kend_of(tmp_path) as kend:
        fix_port(kend)
        name = kend.submit(of_files(large, "large-"))
        with watching(kend, name, "-o", "json") as lines, watching(kend, name) as words:
            until_stage(kend, name, "pruning")
            poll(lambda: streams(kend) == 2)
            kend.kill()
            kend.start()
            output, errors = lines.communicate(timeout=120)
            told = [json.loads(line) for line in output.splitlines()]
            assert [event for event in told if event.get("type") in ("status", "log")] == kend.events(name)
            assert any(event.get("type") == "progress" for event in told)
            assert told[-1] == kend.job(name) and lines.returncode == 0
            output, errors = words.communicate(timeout=120)
            assert "status         succeeded" in output and words.returncode == 0
            assert re.search(r"^pruning, \d+ rows$", errors, re.M) and re.search(r"^succeeded after ", errors, re.M)


def test_cancelled_meanwhile(tmp_path: Path, stalled: str) -> None:  # noqa: F811
    with kend_of(tmp_path) as kend:
        name = kend.submit({"model": stalled, "base": stalled, "k": 1})
        with watching(kend, name, "-q") as process:
            poll(lambda: streams(kend) == 1)
            begin = time.monotonic()
            kend.request("POST", f"/v1/jobs/{name}/cancel")
            assert process.communicate(timeout=60)[1] == ""
            assert process.returncode == 3 and time.monotonic() - begin < 10


def test_watching_all(tmp_path: Path, files: Path, stalled: str) -> None:  # noqa: F811
    """A line for what there is, one for each change, over a restart, until an interrupt."""
    with kend_of(tmp_path, jobs__max_running=1) as kend:
        fix_port(kend)
        first = kend.submit({"model": stalled, "base": stalled, "k": 1, "name": "first"})
        until_stage(kend, first, "checking")
        with watching(kend) as words, watching(kend, "-o", "json") as lines:
            assert words.stdout and lines.stdout
            assert words.stdout.readline().split() == [first, "running", "checking", "0%", "first"]
            poll(lambda: streams(kend) == 2)
            second = kend.submit(of_files(files, name="second"))
            assert words.stdout.readline().split() == [second, "queued", "0%", "second"]
            assert kend.stop() == 0
            kend.start()
            poll(lambda: streams(kend) == 2)
            kend.request("POST", f"/v1/jobs/{first}/cancel")
            kend.wait(second)
            time.sleep(1)
            assert kend.request("DELETE", f"/v1/jobs/{second}").status == 204
            got: "list[list[str]]" = []
            while not got or got[-1] != [second, "deleted"]:
                got.append(words.stdout.readline().split())
            assert [first, "cancelled", "0%", "first"] in got
            assert [second, "succeeded", "100%", "second"] in got
            words.send_signal(signal.SIGINT)
            lines.send_signal(signal.SIGINT)
            assert words.wait(30) == lines.wait(30) == 130
            events = [json.loads(line) for line in lines.stdout]
            assert events[-1] == {"type": "deleted", "data": {"id": second}}
            assert {event["type"] for event in events} == {"job", "deleted"}
            assert events[0]["data"]["id"] == first
