#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An HTTP/1.1 origin for tests: serves a folder correctly, counts what it served, and can be told to misbehave.

As a library:

    with Origin(root) as origin:
        origin.behave("/model.safetensors", Behaviour(truncate_at=1000, times=1))
        ... origin.url + "/model.safetensors" ...
        assert origin.stats("/model.safetensors").requests == 2

As a program, `origin.py --root DIR [--rate BYTES_PER_S] [--port 0] [--behave PATH=FIELD:VALUE,...]` prints its URL on the first line
and serves until it is killed or its standard input closes (`--until-eof`). `GET /.origin/stats` answers the counters as JSON;
`POST /.origin/rate` with a number as body changes the rate.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import email.utils
import gzip
import hashlib
import http.server
import io
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path
from typing import Any, BinaryIO, Iterator, Optional, Sequence, Union

CHUNK = 65536


@dataclasses.dataclass
class Behaviour:
    """How the requests of one path are answered; the defaults are those of a good server. Byte positions count in the whole file."""

    times: int = -1  # so many requests are answered this way, later ones by the next behaviour or well; -1: all
    only: str = ""  # "range": requests with a Range header only; "whole": those without; "get", "head": by method
    status: int = 0  # answer with this status and a small HTML page
    retry_after: str = ""  # a Retry-After header
    headers: dict[str, str] = dataclasses.field(default_factory=dict)  # added, or replacing those of the same name
    drop_headers: Sequence[str] = ()  # left out
    raw: bytes = b""  # these bytes instead of a response, then the connection is closed
    again: bytes = b""  # after `raw`, these over and over
    hang_up: bool = False  # the connection is closed after an answer that did not say so
    secret: str = ""  # requests without this in their query string are answered with 403
    redirect: str = (
        ""  # Location; %PATH: the path that was asked for, %NEXT: the same with another query string each time
    )
    redirect_status: int = 302
    ranges: bool = True  # False: Range is ignored, the whole file with 200
    range_status: int = 0  # a status in place of 206
    content_range: str = ""  # in place of the right one
    shift: int = 0  # the range served begins so many bytes later than the one asked for, and says so
    multipart: bool = False  # a range as multipart/byteranges
    chunked: bool = False  # no Content-Length
    until_close: bool = False  # neither length nor chunks: the body ends with the connection
    claim: int = -1  # the size that headers claim
    content_length: int = -1  # the Content-Length, whatever the body
    extra: bytes = b""  # after the body
    truncate_at: int = -1  # the connection is closed at this byte
    reset_at: int = -1  # the connection is reset at this byte
    stall_at: int = -1  # nothing is sent after this byte
    corrupt_at: int = -1  # this byte is wrong
    drip: float = 0.0  # bytes per second of each response
    delay: float = 0.0  # seconds before the answer
    etag: str = "strong"  # strong, weak, none, changing (another at each request); or a literal one in quotes
    last_modified: bool = True
    gzip: bool = False  # Content-Encoding: gzip, asked or not
    conditional: bool = True  # False: If-None-Match and If-Modified-Since are ignored
    content: Optional[bytes] = None  # in place of the file

    def applies(self, method: str, has_range: bool) -> bool:
        if self.times == 0:
            return False
        return {"": True, "range": has_range, "whole": not has_range, "get": method == "GET", "head": method == "HEAD"}[
            self.only
        ]


@dataclasses.dataclass
class Request:
    """One request as it arrived and what was answered."""

    method: str
    path: str  # with the query
    headers: dict[str, str]  # names in lower case
    status: int = 0
    sent: int = 0  # bytes of body


@dataclasses.dataclass
class Stats:
    requests: int = 0
    sent: int = 0  # bytes of bodies
    statuses: dict[int, int] = dataclasses.field(default_factory=dict)


class Bucket:
    """A rate limit shared by all connections: bytes per second, 0 for none."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._lock = threading.Lock()
        self._free_at = 0.0

    def take(self, count: int, stopped: threading.Event) -> None:
        if self.rate <= 0:
            return
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + count / self.rate
            pause = self._free_at - now
        stopped.wait(pause)

    def piece(self) -> int:
        """How much to send at once: about a fiftieth of a second's worth."""
        return CHUNK if self.rate <= 0 else max(1, min(CHUNK, int(self.rate / 50)))


class Origin:
    """The server; `with` starts and stops it."""

    def __init__(
        self,
        root: Union[str, os.PathLike[str], None] = None,
        rate: float = 0,
        port: int = 0,
        address: str = "127.0.0.1",
        tls: Optional[tuple[str, str]] = None,
    ) -> None:
        self.root = Path(root).resolve() if root is not None else None
        self.bucket = Bucket(rate)
        self.stopped = threading.Event()
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self._behaviours: dict[str, list[Behaviour]] = {}
        self._contents: dict[str, bytes] = {}
        self._changes = 0
        self._server = _Server((address, port), _Handler)
        self._server.origin = self
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            context.set_alpn_protocols(["h2", "http/1.1"])  # who asks for HTTP/2 gets what is none
            self._server.tls = context
        self.address = address
        self.port: int = self._server.server_address[1]
        host = f"[{address}]" if ":" in address else address
        self.url = f"{'https' if tls else 'http'}://{host}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> "Origin":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> "Origin":
        self._thread.start()
        return self

    def stop(self) -> None:
        """Ends at once; connections are cut off."""
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.cut()
        self._thread.join()

    @property
    def rate(self) -> float:
        return self.bucket.rate

    @rate.setter
    def rate(self, value: float) -> None:
        self.bucket.rate = value

    def put(self, path: str, content: bytes) -> None:
        """Serves `content` at `path`, from memory, before any file of that name."""
        with self._lock:
            self._contents[path] = content

    def behave(self, path: str, *behaviours: Behaviour) -> None:
        """From now on `path` (without the query; "*" for all) is answered by the first of these that applies; none: well again."""
        with self._lock:
            self._behaviours[path] = [dataclasses.replace(one) for one in behaviours]

    def stats(self, path: str = "") -> Stats:
        """Counters of one path, or of all."""
        result = Stats()
        with self._lock:
            for request in self.requests:
                if not path or request.path.partition("?")[0] == path:
                    result.requests += 1
                    result.sent += request.sent
                    result.statuses[request.status] = result.statuses.get(request.status, 0) + 1
        return result

    def seen(self, path: str = "") -> list[Request]:
        """The requests of one path, or all, in order of arrival."""
        with self._lock:
            return [one for one in self.requests if not path or one.path.partition("?")[0] == path]

    def forget(self) -> None:
        """Sets the counters to zero."""
        with self._lock:
            self.requests.clear()

    def pick(self, path: str, method: str, has_range: bool) -> Behaviour:
        with self._lock:
            for key in (path, "*"):
                for one in self._behaviours.get(key, []):
                    if one.applies(method, has_range):
                        if one.times > 0:
                            one.times -= 1
                        return one
        return Behaviour()

    def next_change(self) -> int:
        with self._lock:
            self._changes += 1
            return self._changes

    def record(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)

    def find(self, path: str) -> Optional["_Content"]:
        with self._lock:
            content = self._contents.get(path)
        if content is not None:
            return _Content.of_bytes(content)
        if self.root is None:
            return None
        full = (self.root / urllib.parse.unquote(path).lstrip("/")).resolve()
        if self.root != full and self.root not in full.parents or not full.is_file():
            return None
        return _Content.of_file(full)


@dataclasses.dataclass
class _Content:
    stream: BinaryIO
    size: int
    tag: str
    modified: float

    @staticmethod
    def of_bytes(content: bytes) -> "_Content":
        return _Content(io.BytesIO(content), len(content), hashlib.sha256(content).hexdigest()[:20], 1_700_000_000)

    @staticmethod
    def of_file(path: Path) -> "_Content":
        stream = open(path, "rb")
        status = os.fstat(stream.fileno())
        return _Content(
            stream, status.st_size, f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}", status.st_mtime
        )


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    origin: Origin
    tls: Optional[ssl.SSLContext] = None

    def __init__(self, address: tuple[str, int], handler: type[http.server.BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, handler)

    def server_bind(self) -> None:
        # HTTPServer.server_bind would look the name of the address up.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        try:
            if self.tls is None:
                super().finish_request(request, client_address)
                return
            request.settimeout(20)
            with self.tls.wrap_socket(request, server_side=True) as wrapped:
                wrapped.settimeout(None)
                super().finish_request(wrapped, client_address)
        except (OSError, ValueError):
            pass  # the client went, or did not trust the certificate
        finally:
            with self._open_lock:
                self._open.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def cut(self) -> None:
        with self._open_lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)


def parse_range(text: str, size: int) -> Union[None, bool, tuple[int, int]]:
    """The one range asked for as (first, end), None if it is to be ignored, False if it cannot be satisfied."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", text.strip())
    if not match or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) and size else False
    if int(first) >= size:
        return False
    end = min(size, int(last) + 1) if last else size
    return (int(first), end) if end > int(first) else None


class _Cut(Exception):
    """The connection is to be closed."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/.origin/rate":
            self.server.origin.rate = float(body)
            self._send_page(204)
        else:
            self._send_page(405)

    def _answer(self) -> None:
        origin = self.server.origin
        path = self.path.partition("?")[0]
        if path == "/.origin/stats":
            self._send_stats()
            return
        request = Request(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
        origin.record(request)
        behaviour = origin.pick(path, self.command, "range" in request.headers)
        try:
            self._misbehave(request, behaviour, path)
        except (_Cut, OSError):
            self.close_connection = True

    def _misbehave(self, request: Request, behaviour: Behaviour, path: str) -> None:
        origin = self.server.origin
        if behaviour.delay:
            origin.stopped.wait(behaviour.delay)
        if behaviour.raw:
            self._send_raw(request, behaviour)
        if behaviour.secret not in request.path.partition("?")[2]:
            request.status = 403
            self._send_page(403)
            return
        if behaviour.redirect:
            request.status = behaviour.redirect_status
            where = behaviour.redirect.replace("%PATH", path).replace("%NEXT", f"{path}?{origin.next_change()}")
            self._send_page(behaviour.redirect_status, {"Location": where, **behaviour.headers})
            return
        if behaviour.status:
            request.status = behaviour.status
            extra = dict(behaviour.headers)
            if behaviour.retry_after:
                extra["Retry-After"] = behaviour.retry_after
            self._send_page(behaviour.status, extra)
            return
        content = _Content.of_bytes(behaviour.content) if behaviour.content is not None else origin.find(path)
        if content is None:
            request.status = 404
            self._send_page(404)
            return
        with content.stream:
            self._send_content(request, behaviour, content)
        if behaviour.hang_up:
            raise _Cut

    def _send_raw(self, request: Request, behaviour: Behaviour) -> None:
        """At the pace of `drip`; counted as sent."""
        origin = self.server.origin
        pace = Bucket(behaviour.drip)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CHUNK)
        piece = behaviour.raw
        while piece and not origin.stopped.is_set():
            for at in range(0, len(piece), pace.piece()):
                part = piece[at : at + pace.piece()]
                pace.take(len(part), origin.stopped)
                self.wfile.write(part)
                request.sent += len(part)
            piece = behaviour.again
        raise _Cut

    def _send_stats(self) -> None:
        origin = self.server.origin
        paths = sorted({request.path.partition("?")[0] for request in origin.seen()})
        body = json.dumps({path: dataclasses.asdict(origin.stats(path)) for path in paths}).encode()
        self._send_head(200, {"Content-Type": "application/json", "Content-Length": str(len(body))})
        self.wfile.write(body)

    def _send_head(self, status: int, headers: dict[str, str]) -> None:
        reason = http.HTTPStatus(status).phrase if status in http.HTTPStatus._value2member_map_ else "Status"
        lines = [f"HTTP/1.1 {status} {reason}", f"Date: {email.utils.formatdate(usegmt=True)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.wfile.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def _send_page(self, status: int, headers: Optional[dict[str, str]] = None) -> None:
        body = b"" if status in (204, 304) else f"<html><body><h1>{status}</h1></body></html>\n".encode()
        fields = {
            "Content-Type": "text/html",
            **({} if status in (204, 304) else {"Content-Length": str(len(body))}),
            **(headers or {}),
        }
        self._send_head(status, fields)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _validators(self, behaviour: Behaviour, content: _Content) -> dict[str, str]:
        tags = {
            "strong": f'"{content.tag}"',
            "weak": f'W/"{content.tag}"',
            "none": "",
            "changing": f'"{self.server.origin.next_change() if behaviour.etag == "changing" else 0}"',
        }
        tag = tags.get(behaviour.etag, behaviour.etag)
        fields = {"ETag": tag} if tag else {}
        if behaviour.last_modified:
            fields["Last-Modified"] = email.utils.formatdate(content.modified, usegmt=True)
        return fields

    def _not_modified(self, request: Request, validators: dict[str, str]) -> bool:
        wanted = request.headers.get("if-none-match")
        if wanted is not None:
            tag = validators.get("ETag", "").removeprefix("W/")
            return bool(tag) and (
                wanted.strip() == "*" or tag in [one.strip().removeprefix("W/") for one in wanted.split(",")]
            )
        since = request.headers.get("if-modified-since")
        return since is not None and since == validators.get("Last-Modified")

    def _wanted_range(
        self, request: Request, behaviour: Behaviour, validators: dict[str, str], size: int
    ) -> Union[None, bool, tuple[int, int]]:
        text = request.headers.get("range")
        if text is None or not behaviour.ranges or request.method != "GET":
            return None
        condition = request.headers.get("if-range")
        if condition is not None:
            tag = validators.get("ETag", "")
            current = (
                tag and not tag.startswith("W/") and condition == tag or condition == validators.get("Last-Modified")
            )
            if not current:
                return None
        return parse_range(text, size)

    def _send_content(self, request: Request, behaviour: Behaviour, content: _Content) -> None:
        validators = self._validators(behaviour, content)
        if behaviour.conditional and self._not_modified(request, validators):
            request.status = 304
            self._send_head(304, validators)
            return
        size = behaviour.claim if behaviour.claim >= 0 else content.size
        part = self._wanted_range(request, behaviour, validators, content.size)
        headers = {"Content-Type": "application/octet-stream", **validators}
        if behaviour.ranges:
            headers["Accept-Ranges"] = "bytes"
        if part is False:
            request.status = 416
            self._send_page(416, {"Content-Range": f"bytes */{size}"})
            return
        first, end = (0, content.size) if not isinstance(part, tuple) else part
        first = min(first + behaviour.shift, end)
        request.status = 200
        if isinstance(part, tuple):
            request.status = behaviour.range_status or 206
            headers["Content-Range"] = behaviour.content_range or f"bytes {first}-{end - 1}/{size}"
        length = size if not isinstance(part, tuple) else end - first
        body, before, after = content.stream, b"", behaviour.extra
        if behaviour.gzip:
            body.seek(first)
            packed = gzip.compress(body.read(end - first), 1)
            body, first, end, length = io.BytesIO(packed), 0, len(packed), len(packed)
            headers["Content-Encoding"] = "gzip"
        if behaviour.multipart and isinstance(part, tuple):
            before = f"--kend\r\nContent-Range: bytes {first}-{end - 1}/{size}\r\n\r\n".encode()
            after = b"\r\n--kend--\r\n"
            headers["Content-Type"] = "multipart/byteranges; boundary=kend"
            headers.pop("Content-Range")
            length += len(before) + len(after)
        if behaviour.chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif behaviour.until_close:
            headers["Connection"] = "close"
        else:
            headers["Content-Length"] = str(behaviour.content_length if behaviour.content_length >= 0 else length)
        headers.update(behaviour.headers)
        for name in behaviour.drop_headers:
            headers.pop(name, None)
        self._send_head(request.status, headers)
        if request.method == "HEAD":
            return
        self._send_part(request, behaviour, before)
        for piece in self._pieces(behaviour, body, first, end):
            self._send_part(request, behaviour, piece)
        self._send_part(request, behaviour, after)
        if behaviour.chunked:
            self.wfile.write(b"0\r\n\r\n")
        elif (
            behaviour.until_close
            or after
            and not behaviour.multipart
            or int(headers.get("Content-Length", 0)) != length
            or size != content.size
        ):
            raise _Cut

    def _send_part(self, request: Request, behaviour: Behaviour, piece: bytes) -> None:
        if not piece:
            return
        if behaviour.chunked:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        else:
            self.wfile.write(piece)
        request.sent += len(piece)

    def _pieces(self, behaviour: Behaviour, body: BinaryIO, first: int, end: int) -> Iterator[bytes]:
        """The bytes [first, end) at the pace and up to the place that the behaviour has."""
        origin = self.server.origin
        own = Bucket(behaviour.drip)
        stops = [
            (at, what)
            for at, what in (
                (behaviour.truncate_at, "cut"),
                (behaviour.reset_at, "reset"),
                (behaviour.stall_at, "stall"),
            )
            if at >= 0
        ]
        body.seek(first)
        at = first
        while at < end and not origin.stopped.is_set():
            until = min([end, at + min(origin.bucket.piece(), own.piece())] + [stop for stop, _ in stops if stop > at])
            for stop, what in stops:
                if at >= stop:
                    self._break_off(what)
            piece = body.read(until - at)
            if not piece:
                raise _Cut
            if at <= behaviour.corrupt_at < at + len(piece):
                place = behaviour.corrupt_at - at
                piece = piece[:place] + bytes([piece[place] ^ 0xFF]) + piece[place + 1 :]
            origin.bucket.take(len(piece), origin.stopped)
            own.take(len(piece), origin.stopped)
            at += len(piece)
            yield piece

    def _break_off(self, what: str) -> None:
        if what == "stall":
            self._wait_for_client()
        elif what == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise _Cut

    def _wait_for_client(self) -> None:
        """Until the client has closed the connection or the origin stops."""
        self.connection.settimeout(0.1)
        while not self.server.origin.stopped.is_set():
            try:
                if not self.connection.recv(1):
                    return
            except TimeoutError:
                continue


@dataclasses.dataclass
class Certificates:
    """PEM files made by make_certificates."""

    authority: str
    good: tuple[str, str]  # signed by the authority for localhost and 127.0.0.1
    other_name: tuple[str, str]  # signed by the authority for another host
    expired: tuple[str, str]
    self_signed: tuple[str, str]


def make_certificates(folder: Union[str, os.PathLike[str]]) -> Certificates:
    """Makes an authority of its own and certificates with the openssl program."""
    where = Path(folder)

    def openssl(*arguments: str) -> None:
        subprocess.run(
            ["openssl", *arguments], cwd=where, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def key(name: str) -> str:
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
        return f"{name}.key"

    def signed(name: str, names: str, days: str) -> tuple[str, str]:
        openssl("req", "-new", "-key", key(name), "-subj", f"/CN={name}", "-out", f"{name}.csr")
        (where / f"{name}.ext").write_text(f"subjectAltName={names}\nauthorityKeyIdentifier=keyid\n")
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-days", days, "-extfile", f"{name}.ext", "-out", f"{name}.pem"),
        )
        return str(where / f"{name}.pem"), str(where / f"{name}.key")

    openssl(
        *("req", "-x509", "-key", key("ca"), "-subj", "/CN=kend test authority", "-days", "30", "-out", "ca.pem"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),  # without these, Python 3.13 trusts neither
    )
    local = "DNS:localhost,IP:127.0.0.1"
    openssl(
        "req",
        "-x509",
        "-key",
        key("self"),
        "-subj",
        "/CN=localhost",
        "-addext",
        f"subjectAltName={local}",
        "-days",
        "30",
        "-out",
        "self.pem",
    )
    expired = signed("expired", local, "0")  # now; newer versions of the program refuse to look back
    time.sleep(1)
    return Certificates(
        authority=str(where / "ca.pem"),
        good=signed("good", local, "30"),
        other_name=signed("other", "DNS:elsewhere.example", "30"),
        expired=expired,
        self_signed=(str(where / "self.pem"), str(where / "self.key")),
    )


def _parse_behaviour(text: str) -> tuple[str, Behaviour]:
    """PATH=FIELD:VALUE,FIELD:VALUE with the simple fields of Behaviour."""
    path, _, fields = text.partition("=")
    behaviour = Behaviour()
    kinds: dict[str, Any] = {name: type(value) for name, value in vars(behaviour).items()}
    for one in filter(None, fields.split(",")):
        name, _, value = one.partition(":")
        kind = kinds.get(name)
        if kind is bool:
            setattr(behaviour, name, value not in ("0", "false"))
        elif kind in (int, float, str):
            setattr(behaviour, name, kind(value))
        else:
            raise argparse.ArgumentTypeError(f"no simple field {name!r}")
    return path, behaviour


def main(arguments: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="An HTTP origin for tests.")
    parser.add_argument("--root", required=True, help="folder to serve")
    parser.add_argument("--rate", type=float, default=0, help="bytes per second over all connections; 0: no limit")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--behave", action="append", default=[], type=_parse_behaviour, metavar="PATH=FIELD:VALUE,...")
    parser.add_argument("--until-eof", action="store_true", help="stop when standard input closes")
    options = parser.parse_args(arguments)
    tls = (options.tls[0], options.tls[1]) if options.tls else None
    with Origin(options.root, options.rate, options.port, options.address, tls) as origin:
        for path, behaviour in options.behave:
            origin.behave(path, behaviour)
        print(origin.url, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            if options.until_eof:
                sys.stdin.buffer.read()
            else:
                origin.stopped.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
