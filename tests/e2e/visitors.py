# SPDX-License-Identifier: Apache-2.0
"""Those who use kend badly: they hang up in the middle, leave connections open, send what is no request, come and go with tokens."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
import urllib.parse
from typing import Optional

import rawhttp
from churn import Client
from daemon import Kend
from test_malformed_requests import HEADS
from tokens import Tokens

LEFT_OPEN = 20  # connections that a visitor leaves at once; kend closes them when they have been idle for long


class Visitor(threading.Thread):
    """Does one of these things after the other until it is told to stop. The jobs that it looks at are a client's."""

    def __init__(self, kend: Kend, up: threading.Event, host: Client, tokens: Tokens, seed: int) -> None:
        super().__init__(name="visitor", daemon=True)
        self.kend, self.up, self.host, self.tokens = kend, up, host, tokens
        self.random = random.Random(seed)
        self.stopping = threading.Event()
        self.left: "list[socket.socket]" = []
        self.visits = self.made = 0
        self.failure: Optional[BaseException] = None

    def run(self) -> None:
        acts = (self.malformed, self.hang_up, self.hang_up, self.leave, self.session, self.dry_run, self.look_around)
        try:
            while not self.stopping.is_set():
                if not self.up.is_set():
                    self.forget()
                self.up.wait()
                self.random.choice(acts)()
                self.visits += 1
                if self.visits % 50 == 0:
                    self.token()
        except BaseException as error:  # told by whoever joins it
            self.failure = error
        self.forget()

    def forget(self) -> None:
        for connection in self.left:
            connection.close()
        self.left = []

    def finish(self) -> None:
        self.stopping.set()
        self.join(60)
        assert not self.is_alive(), "the visitor hangs"
        if self.failure:
            raise self.failure

    def connect(self, request: bytes) -> socket.socket:
        where = urllib.parse.urlsplit(self.kend.url)
        connection = socket.create_connection((where.hostname or "", where.port or 0), 20)
        connection.sendall(request)
        return connection

    def get(self, path: str, *lines: str) -> bytes:
        head = [
            f"GET {path} HTTP/1.1",
            "Host: localhost",
            f"Authorization: {self.host.headers['Authorization']}",
            *lines,
        ]
        return "\r\n".join(head).encode() + b"\r\n\r\n"

    # each of these is one thing that a visitor does

    def malformed(self) -> None:
        _, request, status, *_ = self.random.choice(HEADS)
        answers = rawhttp.split(rawhttp.exchange(self.kend.url, request))
        assert answers and answers[0].status in (status, 401), (request, answers)

    def hang_up(self) -> None:
        """In the middle of a download, of a stream of events, of a long poll, of its own request."""
        job = self.host.some()
        if not job:
            return
        name = self.random.choice(sorted(job.kind.digests) or ["report.json"])
        request, read = self.random.choice(
            [
                (self.get(f"/v1/jobs/{job.id}/artifacts/{name}"), 1000),
                (self.get(f"/v1/jobs/{job.id}/events", "Accept: text/event-stream"), 100),
                (self.get(f"/v1/jobs/{job.id}?wait=30"), 0),
                (self.get("/v1/jobs")[:-7], 0),
            ]
        )
        with self.connect(request) as connection:
            if read:
                assert connection.recv(read)
            else:
                time.sleep(self.random.uniform(0, 0.05))
            if self.random.random() < 0.5:  # closed by a reset
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def leave(self) -> None:
        """A connection that nothing comes over any more."""
        self.left.append(self.connect(self.random.choice([b"", b"GET /liv", self.get("/livez")])))
        if len(self.left) > LEFT_OPEN:
            self.left.pop(0).close()

    def session(self) -> None:
        """Signs in, is known by the cookie, and signs out again or does not."""
        response = self.kend.request("POST", "/v1/session", {}, self.host.headers)
        assert response.status == 200, response.body
        cookie = {"Cookie": response.headers["set-cookie"].partition(";")[0], "Origin": self.kend.url}
        assert self.kend.get("/v1/session", headers=cookie).json["owner"] == self.host.name
        if self.random.random() < 0.5:
            assert self.kend.request("DELETE", "/v1/session", headers=cookie).status == 204

    def dry_run(self) -> None:
        kind = self.random.choice(self.host.kinds)
        response = self.kend.request("POST", "/v1/jobs?dry_run=true", kind.document(0), self.host.headers)
        assert response.status == (422 if kind.error else 200), response.body

    def look_around(self) -> None:
        for path, status in (
            ("/metrics", 200),
            ("/readyz", 200),
            ("/openapi.json", 200),
            ("/v1/jobs/none", 404),
            ("/none", 404),
        ):
            assert self.kend.get(path, headers=self.host.headers).status == status

    def token(self) -> None:
        """One that is made, read, used, and revoked."""
        self.made += 1
        name = f"visitor{self.made}"
        self.tokens.make(name, name, "submit")
        self.kend.reload()
        assert self.kend.get("/v1/jobs", headers=self.tokens.bearer(name)).json["data"] == []
        self.tokens.revoke(name)
        self.kend.reload()
        assert self.kend.get("/v1/jobs", headers=self.tokens.bearer(name)).status == 401
