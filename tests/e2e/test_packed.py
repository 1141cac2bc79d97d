# SPDX-License-Identifier: Apache-2.0
"""Packed deltas: the same content as plain ones, in the sizes that are promised. Blocks are read by Python that knows only the format."""

from __future__ import annotations

import ctypes
import hashlib
import json
import struct
import subprocess
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from checkpoints import DTYPES, read_header, read_metadata, read_safetensors, to_bf16, write_safetensors
from daemon import Kend
from origin import Origin
from deltas import all_tensors, convert, make_pair, ok, read_delta, tree

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Array = "np.ndarray[Any, Any]"
DATA = Path(__file__).parents[1] / "data"
FLOATING = {"F64": (52, 2047), "F32": (23, 255), "F16": (10, 31), "BF16": (7, 255)}
zstd = ctypes.CDLL("libzstd.so.1")
zstd.ZSTD_decompress.restype = ctypes.c_size_t
zstd.ZSTD_getFrameContentSize.restype = ctypes.c_ulonglong


# ---- the format, from proto/delta-format.md alone


def decompress(frame: bytes) -> bytes:
    length = zstd.ZSTD_getFrameContentSize(frame, ctypes.c_size_t(len(frame)))
    content = ctypes.create_string_buffer(length)
    assert zstd.ZSTD_decompress(content, ctypes.c_size_t(length), frame, ctypes.c_size_t(len(frame))) == length
    return content.raw


def unpack(block: bytes, stored: int, base: "np.ndarray[Any, Any]", dtype: str) -> "np.ndarray[Any, Any]":
    """One block; base: the elements' bits as unsigned integers."""
    if stored == 0:
        assert not block
        return base
    w, n, floating = 8 * base.itemsize, len(base), dtype in FLOATING
    fraction, exponents = FLOATING.get(dtype, (0, 0))
    mask_kind, classes, top, mask_length = struct.unpack_from("<BBHI", block)
    heads = [struct.unpack_from("<BBHII", block, 8 + 12 * c) for c in range(classes)]
    at = 8 + 12 * classes

    def part(length: int, coded: bool) -> bytes:
        nonlocal at
        at += length
        return decompress(block[at - length : at]) if coded else block[at - length : at]

    mask = np.frombuffer(part(mask_length, mask_kind == 2), np.uint8)
    where: Any = np.flatnonzero(np.unpackbits(mask, bitorder="little")) if mask_kind else range(n)
    assert len(where) == stored
    symbols = [iter(part(head[4], bool(head[1]))) for head in heads]
    low: Any = np.unpackbits(np.frombuffer(block[at:], np.uint8), bitorder="little").tolist()
    taken, sign, all_bits = 0, 1 << (w - 1), 2**w - 1
    out = base.copy()
    for i in where:
        x = int(base[i])
        c = min(max(top - (x >> fraction & exponents), 0), classes - 1) if floating else 0
        s, shift = next(symbols[c]), heads[c][0]
        bits = shift if s < 192 else shift + s - 185
        number = s << shift if s < 192 else 1 << bits
        number |= sum(bit << j for j, bit in enumerate(low[taken : taken + bits]))
        taken += bits
        d = number // 2 if number % 2 == 0 else -(number + 1) // 2
        y = ((x ^ (all_bits if x & sign else sign)) if floating else x) + d & all_bits
        out[i] = y ^ (sign if y & sign else all_bits) if floating else y
    assert all(next(rest, None) is None for rest in symbols) and len(low) - taken < 8 and not any(low[taken:])
    return out


def read_packed(delta: Path, base: "dict[str, np.ndarray[Any, Any]]") -> "dict[str, bytes]":
    """The bytes of every tensor of the model."""
    metadata = read_metadata(delta)
    assert (metadata["format"], metadata["version"], metadata["encoding"]) == ("ken-delta", "1", "packed")
    tensors, entries, made = json.loads(metadata["tensors"]), read_safetensors(delta), {}
    for name, tensor in tensors.items():
        size, told = DTYPES[tensor["dtype"]].itemsize, tensor["base"]
        if told:
            assert hashlib.sha256(base[told["name"]].tobytes()).hexdigest() == told["sha256"]
        count = int(np.prod(tensor["shape"], dtype=np.int64))
        whole = tensor["form"] == "whole"
        old = bytes(count * size) if whole else convert(base[told["name"]], told["dtype"], tensor["dtype"]).tobytes()
        elements = np.frombuffer(old, f"<u{size}")
        if tensor["form"] == "same":
            made[name] = elements.tobytes()
            continue
        content, most = entries.pop(f"{name}.packed").tobytes(), 524288 // size
        blocks, total, parts = -(-count // most), 0, []
        at = 16 * blocks
        for block in range(blocks):
            length, stored, check = struct.unpack_from("<II8s", content, 16 * block)
            bytes_ = content[at : at + length]
            assert hashlib.sha256(bytes_).digest()[:8] == check
            parts.append(unpack(bytes_, stored, elements[block * most : (block + 1) * most], tensor["dtype"]).tobytes())
            at, total = at + length, total + stored
        assert (at, total) == (len(content), tensor["stored"])
        made[name] = b"".join(parts)
    assert not entries, "superfluous entries"
    return made


# ---- the same as plain


@pytest.mark.smoke
@pytest.mark.parametrize("sharded", (False, True))
@pytest.mark.parametrize("arguments", (("--k", 5), ("--keep", "0.6", "--rescale", "l1"), ("--keep", "0.9")))
def test_an_independent_reader_makes_the_model(
    tmp_path: Path, kenctl: Run, sharded: bool, arguments: "tuple[object, ...]"
) -> None:
    model, base = make_pair(tmp_path, sharded)
    prune = ("prune", "--model", model, "--base", base, *arguments)
    ok(kenctl(*prune, "-o", "plain"))
    ok(kenctl(*prune, "-o", "packed", "--delta-encoding", "packed"))
    made = read_packed(tmp_path / "packed" / "delta.safetensors", all_tensors(base))
    files = {p.name: p.read_bytes() for p in (tmp_path / "packed").iterdir() if p.name.startswith("model")}
    assert files == read_delta(tmp_path / "plain" / "delta.safetensors", all_tensors(base))
    for path in (tmp_path / "packed").glob("model*.safetensors"):
        for name, values in read_safetensors(path).items():
            assert made.pop(name) == values.tobytes(), name
    assert not made
    ok(kenctl("verify", "packed", "--base", base))
    ok(kenctl("inject", "--base", base, "--delta", "packed/delta.safetensors", "-o", "again"))
    again = tmp_path / "again"
    injected = (
        {p.name: p.read_bytes() for p in again.iterdir()} if sharded else {"model.safetensors": again.read_bytes()}
    )
    assert injected == files
    answer = json.loads(ok(kenctl("inspect", "packed/delta.safetensors", "-o", "json")))
    assert answer["encoding"] == "packed"
    assert answer["totals"]["stored"] == sum(tensor["stored"] for tensor in answer["tensors"])


@pytest.mark.parametrize("pair", ("era-f32", "era-bf16"))
def test_a_job_over_http(pair: str, kend: Kend, tmp_path: Path, kenctl: Run) -> None:
    with Origin(DATA / pair) as origin:
        document = {"model": f"{origin.url}/finetuned.safetensors", "base": f"{origin.url}/base.safetensors"}
        job = kend.wait(kend.submit({**document, "keep": 0.5, "delta_encoding": "packed"}))
    assert job["status"] == "succeeded", job["error"]
    files = {}
    for artifact in job["artifacts"]:
        files[artifact["name"]] = tmp_path / artifact["name"]
        files[artifact["name"]].write_bytes(kend.download(job["id"], artifact["name"]))
    base = DATA / pair / "base.safetensors"
    ok(kenctl("inject", "--base", base, "--delta", files["delta.safetensors"], "-o", "again.safetensors"))
    assert (tmp_path / "again.safetensors").read_bytes() == files["model.safetensors"].read_bytes()
    ok(
        kenctl(
            *("prune", "--model", DATA / pair / "finetuned.safetensors", "--base", base, "--keep", "0.5", "-o", "out"),
            *("--delta-encoding", "packed"),
        )
    )
    for name, path in files.items():
        if name != "report.json":
            assert (tmp_path / "out" / name).read_bytes() == path.read_bytes(), name
    assert (
        json.loads(files["report.json"].read_text())["totals"]["delta_bytes"]
        == files["delta.safetensors"].stat().st_size
    )


def test_threads_and_memory_do_not_change_a_byte(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path, True)
    digests = []
    for i, arguments in enumerate(((), ("--threads", 1), ("--threads", 5, "--memory", "8MiB"), ("--kernel", "scalar"))):
        prune = ("prune", "--model", model, "--base", base, "--keep", "0.3", "--delta-encoding", "packed")
        ok(kenctl(*prune, *arguments, "-o", f"out{i}"))
        digests.append(tree(tmp_path / f"out{i}"))
    assert all(digest == digests[0] for digest in digests)


# ---- sizes


@pytest.mark.parametrize(
    ("dtype", "keep", "most"), (("F32", 0.25, 0.2), ("F32", 0.5, 0.372), ("BF16", 0.25, 0.13), ("BF16", 0.5, 0.22))
)
def test_sizes_are_as_promised(tmp_path: Path, kenctl: Run, dtype: str, keep: float, most: float) -> None:
    random = np.random.default_rng(3)
    base = random.standard_normal((4096, 768), np.float32)
    model = base + np.float32(0.02) * random.standard_normal(base.shape, np.float32)
    for name, values in (("base", base), ("model", model)):
        tensors = {"weight": to_bf16(values) if dtype == "BF16" else values}
        write_safetensors(tmp_path / f"{name}.safetensors", tensors, dtypes={"weight": dtype})
    assert read_header(tmp_path / "model.safetensors")[0]["weight"]["dtype"] == dtype
    arguments = ("--model", "model.safetensors", "--base", "base.safetensors", "--delta-encoding", "packed")
    ok(kenctl("prune", *arguments, "--keep", keep, "-o", "out"))
    out = tmp_path / "out"
    part = (out / "delta.safetensors").stat().st_size / (out / "model.safetensors").stat().st_size
    assert 0.5 * most < part <= most
    ok(kenctl("verify", out, "--base", "base.safetensors"))


# ---- what is wrong


def damaged(tmp_path: Path, kenctl: Run) -> "tuple[Path, Path, int]":
    """A base, its packed delta, and where the delta's data begin."""
    model, base = make_pair(tmp_path)
    ok(kenctl("prune", "--model", model, "--base", base, "--k", 20, "--delta-encoding", "packed", "-o", "out"))
    delta = tmp_path / "out" / "delta.safetensors"
    return base, delta, 8 + int.from_bytes(delta.read_bytes()[:8], "little")


@pytest.mark.parametrize(
    ("at", "byte", "message"),
    (
        (0, 0xFF, "block 0 is damaged: it has another SHA-256 than the index tells"),
        (3, 0xFF, "block 0 is longer than a block can be or than what is there"),
        (4, 0xFF, "block 0: its "),
        (7, 0xFF, "block 0: more elements are stored than it has"),
        (8, 0xFF, "block 0 is damaged: it has another SHA-256 than the index tells"),
        (16, 0xFF, "block 0 is damaged: it has another SHA-256 than the index tells"),
        (40, 0xFF, "block 0 is damaged: it has another SHA-256 than the index tells"),
    ),
)
def test_a_damaged_delta_is_refused(tmp_path: Path, kenctl: Run, at: int, byte: int, message: str) -> None:
    base, delta, data = damaged(tmp_path, kenctl)
    content = bytearray(delta.read_bytes())
    content[data + at] ^= byte
    delta.write_bytes(content)
    for command in (("inject", "-o", "new.safetensors"), ("verify",)):
        result = kenctl(*command, "--base", base, "--delta", delta)
        assert result.returncode == 1
        assert message in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "new.safetensors").exists()


def test_forged_headers_are_refused(tmp_path: Path, kenctl: Run) -> None:
    base, delta, _ = damaged(tmp_path, kenctl)
    metadata, entries = read_metadata(delta), read_safetensors(delta)
    tensors = json.loads(metadata["tensors"])

    def refused(message: str, change: "dict[str, Any]", changed: "dict[str, Any]") -> None:
        told = {**tensors, "emb.weight": {**tensors["emb.weight"], **change}}
        forged = {**metadata, "tensors": json.dumps(told)}
        new = {name: values for name, values in {**entries, **changed}.items() if values is not None}
        write_safetensors(tmp_path / "forged.safetensors", new, forged)
        result = kenctl("inject", "--base", base, "--delta", "forged.safetensors", "-o", "new.safetensors")
        assert (result.returncode, message in result.stderr) == (1, True), result.stderr

    packed = entries["emb.weight.packed"]
    stored = tensors["emb.weight"]["stored"]
    refused("form gaps, which there is not in encoding packed", {"form": "gaps"}, {})
    refused('entry "packed" is missing', {}, {"emb.weight.packed": None})
    refused('entry "packed" is not of dtype U8 with one dimension', {}, {"emb.weight.packed": packed.astype(np.int8)})
    refused('entry "packed" is not of dtype U8 with one dimension', {}, {"emb.weight.packed": packed.reshape(1, -1)})
    refused('entry "packed" is shorter than the index of 1 blocks', {}, {"emb.weight.packed": packed[:15]})
    refused("is longer than a block can be or than what is there", {}, {"emb.weight.packed": packed[:-1]})
    refused("1 bytes behind its last block", {}, {"emb.weight.packed": np.append(packed, packed[:1])})
    refused(f"its blocks store {stored} elements, not {stored - 1}", {"stored": stored - 1}, {})
    refused("form same, but", {"form": "same"}, {})
    refused("belongs to no tensor", {"form": "same", "stored": 0}, {})
    refused("it has no base, and is not stored whole", {"base": None}, {})
    refused("has another shape than the delta was made from", {"shape": [64, 40]}, {})
    refused("belongs to no tensor", {}, {"emb.weight.values": packed})


def test_another_base_is_refused_by_its_digest(tmp_path: Path, kenctl: Run) -> None:
    base, delta, _ = damaged(tmp_path, kenctl)
    for factor in (1e-9, 1000.0):  # near, and so far that blocks do not go with it
        tensors = {name: values.copy() for name, values in read_safetensors(base).items()}
        tensors["layer.1.weight"] += factor
        write_safetensors(tmp_path / "other.safetensors", tensors)
        result = kenctl("inject", "--base", "other.safetensors", "--delta", delta, "-o", "new.safetensors")
        assert result.returncode == 1
        assert 'base tensor "layer.1.weight" has SHA-256 ' in result.stderr and "this is another base" in result.stderr
