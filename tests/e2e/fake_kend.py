# SPDX-License-Identifier: Apache-2.0
"""A kend that is none: it answers kenctl as each test wants it."""

from __future__ import annotations

import http.server
import json
import subprocess
import threading
from typing import Any, Callable, Iterator

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]
ID = "job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C"


class Fake(http.server.ThreadingHTTPServer):
    """Answers by a table of functions; keeps what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: "list[tuple[str, str, dict[str, str], bytes]]" = []
        self.answer: "Callable[[Handler, int], None]" = lambda handler, count: handler.problem(404, "not_found")
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: Any) -> None:
        pass  # broken connections are what these tests are for


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Fake

    def log_message(self, *_: Any) -> None:
        pass

    def take(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.command, self.path, headers, body))
        self.server.answer(self, len(self.server.asked))

    do_GET = do_POST = do_DELETE = take

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def json(self, status: int, document: Any, **headers: str) -> None:
        self.reply(status, json.dumps(document).encode(), Content_Type="application/json", **headers)

    def problem(self, status: int, code: str, **more: Any) -> None:
        document = {
            "type": f"https://kend.dev/problems/{code}",
            "title": f"Title of {code}",
            "status": status,
            "code": code,
            **more,
        }
        self.reply(status, json.dumps(document).encode(), Content_Type="application/problem+json")

    def cut(self) -> None:
        """Ends the connection without an answer."""
        self.close_connection = True
        self.connection.shutdown(2)


@pytest.fixture
def fake() -> Iterator[Fake]:
    server = Fake()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def job(status: str = "queued", **more: Any) -> "dict[str, Any]":
    return {"id": ID, "object": "job", "status": status, "name": "n", "created_at": "2026-01-02T03:04:05.678Z", **more}


def log(number: int, level: str, message: str) -> "dict[str, Any]":
    return {
        "id": number,
        "type": "log",
        "time": "2026-01-02T03:04:05.678Z",
        "data": {"level": level, "message": message},
    }
