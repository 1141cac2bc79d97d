# SPDX-License-Identifier: Apache-2.0
"""file: URLs, which are read in place, below roots alone."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from fetching import BODY, SIZE, Prober, fetch, sha256  # fetch is a fixture


@pytest.fixture
def files(tmp_path: Path) -> Path:
    root = tmp_path / "files"
    (root / "sub").mkdir(parents=True)
    (root / "model.safetensors").write_bytes(BODY)
    (root / "sub" / "a b.bin").write_bytes(BODY)
    (tmp_path / "outside").write_bytes(BODY)
    (tmp_path / "files-too").mkdir()
    (tmp_path / "files-too" / "x").write_bytes(BODY)
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "in").symlink_to("sub/a b.bin")
    (root / "up").symlink_to("..")
    (root / "dangling").symlink_to(tmp_path / "nowhere")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "fifo")
    return root


@pytest.mark.parametrize(
    "path", ["model.safetensors", "sub/a%20b.bin", "in", "sub/../model.safetensors", "//model.safetensors"]
)
def test_files_below_the_roots(path: str, files: Path, fetch: Prober) -> None:
    got = fetch(f"file://{files}/{path}", roots=f"/nonexistent-{os.getpid()},{files}".split(",")[1])
    assert (got.code, got.size, got.seen) == ("KEN_OK", SIZE, sha256(BODY))
    # In place: nothing is copied, and whoever reads it hashes it.
    assert (got.sha256, got.cache_bytes, got.received, got.read_in_place) == ("", 0, 0, SIZE)


#: Each by a way of its own; what is not there is told in the same words as what is.
OUTSIDE = ["out", "../outside", "up/outside", "%2e%2e/outside", "sub%2f..%2f..%2foutside", "../files-too/x"]
NOWHERE = ["dangling", "dangling/x", "dangling/", "loop", "loop/x", "../nothing", "up/nothing", "up/no/thing"]
NOWHERE += ["up/outside/x", "out/x", "%2e%2e/nothing", "sub%2f..%2f..%2fnothing", "up/files-too/nothing"]


@pytest.mark.parametrize("path", OUTSIDE + NOWHERE)
def test_files_outside_the_roots(path: str, files: Path, fetch: Prober) -> None:
    url = f"file://{files}/{path}"
    got = fetch(url, roots=files)
    assert got.code == "KEN_EADDRESS"
    assert re.search(r"^file://\S+ does not lie below a folder that fetch.file_roots lists$", got.message)


def test_roots_that_are_links(files: Path, tmp_path: Path, fetch: Prober) -> None:
    (tmp_path / "alias").symlink_to(files)
    for root, told in (("alias", "files"), ("files", "alias"), ("alias", "alias")):
        assert fetch(f"file://{tmp_path}/{told}/model.safetensors", roots=tmp_path / root).seen == sha256(BODY)
        got = fetch(f"file://{tmp_path}/{told}/nothing", roots=tmp_path / root)
        assert (got.code, got.message.rpartition(": ")[2]) == ("KEN_EFETCH", "there is no such file")


def test_files_without_roots(files: Path, fetch: Prober) -> None:
    assert fetch(f"file://{files}/model.safetensors").code == "KEN_EADDRESS"


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("nothing", "KEN_EFETCH", "there is no such file$"),
        ("fifo", "KEN_EFETCH", "is not a regular file$"),
        ("in/x", "KEN_EFETCH", "there is no such file$"),
        ("no/thing", "KEN_EFETCH", "there is no such file$"),
        ("model.safetensors/x", "KEN_EFETCH", "there is no such file$"),
    ],
)
def test_files_that_cannot_be_read(path: str, code: str, message: str, files: Path, fetch: Prober) -> None:
    got = fetch(f"file://{files}/{path}", roots=files)
    assert got.code == code
    assert re.search(message, got.message), got.message


def test_a_folder_of_files(files: Path, fetch: Prober) -> None:
    for ending in ("", "/"):
        got = fetch(f"file://{files}{ending}", roots=files, name="model.safetensors")
        assert (got.code, got.folder, got.seen) == ("KEN_OK", True, sha256(BODY))
        assert fetch(f"file://{files}{ending}", roots=files, name="nothing").code == "KEN_ENOT_FOUND"


def test_digest_and_size_of_a_file(files: Path, fetch: Prober) -> None:
    url = f"file://{files}/model.safetensors"
    got = fetch(url, roots=files, sha256=sha256(BODY))
    assert (got.code, got.sha256) == ("KEN_OK", sha256(BODY))
    got = fetch(url, roots=files, sha256="0" * 64)
    assert got.code == "KEN_EDIGEST"
    assert got.message.endswith(f'has the SHA-256 {sha256(BODY)}, not {"0" * 64}')
    assert fetch(url, roots=files, max_bytes=1000).code == "KEN_ETOO_LARGE"
