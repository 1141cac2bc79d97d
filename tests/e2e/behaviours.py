# SPDX-License-Identifier: Apache-2.0
"""How an origin may misbehave, and what a job must make of it: one table for tests/e2e/test_misbehaving_origin.py.

kend runs with `fetch.retries` 1, `fetch.stall_seconds` 1 and `fetch.max_bytes` MOST."""

from __future__ import annotations

import dataclasses
import gzip
from typing import Any

import numpy as np

from checkpoints import make_safetensors
from origin import Behaviour

SIZE = 300_000
MOST = 1_000_000
ROWS = 1000


def model(seed: int) -> bytes:
    """A checkpoint of SIZE bytes."""
    weight = np.random.default_rng(seed).standard_normal((ROWS, 64), np.float32)
    rest = 40_000
    while len(content := make_safetensors({"weight": weight, "rest": np.zeros(rest, np.uint8)})) != SIZE:
        rest += SIZE - len(content)
    return content


BASE, MODEL, OTHER = model(1), model(2), model(3)


@dataclasses.dataclass
class Case:
    """What the requests of one path are answered, and what a job that names it comes to."""

    behaviours: "tuple[Behaviour, ...]"
    code: str = ""  # "": it succeeds
    message: str = ""  # a pattern of the error's message, behind the URL
    retries: int = 0  # that the job's events tell of
    seconds: float = 10  # it has ended by then
    bodies: int = 2 * SIZE  # bytes of bodies that kend takes at most
    sent: int = 8 << 20  # bytes that the origin gets rid of at most: what is in flight when kend hangs up counts
    server: str = ""  # "text": plain HTTP at an https URL; or a certificate by its name in Certificates; "cut": gone within the handshake
    slow: bool = False


def good(*behaviours: Behaviour, retries: int = 0, seconds: float = 10, slow: bool = False) -> Case:
    return Case(behaviours, retries=retries, seconds=seconds, slow=slow)


def bad(message: str, *behaviours: Behaviour, code: str = "fetch_failed", retries: int = 0, **more: Any) -> Case:
    case = Case(behaviours, code, message, retries)
    return dataclasses.replace(case, **more)


def raw(head: str, body: bytes = b"", again: bytes = b"", drip: float = 0, times: int = -1) -> Behaviour:
    """A response byte by byte: the lines of `head`, an empty one, `body`; then `again` without end."""
    lines = [line.encode("latin-1") for line in head.split("\n")]
    return Behaviour(raw=b"\r\n".join([*lines, b"", b""]) + body, again=again, drip=drip, times=times)


def once(**fields: Any) -> Behaviour:
    return Behaviour(times=1, **fields)


FOR_EVER = r" \(tried 2 times\)$"
CUT = "bytes (remaining to read|missing)"  # as libcurl 7 and 8 say it
BROKEN = f"(Connection reset by peer|{CUT}|Empty reply from server|closed the connection)"
MALFORMED = "the server's response has a malformed or contradicting header field$"
NOT_HTTP = "what the server sends is not HTTP: "
NO_LENGTH = f"{MALFORMED}|{NOT_HTTP}Invalid Content-Length"
NO_CHUNK = "(?i)chunk.*" + FOR_EVER
RANGE = "the server answered with another range than the one asked for$"
CHANGED = "the file changed on the server while it was being fetched$"
PACKED = "the server sent it compressed, although that was not asked for$"
LARGE_HEADER = "the response's header is larger than 65536 bytes$"
NO_LOCATION = "the server answered 302 without one usable Location$"
OK = "HTTP/1.1 200 OK"
LENGTH = f"Content-Length: {SIZE}"
OK_CHUNKED = f"{OK}\nTransfer-Encoding: chunked"
NO_VALIDATORS: "dict[str, Any]" = {"etag": "none", "last_modified": False}
BOMB = gzip.compress(bytes(20_000_000))

#: What is odd, but within the rules.
ODD = {
    "as it should be": good(),
    "no ranges": good(Behaviour(ranges=False)),
    "no ranges, no length": good(Behaviour(ranges=False, chunked=True)),
    "ended by closing": good(Behaviour(ranges=False, until_close=True)),
    "ranges in chunks": good(Behaviour(chunked=True)),
    "weak ETag": good(Behaviour(etag="weak", last_modified=False)),
    "no validators": good(Behaviour(etag="none", last_modified=False)),
    "Last-Modified alone": good(Behaviour(etag="none")),
    "no validators, no ranges": good(Behaviour(etag="none", last_modified=False, ranges=False)),
    "no Accept-Ranges": good(Behaviour(drop_headers=["Accept-Ranges"])),
    "ranges are gone later": good(once(), Behaviour(ranges=False)),
    "a gzip file": good(Behaviour(headers={"Content-Type": "application/gzip"})),
    "Content-Encoding: identity": good(Behaviour(headers={"Content-Encoding": "identity"})),
    "Set-Cookie": good(Behaviour(headers={"Set-Cookie": "a=b"})),
    "hangs up between requests": good(Behaviour(hang_up=True)),
    "hangs up between requests, no validators": good(Behaviour(hang_up=True, etag="none", last_modified=False)),
    "slow to answer": good(Behaviour(delay=0.3)),
    "slow": good(Behaviour(drip=300_000)),
    "the same length twice": good(raw(f"{OK}\n{LENGTH}\n{LENGTH}", MODEL)),
    "interim responses": good(
        raw("\n\n".join(["HTTP/1.1 103 Early Hints\nLink: x"] * 20 + [f"{OK}\n{LENGTH}"]), MODEL)
    ),
    "trailers": good(raw(OK_CHUNKED, b"%x\r\n%s\r\n0\r\nX-Digest: abc\r\n\r\n" % (SIZE, MODEL))),
    "chunk extensions": good(raw(OK_CHUNKED, b"%x;name=value\r\n%s\r\n0\r\n\r\n" % (SIZE, MODEL))),
}

#: Statuses.
STATUSES = {
    **{f"{status} once": good(once(status=status), retries=1) for status in (408, 425, 429, 500, 502, 503, 504)},
    "503 for the second request": good(once(), once(status=503), retries=1),
    "503 with Retry-After": good(once(status=503, retry_after="1"), retries=1),
    "429 with Retry-After in the past": good(once(status=429, retry_after="Sun, 06 Nov 1994 08:49:37 GMT"), retries=1),
    "429 with a Retry-After that is none": good(once(status=429, retry_after="soon"), retries=1),
    **{
        f"{status} for ever": bad(f"the server answered {status}" + FOR_EVER, Behaviour(status=status), retries=1)
        for status in (429, 500, 502, 503, 504)
    },
    "503 with Retry-After for ever": bad(
        "the server answered 503" + FOR_EVER, Behaviour(status=503, retry_after="1"), retries=1
    ),
    **{
        str(status): bad(f"the server answered {status}: there is no such file$", Behaviour(status=status))
        for status in (404, 410)
    },
    **{
        str(status): bad(
            f"the server answered {status}: it wants other credentials; check the URL, its query string and whether",
            Behaviour(status=status),
        )
        for status in (401, 403)
    },
    **{
        str(status): bad(f"the server answered {status}, which is no file$", Behaviour(status=status))
        for status in (204, 300, 400, 405, 451)
    },
    "501": bad("the server answered 501$", Behaviour(status=501)),
    "304 unasked": bad("the server answered 304 to a request without a condition$", Behaviour(status=304)),
    "416 unasked": bad("the server answered 416 to a range that begins at 0$", Behaviour(status=416)),
    "404 in the middle": bad("the server answered 404: there is no such file$", once(), Behaviour(status=404)),
    "101": bad(
        "the server closed the connection without a response" + FOR_EVER,
        raw("HTTP/1.1 101 Switching Protocols\nUpgrade: x\nConnection: Upgrade", b"x" * 10_000),
        retries=1,
    ),
    "999": bad("the server answered 999, which is no file$", raw("HTTP/1.1 999 What\nContent-Length: 0")),
}

#: Connections that break or starve. What is cut before byte 65536 is cut in the first request, else in the second.
CONNECTIONS = {
    **{
        f"truncated at {tenth * 10} %": good(
            Behaviour(truncate_at=SIZE * tenth // 10, times=1 if SIZE * tenth // 10 < 65536 else 2), retries=1
        )
        for tenth in range(10)
    },
    **{
        f"truncated at {tenth * 10} % for ever": bad(
            BROKEN + ".*" + FOR_EVER, Behaviour(truncate_at=SIZE * tenth // 10), retries=1, slow=tenth % 3 > 0
        )
        for tenth in range(10)
    },
    "closed without an answer once": good(once(truncate_at=0, delay=0.1), retries=1),
    "reset": good(Behaviour(reset_at=100_000, times=2), retries=1),
    "reset for ever": bad(BROKEN + ".*" + FOR_EVER, Behaviour(reset_at=100_000), retries=1),
    "truncated, no ranges": good(once(ranges=False, truncate_at=200_000), retries=1),
    "truncated, no length": good(once(ranges=False, chunked=True, truncate_at=200_000), retries=1),
    "stalled once": good(Behaviour(stall_at=100_000, times=2), retries=1, seconds=20),
    "stalled for ever": bad("too slow.*" + FOR_EVER, Behaviour(stall_at=100_000), retries=1, seconds=40, slow=True),
    "drip": bad("too slow.*" + FOR_EVER, Behaviour(drip=20), retries=1, seconds=40, slow=True),
    "drip of a header": bad(
        "too slow.*" + FOR_EVER, raw(OK, again=b"X-Drip: x\r\n", drip=20), retries=1, seconds=40, slow=True
    ),
    "nothing at all": bad("too slow.*" + FOR_EVER, Behaviour(delay=60), retries=1, seconds=40, slow=True),
}

#: Ranges that are not those that were asked for.
RANGES = {
    "another range": bad(RANGE, Behaviour(shift=1)),
    "another range later": bad(RANGE, once(), Behaviour(shift=1)),
    "range shorter than it says": bad(
        RANGE,
        once(),
        Behaviour(only="range", chunked=True, content_range=f"bytes 65536-299999/{SIZE}", shift=12),
        retries=1,
    ),
    "longer than it says": bad("the server sends more bytes than it said$", Behaviour(chunked=True, extra=b"excess")),
    "range longer than asked for": bad(
        RANGE, raw(f"HTTP/1.1 206 P\nContent-Range: bytes 0-299999/{SIZE}\n{LENGTH}", MODEL)
    ),
    "ranges of one byte": bad(
        "the server answered with 1 of the 234464 bytes asked for" + FOR_EVER,
        once(),
        raw(f"HTTP/1.1 206 P\nContent-Range: bytes 65536-65536/{SIZE}\nContent-Length: 1", MODEL[65536:65537]),
        retries=1,
    ),
    "range beyond the end": bad(MALFORMED, Behaviour(content_range="bytes 0-65535/100")),
    "range of nothing": bad(RANGE, Behaviour(content_range="bytes */100")),
    "range without a total": bad(RANGE, Behaviour(content_range="bytes 0-65535/*")),
    "range that is none": bad(MALFORMED, Behaviour(content_range="bytes zero")),
    "range backwards": bad(MALFORMED, Behaviour(content_range=f"bytes 65535-0/{SIZE}")),
    "range in another unit": bad(MALFORMED, Behaviour(content_range=f"rows 0-65535/{SIZE}")),
    "range of 2^64 bytes": bad(MALFORMED, Behaviour(content_range=f"bytes 0-18446744073709551615/{SIZE}")),
    "two ranges": bad(
        MALFORMED, raw("\n".join(["HTTP/1.1 206 P"] + [f"Content-Range: bytes 0-{n}/{SIZE}" for n in (4, 5)]), b"abcde")
    ),
    "range and length differ": bad(
        "Content-Length and Content-Range of the response contradict each other$",
        Behaviour(content_range=f"bytes 0-65534/{SIZE}"),
    ),
    "another total later": bad(CHANGED, once(), Behaviour(claim=SIZE + 1)),
    "200 with a range": bad("the server answered 200 with a Content-Range$", Behaviour(range_status=200)),
    "206 without a range": bad(RANGE, Behaviour(drop_headers=["Content-Range"])),
    "206 to no range": bad(
        "the server answered with a range where the whole was asked for$",
        once(**NO_VALIDATORS),
        raw(f"HTTP/1.1 206 P\nContent-Range: bytes 0-299999/{SIZE}\n{LENGTH}", MODEL),
    ),
    "416 later": bad(CHANGED[:-1] + ": it has become shorter$", once(), Behaviour(status=416)),
    "multipart": bad("the server answered one range with multipart/byteranges$", Behaviour(multipart=True)),
}

#: Files that change while they are fetched.
CHANGES = {
    "another ETag, the same bytes": good(once(), Behaviour(etag='"other"'), retries=0),
    "an ETag for each request": good(Behaviour(etag="changing", last_modified=False)),
    "other bytes, same ETag": bad(CHANGED, once(etag='"x"'), Behaviour(content=OTHER, etag='"x"', ranges=False)),
    "other bytes, other ETag": bad(CHANGED, once(), Behaviour(content=OTHER)),
    "other bytes, weak ETag": bad(CHANGED, once(etag="weak"), Behaviour(content=OTHER, etag="weak")),
    "other bytes, no validators": bad(CHANGED, once(**NO_VALIDATORS), Behaviour(content=OTHER, **NO_VALIDATORS)),
    "longer": bad(CHANGED, once(), Behaviour(content=MODEL + b"x")),
    "shorter": bad(CHANGED[:-1], once(), Behaviour(content=MODEL[:1000])),
    "changes twice": bad(CHANGED, once(), once(etag='"2"', truncate_at=100_000), Behaviour(etag='"3"'), retries=1),
}

#: Lengths and bodies that do not go together.
LENGTHS = {
    "short range": bad(CUT + FOR_EVER, Behaviour(truncate_at=5000), retries=1),
    "two lengths": bad(MALFORMED, raw(f"{OK}\nContent-Length: 5\nContent-Length: 6", b"abcdef")),
    "negative length": bad(NO_LENGTH, raw(f"{OK}\nContent-Length: -5", b"abcdef")),
    "length that is none": bad(NO_LENGTH, raw(f"{OK}\nContent-Length: five", b"abcdef")),
    "2^63 bytes": bad(
        "says it has 9223372036854775808 bytes, more than a file can have$", Behaviour(claim=2**63), code="too_large"
    ),
    "2^63 bytes, no ranges": bad(
        "more than a file can have$", Behaviour(claim=2**63, ranges=False), code="too_large"
    ),
    "2^64 bytes": bad(MALFORMED, Behaviour(claim=2**64)),
    "larger than allowed": bad(
        f"has {MOST + 1} bytes, fetch.max_bytes is {MOST}$", Behaviour(claim=MOST + 1), code="too_large"
    ),
    "body without end": bad(
        f"fetch.max_bytes is {MOST}$", raw(OK, again=bytes(65536)), code="too_large", bodies=MOST + (1 << 20)
    ),
    "chunks without end": bad(
        f"fetch.max_bytes is {MOST}$",
        raw(OK_CHUNKED, again=b"10000\r\n%s\r\n" % bytes(65536)),
        code="too_large",
        bodies=MOST + (1 << 20),
    ),
    "a page without end": bad(
        "the server answered 404: there is no such file$", raw("HTTP/1.1 404 No", again=bytes(65536)), bodies=1 << 20
    ),
    "bad chunk": bad(NO_CHUNK, raw(OK_CHUNKED, b"zz\r\nabc\r\n0\r\n\r\n"), retries=1),
    "chunk of 2^70 bytes": bad(NO_CHUNK, raw(OK_CHUNKED, b"400000000000000000\r\nabc\r\n0\r\n\r\n"), retries=1),
    "chunk without an end": bad(NO_CHUNK, raw(OK_CHUNKED, b"3\r\nabcdef\r\n0\r\n\r\n"), retries=1),
    "trailers without end": bad(
        LARGE_HEADER,
        raw(OK_CHUNKED, b"%x\r\n%s\r\n0\r\n" % (SIZE, MODEL), again=b"X-Bomb: %s\r\n" % (b"x" * 990)),
    ),
}

#: Encodings that were not asked for.
ENCODINGS = {
    "gzip": bad(PACKED, Behaviour(gzip=True)),
    "gzip bomb": bad(PACKED, Behaviour(content=BOMB, headers={"Content-Encoding": "gzip"})),
    "x-gzip": bad(PACKED, Behaviour(headers={"Content-Encoding": "x-gzip"})),
    "br": bad(PACKED, Behaviour(headers={"Content-Encoding": "br"})),
    "zstd, gzip": bad(PACKED, Behaviour(headers={"Content-Encoding": "zstd, gzip"})),
    "Transfer-Encoding: gzip": bad(
        PACKED, Behaviour(headers={"Transfer-Encoding": "gzip"}, drop_headers=["Content-Length"])
    ),
}

#: What is no HTTP/1.1.
GARBAGE = {
    "garbage": bad(NOT_HTTP, Behaviour(raw=b"\x00\x01garbage\r\n\r\n")),
    "garbage without end": bad(NOT_HTTP, Behaviour(raw=b"\x00\x01garbage", again=b"\xff\x00" * 32768)),
    "garbage one byte first": bad(NOT_HTTP, Behaviour(raw=b"H", again=b"\xff\x00" * 32768)),
    "a first line without end": bad(LARGE_HEADER, Behaviour(raw=b"HTTP/1.1 200 ", again=b"x" * 65536)),
    "garbage for a status": bad(NOT_HTTP, raw("HTTP/1.1 abc OK")),
    "SMTP": bad(NOT_HTTP, Behaviour(raw=b"220 mail ESMTP\r\n" * 9)),
    "HTTP/0.9": bad(NOT_HTTP, Behaviour(raw=MODEL)),
    "HTTP/2 by its frames": bad(NOT_HTTP, Behaviour(raw=b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" * 9)),
    "HTTP/9": bad(NOT_HTTP, raw(f"HTTP/9.9 200 OK\n{LENGTH}", MODEL)),
}

#: Headers that want memory.
HEADERS = {
    "a huge header": bad(LARGE_HEADER, raw(f"{OK}\nX-Bomb: {'x' * 90_000}\n{LENGTH}", MODEL)),
    "thousands of headers": bad(LARGE_HEADER, raw("\n".join([OK] + [f"X-{i}: {i}" for i in range(9000)]), MODEL)),
    "a header line without end": bad(LARGE_HEADER, Behaviour(raw=b"HTTP/1.1 200 OK\r\nX-Bomb: ", again=b"x" * 65536)),
    "headers without end": bad(
        LARGE_HEADER, Behaviour(raw=b"HTTP/1.1 200 OK\r\n", again=b"X-Bomb: %s\r\n" % (b"x" * 990))
    ),
    "interim responses without end": bad(
        LARGE_HEADER, Behaviour(raw=b"HTTP/1.1 100 Continue\r\n\r\n", again=b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
    ),
    "two ETags": bad(MALFORMED, raw(f'{OK}\nETag: "a"\nETag: "b"\n{LENGTH}', MODEL)),
    "a page with a huge header": bad(LARGE_HEADER, raw(f"HTTP/1.1 404 No\nX-Bomb: {'x' * 90_000}")),
}


def to(where: str, **more: Any) -> Behaviour:
    return Behaviour(redirect=where, **more)


def forbidden(message: str, where: str) -> Case:
    return bad(message, to(where), code="address_forbidden")


#: Redirects. "%PATH" is the path itself.
REDIRECTS = {
    "redirect without Location": bad(NO_LOCATION, Behaviour(status=302)),
    "redirect with two Locations": bad(
        NO_LOCATION, raw("HTTP/1.1 302 F\nLocation: /a\nLocation: /b\nContent-Length: 0")
    ),
    "redirect with an empty Location": bad(".", raw("HTTP/1.1 302 F\nLocation:\nContent-Length: 0")),
    "redirect to itself": bad("it redirects in a loop, back to ", to("%PATH?token=secret")),
    "redirects without end": bad("more than 10 redirects$", to("%NEXT")),
    "redirect to link-local": forbidden("169.254.169.254 is link-local", "http://169.254.169.254/latest/meta-data/"),
    "redirect to private": forbidden("10.0.0.1 is private", "http://10.0.0.1/"),
    "redirect to a number": forbidden("10.0.0.1 is private", "http://0xa000001/"),
    "redirect to unique local": forbidden("fd00:ec2::254 is unique local", "http://[fd00:ec2::254]/"),
    "redirect to mapped": forbidden("is IPv4-mapped", "http://[::ffff:10.0.0.1]/"),
    "redirect to file": forbidden("redirects to a file: URL", "file:///etc/passwd"),
    "redirect to ftp": forbidden("does not list ftp$", "ftp://127.0.0.1/x"),
    "redirect to gopher": forbidden("does not list gopher$", "gopher://127.0.0.1/x"),
    "redirect to data": bad('redirects to "data:text/plain,x": ', to("data:text/plain,x")),
    "redirect with userinfo": bad("a user name or password in a URL is refused$", to("http://user:secret@127.0.0.1/x")),
    "redirect with spaces": bad("spaces, control characters", to("/a b")),
    "redirect with backslash": bad("spaces, control characters", to("/\\127.0.0.1/")),
    "redirect of 20,000 bytes": bad(".", to("/" + "x" * 20_000)),
    "redirect with a page without end": bad(
        "the server answered 404: there is no such file$",
        raw("HTTP/1.1 302 F\nLocation: /nowhere", again=bytes(65536)),
        bodies=1 << 20,
    ),
}

UNTRUSTED = r"the server's certificate is not trusted \(fetch.ca_file names those that are\): "


def tls(message: str, server: str, retries: int = 0) -> Case:
    return dataclasses.replace(bad(message, retries=retries), server=server)


#: TLS.
TLS = {
    "TLS as it should be": dataclasses.replace(good(), server="good"),
    "expired certificate": tls(UNTRUSTED, "expired"),
    "certificate for another name": tls(UNTRUSTED, "other_name"),
    "self-signed certificate": tls(UNTRUSTED, "self_signed"),
    "handshake cut": tls("(SSL|TLS|reset)", "cut", retries=1),
    "plain text where TLS is spoken": tls("(SSL|TLS|reset)", "text", retries=1),
}

CASES: "dict[str, Case]" = {
    **ODD,
    **STATUSES,
    **CONNECTIONS,
    **RANGES,
    **CHANGES,
    **LENGTHS,
    **ENCODINGS,
    **GARBAGE,
    **HEADERS,
    **REDIRECTS,
    **TLS,
}
