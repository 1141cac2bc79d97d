# SPDX-License-Identifier: Apache-2.0
"""Reads streams of events as they come."""

from __future__ import annotations

import dataclasses
import json
import socket
import time
from typing import Any, Iterator, Optional

from contract import validate
from daemon import Kend
from exposition import metrics
from test_limits import KEEP, LIVEZ, answer, connect

#: What the data of an event must be.
SCHEMAS = {"status": "Event", "log": "Event", "progress": "EventProgress", "job": "ListedJob"}


@dataclasses.dataclass
class Event:
    type: str
    id: Optional[int]
    data: Any
    at: float  # when it was read


class Stream:
    """GET of a stream on a connection of its own, perhaps after another request or blank lines. As an iterator it gives the events until its end."""

    def __init__(
        self,
        kend: Kend,
        path: str,
        *headers: str,
        buffer: Optional[int] = None,
        second: bool = False,
        blank: int = 0,
    ) -> None:
        self.connection = connect(kend, receive_buffer=buffer)
        if second:
            assert answer(self.connection, LIVEZ).status == 200
        if blank:
            self.connection.sendall(b"\r\n" * blank)
            time.sleep(0.2)
        lines = "".join(f"{name}: {value}\r\n" for name, value in kend.headers.items())
        lines += "".join(f"{line}\r\n" for line in headers)
        self.connection.sendall(
            f"GET {path} HTTP/1.1\r\nAccept: text/event-stream\r\n{lines}".encode() + KEEP + b"\r\n"
        )
        self.pings: list[float] = []
        self.whole = False  #: it has ended as it should
        self.received = b""

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def head(self) -> "tuple[int, dict[str, str]]":
        """Status and headers."""
        self._until(b"\r\n\r\n")
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        return int(first.split()[1]), {line.split(": ")[0].lower(): line.split(": ", 1)[1] for line in lines}

    def _until(self, end: bytes) -> None:
        while end not in self.received:
            piece = self.connection.recv(65536)
            if not piece:
                raise ConnectionResetError("in the middle of the stream")
            self.received += piece

    def _chunks(self) -> Iterator[bytes]:
        while True:
            self._until(b"\r\n")
            size, _, self.received = self.received.partition(b"\r\n")
            length = int(size, 16)
            while len(self.received) < length + 2:
                piece = self.connection.recv(65536)
                if not piece:
                    raise ConnectionResetError("in the middle of a chunk")
                self.received += piece
            yield self.received[:length]
            self.received = self.received[length + 2 :]
            if not length:
                self.whole = True
                return

    def __iter__(self) -> Iterator[Event]:
        text = b""
        for chunk in self._chunks():
            text += chunk
            *blocks, text = text.split(b"\n\n")
            for block in blocks:
                event = self._event(block.decode())
                if event:
                    yield event
        assert text == b""

    def _event(self, block: str) -> Optional[Event]:
        now = time.monotonic()
        if block == ": ping":
            self.pings.append(now)
        if block == ": ping" or block == "retry: 1000":
            return None
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        assert set(fields) <= {"id", "event", "data"}, block
        event = Event(fields["event"], int(fields["id"]) if "id" in fields else None, json.loads(fields["data"]), now)
        if event.type in SCHEMAS:
            validate({"$ref": f"#/components/schemas/{SCHEMAS[event.type]}"}, event.data)
        assert (event.type in ("status", "log")) == (event.id is not None)
        assert event.id is None or (event.id, event.type) == (event.data["id"], event.data["type"])
        return event


def open_stream(kend: Kend, path: str, *headers: str, buffer: Optional[int] = None) -> Stream:
    """One that has begun."""
    stream = Stream(kend, path, *headers, buffer=buffer)
    status, found = stream.head()
    assert (status, found["content-type"], found["cache-control"]) == (200, "text/event-stream", "no-store"), found
    return stream


def streams(kend: Kend) -> float:
    """How many are open."""
    return metrics(kend)["kend_http_streams"]


def of_job(job: str) -> str:
    return f"/v1/jobs/{job}/events"


def broken(connection: socket.socket) -> bool:
    """Whether the other side has closed it, after what it had sent before."""
    connection.settimeout(30)
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True
