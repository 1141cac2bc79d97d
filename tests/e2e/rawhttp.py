# SPDX-License-Identifier: Apache-2.0
"""Requests byte by byte, for what no client library would send."""

from __future__ import annotations

import contextlib
import socket
import urllib.parse
from typing import Optional

import daemon

DEADLINE = 20.0


def exchange(url: str, request: bytes, half_close: bool = False) -> bytes:
    """Sends the bytes on a connection of their own and returns all that comes back until it is closed."""
    where = urllib.parse.urlsplit(url)
    answer = b""
    with socket.create_connection((where.hostname or "", where.port or 0), DEADLINE) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may answer before it has read all
            connection.sendall(request)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                answer += piece
    return answer


def split(answer: bytes, method: str = "GET") -> list[daemon.Response]:
    """The responses in what came back, interim ones left out."""
    responses = []
    while answer:
        head, separator, answer = answer.partition(b"\r\n\r\n")
        assert separator, head
        lines = head.decode().split("\r\n")
        status = int(lines[0].split()[1])
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        length = 0 if status < 200 or method == "HEAD" or status == 304 else int(headers.get("content-length", 0))
        body, answer = answer[:length], answer[length:]
        if status >= 200:
            responses.append(daemon.Response(status, headers, body))
    return responses


def from_library(response: daemon.Response) -> bool:
    """Whether libmicrohttpd answered by itself, before kend saw the request: a page of HTML that nobody numbered."""
    return response.body.startswith(b"<html><head><title>") and "x-request-id" not in response.headers


def one(url: str, request: bytes, method: Optional[str] = None, by_library: bool = False) -> daemon.Response:
    """The only response to the bytes; it is checked against the contract like any other, unless the library may answer."""
    words = request.split(b"\r\n")[0].split(b" ")
    method = method or words[0].decode(errors="replace")
    responses = split(exchange(url, request), method)
    assert len(responses) == 1, responses
    target = words[1].decode(errors="replace") if len(words) > 1 else ""
    if not (by_library and from_library(responses[0])):
        for hook in daemon.response_hooks:
            hook(method, target, responses[0])
    return responses[0]
