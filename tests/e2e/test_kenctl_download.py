# SPDX-License-Identifier: Apache-2.0
"""kenctl download: broken off, gone on with, and what must not be written."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

from fake_kend import ID, Fake, Handler, Run, fake  # noqa: F401  a fixture

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Store:
    """The artifacts of a fake: `script` says how the n-th request for bytes is answered."""

    def __init__(
        self,
        fake: Fake,
        script: "list[Callable[[Handler, int], None]]",
        name: str = "half/model.safetensors",
        sha256: str = SHA256,
    ) -> None:
        self.script, self.ranges = script, []  # type: ignore[var-annotated]
        self.list = {
            "object": "list",
            "data": [{"name": name, "variant": "", "size": len(CONTENT), "sha256": sha256, "url": "http://elsewhere/"}],
        }
        self.name = name
        fake.answer = self.answer

    def answer(self, handler: Handler, count: int) -> None:
        if handler.path == f"/v1/jobs/{ID}/artifacts":
            handler.json(200, self.list)
            return
        assert handler.path == f"/v1/jobs/{ID}/artifacts/{self.name}"
        asked = handler.headers.get("Range")
        self.ranges.append((asked, handler.headers.get("If-Range")))
        offset = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        self.script[min(len(self.ranges), len(self.script)) - 1](handler, offset)


def send_rest(handler: Handler, offset: int) -> None:
    headers = {"Content_Range": f"bytes {offset}-{len(CONTENT) - 1}/{len(CONTENT)}"} if offset else {}
    handler.reply(206 if offset else 200, CONTENT[offset:], ETag=f'"{SHA256}"', **headers)


def send_all(handler: Handler, offset: int) -> None:
    handler.reply(200, CONTENT, ETag='"other"')


def send_some(length: int) -> "Callable[[Handler, int], None]":
    """So many bytes, then the connection ends."""

    def send(handler: Handler, offset: int) -> None:
        handler.send_response(206 if offset else 200)
        handler.send_header("Content-Length", str(len(CONTENT) - offset))
        handler.end_headers()
        handler.wfile.write(CONTENT[offset : offset + length])
        handler.wfile.flush()
        handler.cut()

    return send


def send_wrong(handler: Handler, offset: int) -> None:
    handler.reply(200, bytes(len(CONTENT)))


def test_a_download_goes_on_where_it_broke_off(kenctl: Run, fake: Fake, tmp_path: Path) -> None:
    store = Store(fake, [send_some(50000), send_some(30000), send_rest])
    result = kenctl("--server", fake.url, "download", ID, "-o", "got")
    assert (result.returncode, result.stdout) == (0, "got/half/model.safetensors\n"), result.stderr
    assert (tmp_path / "got/half/model.safetensors").read_bytes() == CONTENT
    assert store.ranges == [(None, None), ("bytes=50000-", f'"{SHA256}"'), ("bytes=80000-", f'"{SHA256}"')]
    again = kenctl("--server", fake.url, "download", ID, "half/model.safetensors", "-o", "got", "--json")
    assert json.loads(again.stdout) == store.list["data"]
    assert len(store.ranges) == 3, "what is there is not fetched again"


@pytest.mark.parametrize(
    ("length", "script", "ranges"),
    (
        (70000, [send_rest], ["bytes=70000-"]),
        (70000, [send_all], ["bytes=70000-"]),  # the server has another file: from the beginning
        (len(CONTENT), [send_rest], []),
        (len(CONTENT) + 1, [send_rest], [None]),  # cannot be a part of it
        (0, [send_rest], [None]),
    ),
)
def test_a_part_of_an_earlier_try_is_used(
    kenctl: Run, fake: Fake, tmp_path: Path, length: int, script: "list[Any]", ranges: "list[Optional[str]]"
) -> None:
    store = Store(fake, script, "delta.safetensors")
    (tmp_path / "delta.safetensors.part").write_bytes((CONTENT + b"x")[:length])
    result = kenctl("--server", fake.url, "download", ID)
    assert (result.returncode, result.stdout) == (0, "./delta.safetensors\n"), result.stderr
    assert (tmp_path / "delta.safetensors").read_bytes() == CONTENT
    assert not (tmp_path / "delta.safetensors.part").exists()
    assert [asked for asked, _ in store.ranges] == ranges


def test_wrong_bytes_are_thrown_away_and_nothing_else(kenctl: Run, fake: Fake, tmp_path: Path) -> None:
    store = Store(fake, [send_wrong], "a.bin")
    (tmp_path / "b.bin").write_text("mine")
    result = kenctl("--server", fake.url, "download", ID)
    assert result.returncode == 1
    assert (
        f"a.bin: the bytes that came have SHA-256 {hashlib.sha256(bytes(len(CONTENT))).hexdigest()}, not {SHA256}"
        in result.stderr
    )
    assert [p.name for p in tmp_path.iterdir()] == ["b.bin"]
    (tmp_path / "a.bin").write_text("old")
    result = kenctl("--server", fake.url, "download", ID)
    assert (
        result.returncode,
        "./a.bin is there already and is another file; --force replaces it" in result.stderr,
    ) == (1, True)
    assert kenctl("--server", fake.url, "download", ID, "--force").returncode == 1
    assert (tmp_path / "a.bin").read_text() == "old", "a failed download replaces nothing"
    (tmp_path / "a.bin").rename(tmp_path / "old")
    os.mkfifo(tmp_path / "a.bin")
    result = kenctl("--server", fake.url, "download", ID, "--force")
    assert (result.returncode, "./a.bin is there and no regular file: nothing replaces it" in result.stderr) == (
        1,
        True,
    )
    (tmp_path / "old").rename(tmp_path / "a.bin")
    store.script = [send_rest]
    assert kenctl("--server", fake.url, "download", ID, "-f").returncode == 0
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    store.script = [lambda handler, offset: handler.reply(200, CONTENT + b"x")]
    (tmp_path / "a.bin").unlink()
    result = kenctl("--server", fake.url, "download", ID)
    assert (result.returncode, f"the server sends more than the {len(CONTENT)} bytes" in result.stderr) == (1, True)
    assert not (tmp_path / "a.bin").exists()


def test_downloads_that_cannot_be(kenctl: Run, fake: Fake, tmp_path: Path) -> None:
    store = Store(fake, [lambda handler, offset: handler.problem(404, "not_found", detail="no such artifact")], "a.bin")
    result = kenctl("--server", fake.url, "download", ID)
    assert (result.returncode, "(404 not_found)" in result.stderr) == (1, True)
    result = kenctl("--server", fake.url, "download", ID, "a.bin", "b.bin")
    assert (result.returncode, "the job has no artifact 'b.bin'" in result.stderr) == (1, True)
    store.list["data"] = []
    result = kenctl("--server", fake.url, "download", ID)
    assert (result.returncode, "the job has no artifacts" in result.stderr) == (1, True)
    for name in ("../a", "/etc/a", "a/../../b", "a//b", ".", "a\n", ""):
        store.list["data"] = [{"name": name, "size": 1, "sha256": SHA256}]
        result = kenctl("--server", fake.url, "download", ID, "-o", "deep/er")
        assert (result.returncode, "which is no safe file name" in result.stderr) == (1, True), name
    store.list["data"] = [{"name": "a", "size": 1, "sha256": "00"}]
    result = kenctl("--server", fake.url, "download", ID)
    assert (result.returncode, "the server does not tell size and digest of a" in result.stderr) == (1, True)
    assert not [p for p in tmp_path.iterdir() if p.name != "a.bin.part"]
