# SPDX-License-Identifier: Apache-2.0
"""Limits of the HTTP side: whoever goes beyond one gets an answer, or is shown the door, and everybody else is served."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
import urllib.parse
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

import numpy as np
import pytest

import daemon
import rawhttp
from checkpoints import write_safetensors, write_tiled
from daemon import Kend, Response
from exposition import metrics
from running import poll
from sanitizers import SANITIZED
from test_tls import Secured, certificates  # noqa: F401
from tokens import House, Tokens

KEEP = b"Host: localhost\r\n"
LIVEZ = b"GET /livez HTTP/1.1\r\n" + KEEP + b"\r\n"
VERSION = b"GET /version HTTP/1.1\r\n" + KEEP + b"\r\n"
POST = b"POST /v1/jobs HTTP/1.1\r\n" + KEEP + b"Content-Type: application/json\r\n"
SLOW = 5.0 if SANITIZED else 1.0


def connect(kend: Kend, source: str = "127.0.0.1", receive_buffer: Optional[int] = None) -> socket.socket:
    where = urllib.parse.urlsplit(kend.url)
    connection = socket.socket()
    connection.settimeout(30)
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.bind((source, 0))
    connection.connect((where.hostname, where.port))
    return connection


def answer(connection: socket.socket, request: bytes) -> Response:
    """What the request is answered with, on a connection that may stay open."""
    connection.sendall(request)
    received = b""
    while True:
        piece = connection.recv(65536)
        received += piece
        head, separator, body = received.partition(b"\r\n\r\n")
        lengths = [
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        ]
        if separator and len(body) >= lengths[0]:
            return rawhttp.split(received)[0]
        assert piece, received


def rest(connection: socket.socket) -> bytes:
    """All that comes until the connection ends, in whatever way."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            received += piece
    return received


def drip(connection: socket.socket, text: bytes, pause: float = 0.1) -> "tuple[bytes, float]":
    """Sends the text byte by byte until the other side has enough; what it says, and after how long."""
    begin = time.monotonic()
    connection.settimeout(pause)
    for i in range(len(text)):
        try:
            connection.sendall(text[i : i + 1])
            piece = connection.recv(65536)
        except socket.timeout:
            continue
        except (BrokenPipeError, ConnectionResetError):
            return b"", time.monotonic() - begin
        connection.settimeout(30)
        return piece + (rest(connection) if piece else b""), time.monotonic() - begin
    raise AssertionError("nobody minded")


def refused(kend: Kend, reason: str) -> float:
    return metrics(kend)[f'kend_http_refused_total{{reason="{reason}"}}']


# ---- slow senders and readers


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kend]:
    settings = {"http.header_seconds": 1, "http.body_seconds": 2, "http.idle_seconds": 2}
    with Kend(tmp_path_factory.mktemp("impatient"), settings) as kend:
        yield kend


def test_a_header_that_drips(impatient: Kend) -> None:
    """Each byte keeps the connection from being idle; the whole header has its time, nevertheless."""
    before = refused(impatient, "header_seconds")
    with connect(impatient) as connection:
        said, seconds = drip(connection, b"GET /livez HTTP/1.1\r\nX: " + b"a" * 200)
    assert said == b"" and 0.9 < seconds < 5 * SLOW
    assert refused(impatient, "header_seconds") == before + 1


def test_the_next_header_drips(impatient: Kend) -> None:
    """Between requests, nobody is told when a header begins: idle time and header's time together."""
    with connect(impatient) as connection:
        assert answer(connection, LIVEZ).status == 200
        said, seconds = drip(connection, b"GET /livez HTTP/1.1\r\nX: " + b"a" * 200)
    assert said == b"" and 2.9 < seconds < 8 * SLOW


def test_a_body_that_drips(impatient: Kend) -> None:
    jobs = len(impatient.get("/v1/jobs").json["data"])
    before = refused(impatient, "body_seconds")
    with connect(impatient) as connection:
        connection.sendall(POST + b"X-Request-Id: slow\r\nContent-Length: 200\r\n\r\n")
        said, seconds = drip(connection, b" " * 200)
    (response,) = rawhttp.split(said)
    for hook in daemon.response_hooks:
        hook("POST", "/v1/jobs", response)
    assert (response.status, response.json["code"]) == (408, "request_timeout")
    assert (response.headers["x-request-id"], response.headers["connection"]) == ("slow", "close")
    assert 1.9 < seconds < 6 * SLOW
    assert refused(impatient, "body_seconds") == before + 1
    poll(lambda: "request=slow" in impatient.log_text())
    line = next(line for line in impatient.log_text().splitlines() if "request=slow" in line)
    assert " client=127.0.0.1 " in line
    assert f" status=408 bytes={len(response.body)} seconds=" in line  # and no ended=early
    assert len(impatient.get("/v1/jobs").json["data"]) == jobs


def test_chunks_that_drip(impatient: Kend) -> None:
    with connect(impatient) as connection:
        connection.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        said, _ = drip(connection, b"1\r\n \r\n" * 40)
    assert rawhttp.split(said)[0].status == 408


def test_a_refused_body_that_drips(impatient: Kend) -> None:
    """It is read to its end before its refusal is sent: not for ever."""
    with connect(impatient) as connection:
        connection.sendall(b"POST /v1/jobs HTTP/1.1\r\n" + KEEP + b"Content-Length: 200\r\n\r\n")
        said, _ = drip(connection, b" " * 200)
    assert rawhttp.split(said)[0].status == 408


@contextlib.contextmanager
def large_artifact(
    folder: Path, trust: Optional[ssl.SSLContext] = None, **settings: Any
) -> "Iterator[tuple[Kend, str, int]]":
    """A kend, the path of an artifact that fits into no buffer of the kernel's, and its size."""
    write_tiled(folder / "base.safetensors", 24 << 20, seed=1)
    write_tiled(folder / "model.safetensors", 24 << 20, seed=1, difference=0.02)
    pair = {"model": f"file://{folder}/model.safetensors", "base": f"file://{folder}/base.safetensors"}
    settings = {f"http.{name}": value for name, value in settings.items()}
    with Kend(folder, {"fetch.file_roots": folder, "disk.reserve_bytes": 0, **settings}) as kend:
        kend.trust = trust
        job = kend.wait(kend.submit({**pair, "keep": 0.5, "outputs": ["model"]}))
        (size,) = [item["size"] for item in job["artifacts"] if item["name"] == "model.safetensors"]
        yield kend, f"/v1/jobs/{job['id']}/artifacts/model.safetensors", size


def test_a_download_that_is_taken_too_slowly(tmp_path: Path) -> None:
    """One byte now and then is no reason to keep a connection; another client, who takes 1 MiB a second, gets all of it."""
    with large_artifact(tmp_path, send_seconds=1, idle_seconds=600) as (kend, path, size):
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        with connect(kend, receive_buffer=4096) as slow, connect(kend) as steady:
            for connection in (slow, steady):
                connection.sendall(request)
            begin, taken, received = time.monotonic(), 0, 0
            while not refused(kend, "send_seconds"):
                assert time.monotonic() - begin < 10 * SLOW
                taken += len(slow.recv(1))
                received += len(steady.recv(1 << 18, socket.MSG_WAITALL))
                time.sleep(0.25)
            assert time.monotonic() - begin > 0.9
            assert taken + len(rest(slow)) < size // 2
            while received < size:
                piece = steady.recv(1 << 20, socket.MSG_WAITALL)
                assert piece, f"{received} of {size}"
                received += len(piece)
                time.sleep(0.1)
        assert refused(kend, "send_seconds") == 1
        poll(lambda: "ended=early" in kend.log_text())
        assert len(kend.get(path).body) == size


def test_a_download_that_is_taken_too_slowly_over_tls(tmp_path: Path, certificates: Any) -> None:  # noqa: F811
    tls = {"tls_cert": certificates.good[0], "tls_key": certificates.good[1]}
    trust = ssl.create_default_context(cafile=certificates.authority)
    with large_artifact(tmp_path, trust, send_seconds=1, idle_seconds=600, **tls) as (kend, path, _):
        with connect(kend, receive_buffer=4096) as plain, trust.wrap_socket(plain, server_hostname="localhost") as slow:
            slow.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            begin = time.monotonic()
            while not refused(kend, "send_seconds"):
                assert time.monotonic() - begin < 10 * SLOW
                assert slow.recv(1)
                time.sleep(0.2)


def test_a_body_in_time(impatient: Kend) -> None:
    """What comes in pieces, and then whole, is as good as any other."""
    body = b'{"model": "https://192.0.2.1/m.safetensors", "base": "https://192.0.2.1/b.safetensors", "k": 1}'
    with connect(impatient) as connection:
        connection.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(body))
        for i in range(0, len(body), 20):
            connection.sendall(body[i : i + 20])
            time.sleep(0.05)
        assert answer(connection, b"").status == 202
        assert answer(connection, LIVEZ).status == 200


def test_a_body_that_drips_over_tls(tmp_path: Path, certificates: Any) -> None:  # noqa: F811
    """Only the thread of the connection can encrypt, and that one waits for the body: closed without an answer."""
    secured = Secured(tmp_path, certificates, **{"http.body_seconds": 1, "http.header_seconds": 1})
    with secured.kend as kend:
        assert kend.trust
        with connect(kend) as plain, kend.trust.wrap_socket(plain, server_hostname="localhost") as connection:
            connection.sendall(POST + b"Content-Length: 200\r\n\r\n")
            assert connection.recv(1) == b""
        with connect(kend) as connection:  # and whoever never gets through the handshake
            assert rest(connection) == b""
        assert (refused(kend, "body_seconds"), refused(kend, "header_seconds")) == (1, 1)
        assert kend.get("/livez").status == 200


def test_a_download_without_progress(tmp_path: Path) -> None:
    """A client that takes nothing of its answer any more is idle, however much is left."""
    (tmp_path / "files").mkdir()
    weights = np.random.default_rng(1).normal(size=(64, 65536)).astype(np.float32)
    for name, values in (("base", weights), ("model", weights * 1.5)):
        write_safetensors(tmp_path / "files" / f"{name}.safetensors", {"w": values})
    url = f"file://{tmp_path}/files/%s.safetensors"
    settings = {"http.idle_seconds": 2, "fetch.file_roots": tmp_path / "files"}
    with Kend(tmp_path, settings) as kend:
        job = kend.submit({"model": url % "model", "base": url % "base", "keep": 0.5, "outputs": ["model"]})
        assert kend.wait(job)["status"] == "succeeded"
        with connect(kend, receive_buffer=4096) as connection:
            target = f"/v1/jobs/{job}/artifacts/model.safetensors".encode()
            connection.sendall(b"GET " + target + b" HTTP/1.1\r\n" + KEEP + b"X-Request-Id: lazy\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
            begin = time.monotonic()
            poll(lambda: "request=lazy" in kend.log_text(), 30)
            assert time.monotonic() - begin > 1
            line = next(line for line in kend.log_text().splitlines() if "request=lazy" in line)
            assert "ended=early" in line
            assert len(rest(connection)) < weights.nbytes
        with connect(kend, receive_buffer=4096) as connection:  # slow, but it goes on
            connection.sendall(b"GET " + target + b" HTTP/1.1\r\n" + KEEP + b"Connection: close\r\n\r\n")
            received = 0
            while piece := connection.recv(1 << 20):
                received += len(piece)
            assert received > weights.nbytes


# ---- headers and targets


def test_sizes_of_heads(tmp_path: Path) -> None:
    settings = {"http.max_headers": 16, "http.max_header_bytes": 1024, "http.max_url_bytes": 256}
    with Kend(tmp_path, settings) as kend:

        def get(target: bytes, head: bytes) -> Response:
            request = b"GET " + target + b" HTTP/1.1\r\n" + KEEP + b"Connection: close\r\n" + head + b"\r\n"
            return rawhttp.one(kend.url, request)

        used = len(KEEP + b"Connection: close\r\n")
        assert get(b"/livez", b"X: y\r\n" * 14).status == 200
        response = get(b"/livez", b"X: y\r\n" * 15)
        assert (response.status, response.json["code"]) == (431, "headers_too_large")
        assert "http.max_headers (16)" in response.json["detail"]
        assert get(b"/livez", b"X: " + b"y" * (1024 - used - 5) + b"\r\n").status == 200
        response = get(b"/livez", b"X: " + b"y" * (1024 - used - 4) + b"\r\n")
        assert (response.status, response.json["code"]) == (431, "headers_too_large")
        assert "http.max_header_bytes (1024)" in response.json["detail"]
        assert get(b"/" + b"a" * 255, b"").status == 404
        response = get(b"/" + b"a" * 256, b"")
        assert (response.status, response.json["code"]) == (414, "target_too_long")
        assert "http.max_url_bytes (256)" in response.json["detail"]


# ---- connections of one address


def test_connections_of_one_address(tmp_path: Path) -> None:
    with Kend(tmp_path, {"http.max_connections_per_address": 4}) as kend, contextlib.ExitStack() as stack:

        def open_one(source: str = "127.0.0.2") -> socket.socket:
            return stack.enter_context(connect(kend, source))

        held = [open_one() for _ in range(4)]
        assert [answer(connection, VERSION).status for connection in held] == [200] * 4
        fifth = open_one()
        response = answer(fifth, VERSION)
        assert (response.status, response.json["code"]) == (429, "rate_limited")
        assert (
            "http.max_connections_per_address" in response.json["detail"] and int(response.headers["retry-after"]) > 0
        )
        assert response.headers["connection"] == "close" and rest(fifth) == b""
        probe = open_one()  # is answered, so that a busy proxy's own check does not end kend
        response = answer(probe, LIVEZ)
        assert (response.status, response.headers["connection"]) == (200, "close") and rest(probe) == b""
        poll(lambda: metrics(kend)["kend_http_connections"] <= 5)
        surplus = [open_one() for _ in range(4)]  # who does not even listen takes only so many more
        assert rest(open_one()) == b""
        assert answer(open_one("127.0.0.1"), VERSION).status == 200
        for connection in surplus:
            connection.close()
        held.pop().close()
        poll(lambda: metrics(kend)["kend_http_connections"] <= 5)
        assert answer(open_one(), VERSION).status == 200
        assert [answer(connection, VERSION).status for connection in held] == [200] * 3
        assert refused(kend, "address") == 2


# ---- requests a second


def too_many(call: Callable[[], Response], burst: int = 1) -> Response:
    """Calls until that is too often, which it is not before `burst` calls, and is soon then, however slow the machine."""
    begin = time.monotonic()
    for good in range(1000):
        response = call()
        if response.status == 429:
            assert burst <= good <= burst + time.monotonic() - begin + 1 or burst == 1, good
            return response
    raise AssertionError("as often as one likes")


def statuses(kend: Kend, count: int, path: str) -> list[int]:
    return [kend.get(path).status for _ in range(count)]


def test_requests_a_second(tmp_path: Path) -> None:
    with Kend(tmp_path, {"http.requests_per_second": 1, "http.requests_burst": 4}) as kend:
        response = too_many(lambda: kend.get("/v1/jobs"), 4)
        assert response.json["code"] == "rate_limited" and response.headers["retry-after"] == "1"
        assert "http.requests_per_second" in response.json["detail"]
        # before its body is looked at, before anything else is wrong with it
        assert too_many(lambda: kend.request("POST", "/v1/jobs", {"k": 1})).json["code"] == "rate_limited"
        assert too_many(lambda: kend.get("/nowhere")).json["code"] == "rate_limited"
        assert statuses(kend, 20, "/livez") == [200] * 20
        assert statuses(kend, 5, "/readyz") == [200] * 5
        too_many(lambda: kend.get("/version"))
        with connect(kend, "127.0.0.2") as connection:  # others do not feel it
            assert answer(connection, VERSION).status == 200
        time.sleep(float(response.headers["retry-after"]))
        assert kend.get("/version").status == 200
        assert "status=429" in kend.log_text()


def test_requests_a_second_of_tokens(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    for name in ("first", "second"):
        tokens.make(name, "nlp", "read")
    settings = {"http.requests_per_second": 1, "http.requests_burst": 4, "auth.tokens_file": tokens.path}
    with Kend(tmp_path, settings) as kend:
        first, second = tokens.bearer("first"), tokens.bearer("second")
        too_many(lambda: kend.get("/v1/jobs", headers=first), 4)
        # Who tries tokens out is told to wait, but whoever shares the address and has a token is not.
        wrong = {"Authorization": f"Bearer kend_{tokens.id('first')}_{'0' * 64}"}
        response = too_many(lambda: kend.get("/v1/jobs", headers=wrong), 4)
        assert response.json["code"] == "rate_limited" and "www-authenticate" not in response.headers
        too_many(lambda: kend.get("/v1/jobs"))
        assert kend.get("/v1/jobs", headers=second).status == 200
        assert kend.get("/metrics", headers=second).status == 200


def test_no_limit_of_requests(tmp_path: Path) -> None:
    with Kend(tmp_path, {"http.requests_per_second": 0, "http.requests_burst": 1}) as kend:
        assert statuses(kend, 50, "/version") == [200] * 50


# ---- memory


def test_memory_of_answers(tmp_path: Path) -> None:
    """Large answers that nobody takes are bounded in all; small ones are given, and large ones again as soon as there is room."""
    settings = {"http.max_memory": "8MiB", "http.max_connections_per_address": 0, "fetch.connect_seconds": 600}
    settings.update({"jobs.max_running": 1, "http.idle_seconds": 60})
    rule = {"match": "a" * 250, "action": "keep"}
    large = {"model": "https://192.0.2.1/m", "base": "https://192.0.2.1/b", "k": 1, "rules": [rule] * 256}
    page = b"GET /v1/jobs?limit=200 HTTP/1.1\r\n" + KEEP + b"\r\n"
    with Kend(tmp_path, settings) as kend, contextlib.ExitStack() as stack:
        for _ in range(75):
            kend.submit(large)
        with connect(kend) as connection:
            assert len(answer(connection, page).body) > 5 << 20
        lazy = [stack.enter_context(connect(kend, receive_buffer=4096)) for _ in range(12)]
        begun = []
        for connection in lazy:
            connection.sendall(page)
            begun.append(connection.recv(20))
        assert b"HTTP/1.1 429" in [head[:12] for head in begun] and begun[0].startswith(b"HTTP/1.1 200")
        response = kend.get("/v1/jobs?limit=200")
        assert (response.status, response.json["code"]) == (429, "rate_limited")
        assert "http.max_memory" in response.json["detail"]
        assert kend.get("/version").status == 200
        assert refused(kend, "memory") >= 2
        assert kend.peak_memory() < (1024 if SANITIZED else 160) << 20
        for connection in lazy:
            connection.close()
        with connect(kend) as connection:
            poll(lambda: answer(connection, page).status == 200)


def test_memory_of_bodies(tmp_path: Path) -> None:
    """Large bodies that come at once are bounded in all; one alone may always come."""
    settings = {"http.max_memory": "1MiB", "http.max_body_bytes": "2MiB", "http.max_connections_per_address": 0}
    start = b" " * 1_000_000
    with Kend(tmp_path, settings) as kend, contextlib.ExitStack() as stack:

        def begin() -> socket.socket:
            connection = stack.enter_context(connect(kend))
            connection.sendall(POST + b"Content-Length: %d\r\n\r\n" % (len(start) + 2) + start)
            return connection

        first = begin()
        time.sleep(0.3 * SLOW)
        second = begin()
        response = answer(second, b"{}")
        assert (response.status, response.json["code"]) == (429, "rate_limited")
        assert "http.max_memory" in response.json["detail"] and int(response.headers["retry-after"]) > 0
        assert answer(first, b"{}").status == 422  # was let in
        assert answer(begin(), b"{}").status == 422  # and now there is room
        assert refused(kend, "memory") == 1


def test_memory_of_one_address(tmp_path: Path) -> None:
    """By default: bodies of one address that never come whole leave room for the largest job of another, and for its document."""
    text = b" " * ((1 << 20) - 2) + b"{}"
    with Kend(tmp_path, {"http.body_seconds": 600}) as kend, contextlib.ExitStack() as stack:
        for _ in range(64):
            connection = stack.enter_context(connect(kend, "127.0.0.2"))
            with contextlib.suppress(ConnectionError):
                connection.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(text) + text[:-1])
        poll(lambda: refused(kend, "memory") >= 50)
        for _ in range(3):
            with connect(kend) as connection:
                assert answer(connection, POST + b"Content-Length: %d\r\n\r\n" % len(text) + text).status == 422


def test_memory_of_one_owner(tmp_path: Path) -> None:
    """Behind a proxy all come from its address: bodies of one owner that never come whole leave room for another's largest job."""
    house = House(tmp_path, **{"http.max_connections_per_address": 0, "http.body_seconds": 600})
    text = b" " * ((1 << 20) - 2) + b"{}"

    def post(name: str) -> bytes:
        bearer = b"Authorization: " + house.headers(name)["Authorization"].encode() + b"\r\n"
        return POST + bearer + b"Content-Length: %d\r\n\r\n" % len(text) + text

    with house.kend as kend, contextlib.ExitStack() as stack:
        kend.headers = house.headers("admin")
        for _ in range(64):
            connection = stack.enter_context(connect(kend))
            with contextlib.suppress(ConnectionError):
                connection.sendall(post("foreign")[:-1])
        poll(lambda: refused(kend, "memory") >= 50)
        for _ in range(3):
            with connect(kend) as connection:
                assert answer(connection, post("submit")).status == 422
        with connect(kend) as connection:
            assert answer(connection, post("foreign")).status == 429
        stack.close()

        def has_room() -> bool:
            with connect(kend) as connection:
                return answer(connection, post("foreign")).status == 422

        poll(has_room)


def test_pictures_count_while_they_are_drawn(tmp_path: Path) -> None:
    """By what their pixels could take: beside a body that fills the memory, there is no room for one."""
    house = House(tmp_path, **{"http.max_memory": 1 << 20})
    with house.kend as kend:
        kend.headers = house.headers("admin")
        path = f"/v1/jobs/{house.job()}/heatmap.png?tensor=layer.0.weight"
        assert kend.get(path).status == 200  # one alone may be larger
        bearer = b"Authorization: " + house.headers("admin")["Authorization"].encode() + b"\r\n"
        with connect(kend) as body:
            body.sendall(POST + bearer + b"Content-Length: 600000\r\n\r\n" + b" " * 10000)
            poll(lambda: kend.get(path).status == 429)
            assert kend.get(path).json["code"] == "rate_limited"
        poll(lambda: kend.get(path).status == 200)
        assert len({kend.get(path).body for _ in range(3)}) == 1
