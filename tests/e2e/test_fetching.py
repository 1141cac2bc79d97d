# SPDX-License-Identifier: Apache-2.0
"""Fetching from origins of every kind: each behaviour has one exact outcome."""

from __future__ import annotations

import email.utils
import gzip
import os
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from fetching import (  # fetch and origin are fixtures
    BODY,
    PATH,
    SIZE,
    Prober,
    body,
    sha256,
    fetch,
    origin,
)
from origin import Behaviour, Certificates, Origin, make_certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


def http_date(seconds: float) -> str:
    return email.utils.formatdate(seconds, usegmt=True)


GOOD: dict[str, tuple[list[Behaviour], int]] = {
    # name: (behaviours, notes that are written)
    "as it should be": ([], 0),
    "no ranges": ([Behaviour(ranges=False)], 0),
    "no ranges, no length": ([Behaviour(ranges=False, chunked=True)], 0),
    "ended by closing": ([Behaviour(ranges=False, until_close=True)], 0),
    "ranges in chunks": ([Behaviour(chunked=True)], 0),
    "weak ETag": ([Behaviour(etag="weak", last_modified=False)], 0),
    "no validators": ([Behaviour(etag="none", last_modified=False)], 0),
    "Last-Modified alone": ([Behaviour(etag="none")], 0),
    "no validators, no ranges": ([Behaviour(etag="none", last_modified=False, ranges=False)], 0),
    "no Accept-Ranges": ([Behaviour(drop_headers=["Accept-Ranges"])], 0),
    "drip": ([Behaviour(drip=300_000)], 0),
    "slow to answer": ([Behaviour(delay=0.3)], 0),
    "500 once": ([Behaviour(status=500, times=1)], 1),
    "502 once": ([Behaviour(status=502, times=1)], 1),
    "503 once": ([Behaviour(status=503, times=1)], 1),
    "504 once": ([Behaviour(status=504, times=1)], 1),
    "408 once": ([Behaviour(status=408, times=1)], 1),
    "425 once": ([Behaviour(status=425, times=1)], 1),
    "429 once": ([Behaviour(status=429, times=1)], 1),
    "503 for the second request": ([Behaviour(times=1), Behaviour(status=503, times=1)], 1),
    "closed without an answer once": ([Behaviour(raw=b"", reset_at=0, times=1)], 1),
    "truncated in the first range": ([Behaviour(truncate_at=1000, times=1)], 1),
    "truncated in the second range": ([Behaviour(truncate_at=100_000, times=2)], 1),
    "reset": ([Behaviour(reset_at=100_000, times=2)], 1),
    "truncated, no ranges": ([Behaviour(ranges=False, truncate_at=200_000, times=1)], 1),
    "truncated, no length": ([Behaviour(ranges=False, chunked=True, truncate_at=200_000, times=1)], 1),
    "stalled once": ([Behaviour(stall_at=100_000, times=2)], 1),
    "ranges are gone later": ([Behaviour(times=1), Behaviour(ranges=False)], 0),
    "another ETag, the same bytes": ([Behaviour(times=1), Behaviour(etag='"other"')], 1),
    "an ETag for each request": ([Behaviour(etag="changing", last_modified=False)], 1),
    "a gzip file": ([Behaviour(headers={"Content-Type": "application/gzip"})], 0),
    "Content-Encoding: identity": ([Behaviour(headers={"Content-Encoding": "identity"})], 0),
    "Set-Cookie": ([Behaviour(headers={"Set-Cookie": "a=b"})], 0),
}


@pytest.mark.parametrize("name", GOOD)
def test_comes_whole(name: str, origin: Origin, fetch: Prober) -> None:
    behaviours, notes = GOOD[name]
    origin.behave(PATH, *behaviours)
    got = fetch(origin.url + PATH, read=["0:8", "8:70000"])
    assert (got.code, got.message) == ("KEN_OK", "")
    assert (got.size, got.seen, got.sha256, got.complete) == (SIZE, sha256(BODY), sha256(BODY), True)
    assert got.reads == [sha256(BODY[:8]), sha256(BODY[8:70008])]
    assert len(got.notes) == notes, got.notes
    for request in origin.seen():
        assert not {"accept-encoding", "authorization", "cookie", "referer"} & request.headers.keys()


def test_excess_behind_a_body_is_no_answer_to_the_next_request(origin: Origin, fetch: Prober) -> None:
    origin.behave(PATH, Behaviour(extra=b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", times=2))
    got = fetch(origin.url + PATH, read=["0:8"])
    assert (got.code, got.seen) in (("KEN_OK", sha256(BODY)), ("KEN_EFETCH", ""))
    origin.behave(PATH, Behaviour(extra=b"excess"))
    assert fetch(origin.url + PATH + "?", read=["0:8"]).seen == sha256(BODY)


HEADER_BOMB = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"x" * 990) for i in range(200)) + b"\r\n"
FOR_EVER = r" \(tried 2 times\)$"
CUT = "bytes (remaining to read|missing)"  # as libcurl 7 and 8 say it

BAD: dict[str, tuple[list[Behaviour], str, str, int]] = {
    # name: (behaviours, code, the message's end behind the URL, notes)
    "404": ([Behaviour(status=404)], "KEN_EFETCH", "the server answered 404: there is no such file$", 0),
    "410": ([Behaviour(status=410)], "KEN_EFETCH", "the server answered 410: there is no such file$", 0),
    "401": ([Behaviour(status=401)], "KEN_EFETCH", "answered 401: it wants other credentials; check the URL", 0),
    "403": ([Behaviour(status=403)], "KEN_EFETCH", "answered 403: it wants other credentials; check the URL", 0),
    "400": ([Behaviour(status=400)], "KEN_EFETCH", "the server answered 400, which is no file$", 0),
    "451": ([Behaviour(status=451)], "KEN_EFETCH", "the server answered 451, which is no file$", 0),
    "204": ([Behaviour(status=204)], "KEN_EFETCH", "the server answered 204, which is no file$", 0),
    "300": ([Behaviour(status=300)], "KEN_EFETCH", "the server answered 300, which is no file$", 0),
    "304 unasked": ([Behaviour(status=304)], "KEN_EFETCH", "answered 304 to a request without a condition$", 0),
    "416 unasked": ([Behaviour(status=416)], "KEN_EFETCH", "answered 416 to a range that begins at 0$", 0),
    "501": ([Behaviour(status=501)], "KEN_EFETCH", "the server answered 501$", 0),
    "500 for ever": ([Behaviour(status=500)], "KEN_EFETCH", "the server answered 500" + FOR_EVER, 1),
    "503 for ever": ([Behaviour(status=503)], "KEN_EFETCH", "the server answered 503" + FOR_EVER, 1),
    "404 in the middle": ([Behaviour(times=1), Behaviour(status=404)], "KEN_EFETCH", "answered 404", 0),
    "short body": (
        [Behaviour(ranges=False, content_length=SIZE + 100)],
        "KEN_EFETCH",
        "with 100 bytes (remaining to read|missing)" + FOR_EVER,
        1,
    ),
    "short range": (
        [Behaviour(truncate_at=5000)],
        "KEN_EFETCH",
        CUT + FOR_EVER,
        1,
    ),
    "range shorter than it says": (
        [
            Behaviour(times=1),
            Behaviour(only="range", chunked=True, content_range=f"bytes 65536-299999/{SIZE}", shift=10),
        ],
        "KEN_EFETCH",
        "the server answered with another range than the one asked for$",
        1,
    ),
    "longer than it says": (
        [Behaviour(chunked=True, extra=b"excess")],
        "KEN_EFETCH",
        "the server sends more bytes than it said$",
        0,
    ),
    "truncated for ever": ([Behaviour(truncate_at=100_000)], "KEN_EFETCH", CUT + FOR_EVER, 1),
    "reset for ever": (
        [Behaviour(reset_at=100_000)],
        "KEN_EFETCH",
        f"(Connection reset by peer|{CUT})" + FOR_EVER,
        1,
    ),
    "another range": (
        [Behaviour(shift=1)],
        "KEN_EFETCH",
        "the server answered with another range than the one asked for$",
        0,
    ),
    "another range later": (
        [Behaviour(times=1), Behaviour(shift=1)],
        "KEN_EFETCH",
        "the server answered with another range than the one asked for$",
        0,
    ),
    "range beyond the end": (
        [Behaviour(content_range="bytes 0-65535/100")],
        "KEN_EFETCH",
        "malformed or contradicting header field$",
        0,
    ),
    "range of nothing": ([Behaviour(content_range="bytes */100")], "KEN_EFETCH", "answered with another range", 0),
    "range without a total": ([Behaviour(content_range="bytes 0-65535/*")], "KEN_EFETCH", "with another range", 0),
    "range that is none": ([Behaviour(content_range="bytes zero")], "KEN_EFETCH", "malformed or contradicting", 0),
    "range and length differ": (
        [Behaviour(content_range=f"bytes 0-65534/{SIZE}")],
        "KEN_EFETCH",
        "Content-Length and Content-Range of the response contradict each other$",
        0,
    ),
    "another total later": (
        [Behaviour(times=1), Behaviour(claim=SIZE + 1)],
        "KEN_EFETCH",
        "the file changed on the server while it was being fetched$",
        0,
    ),
    "200 with a range": ([Behaviour(range_status=200)], "KEN_EFETCH", "answered 200 with a Content-Range$", 0),
    "multipart": ([Behaviour(multipart=True)], "KEN_EFETCH", "answered one range with multipart/byteranges$", 0),
    "other bytes, same ETag": (
        [Behaviour(times=1, etag='"x"'), Behaviour(content=body(SIZE, 2), etag='"x"', ranges=False)],
        "KEN_EFETCH",
        "the file changed on the server while it was being fetched$",
        0,
    ),
    "other bytes, other ETag": (
        [Behaviour(times=1), Behaviour(content=body(SIZE, 2))],
        "KEN_EFETCH",
        "the file changed on the server while it was being fetched$",
        1,
    ),
    "other bytes, no validators": (
        [Behaviour(times=1, etag="none", last_modified=False)]
        + [Behaviour(content=body(SIZE, 2), etag="none", last_modified=False)],
        "KEN_EFETCH",
        "the file changed on the server while it was being fetched$",
        0,
    ),
    "other size": (
        [Behaviour(times=1), Behaviour(content=body(SIZE + 1))],
        "KEN_EFETCH",
        "the file changed on the server while it was being fetched$",
        0,
    ),
    "has become shorter": (
        [Behaviour(times=1), Behaviour(content=body(1000))],
        "KEN_EFETCH",
        "the file changed on the server while it was being fetched",
        0,
    ),
    "changes twice": (
        [Behaviour(times=1), Behaviour(etag='"2"', truncate_at=100_000, times=1), Behaviour(etag='"3"')],
        "KEN_EFETCH",
        "the file changed on the server while it was being fetched$",
        2,
    ),
    "gzip": ([Behaviour(gzip=True)], "KEN_EFETCH", "sent it compressed, although that was not asked for$", 0),
    "Transfer-Encoding: gzip": (
        [Behaviour(headers={"Transfer-Encoding": "gzip"}, drop_headers=["Content-Length"])],
        "KEN_EFETCH",
        "sent it compressed",
        0,
    ),
    "garbage": ([Behaviour(raw=b"\x00\x01garbage\r\n\r\n")], "KEN_EFETCH", "what the server sends is not HTTP: ", 0),
    "garbage for a status": ([Behaviour(raw=b"HTTP/1.1 abc OK\r\n\r\n")], "KEN_EFETCH", "not HTTP: ", 0),
    "SMTP": ([Behaviour(raw=b"220 mail ESMTP\r\n" * 9)], "KEN_EFETCH", "what the server sends is not HTTP: ", 0),
    "header bomb": ([Behaviour(raw=HEADER_BOMB)], "KEN_EFETCH", "header is larger than 65536 bytes$", 0),
    "two lengths": (
        [Behaviour(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef")],
        "KEN_EFETCH",
        "malformed or contradicting header field$",
        0,
    ),
    "2^63 bytes": (
        [Behaviour(claim=2**63)],
        "KEN_ETOO_LARGE",
        "says it has 9223372036854775808 bytes, more than a file can have$",
        0,
    ),
    "2^63 bytes, no ranges": (
        [Behaviour(claim=2**63, ranges=False)],
        "KEN_ETOO_LARGE",
        "more than a file can have$",
        0,
    ),
    "2^64 bytes": ([Behaviour(claim=2**64)], "KEN_EFETCH", "malformed or contradicting header field$", 0),
    "redirect without Location": (
        [Behaviour(status=302)],
        "KEN_EFETCH",
        "the server answered 302 without one usable Location$",
        0,
    ),
    "redirect to itself": ([Behaviour(redirect=PATH)], "KEN_EFETCH", "it redirects in a loop, back to ", 0),
    "redirect to link-local": (
        [Behaviour(redirect="http://169.254.169.254/latest/meta-data/")],
        "KEN_EADDRESS",
        r"http://169.254.169.254/latest/meta-data/: the address 169.254.169.254 is link-local",
        0,
    ),
    "redirect to private": ([Behaviour(redirect="http://10.0.0.1/")], "KEN_EADDRESS", "10.0.0.1 is private", 0),
    "redirect to a number": ([Behaviour(redirect="http://0xa000001/")], "KEN_EADDRESS", "10.0.0.1 is private", 0),
    "redirect to IPv6": ([Behaviour(redirect="http://[::1]/")], "KEN_EADDRESS", "the address ::1 is loopback", 0),
    "redirect to mapped": ([Behaviour(redirect="http://[::ffff:127.0.0.1]/")], "KEN_EADDRESS", "is IPv4-mapped", 0),
    "redirect to file": ([Behaviour(redirect="file:///etc/passwd")], "KEN_EADDRESS", "redirects to a file: URL", 0),
    "redirect to ftp": ([Behaviour(redirect="ftp://127.0.0.1/x")], "KEN_EADDRESS", "does not list ftp$", 0),
    "redirect to gopher": ([Behaviour(redirect="gopher://127.0.0.1/x")], "KEN_EADDRESS", "does not list gopher$", 0),
    "redirect with userinfo": (
        [Behaviour(redirect="http://user:secret@127.0.0.1/x")],
        "KEN_EFETCH",
        "a user name or password in a URL is refused$",
        0,
    ),
    "redirect with spaces": ([Behaviour(redirect="/a b")], "KEN_EFETCH", "spaces, control characters", 0),
    "redirect with backslash": ([Behaviour(redirect="/\\127.0.0.1/")], "KEN_EFETCH", "spaces, control characters", 0),
}


@pytest.mark.parametrize("name", BAD)
def test_fails_with_its_reason(name: str, origin: Origin, fetch: Prober) -> None:
    behaviours, code, message, notes = BAD[name]
    origin.behave(PATH, *behaviours)
    got = fetch(origin.url + PATH + "?token=secret", read=["0:8"])
    assert (got.code, got.sha256) == (code, ""), got.message
    assert re.search(message, got.message), got.message
    assert len(got.notes) == notes, got.notes
    assert "secret" not in got.message + "".join(got.notes)
    if name == "range shorter than it says":
        assert "the response ended 10 bytes early" in got.notes[0]
    # What failed does not stand in the way of what comes later.
    origin.behave(PATH)
    if name == "short body":  # the size that was told under this ETag was wrong: that comes out once more
        assert "has become shorter" in fetch(origin.url + PATH + "?token=secret").message
    assert fetch(origin.url + PATH + "?token=secret").seen == sha256(BODY)


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


# ---------------------------------------------------------------- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(status: int, origin: Origin, fetch: Prober) -> None:
    origin.behave(
        "/a/b", Behaviour(redirect="../model.safetensors?x=1", redirect_status=status, headers={"Set-Cookie": "a=b"})
    )
    got = fetch(origin.url + "/a/b")
    assert (got.code, got.seen) == ("KEN_OK", sha256(BODY))
    assert [one for one in origin.seen() if "cookie" in one.headers] == []
    assert origin.seen(PATH)[0].path == PATH + "?x=1"


def test_a_redirect_to_another_host_takes_nothing_along(origin: Origin, fetch: Prober) -> None:
    with Origin(address="127.0.0.2") as other:
        other.put("/there", BODY)
        origin.behave("/here", Behaviour(redirect=other.url + "/there"))
        got = fetch(origin.url + "/here?token=secret")
        assert got.seen == sha256(BODY)
        assert other.seen()
        for request in other.seen():
            assert "secret" not in request.path + str(request.headers)


def test_ten_redirects_and_no_more(origin: Origin, fetch: Prober) -> None:
    for i in range(12):
        origin.behave(f"/{i}", Behaviour(redirect=f"/{i + 1}"))
    origin.put("/12", BODY)
    assert fetch(origin.url + "/2").seen == sha256(BODY)
    got = fetch(origin.url + "/1")
    assert got.code == "KEN_EFETCH"
    assert got.message == f"{origin.url}/1: more than 10 redirects"


def test_a_loop_of_two(origin: Origin, fetch: Prober) -> None:
    origin.behave("/a", Behaviour(redirect="/b"))
    origin.behave("/b", Behaviour(redirect="/a"))
    got = fetch(origin.url + "/a")
    assert (got.code, got.message) == (
        "KEN_EFETCH",
        f"{origin.url}/b: it redirects in a loop, back to {origin.url}/a",
    )
    assert len(origin.seen()) == 2


# ---------------------------------------------------------------- addresses, schemes, URLs


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433"])
def test_nothing_connects_to_a_forbidden_address(host: str, origin: Origin, fetch: Prober) -> None:
    got = fetch(f"http://{host}:{origin.port}{PATH}", networks="10.0.0.0/8")
    assert got.code == "KEN_EADDRESS"
    assert re.search(r"the address (127\.0\.0\.1|::1) is loopback; fetch.allow_networks does not list it$", got.message)
    assert (origin.seen(), got.notes) == ([], [])


def test_a_name_with_one_allowed_address(origin: Origin, fetch: Prober) -> None:
    """Of localhost's addresses the allowed one alone is connected to."""
    assert fetch(f"http://localhost:{origin.port}{PATH}").seen == sha256(BODY)


def test_ipv6(fetch: Prober) -> None:
    try:
        serving = Origin(address="::1")
    except OSError:
        pytest.skip("no IPv6 here")
    with serving:
        serving.put(PATH, BODY)
        assert fetch(serving.url + PATH).code == "KEN_EADDRESS"
        assert fetch(serving.url + PATH, networks="::1").seen == sha256(BODY)


@pytest.mark.parametrize(
    ("url", "code", "message"),
    [
        ("ftp://127.0.0.1/x", "KEN_EADDRESS", "fetch.allow_schemes does not list ftp$"),
        ("http://user@127.0.0.1/x", "KEN_EFETCH", "must not hold a user name or password"),
        ("http://127.0.0.1/a b", "KEN_EFETCH", "spaces or control characters"),
        ("http://127.0.0.1/a\nb", "KEN_EFETCH", "spaces or control characters"),
        ("http://127.0.0.1/#x", "KEN_EFETCH", "fragment"),
        ("http:///x", "KEN_EFETCH", "has no host"),
        ("http://127.0.0.1:99999/x", "KEN_EFETCH", "port"),
        ("/etc/passwd", "KEN_EFETCH", "absolute URL"),
        ("http://10.0.0.1/x", "KEN_EADDRESS", "10.0.0.1 is private; fetch.allow_networks does not list it$"),
        ("http://[fe80::1]/x", "KEN_EADDRESS", "fe80::1 is link-local"),
        ("http://169.254.169.254/", "KEN_EADDRESS", "metadata"),
    ],
)
def test_urls_that_are_refused_at_once(url: str, code: str, message: str, fetch: Prober) -> None:
    got = fetch(url)
    assert got.code == code
    assert re.search(message, got.message), got.message
    assert got.ms < 100


def test_schemes_by_allow_list(origin: Origin, fetch: Prober) -> None:
    got = fetch(origin.url + PATH, schemes="https")
    assert (got.code, got.message) == ("KEN_EADDRESS", f"{origin.url}{PATH}: fetch.allow_schemes does not list http")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"networks": "10.0.0.1/8"}, 'fetch.allow_networks: "10.0.0.1/8" has bits set beyond its prefix'),
        ({"networks": "everywhere"}, 'fetch.allow_networks: "everywhere" is no network'),
        ({"schemes": "https,gopher"}, 'fetch.allow_schemes: "gopher" is none of https, http, file'),
        ({"roots": "/nowhere/at/all"}, 'fetch.file_roots: "/nowhere/at/all": No such file or directory'),
    ],
)
def test_options_that_cannot_hold(options: dict[str, Any], message: str, fetch: Prober) -> None:
    got = fetch("http://x/", **options)
    assert got.code == "KEN_EINVALID"
    assert got.message.startswith(message), got.message


# ---------------------------------------------------------------- what the environment must not change


def test_environment_and_netrc_are_ignored(origin: Origin, fetch: Prober, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("default login somebody password secret\n")
    dead = "http://127.0.0.1:1"
    env = {"HOME": str(tmp_path), "http_proxy": dead, "HTTP_PROXY": dead, "all_proxy": dead, "ALL_PROXY": dead}
    assert fetch(origin.url + PATH, env=env).seen == sha256(BODY)
    assert all("authorization" not in one.headers for one in origin.seen())


def test_the_configured_proxy_is_used_and_vetted(origin: Origin, fetch: Prober) -> None:
    got = fetch("http://models.example/x", proxy=origin.url)
    assert got.code == "KEN_EFETCH"
    assert [one.path for one in origin.seen()] == ["http://models.example/x"]
    got = fetch("http://models.example/x", proxy="http://10.255.255.1:1")
    assert got.code == "KEN_EADDRESS"
    assert "10.255.255.1 is private" in got.message


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


def test_no_step_down_from_https(certificates: Certificates, origin: Origin, fetch: Prober) -> None:
    with Origin(tls=certificates.good) as serving:
        serving.behave("/x", Behaviour(redirect=origin.url + PATH))
        got = fetch(serving.url + "/x", ca=certificates.authority)
        assert got.code == "KEN_EADDRESS"
        assert got.message == f"{serving.url}/x redirects from https to http, which is refused"
        assert origin.seen() == []


def test_plain_http_where_tls_is_spoken(origin: Origin, fetch: Prober) -> None:
    got = fetch(origin.url.replace("http:", "https:") + PATH, retries=0)
    assert got.code == "KEN_EFETCH"
    assert re.search("SSL|TLS", got.message)


# ---------------------------------------------------------------- file: URLs


@pytest.fixture
def files(tmp_path: Path) -> Path:
    root = tmp_path / "files"
    (root / "sub").mkdir(parents=True)
    (root / "model.safetensors").write_bytes(BODY)
    (root / "sub" / "a b.bin").write_bytes(BODY)
    (tmp_path / "outside").write_bytes(BODY)
    (tmp_path / "files-too").mkdir()
    (tmp_path / "files-too" / "x").write_bytes(BODY)
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "in").symlink_to("sub/a b.bin")
    (root / "up").symlink_to("..")
    os.mkfifo(root / "fifo")
    return root


@pytest.mark.parametrize(
    "path", ["model.safetensors", "sub/a%20b.bin", "in", "sub/../model.safetensors", "//model.safetensors"]
)
def test_files_below_the_roots(path: str, files: Path, fetch: Prober) -> None:
    got = fetch(f"file://{files}/{path}", roots=f"/nonexistent-{os.getpid()},{files}".split(",")[1])
    assert (got.code, got.size, got.seen) == ("KEN_OK", SIZE, sha256(BODY))
    # In place: nothing is copied, and whoever reads it hashes it.
    assert (got.sha256, got.cache_bytes, got.received, got.read_in_place) == ("", 0, 0, SIZE)


@pytest.mark.parametrize(
    "path", ["out", "../outside", "up/outside", "%2e%2e/outside", "../files-too/x", "../nothing", "up/nothing"]
)
def test_files_outside_the_roots(path: str, files: Path, fetch: Prober) -> None:
    got = fetch(f"file://{files}/{path}", roots=files)
    if path == "up/nothing":  # a link may lead out, but not to anything
        assert got.code in ("KEN_EADDRESS", "KEN_EFETCH")
    else:
        assert got.code == "KEN_EADDRESS"
        assert got.message.endswith("does not lie below a folder that fetch.file_roots lists")


def test_files_without_roots(files: Path, fetch: Prober) -> None:
    assert fetch(f"file://{files}/model.safetensors").code == "KEN_EADDRESS"


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("nothing", "KEN_EFETCH", "there is no such file$"),
        ("fifo", "KEN_EFETCH", "is not a regular file$"),
        ("model.safetensors/x", "KEN_EFETCH", "there is no such file$"),
    ],
)
def test_files_that_cannot_be_read(path: str, code: str, message: str, files: Path, fetch: Prober) -> None:
    got = fetch(f"file://{files}/{path}", roots=files)
    assert got.code == code
    assert re.search(message, got.message), got.message


def test_a_folder_of_files(files: Path, fetch: Prober) -> None:
    for ending in ("", "/"):
        got = fetch(f"file://{files}{ending}", roots=files, name="model.safetensors")
        assert (got.code, got.folder, got.seen) == ("KEN_OK", True, sha256(BODY))
        assert fetch(f"file://{files}{ending}", roots=files, name="nothing").code == "KEN_ENOT_FOUND"


def test_digest_and_size_of_a_file(files: Path, fetch: Prober) -> None:
    url = f"file://{files}/model.safetensors"
    got = fetch(url, roots=files, sha256=sha256(BODY))
    assert (got.code, got.sha256) == ("KEN_OK", sha256(BODY))
    got = fetch(url, roots=files, sha256="0" * 64)
    assert got.code == "KEN_EDIGEST"
    assert got.message.endswith(f'has the SHA-256 {sha256(BODY)}, not {"0" * 64}')
    assert fetch(url, roots=files, max_bytes=1000).code == "KEN_ETOO_LARGE"
