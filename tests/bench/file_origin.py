#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Serves the files of one folder over HTTP as fast as the kernel copies them, or at so many bytes a second in all.

usage: file_origin.py FOLDER [RATE]

Prints its URL and serves until it is killed. Ranges, HEAD, and an ETag that makes them safe to resume: what kend and curl need, and no more.
"""

from __future__ import annotations

import http.server
import os
import re
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

SECONDS_AT_ONCE = 0.02


class Pace:
    """A rate shared by all connections."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.piece = max(1, int(rate * SECONDS_AT_ONCE)) if rate else 1 << 24
        self.lock = threading.Lock()
        self.free_at = 0.0

    def wait_for(self, count: int) -> None:
        if not self.rate:
            return
        with self.lock:
            self.free_at = max(self.free_at, time.monotonic()) + count / self.rate
            pause = self.free_at - time.monotonic()
        time.sleep(max(0.0, pause))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path
    pace: Pace

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = self.folder / os.path.basename(self.path)
        if not path.is_file():
            self.send_error(404)
            return
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            first = int(asked[1]) if asked else 0
            last = min(size - 1, int(asked[2])) if asked and asked[2] else size - 1
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", f'"{path.name}-{size}"')
            self.send_header("Content-Length", str(last + 1 - first))
            self.end_headers()
            if self.command == "GET":
                self.send(file, first, last + 1)

    def send(self, file: BinaryIO, at: int, end: int) -> None:
        self.wfile.flush()
        while at < end:
            count = min(self.pace.piece, end - at)
            self.pace.wait_for(count)
            at += os.sendfile(self.connection.fileno(), file.fileno(), at, count)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # whoever asked has gone


def main() -> None:
    Handler.folder = Path(sys.argv[1])
    Handler.pace = Pace(float(sys.argv[2]) if len(sys.argv) > 2 else 0)
    server = Server(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
