#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Starts the real kend on a free port in a folder of its own, talks to it, kills it, starts it again."""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import time
import urllib.parse
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, Union

from sanitizers import SANITIZED

BUILD = Path(os.environ.get("KEND_BUILD", Path(__file__).parents[2] / "build"))
READY_SECONDS = 30.0  # far above the 0.2 s it takes, for sanitizers on a busy machine
SANITIZED_FACTOR = 5
FINISHED = ("succeeded", "failed", "cancelled")
#: What tests on this machine need beside the defaults.
LOCAL = {"fetch.allow_schemes": "http,https,file", "fetch.allow_networks": "127.0.0.0/8,::1/128"}


@dataclasses.dataclass
class Response:
    """An answer; `json` parses its body."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


#: Called with every answer: (method, path, response). The contract checker hangs itself in here.
response_hooks: list[Callable[[str, str, Response], None]] = []


class Kend:
    """One kend. `with Kend(folder) as kend:` starts it and stops it by SIGTERM, which must end it with status 0."""

    program = "kend"

    def __init__(
        self,
        folder: Path,
        settings: Optional[Mapping[str, object]] = None,
        env: Optional[Mapping[str, str]] = None,
    ) -> None:
        self.data = folder / "data"
        self.log = folder / "kend.log"
        self.settings: dict[str, object] = {**LOCAL, **(settings or {})}
        self.env = env or {}
        self.process: Optional[subprocess.Popen[bytes]] = None
        self.url = ""
        self.headers: dict[str, str] = {}  #: sent with every request that does not give its own
        self.trust: Optional[ssl.SSLContext] = None  #: for a kend that speaks https

    def __enter__(self) -> "Kend":
        self.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        status = self.stop()
        assert kind is not None or status == 0, f"kend ended with {status}:\n{self.log_text()[-4000:]}"

    def start(self) -> None:
        """Starts it and waits for the line that says it is ready."""
        settings: dict[str, object] = {"http.listen": "127.0.0.1:0", **self.settings}
        command = [str(BUILD / self.program), "--data", str(self.data), "--listen", str(settings.pop("http.listen"))]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("KEND_", "KENCTL_"))} | dict(self.env)
        begin = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log, stdin=subprocess.DEVNULL, env=environment)
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            ready = re.search(rb"listening on (https?://[0-9.:\[\]a-f]+)", self.log.read_bytes()[begin:])
            if ready:
                self.url = ready.group(1).decode()
                return
            assert self.process.poll() is None, f"kend ended with {self.process.returncode}:\n{self.log_text()[-4000:]}"
            time.sleep(0.01)
        raise AssertionError(f"kend is not ready after {READY_SECONDS} s:\n{self.log_text()[-4000:]}")

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")

    def reload(self) -> str:
        """SIGHUP; what it logs of it, once it has answered a request after that."""
        assert self.process
        begin = self.log.stat().st_size
        self.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + READY_SECONDS
        told = re.compile(r'message="?(tokens (not )?read|certificate (not )?read|SIGHUP)')
        while not told.search(self.log.read_text(errors="replace")[begin:]):
            assert time.monotonic() < end, "not reloaded"
            time.sleep(0.01)
        time.sleep(0.1)  # what is logged first is taken over just behind it, and a second thing may follow
        return self.log.read_text(errors="replace")[begin:]

    def kill(self) -> None:
        """SIGKILL: the crash."""
        assert self.process
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self, seconds: float = 60) -> int:
        """SIGTERM; the exit status. 0 if it is not running."""
        if not self.process:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process = None

    def peak_memory(self) -> int:
        """Peak resident memory so far, bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024  # type: ignore[union-attr]

    def request(
        self,
        method: str,
        path: str,
        body: Union[None, bytes, str, dict, list] = None,
        headers: Optional[Mapping[str, str]] = None,
        timeout: float = 90,
    ) -> Response:
        """One request on a connection of its own. A dict or list is sent as JSON with its content type."""
        send = {**self.headers, **(headers or {})}
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            send.setdefault("Content-Type", "application/json")
        if isinstance(body, str):
            body = body.encode()
        where = urllib.parse.urlsplit(self.url)
        connection = (
            http.client.HTTPSConnection(where.hostname or "", where.port, timeout=timeout, context=self.trust)
            if where.scheme == "https"
            else http.client.HTTPConnection(where.hostname or "", where.port, timeout=timeout)
        )
        try:
            connection.request(method, path, body, send)
            answer = connection.getresponse()
            response = Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()
        for hook in response_hooks:
            hook(method, path, response)
        return response

    def get(self, path: str, **options: Any) -> Response:
        return self.request("GET", path, **options)

    def submit(self, document: dict, **options: Any) -> str:
        """Submits a job that must be accepted; its id."""
        response = self.request("POST", "/v1/jobs", document, **options)
        assert response.status == 202, response.body
        return str(response.json["id"])

    def job(self, job: str) -> dict:
        response = self.get(f"/v1/jobs/{job}")
        assert response.status == 200, response.body
        return dict(response.json)

    def wait(self, job: str, seconds: float = 180) -> dict:
        """The job once it has ended; fails after so many seconds, or more where a sanitizer makes all slow."""
        end = time.monotonic() + seconds * (SANITIZED_FACTOR if SANITIZED else 1)
        while True:
            left = end - time.monotonic()
            response = self.get(f"/v1/jobs/{job}?wait={max(1, min(30, int(left)))}")
            assert response.status == 200, response.body
            if response.json["status"] in FINISHED:
                return dict(response.json)
            assert left > 0, f"not ended after {seconds} s: {response.body!r}"

    def events(self, job: str) -> list[dict]:
        """All durable events, oldest first."""
        events: list[dict] = []
        while True:
            after = f"&after={events[-1]['id']}" if events else ""
            page = self.get(f"/v1/jobs/{job}/events?limit=200{after}", headers={"Accept": "application/json"}).json
            events += page["data"]
            if not page["has_more"]:
                return events

    def download(self, job: str, name: str) -> bytes:
        response = self.get(f"/v1/jobs/{job}/artifacts/{name}")
        assert response.status == 200, response.body
        return response.body
