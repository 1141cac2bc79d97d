# SPDX-License-Identifier: Apache-2.0
"""What people give ken_delta for a base, a delta or an output: it takes what it can, and says what to do about the rest before the work."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from checkpoints import make_safetensors, read_safetensors, write_safetensors
from daemon import BUILD
from deltas import make_pair, ok, tree
from test_python import PACKAGE, files_of, ken_delta, prune, python, told, write_delta

Run = Callable[..., "subprocess.CompletedProcess[str]"]
GIT_LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
PICKLE = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def padded(length: int) -> bytes:
    """A file of one tensor with a header of this length."""
    plain = make_safetensors({"w": np.arange(6, dtype=np.float32)})
    begin = 8 + int.from_bytes(plain[:8], "little")
    text = plain[8:begin].rstrip()
    assert len(text) <= length
    return length.to_bytes(8, "little") + text.ljust(length) + plain[begin:]


@pytest.mark.smoke
def test_every_length_of_a_header(tmp_path: Path) -> None:
    """A header's length may look like the beginning of a pickle, a zip, of JSON or of HTML."""
    values = np.arange(6, dtype=np.float32)
    write_delta(tmp_path / "delta", {"w": told("F32", values, name="w")}, {})
    likely = (0x4B50, 0x04034B50, *(0x80 + (n << 8) for n in range(6)), 0x227B, 0x3C, 0x7B, 0x203C, 0xBFBBEF, 0x20200A)
    for length in {*likely, *range(64, 64 + 520)}:
        (tmp_path / "base").write_bytes(padded(length))
        assert np.array_equal(ken_delta.apply(tmp_path / "base", tmp_path / "delta")["w"], values), hex(length)


def test_kenctl_takes_the_same_lengths(tmp_path: Path, kenctl: Run) -> None:
    write_delta(tmp_path / "delta", {"w": told("F32", np.arange(6, dtype=np.float32), name="w")}, {})
    for length in (0x80, 0x180, 0x280, 0x580, 0x4B50, 0x227B, 0x203C, 0xBFBBEF):
        (tmp_path / "base").write_bytes(padded(length))
        ok(kenctl("inject", "--force", "--base", "base", "--delta", "delta", "-o", "made"))


@pytest.mark.parametrize(
    ("content", "message"),
    (
        (b"", "the file is empty"),
        (b"abc", "3 bytes are too few for a safetensors file"),
        (b"PK\3\4" + bytes(20), "a PyTorch file, "),
        (PICKLE, "a PyTorch file, "),
        (bytes(257) + b"ustar", "a PyTorch file, "),
        (b"<!DOCTYPE html>", "this is an HTML page"),
        (GIT_LFS, "this is a Git LFS pointer"),
        (b"GGUF\3\0\0\0\1\0\0\0", "no safetensors file: "),
        (b"\x02" + bytes(7) + b"[]", "no safetensors file: its header does not begin with '{'"),
        (b'{"weight_map":{}}', "this is JSON|no weight_map, or an empty one"),
    ),
)
def test_files_of_other_kinds(tmp_path: Path, content: bytes, message: str) -> None:
    """As a base, as a shard of one, and as a delta."""
    write_delta(tmp_path / "delta", {"w": told("F32", np.zeros(2, np.float32))}, {})
    (tmp_path / "odd").write_bytes(content)
    (tmp_path / "index").write_text(json.dumps({"weight_map": {"w": "odd"}}))
    for base in ("odd", "index"):
        with pytest.raises(ken_delta.CheckpointError, match=f"odd: ({message})"):
            ken_delta.apply(tmp_path / base, tmp_path / "delta")
    with pytest.raises(ken_delta.DeltaError, match=f"odd: ({message})"):
        ken_delta.open(tmp_path / "odd")


@pytest.fixture(scope="module")
def models(tmp_path_factory: Any) -> Path:
    """A folder with base.safetensors, base/ (sharded), and one/ and many/ with their deltas; it stays as it is."""
    folder: Path = tmp_path_factory.mktemp("models")

    def kenctl(*arguments: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([BUILD / "kenctl", *map(str, arguments)], capture_output=True, text=True, timeout=60)

    for sharded, name in ((False, "one"), (True, "many")):
        model, base = make_pair(folder, sharded)
        prune(kenctl, model, base, "plain", "--k", 20).rename(folder / name)
    write_safetensors(folder / "empty.safetensors", {})
    (folder / "nothing").touch()
    (folder / "folder").mkdir()
    (folder / "loop").symlink_to("loop")
    (folder / "link").symlink_to("base.safetensors")
    os.mkfifo(folder / "pipe")
    return folder


def run(folder: Path, *arguments: object, **options: Any) -> "subprocess.CompletedProcess[str]":
    return python("-m", "ken_delta", *arguments, cwd=folder, **options)


def apply(folder: Path, base: object, delta: object, output: object, *more: str) -> str:
    """What the command line prints."""
    result = run(folder, "apply", "--base", base, "--delta", delta, "-o", output, *more)
    assert result.stdout == "" and (result.returncode, result.stderr == "") in ((0, True), (1, False))
    return result.stderr


def test_folders_are_taken(tmp_path: Path, models: Path) -> None:
    for base, delta in (("base.safetensors", "one"), ("base", "one/"), ("base", "many")):
        made = tmp_path / f"{base}.{delta.strip('/')}"
        assert apply(models, base, delta, made) == ""
        assert files_of(made) == files_of(models / delta / "model.safetensors" if "one" in delta else models / delta)
    assert ok(run(models, "inspect", "one")) == ok(run(models, "inspect", "one/delta.safetensors"))
    (tmp_path / "there").mkdir()
    assert apply(models, "base", "many", tmp_path / "there") == "", "an empty folder is no obstacle"


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("base", "delta", "output", "message"),
    (
        ("none", "one", "x", "none: there is no such file or folder: check the path"),
        ("base", "none", "x", "none: there is no such file or folder: check the path"),
        ("", "one", "x", ": there is no such file or folder: check the path"),
        ("loop", "one", "x", "loop: a loop of symbolic links: give the file itself"),
        ("base", "nothing/x", "x", "nothing/x: a part of the path is a file, not a folder: check the path"),
        ("folder", "one", "x", "no checkpoint in folder: neither model.safetensors nor model.safetensors.index.json"),
        ("base", "folder", "x", "no delta in folder: there is no delta.safetensors"),
        ("base", "base", "x", "no delta in base: there is no delta.safetensors"),
        ("nothing", "one", "x", "nothing: the file is empty"),
        ("base", "nothing", "x", "nothing: the file is empty"),
        ("pipe", "one", "x", "pipe: a device or a pipe, not a file: give the path of a file on disk"),
        ("base", "pipe", "x", "pipe: a device or a pipe, not a file: give the path of a file on disk"),
        ("base", "/dev/null", "x", "/dev/null: a device or a pipe, not a file: give the path of a file on disk"),
        ("one/delta.safetensors", "one", "x", "one/delta.safetensors: this is a delta: give the base that it was made"),
        ("base", "base.safetensors", "x", "base.safetensors: this is no delta: "),
        (
            "base",
            "base/model.safetensors.index.json",
            "x",
            "base/model.safetensors.index.json: this is JSON, not a saf",
        ),
        ("empty.safetensors", "one", "x", 'the base has no tensor "'),
        (
            "base",
            "one",
            "x/",
            "{}/x is a folder, but the model is one file: give its path, such as {}/x/model.safetensors",
        ),
        ("base", "one", "", "{} is a folder, but the model is one file: "),
        ("base", "one", "no/x", "{}/no/: there is no such file or folder: check the path"),
        ("base", "one", "nothing/x", "{}/nothing/: a part of the path is a file, not a folder: check the path"),
        ("base", "one", "x" * 255, "{}/" + "x" * 255 + ": the name is too long: choose a shorter one"),
        ("base", "one", "/dev/null", "/dev/null is there and no file, hence not replaced: choose another output"),
        ("base", "one", "pipe", "{}/pipe is there and no file, hence not replaced: choose another output"),
        ("base", "many", "nothing", "{}/nothing is no folder, but the model is sharded: give the path of a folder"),
        ("base.safetensors", "one", "base.safetensors", "{}/base.safetensors is what the model is made from: "),
        ("base.safetensors", "one", "link", "{}/link is what the model is made from: choose another output"),
        ("link", "one", "folder/../base.safetensors", "{}/base.safetensors is what the model is made from: "),
        ("base", "one", "one/delta.safetensors", "{}/one/delta.safetensors is what the model is made from: "),
        ("base", "many", "base", "{}/base/model.safetensors.index.json is what the model is made from: "),
    ),
)
def test_what_cannot_be(models: Path, base: str, delta: str, output: str, message: str) -> None:
    """Each is told with the file's name and what to do, --force or not, and all stays as it is."""
    before, names = tree(models), sorted(models.rglob("*"))
    printed = apply(models, base, delta, output, "--force")
    assert printed.startswith("ken_delta: " + message.replace("{}", str(models))), printed
    assert "Errno" not in printed and printed.count("\n") == 1
    assert tree(models) == before and sorted(models.rglob("*")) == names


def test_what_is_there_is_told_before_the_work(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(*_: object) -> None:
        raise AssertionError("no tensor is to be made")

    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "model.safetensors").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "odd" / "model-00001-of-00002.safetensors").mkdir(parents=True)
    monkeypatch.setattr("ken_delta._apply._pieces", work)
    for delta, output, replace, error in (
        ("one", "full/file", False, FileExistsError),
        ("one", "there", False, FileExistsError),
        ("one", "new/", True, IsADirectoryError),
        ("one", "none/x", True, FileNotFoundError),
        ("many", "full", False, FileExistsError),
        ("many", "full/file", True, NotADirectoryError),
        ("many", "odd", True, FileExistsError),
    ):
        with pytest.raises(error):
            ken_delta.apply_files(models / "base", models / delta, f"{tmp_path}/{output}", replace=replace)


@pytest.mark.parametrize("delta", ("one", "many"))
def test_writing_that_fails(tmp_path: Path, models: Path, delta: str) -> None:
    """A file that becomes too large stands for a disk that is full."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))

    arguments = ("apply", "--base", models / "base", "--delta", models / delta, "-o", "made")
    result = run(tmp_path, *arguments, preexec_fn=limit)
    message = "it becomes larger than files may be here: choose an output elsewhere"
    assert result.stderr == f"ken_delta: {tmp_path}/made: {message}\n"
    assert result.returncode == 1 and not list(tmp_path.iterdir())


def test_standard_output(models: Path) -> None:
    """Full, closed by the reader, or without the characters of a name."""
    command = [sys.executable, "-m", "ken_delta", "inspect", "one"]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE), "PYTHONDONTWRITEBYTECODE": "1"}
    options: "dict[str, Any]" = {"stderr": subprocess.PIPE, "text": True, "env": environment, "cwd": models}
    with open("/dev/full", "w") as full:
        result = subprocess.run(command, stdout=full, timeout=60, **options)
    assert result.stderr.startswith("ken_delta: standard output: no space is left: ") and result.returncode == 1
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run(command, stdout=writing, timeout=60, **options)
    os.close(writing)
    assert (result.returncode, result.stderr) == (1, "")
    environment["PYTHONIOENCODING"] = "ascii"
    result = subprocess.run(command, stdout=subprocess.PIPE, timeout=60, **options)
    assert r'classifier.\xfc"weight' in ok(result)


def test_a_folder_takes_a_model_of_one_file(tmp_path: Path, models: Path) -> None:
    """As for kenctl inject."""
    (tmp_path / "folder").mkdir()
    ken_delta.apply_files(models / "base", models / "one", tmp_path / "folder")
    ken_delta.apply_files(models / "base", models / "one", tmp_path / "file")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["model.safetensors"]
    assert (tmp_path / "folder" / "model.safetensors").read_bytes() == (tmp_path / "file").read_bytes()


def test_what_is_no_array_is_told_by_name(models: Path) -> None:
    class Odd:
        def __array__(self, *_: object, **__: object) -> None:
            raise TypeError("Got unsupported ScalarType BFloat16")

    with ken_delta.open(models / "one") as delta:
        names = [tensor.base.name for tensor in delta.tensors.values() if tensor.base]
        with pytest.raises(
            TypeError, match=f'^base tensor "{names[0]}": Got unsupported ScalarType BFloat16; of dtypes'
        ):
            ken_delta.apply({name: Odd() for name in names}, delta)


def test_some_tensors_alone(models: Path) -> None:
    with ken_delta.open(models / "one") as delta:
        every = ken_delta.apply(models / "base", delta)
        names = list(every)[-1:0:-2]
        base = {tensor.base.name for tensor in delta.tensors.values() if tensor.base and tensor.name in names}
        arrays = read_safetensors(models / "base.safetensors")
        some = ken_delta.apply({name: arrays[name] for name in base}, delta, names=iter(names))
        assert list(some) == [name for name in every if name in names]
        assert all(array.tobytes() == every[name].tobytes() for name, array in some.items())
        with pytest.raises(KeyError, match='the model has no tensor "none"'):
            ken_delta.apply(models / "base", delta, names=["none"])
        assert ken_delta.apply({}, delta, names=()) == {}
