# SPDX-License-Identifier: Apache-2.0
"""Crowds: hundreds that wait, rest or are slow on connections of their own starve nobody else."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path
from typing import Iterator

import pytest

from daemon import Kend
from exposition import metrics
from origin import Behaviour, Origin
from sanitizers import SANITIZED
from tokens import House
from test_limits import KEEP, LIVEZ, VERSION, answer, connect, poll, refused, rest

#: What an answer may take while others crowd in, on a busy machine; alone it takes a millisecond or two.
PROMPT = 10.0 if SANITIZED else 2.0


class Crowd:
    """A kend with a job that does not end, and connections that a test opens on it."""

    def __init__(self, kend: Kend, stack: contextlib.ExitStack, document: "dict[str, object]") -> None:
        self.kend, self.stack, self.document = kend, stack, document
        self.job = kend.submit(document)

    def open(self, count: int, source: str = "127.0.0.1") -> "list[socket.socket]":
        return [self.stack.enter_context(connect(self.kend, source)) for _ in range(count)]

    def wait(self, connections: "list[socket.socket]") -> None:
        """Has each ask for the job's end, which does not come."""
        for connection in connections:
            connection.sendall(b"GET /v1/jobs/%s?wait=60 HTTP/1.1\r\n" % self.job.encode() + KEEP + b"\r\n")

    def all_are_served(self, rounds: int = 20) -> None:
        """New connections, each with one request, get their answer promptly."""
        for i in range(rounds):
            begin = time.monotonic()
            path = ("/livez", "/readyz", f"/v1/jobs/{self.job}", "/v1/jobs")[i % 4]
            assert self.kend.get(path).status == 200
            assert time.monotonic() - begin < PROMPT, path


@contextlib.contextmanager
def crowd(tmp_path: Path, **settings: object) -> Iterator[Crowd]:
    with Origin(tmp_path) as origin, contextlib.ExitStack() as stack:
        origin.put("/model.safetensors", b"x" * 100)
        origin.behave("/model.safetensors", Behaviour(stall_at=0))
        url = origin.url + "/model.safetensors"
        with Kend(
            tmp_path, {"jobs.drain_seconds": 0, **{f"http.{key}": value for key, value in settings.items()}}
        ) as kend:
            yield Crowd(kend, stack, {"model": url, "base": url, "k": 1})
            stack.close()


def test_all_but_a_few_wait_or_rest(tmp_path: Path) -> None:
    """Three quarters of the default limit wait, most of the rest is kept alive without a request: whoever comes is served at once."""
    with crowd(tmp_path, max_connections_per_address=0) as here:
        threads = [path.read_text() for path in Path(f"/proc/{here.kend.pid}/task").glob("*/comm")]
        assert threads.count("MHD-worker\n") >= 5  # with 4, one of 128 connections now and then answers none of them
        waiting = here.open(384)
        here.wait(waiting)
        poll(lambda: metrics(here.kend)["kend_http_waiting"] == 384, 30)
        resting = here.open(110)
        for connection in resting:
            assert answer(connection, LIVEZ).status == 200
        here.all_are_served()
        begin = time.monotonic()
        assert answer(resting[-1], VERSION).status == 200  # an old connection as well as a new one
        assert time.monotonic() - begin < PROMPT
        # All are woken by what they wait for, soon.
        begin = time.monotonic()
        assert here.kend.request("POST", f"/v1/jobs/{here.job}/cancel").status == 202
        for connection in waiting:
            assert b'"status":"cancelled"' in answer(connection, b"").body.replace(b" ", b"")
        assert time.monotonic() - begin < 5 * PROMPT
        assert metrics(here.kend)["kend_http_waiting"] == 0


def test_more_than_may_wait(tmp_path: Path) -> None:
    """http.max_waiting: one more is answered at once, and a place that is given up is taken again."""
    with crowd(tmp_path, max_waiting=3, max_connections=64) as here:
        waiting = here.open(3)
        here.wait(waiting)
        poll(lambda: metrics(here.kend)["kend_http_waiting"] == 3)
        begin = time.monotonic()
        assert here.kend.get(f"/v1/jobs/{here.job}?wait=60").json["finished_at"] is None
        response = here.kend.request("POST", "/v1/jobs?dry_run=true", here.document)
        assert (response.status, response.json["code"]) == (429, "rate_limited")  # its origin never answers
        assert response.json["detail"] == "too many requests wait"
        assert time.monotonic() - begin < 2 * PROMPT
        waiting.pop().close()
        poll(lambda: metrics(here.kend)["kend_http_waiting"] == 2)
        here.wait(here.open(1))
        poll(lambda: metrics(here.kend)["kend_http_waiting"] == 3)


def test_owners_share_the_places_to_wait(tmp_path: Path) -> None:
    """http.max_waiting_per_owner: an owner's third is answered at once, another owner's first waits; a place given up is free again."""
    house = House(tmp_path, **{"http.max_waiting_per_owner": 2, "fetch.allow_networks": "127.0.0.0/8"})
    with house.kend as kend, Origin(tmp_path) as origin, contextlib.ExitStack() as stack:
        origin.put("/model.safetensors", b"x" * 100)
        origin.behave("/model.safetensors", Behaviour(stall_at=0))
        url = origin.url + "/model.safetensors"
        jobs = {
            who: house.ask(who, "POST", "/v1/jobs", {"model": url, "base": url, "k": 1}).json["id"]
            for who in ("submit", "foreign")
        }

        def wait(who: str) -> socket.socket:
            connection = stack.enter_context(connect(kend))
            bearer = house.headers(who)["Authorization"].encode()
            head = KEEP + b"Authorization: " + bearer + b"\r\n\r\n"
            connection.sendall(b"GET /v1/jobs/%s?wait=60 HTTP/1.1\r\n" % jobs[who].encode() + head)
            return connection

        def waiting() -> int:
            text = house.ask("admin", "GET", "/metrics").body.decode()
            return int(text.partition("\nkend_http_waiting ")[2].split()[0])

        own = [wait("submit"), wait("submit")]
        poll(lambda: waiting() == 2)
        begin = time.monotonic()
        for _ in range(3):
            answered = house.ask("submit", "GET", f"/v1/jobs/{jobs['submit']}?wait=60")
            assert answered.status == 200 and answered.json["finished_at"] is None
        assert time.monotonic() - begin < PROMPT
        wait("foreign")
        poll(lambda: waiting() == 3)
        own.pop().close()
        poll(lambda: waiting() == 2)
        wait("submit")
        poll(lambda: waiting() == 3)
        for who, job in jobs.items():
            house.ask(who, "POST", f"/v1/jobs/{job}/cancel")
        poll(lambda: waiting() == 0)


@pytest.mark.parametrize("threads", [1, 4])
def test_those_who_rest_make_room(tmp_path: Path, threads: int) -> None:
    """Kept-alive connections up to the limit and beyond: the oldest of them are given up for those that come."""
    with crowd(tmp_path, max_connections=32, threads=threads, idle_seconds=600, header_seconds=600) as here:
        resting = here.open(24)
        for connection in resting:
            assert answer(connection, LIVEZ).status == 200
        for _ in range(40):
            (late,) = here.open(1)
            begin = time.monotonic()
            assert answer(late, LIVEZ).status == 200
            assert time.monotonic() - begin < PROMPT
        here.all_are_served()
        assert rest(resting[0]) == b""
        assert refused(here.kend, "connections") >= 24
        assert metrics(here.kend)["kend_http_connections"] <= 30


def test_those_who_do_not_begin_make_room(tmp_path: Path) -> None:
    """So do, after a second, connections that have not sent a header, long before their time is over."""
    with crowd(tmp_path, max_connections=32, idle_seconds=600, header_seconds=600) as here:
        silent = here.open(32)
        for connection in silent:
            connection.sendall(b"GET /livez HTT")
        time.sleep(1.5)
        here.all_are_served()
        assert rest(silent[0]) == b""
        assert refused(here.kend, "connections") >= 4


def test_those_who_are_slow_lose_their_place(tmp_path: Path) -> None:
    """With every connection taken by slow bodies and waiting requests, bodies make room after a second, long before their time is over."""
    with crowd(tmp_path, max_connections=16, body_seconds=600, idle_seconds=600) as here:
        here.wait(here.open(12))
        poll(lambda: metrics(here.kend)["kend_http_waiting"] == 12)
        slow = here.open(4)
        for connection in slow:
            connection.sendall(b"POST /v1/jobs HTTP/1.1\r\n" + KEEP + b"Content-Length: 10\r\n\r\n")
        begin = time.monotonic()
        assert here.kend.get("/livez").status == 200
        assert time.monotonic() - begin < 1 + 2 * PROMPT
        here.all_are_served()
        assert rest(slow[0]) == b""
        assert refused(here.kend, "connections") >= 2


def test_one_address_takes_all_it_can(tmp_path: Path) -> None:
    """Bodies that never come whole, on more connections of one address than there are, and then of another: others are served at once."""
    settings = {"max_connections": 32, "max_connections_per_address": 16}
    with crowd(tmp_path, body_seconds=600, idle_seconds=600, **settings) as here:
        for source in ("127.0.0.2", "127.0.0.3"):
            for connection in here.open(40, source):
                with contextlib.suppress(ConnectionError):
                    connection.sendall(b"POST /v1/jobs HTTP/1.1\r\n" + KEEP + b"Content-Length: 1000\r\n\r\n{")
            begin = time.monotonic()
            assert here.kend.get("/livez").status == 200
            assert time.monotonic() - begin < 1 + PROMPT, source
            here.all_are_served()
        assert refused(here.kend, "address") >= 24
