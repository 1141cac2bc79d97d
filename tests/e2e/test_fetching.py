# SPDX-License-Identifier: Apache-2.0
"""Fetching as a job does it: what is asked for, what is tried again, what has a limit."""

from __future__ import annotations

import email.utils
import gzip
import re
import socket
import time

import pytest

from fetching import (  # certificates, fetch and origin are fixtures
    BODY,
    PATH,
    SIZE,
    Prober,
    body,
    certificates,
    fetch,
    origin,
    sha256,
)
from origin import Behaviour, Certificates, Origin


def http_date(seconds: float) -> str:
    return email.utils.formatdate(seconds, usegmt=True)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 131_073])
@pytest.mark.parametrize("ranges", [True, False])
def test_sizes_around_the_first_range(size: int, ranges: bool, origin: Origin, fetch: Prober) -> None:
    origin.put("/f", body(size))
    origin.behave("/f", Behaviour(ranges=ranges))
    got = fetch(origin.url + "/f")
    assert (got.code, got.size, got.seen, got.sha256) == ("KEN_OK", size, sha256(body(size)), sha256(body(size)))
    again = fetch(origin.url + "/f")
    assert (again.code, again.seen) == ("KEN_OK", sha256(body(size)))
    assert again.received == 0 or size == 0  # a page that says 416


# ---------------------------------------------------------------- the network


def test_nobody_listens(fetch: Prober) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        got = fetch(f"http://127.0.0.1:{taken.getsockname()[1]}/x")
    assert got.code == "KEN_EFETCH"
    assert got.message.endswith("(tried 2 times)")
    assert len(got.notes) == 1
    assert re.match(r"retrying \(1 of 1\) in 0\.[345] s: http://127\.0\.0\.1", got.notes[0])


def test_names_that_do_not_resolve(fetch: Prober) -> None:
    got = fetch("http://models.invalid/x")
    assert got.code == "KEN_EFETCH"
    assert re.search(r"Could not resolve host: models.invalid|Resolving timed out", got.message)
    assert len(got.notes) == 1


def test_a_stall_ends(origin: Origin, fetch: Prober) -> None:
    origin.behave(PATH, Behaviour(stall_at=1000))
    got = fetch(origin.url + PATH, stall=1, retries=0)
    assert got.code == "KEN_EFETCH"
    assert "too slow" in got.message
    assert 900 < got.ms < 5000


def test_retry_after_is_waited_for(origin: Origin, fetch: Prober) -> None:
    origin.behave(PATH, Behaviour(status=429, retry_after="1", times=1))
    got = fetch(origin.url + PATH)
    assert got.seen == sha256(BODY)
    assert 1000 <= got.ms < 5000
    assert got.notes == [f"retrying (1 of 1) in 1.0 s: {origin.url}{PATH}: the server answered 429"]
    origin.behave("/date", Behaviour(status=503, retry_after=http_date(time.time() + 2), times=1))
    origin.put("/date", BODY)
    assert fetch(origin.url + "/date").ms >= 900


def test_no_retry_where_none_is_wanted(origin: Origin, fetch: Prober) -> None:
    origin.behave(PATH, Behaviour(status=503))
    got = fetch(origin.url + PATH, retries=0)
    assert (got.message, got.notes) == (f"{origin.url}{PATH}: the server answered 503", [])
    assert len(origin.seen()) == 1


def test_progress_starts_the_count_of_retries_anew(origin: Origin, fetch: Prober) -> None:
    """A connection that breaks every 1.5 MB is slow, not dead."""
    content = body(9_000_000)
    origin.put("/big", content)
    origin.behave(
        "/big",
        Behaviour(times=1),
        *[Behaviour(truncate_at=at, times=1) for at in range(1_500_000, 9_000_000, 1_500_000)],
    )
    got = fetch(origin.url + "/big", connections=1)
    assert (got.code, got.seen) == ("KEN_OK", sha256(content))
    assert len(got.notes) == 5
    assert origin.stats().sent == len(content)


@pytest.mark.parametrize("chunked", [False, True])
def test_bytes_that_come_again_are_no_progress(chunked: bool, origin: Origin, fetch: Prober) -> None:
    origin.put("/big", body(4 << 20))
    origin.behave("/big", Behaviour(ranges=False, chunked=chunked, truncate_at=3 << 20))
    got = fetch(origin.url + "/big", retries=2)
    assert got.code == "KEN_EFETCH" and got.message.endswith("(tried 3 times)")
    assert [note[:17] for note in got.notes] == ["retrying (1 of 2)", "retrying (2 of 2)"]
    assert origin.stats().requests == 3


def test_a_length_that_was_a_lie_comes_out(origin: Origin, fetch: Prober) -> None:
    origin.behave(PATH, Behaviour(ranges=False, content_length=SIZE + 100))
    got = fetch(origin.url + PATH)
    assert re.search(r"100 bytes (remaining to read|missing) \(tried 2 times\)$", got.message), got.message
    # What was told under this ETag was wrong: that comes out once more, and is forgotten.
    origin.behave(PATH)
    assert "has become shorter" in fetch(origin.url + PATH).message
    assert fetch(origin.url + PATH).seen == sha256(BODY)


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize("behaviour", [Behaviour(), Behaviour(ranges=False)])
def test_max_bytes(behaviour: Behaviour, origin: Origin, fetch: Prober) -> None:
    origin.behave(PATH, behaviour)
    got = fetch(origin.url + PATH, max_bytes=SIZE - 1)
    assert (got.code, got.message) == (
        "KEN_ETOO_LARGE",
        f"{origin.url}{PATH}: has 300000 bytes, fetch.max_bytes is 299999",
    )
    assert fetch(origin.url + PATH, max_bytes=SIZE).code == "KEN_OK"


def test_max_bytes_of_an_endless_stream(origin: Origin, fetch: Prober) -> None:
    origin.put("/endless", bytes(50_000_000))
    origin.behave("/endless", Behaviour(ranges=False, chunked=True))
    got = fetch(origin.url + "/endless", max_bytes=1_000_000)
    assert got.code == "KEN_ETOO_LARGE"
    assert "fetch.max_bytes is 1000000" in got.message
    assert got.received < 2_000_000


def test_a_gzip_bomb_is_not_unpacked(origin: Origin, fetch: Prober) -> None:
    bomb = gzip.compress(bytes(20_000_000))
    origin.put("/bomb", bomb)
    origin.behave("/bomb", Behaviour(headers={"Content-Type": "application/x-gzip"}))
    assert fetch(origin.url + "/bomb").seen == sha256(bomb)
    origin.behave("/bomb2", Behaviour(content=bomb, headers={"Content-Encoding": "gzip"}))
    got = fetch(origin.url + "/bomb2")
    assert "compressed" in got.message
    assert got.received <= len(bomb)


# ---------------------------------------------------------------- what is asked for


def test_only_what_is_waited_for_is_fetched(origin: Origin, fetch: Prober) -> None:
    content = body(20_000_000)
    origin.put("/big", content)
    got = fetch(origin.url + "/big", headers_only=1, read=["0:8", "8:1000", "10000000:1000", "19999000:1000"])
    assert got.reads == [
        sha256(content[at : at + size]) for at, size in ((0, 8), (8, 1000), (10_000_000, 1000), (19_999_000, 1000))
    ]
    assert [one.headers["range"] for one in origin.seen()] == [
        "bytes=0-65535",
        "bytes=10000000-10065535",
        "bytes=19999000-19999999",
    ]
    assert (got.total, got.there, got.complete) == (20_000_000, 132_072, False)


def test_a_long_header_comes_in_one_request(origin: Origin, fetch: Prober) -> None:
    content = body(20_000_000)
    origin.put("/big", content)
    got = fetch(origin.url + "/big", headers_only=1, read=["0:8", "8:1000000"])
    assert got.reads[1] == sha256(content[8:1_000_008])
    assert [one.headers["range"] for one in origin.seen()] == ["bytes=0-65535", "bytes=65536-1000007"]


def test_a_stream_that_is_not_wanted_is_broken_off(origin: Origin, fetch: Prober) -> None:
    origin.put("/big", bytes(60_000_000))
    origin.behave("/big", Behaviour(ranges=False))
    got = fetch(origin.url + "/big", headers_only=1, read=["0:8", "8:1000"])
    assert got.code == "KEN_OK"
    assert got.received < 6_000_000


def test_ranges_in_parallel_each_byte_once(origin: Origin, fetch: Prober) -> None:
    content = body(40_000_000)
    origin.put("/big", content)
    got = fetch(origin.url + "/big", connections=3)
    assert (got.code, got.seen) == ("KEN_OK", sha256(content))
    assert origin.stats().sent == len(content) == got.received
    firsts = [int(one.headers["range"][6:].split("-")[0]) for one in origin.seen()]
    assert sorted(firsts) == [0] + [65536 + i * 8 * 2**20 for i in range(5)]
    assert all(one.headers["if-range"] == '"' + one.headers["if-range"].strip('"') + '"' for one in origin.seen()[1:])


def test_without_a_strong_validator_it_is_one_stream(origin: Origin, fetch: Prober) -> None:
    content = body(20_000_000)
    origin.put("/big", content)
    origin.behave("/big", Behaviour(etag="weak", last_modified=False))
    assert fetch(origin.url + "/big").seen == sha256(content)
    assert [one.headers.get("range") for one in origin.seen()] == ["bytes=0-65535", None]


# ---------------------------------------------------------------- names beside a location


@pytest.mark.parametrize(
    ("location", "name", "path", "folder"),
    [
        ("/m/?t=1", "model.safetensors", "/m/model.safetensors?t=1", True),
        ("/m/model.safetensors.index.json", "a-00001.safetensors", "/m/a-00001.safetensors", False),
        ("/m/", "sub/x y#%.bin", "/m/sub/x%20y%23%25.bin", True),
        ("", "model.safetensors", "/model.safetensors", True),
    ],
)
def test_names_are_looked_up_beside(
    location: str, name: str, path: str, folder: bool, origin: Origin, fetch: Prober
) -> None:
    origin.put(path.partition("?")[0], BODY)
    got = fetch(origin.url + location, name=name)
    assert (got.code, got.folder) == ("KEN_OK", folder)
    assert origin.seen()[0].path == path


def test_a_name_that_is_not_there(origin: Origin, fetch: Prober) -> None:
    got = fetch(origin.url + "/m/", name="model.safetensors")
    assert got.code == "KEN_ENOT_FOUND"
    assert got.message == f"{origin.url}/m/model.safetensors: the server answered 404: there is no such file"


# ---------------------------------------------------------------- TLS


@pytest.mark.smoke
def test_tls_with_a_trusted_certificate(certificates: Certificates, fetch: Prober) -> None:
    with Origin(tls=certificates.good) as serving:
        serving.put(PATH, BODY)
        assert fetch(serving.url + PATH, ca=certificates.authority).seen == sha256(BODY)
        got = fetch(serving.url.replace("127.0.0.1", "localhost") + PATH, ca=certificates.authority)
        assert got.seen == sha256(BODY)


@pytest.mark.parametrize("which", ["self_signed", "other_name", "expired", "unknown"])
def test_tls_that_is_not_trusted(which: str, certificates: Certificates, fetch: Prober) -> None:
    pair = certificates.good if which == "unknown" else getattr(certificates, which)
    with Origin(tls=pair) as serving:
        serving.put(PATH, BODY)
        got = fetch(serving.url + PATH, ca="" if which == "unknown" else certificates.authority)
        assert got.code == "KEN_EFETCH"
        assert "the server's certificate is not trusted (fetch.ca_file names those that are)" in got.message
        assert (got.notes, serving.seen()) == ([], [])


def test_plain_http_where_tls_is_spoken(origin: Origin, fetch: Prober) -> None:
    got = fetch(origin.url.replace("http:", "https:") + PATH, retries=0)
    assert got.code == "KEN_EFETCH"
    assert re.search("SSL|TLS", got.message)
