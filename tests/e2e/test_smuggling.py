# SPDX-License-Identifier: Apache-2.0
"""Requests that two readers take apart in two ways: none hides a second one that kend would execute."""

from __future__ import annotations

import json
import socket
import time
import urllib.parse
from typing import Iterator

import pytest

import rawhttp
from daemon import Kend

HOST = b"Host: localhost\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
DOCUMENT = {"model": "https://192.0.2.1/m.safetensors", "base": "https://192.0.2.1/b.safetensors", "k": 1}


def hidden(name: str) -> bytes:
    """A whole request that makes a job of that name."""
    body = json.dumps({**DOCUMENT, "name": name}).encode()
    head = HOST + b"Connection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    return b"POST /v1/jobs HTTP/1.1\r\n" + head + body


def get(head: bytes, body: bytes = b"", line: bytes = b"GET /livez HTTP/1.1\r\n") -> bytes:
    return line + head + b"\r\n" + body


# Each is followed by a hidden request.
DOUBTFUL = {
    # two lengths
    "length twice": get(HOST + b"Content-Length: 0\r\nContent-Length: 0\r\n"),
    "two lengths": get(HOST + b"Content-Length: 0\r\nContent-Length: 300\r\n"),
    "two lengths, the other first": get(HOST + b"Content-Length: 300\r\nContent-Length: 0\r\n"),
    "list of lengths": get(HOST + b"Content-Length: 0, 300\r\n"),
    "length and chunks": get(HOST + b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n"),
    "chunks and length": get(HOST + CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n"),
    "lower case": get(HOST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n", b"0\r\n\r\n"),
    # lengths that are none
    "signed length": get(HOST + b"Content-Length: +0\r\n"),
    "negative length": get(HOST + b"Content-Length: -0\r\n"),
    "empty length": get(HOST + b"Content-Length:\r\n"),
    "length and blank": get(HOST + b"Content-Length: 0 \r\n"),
    "length with a blank": get(HOST + b"Content-Length: 0 0\r\n"),
    "hexadecimal length": get(HOST + b"Content-Length: 0x0\r\n"),
    "length with exponent": get(HOST + b"Content-Length: 0e1\r\n"),
    "length with underscore": get(HOST + b"Content-Length: 0_0\r\n"),
    "quoted length": get(HOST + b'Content-Length: "0"\r\n'),
    "length with parameter": get(HOST + b"Content-Length: 0;a=1\r\n"),
    "length of other digits": get(HOST + b"Content-Length: \xd9\xa0\r\n"),
    "length of 64 bits and 0": get(HOST + b"Content-Length: 18446744073709551616\r\n"),
    "length of 63 bits": get(HOST + b"Content-Length: 9223372036854775808\r\n"),
    "length of 32 bits and 0": get(HOST + b"Content-Length: 4294967296\r\n"),
    # encodings that are none
    "unknown encoding": get(HOST + b"Transfer-Encoding: xchunked\r\n"),
    "identity": get(HOST + b"Transfer-Encoding: identity\r\n"),
    "two encodings": get(HOST + b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    "chunked and another": get(HOST + b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
    "chunked twice": get(HOST + CHUNKED + CHUNKED, b"0\r\n\r\n"),
    "encoding twice": get(HOST + CHUNKED + b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n"),
    "empty encoding": get(HOST + b"Transfer-Encoding:\r\n"),
    "encoding with parameter": get(HOST + b"Transfer-Encoding: chunked;a=b\r\n", b"0\r\n\r\n"),
    "quoted encoding": get(HOST + b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n"),
    "encoding behind a control": get(HOST + b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"),
    "encoding in 1.0": get(HOST + b"Connection: keep-alive\r\n" + CHUNKED, b"0\r\n\r\n", b"GET /livez HTTP/1.0\r\n"),
    # names that are one to some and none to others
    "blank before colon": get(HOST + b"Content-Length : 5\r\n"),
    "tab before colon": get(HOST + b"Content-Length\t: 5\r\n"),
    "encoding, blank": get(HOST + b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
    "control in name": get(HOST + b"Content-Length\x0b: 5\r\n"),
    "byte in name": get(HOST + b"\xa0Content-Length: 5\r\n"),
    "no name": get(HOST + b": 5\r\n"),
    "no colon": get(HOST + b"Content-Length 5\r\n"),
    # folded lines: libmicrohttpd 0.9 glues them to the name
    "folded length": get(HOST + b"Content-Length:\r\n 5\r\n"),
    "length folded": get(HOST + b"Content-Length: 0\r\n 5\r\n"),
    "folded to a length": get(HOST + b"Content-Lengt: 5\r\n h\r\n"),
    "folded encoding": get(HOST + b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n"),
    "folded with a tab": get(HOST + b"Transfer-Encoding:\r\n\tchunked\r\n", b"0\r\n\r\n"),
    "folded to an encoding": get(HOST + b"Transfer-Encodin: chunked\r\n g\r\n"),
    "folded host": get(b"Host: localhost\r\n .evil.example\r\n"),
    "folded to a host": get(b"Hos: localhost\r\n t\r\n"),
    "folded": get(HOST + b"X: a\r\n b\r\n"),
    "folded twice": get(HOST + b"X: a\r\n b\r\n c\r\n"),
    "folded first line": get(b" X: a\r\n" + HOST),
    "folded blank": get(HOST + b"X: a\r\n \r\n"),
    # ends of lines
    "LF in a header": get(b"X: a\nContent-Length: 5\r\n" + HOST),
    "LF ends": get(HOST.replace(b"\r", b"")),
    "LF ends the head": b"GET /livez HTTP/1.1\r\n" + HOST + b"\n",
    "LF ends the first line": get(HOST, line=b"GET /livez HTTP/1.1\n"),
    "CR in a header": get(HOST + b"X: a\rContent-Length: 5\r\n"),
    "CR CR LF": get(b"Host: localhost\r\r\n"),
    "CR in the name": get(HOST + b"X\rContent-Length: 5\r\n"),
    # NUL
    "NUL in a length": get(HOST + b"Content-Length: 0\x00300\r\n"),
    "NUL in an encoding": get(HOST + b"Transfer-Encoding: chunked\x00x\r\n", b"0\r\n\r\n"),
    "NUL in a name": get(HOST + b"Content-Length\x00: 5\r\n"),
    "NUL in a value": get(HOST + b"X: a\x00b\r\n"),
    "NUL, and LF for balance": get(HOST + b"X: a\x00\r\nY: b\n"),
    "NUL in a host": get(b"Host: localhost\x00.evil.example\r\n"),
    "NUL in the target": get(HOST, line=b"GET /livez\x00 HTTP/1.1\r\n"),
    "NUL in the version": get(HOST, line=b"GET /livez HTTP/1.1\x00\r\n"),
    # whom it is for
    "two hosts": get(HOST + b"Host: evil.example\r\n"),
    "host twice": get(HOST + HOST),
    # the first line
    "blanks": get(HOST, line=b"GET  /livez  HTTP/1.1\r\n"),
    "blank in the target": get(HOST, line=b"GET /livez HTTP/1.1 HTTP/1.1\r\n"),
    "tabs": get(HOST, line=b"GET\t/livez\tHTTP/1.1\r\n"),
    "blank first": get(HOST, line=b" GET /livez HTTP/1.1\r\n"),
    "other version": get(HOST, line=b"GET /livez HTTP/01.1\r\n"),
    # chunks: after a body in chunks, the connection is closed whatever they were
    "chunk's line ends with LF": get(HOST + CHUNKED, b"5;a\nhello\r\n0\r\n\r\n"),
    "chunks with LF": get(HOST + CHUNKED, b"5\nhello\n0\n\n"),
    "last chunk with LF": get(HOST + CHUNKED, b"0\n\n"),
    "chunk of a sign": get(HOST + CHUNKED, b"+0\r\n\r\n"),
    "chunk of minus": get(HOST + CHUNKED, b"-0\r\n\r\n"),
    "chunk of 0x": get(HOST + CHUNKED, b"0x0\r\n\r\n"),
    "chunk behind a blank": get(HOST + CHUNKED, b" 0\r\n\r\n"),
    "chunk before a blank": get(HOST + CHUNKED, b"0 \r\n\r\n"),
    "chunk of 64 bits and 0": get(HOST + CHUNKED, b"10000000000000000\r\n\r\n"),
    "chunk too long": get(HOST + CHUNKED, b"5\r\nhelloXX0\r\n\r\n"),
    "chunk without size": get(HOST + CHUNKED, b"\r\n\r\n0\r\n\r\n"),
    "extension": get(HOST + CHUNKED, b"0;a=b\r\n\r\n"),
    "trailer": get(HOST + CHUNKED, b"0\r\nContent-Length: 5\r\n\r\n"),
    "trailer of encoding": get(HOST + CHUNKED, b"0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "chunks": get(HOST + CHUNKED, b"5\r\nhello\r\n0\r\n\r\n"),
}
# No reader doubts where these end.
PLAIN = {
    "no body": get(HOST),
    "no blanks": get(b"Host:localhost\r\nX:\r\nY: \t \r\n"),
    "length": get(HOST + b"Content-Length: 5\r\n", b"hello"),
    "length with zeros": get(HOST + b"Content-Length: 005\r\n", b"hello"),
    "length of 0": get(HOST + b"Content-Length: 0\r\n"),
    "kept alive in 1.0": get(HOST + b"Connection: keep-alive\r\n", line=b"GET /livez HTTP/1.0\r\n"),
    "an empty line before": b"\r\n" + get(HOST),
    "refused": get(b"Host: evil.example\r\n"),
    "a query": get(HOST, line=b"GET /livez?a=b&c HTTP/1.1\r\n"),
    "a large head": get(HOST + b"X: " + b"a" * 30000 + b"\r\n" + b"Y: b\r\n" * 90),
    "a head that is too large": get(HOST + b"X: " + b"a" * 60000 + b"\r\n"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kend]:
    settings = {"http.idle_seconds": 2, "http.header_seconds": 2, "http.body_seconds": 2}
    with Kend(tmp_path_factory.mktemp("smuggling"), settings) as kend:
        yield kend


def was_made(server: Kend, name: str) -> bool:
    jobs = server.get("/v1/jobs?limit=200").json["data"]
    return name in [job["name"] for job in jobs]


@pytest.mark.parametrize("name", DOUBTFUL)
def test_a_hidden_request_is_not_executed(server: Kend, name: str) -> None:
    said = rawhttp.exchange(server.url, DOUBTFUL[name] + hidden(name))
    assert not was_made(server, name)
    assert said.count(b"X-Request-Id: ") <= 1 and b" 202 " not in said  # what the library answers itself has none
    assert not said or b"\r\nConnection: close\r\n" in said


@pytest.mark.parametrize("name", PLAIN)
def test_a_second_request_is_executed(server: Kend, name: str) -> None:
    """The same hidden request, in plain sight."""
    said = rawhttp.exchange(server.url, PLAIN[name] + hidden(name))
    assert was_made(server, name)
    assert said.count(b"HTTP/1.1 ") == 2 and b"HTTP/1.1 202 " in said


def test_a_second_request_byte_by_byte(server: Kend) -> None:
    """Gaps are looked for in what was received, however it came."""
    where = urllib.parse.urlsplit(server.url)
    with socket.create_connection((where.hostname or "", where.port or 0), 20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in get(HOST + b"X: a\r\nY:b\r\n") + hidden("bytes"):
            connection.sendall(bytes([byte]))
            time.sleep(0.001)
        said = b""
        while piece := connection.recv(65536):
            said += piece
    assert was_made(server, "bytes") and said.count(b"HTTP/1.1 ") == 2
