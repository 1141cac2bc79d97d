# SPDX-License-Identifier: Apache-2.0
"""ken_delta, the package in client/python, gives the very files that kenctl prunes, and refuses whatever is not a delta of its base."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import numpy as np
import pytest

from checkpoints import (
    DTYPES,
    make_header,
    make_index,
    malformed_headers,
    malformed_indexes,
    make_safetensors,
    read_header,
    read_metadata,
    read_safetensors,
    write_safetensors,
    write_tiled,
)
from test_kenctl_local import all_tensors, make_pair, ok

PACKAGE = Path(__file__).resolve().parents[2] / "client" / "python"
sys.path.insert(0, str(PACKAGE))
import ken_delta  # noqa: E402

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Array = Any
ENCODINGS = ("plain", "packed")
SIZES = {"F4": 0.5, "F6_E2M3": 0.75, **{name: dtype.itemsize for name, dtype in DTYPES.items()}}


# ---- pairs


def write_kinds(path: Path, tensors: "dict[str, tuple[str, tuple[int, ...], bytes]]") -> None:
    """A file of (dtype, shape, bytes)."""
    entries: "dict[str, Any]" = {"__metadata__": {"format": "pt", "nöte": 'ü"\\\n\u0001\u2028😀'}}
    at = 0
    for name, (dtype, shape, content) in tensors.items():
        assert len(content) == math.prod(shape) * SIZES[dtype], name
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(content)]}
        at += len(content)
    path.write_bytes(make_header(entries) + b"".join(content for _, _, content in tensors.values()))


def values_of(random: np.random.Generator, dtype: str, values: Array) -> bytes:
    """Finite float32 values in a floating dtype, cut off."""
    if dtype == "BF16":
        return (values.astype(np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    return values.astype(DTYPES[dtype]).tobytes()


def make_kinds(folder: Path) -> "tuple[Path, Path]":
    """A pair with every dtype, more than a block of some, bases in other dtypes, scalars, empty tensors, tensors without a base."""
    random = np.random.default_rng(11)
    model: "dict[str, tuple[str, tuple[int, ...], bytes]]" = {}
    base = dict(model)
    floating = ("F64", "F32", "F16", "BF16")
    for dtype, other in itertools.product(floating, floating):
        shape: "tuple[int, ...]" = (300, 1000) if dtype == other else (7, 90)
        old = random.standard_normal(shape, np.float32) * np.float32(0.05)
        new = old + np.float32(0.002) * random.standard_normal(shape, np.float32)
        model[f"{dtype}.of.{other}"] = dtype, shape, values_of(random, dtype, new)
        base[f"{dtype}.of.{other}"] = other, shape, values_of(random, other, old)
    for dtype, shape in itertools.product((*DTYPES, "F4", "F6_E2M3"), ((), (0, 4), (6, 8), (700, 800))):
        if (shape == () and SIZES[dtype] < 1) or (len(shape) == 2 and shape[0] == 700 and dtype not in ("I32", "U8")):
            continue
        content = bytearray(random.bytes(int(math.prod(shape) * SIZES[dtype])))
        if dtype in floating:
            content = bytearray(b"\0" * len(content))
        if dtype == "BOOL":
            content = bytearray(byte & 1 for byte in content)
        base[f"{dtype}{list(shape)}"] = dtype, shape, bytes(content)
        if len(content) > 7:
            content[7] ^= 1
        model[f"{dtype}{list(shape)}"] = dtype, shape, bytes(content)
    model['head.ü"\\\t'] = "F32", (4, 30), values_of(random, "F32", random.standard_normal((4, 30)))
    model["head.F4"] = "F4", (3, 4), b"\1\2\3\4\5\6"
    model["head.empty"] = "I64", (0,), b""
    base["only.in.base"] = "F32", (), bytes(4)
    write_kinds(folder / "model.safetensors", dict(sorted(model.items())))
    write_kinds(folder / "base.safetensors", base)
    return folder / "model.safetensors", folder / "base.safetensors"


def prune(kenctl: Run, model: Path, base: Path, encoding: str, *arguments: object) -> Path:
    """The folder of what a pair is pruned to."""
    out = model.parent / "-".join(map(str, ("out", encoding, *arguments)))
    ok(kenctl("prune", "--model", model, "--base", base, *arguments, "--delta-encoding", encoding, "-o", out))
    return out


def files_of(path: Path) -> "dict[str, bytes]":
    """A model's files by name, of a folder or of a single file."""
    files = [p for p in path.iterdir() if p.name.startswith("model")] if path.is_dir() else [path]
    return {"model.safetensors" if p == path else p.name: p.read_bytes() for p in files}


def same_bits(array: Array, other: Array) -> bool:
    return bool(array.shape == other.shape and array.dtype == other.dtype and array.tobytes() == other.tobytes())


# ---- the same bytes


@pytest.mark.smoke
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("arguments", (("--k", 1), ("--keep", "0.1"), ("--keep", "0.7", "--rescale", "l1")))
def test_every_dtype(tmp_path: Path, kenctl: Run, encoding: str, arguments: "tuple[object, ...]") -> None:
    model, base = make_kinds(tmp_path)
    out = prune(kenctl, model, base, encoding, *arguments)
    ken_delta.apply_files(base, out / "delta.safetensors", tmp_path / "made")
    assert (tmp_path / "made").read_bytes() == (out / "model.safetensors").read_bytes()
    entries = read_header(out / "model.safetensors")[0]
    arrays = ken_delta.apply(base, out / "delta.safetensors")
    assert list(arrays) == [name for name in entries if name != "__metadata__"]
    for name, array in arrays.items():
        dtype, shape = entries[name]["dtype"], entries[name]["shape"]
        if SIZES[dtype] >= 1:
            assert (array.dtype, list(array.shape)) == (DTYPES[dtype], shape), name
        else:
            assert (array.dtype, array.ndim) == (np.uint8, 1), name
        assert array.flags.writeable and array.flags.owndata or array.base is not None
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("sharded", (False, True))
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_files_and_arrays(tmp_path: Path, kenctl: Run, encoding: str, sharded: bool) -> None:
    model, base = make_pair(tmp_path, sharded)
    arrays = all_tensors(base)
    for arguments in (("--k", 1), ("--k", 20), ("--k", 250), ("--keep", "0.6"), ("--keep", "0.95")):
        out = prune(kenctl, model, base, encoding, *arguments)
        delta = out / "delta.safetensors"
        made = tmp_path / f"made{out.name}"
        ken_delta.apply_files(base, delta, made)
        assert files_of(made) == files_of(out)
        dense = {n: array for path in out.glob("model*.safetensors") for n, array in read_safetensors(path).items()}
        with ken_delta.open(delta) as opened:
            assert opened.sharded == sharded and opened.encoding == encoding
            assert opened.nbytes == sum(array.nbytes for array in dense.values())
            either: "tuple[Any, ...]" = (arrays, base)
            for given in either:
                got = ken_delta.apply(given, opened)
                assert set(got) == set(dense)
                assert all(same_bits(array, dense[name]) for name, array in got.items())
        told = json.loads(ok(kenctl("inspect", delta, "-o", "json")))
        assert ken_delta.inspect(delta) == told
    with pytest.raises(FileExistsError):
        ken_delta.apply_files(base, delta, made)
    ken_delta.apply_files(base, delta, made, replace=True)
    assert files_of(made) == files_of(out)


def test_an_index_and_arrays_as_base_of_files(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path, True)
    out = prune(kenctl, model, base, "plain", "--k", 20)
    (index,) = base.glob("*.index.json")
    either: "tuple[Any, ...]" = (index, str(index), all_tensors(base))
    for number, given in enumerate(either):
        ken_delta.apply_files(given, out / "delta.safetensors", tmp_path / f"made{number}")
        assert files_of(tmp_path / f"made{number}") == files_of(out)


def test_arrays_of_other_layouts(tmp_path: Path, kenctl: Run) -> None:
    """Big-endian and not contiguous: the values count."""
    model, base = make_pair(tmp_path)
    out = prune(kenctl, model, base, "plain", "--k", 20)
    arrays = all_tensors(base)
    expected = ken_delta.apply(arrays, out / "delta.safetensors")
    turned = {n: np.asfortranarray(a.astype(a.dtype.newbyteorder(">"))) for n, a in arrays.items()}
    got = ken_delta.apply(turned, out / "delta.safetensors")
    assert all(same_bits(got[name], array) for name, array in expected.items())


# ---- conversion


def hard_values(dtype: str) -> Array:
    """Bits of values that are hard to convert: all of 16 bits; limits, halves and NaN of others."""
    if SIZES[dtype] == 2:
        return np.arange(1 << 16, dtype=np.uint32).astype("<u2")
    word, wide = (np.uint32, "<f4") if dtype == "F32" else (np.uint64, "<f8")
    random = np.random.default_rng(5)
    random_bits = np.frombuffer(random.bytes(8 * 20000), word)
    halves = []
    for source in ("<f2", "<f4"):
        bits = np.arange(1 << 16, dtype=np.uint32).astype("<u2") if source == "<f2" else random_bits.astype("<u4")
        with np.errstate(all="ignore"):
            narrow = bits.view(source).astype(wide)
            above = (bits + bits.dtype.type(1)).view(source).astype(wide)
            halves += [narrow, (narrow + above) / 2]
    with np.errstate(all="ignore"):
        bf16 = (np.arange(1 << 16, dtype=np.uint32) << 16).view("<f4").astype(wide)
        halves += [bf16, (bf16[:-1] + bf16[1:]) / 2]
    bits = np.concatenate([values.view(word) for values in halves])
    return np.concatenate((random_bits, bits, bits + word(1), bits - word(1))).astype(f"<u{int(SIZES[dtype])}")


def write_delta(path: Path, tensors: "dict[str, Any]", entries: "dict[str, Array]", encoding: str = "plain") -> None:
    """A delta of one file by hand; entries in the right order."""
    model = {"files": [{"name": "model.safetensors", "metadata": None, "tensors": list(tensors)}], "index": None}
    metadata = {"format": "ken-delta", "version": "1", "encoding": encoding, "model": json.dumps(model)}
    write_safetensors(path, entries, {**metadata, "tensors": json.dumps(tensors)})


def told(dtype: str, array: Array, form: str = "same", stored: int = 0, base_dtype: str = "", name: str = "w") -> Any:
    base = {"name": name, "dtype": base_dtype or dtype, "sha256": hashlib.sha256(array.tobytes()).hexdigest()}
    return {"dtype": dtype, "shape": list(array.shape), "base": base, "form": form, "stored": stored}


@pytest.mark.smoke
def test_every_conversion_is_that_of_kenctl(tmp_path: Path, kenctl: Run) -> None:
    floating = ("F64", "F32", "F16", "BF16")
    base = {dtype: hard_values(dtype) for dtype in floating}
    tensors = {
        f"{source}.{target}": told(target, base[source], base_dtype=source, name=source)
        for source, target in itertools.product(floating, floating)
    }
    write_safetensors(tmp_path / "base.safetensors", base, dtypes={dtype: dtype for dtype in floating})
    write_delta(tmp_path / "delta", tensors, {})
    ok(kenctl("inject", "--base", "base.safetensors", "--delta", "delta", "-o", "expected"))
    ken_delta.apply_files(tmp_path / "base.safetensors", tmp_path / "delta", tmp_path / "made")
    expected, made = read_safetensors(tmp_path / "expected"), read_safetensors(tmp_path / "made")
    for name, values in expected.items():
        bits = f"u{values.itemsize}"
        wrong = np.flatnonzero(values.view(bits) != made[name].view(bits))
        assert not wrong.size, (name, wrong[:5], base[name.split(".")[0]][wrong[:5]])
    assert (tmp_path / "expected").read_bytes() == (tmp_path / "made").read_bytes()


@pytest.mark.parametrize("gap_dtype", ("<u2", "<u4"))
def test_gaps_far_and_near(tmp_path: Path, gap_dtype: str) -> None:
    """Over the edges of what is made at a time."""
    elements = 3 << 18
    far = [0, 1, 2, (1 << 18) - 1, 1 << 18, (1 << 18) + 1, (2 << 18) + 5, elements - 1]
    if gap_dtype == "<u2":
        far = sorted({*far, *range(0, elements, 60000)})
    base = np.arange(elements, dtype=np.int32)
    gaps = (np.diff(far, prepend=-1) - 1).astype(gap_dtype)
    values = -np.arange(1, len(far) + 1, dtype=np.int32)
    entries = {"w.values": values, "w.gaps": gaps}
    if gap_dtype == "<u2":
        assert int(gaps.max()) < 65536
    write_delta(tmp_path / "delta", {"w": told("I32", base, "gaps", len(far))}, entries)
    expected = base.copy()
    expected[far] = values
    assert same_bits(ken_delta.apply({"w": base}, tmp_path / "delta")["w"], expected)
    gaps[-1] += 1
    write_delta(tmp_path / "delta", {"w": told("I32", base, "gaps", len(far))}, entries)
    with pytest.raises(ken_delta.DeltaError, match="its gaps lead beyond its 786432 elements"):
        ken_delta.apply({"w": base}, tmp_path / "delta")


# ---- another base


@pytest.mark.smoke
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_another_base_is_refused(tmp_path: Path, kenctl: Run, encoding: str) -> None:
    model, base = make_pair(tmp_path)
    delta = prune(kenctl, model, base, encoding, "--k", 20) / "delta.safetensors"
    name = "layer.1.weight"
    arrays = all_tensors(base)
    near = arrays[name].copy()
    near[2, 7] = np.nextafter(near[2, 7], np.inf)
    changes: "tuple[tuple[dict[str, Any], str], ...]" = (
        ({name: near}, r'base tensor "layer\.1\.weight" has SHA-256 [0-9a-f]{64}, not [0-9a-f]{64}: '),
        ({name: arrays[name] * 1000}, "has SHA-256 "),
        ({name: arrays[name].astype(np.float32)}, "is an array of float32, not of float64|is F32, not F64"),
        ({name: arrays[name].reshape(4096, 3)}, r"has shape \[4096, 3\], not \[3, 4096\]"),
        ({name: None}, 'the base has no tensor "layer.1.weight"'),
    )
    for changed, message in changes:
        other = {**arrays, **changed}
        if other[name] is None:
            del other[name]
        write_safetensors(tmp_path / "other", other)
        for call in (
            lambda: ken_delta.apply(other, delta),
            lambda: ken_delta.apply(tmp_path / "other", delta),
            lambda: ken_delta.apply_files(tmp_path / "other", delta, tmp_path / "made"),
        ):
            with pytest.raises(ken_delta.WrongBase, match=message) as raised:
                call()
            assert raised.value.tensor == name
    assert not list(tmp_path.glob("made*"))
    with pytest.raises(TypeError):
        ken_delta.apply(17, delta)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        ken_delta.apply(tmp_path / "none", delta)


def test_malformed_bases_are_refused(tmp_path: Path) -> None:
    write_delta(tmp_path / "delta", {"a": told("F32", np.zeros(2, np.float32), name="a")}, {})
    (tmp_path / "good").write_bytes(make_safetensors({"a": np.zeros(2, np.float32)}))
    assert set(ken_delta.apply(tmp_path / "good", tmp_path / "delta")) == {"a"}
    for name, content, _, _ in malformed_headers():
        if name == "too-many-tensors":  # within the limits here
            continue
        (tmp_path / "base").write_bytes(content)
        with pytest.raises(ken_delta.CheckpointError):
            ken_delta.apply(tmp_path / "base", tmp_path / "delta")
    for name in "st":
        values = {"a" if name == "s" else "b": np.zeros(2, np.float32)}
        (tmp_path / f"{name}.safetensors").write_bytes(make_safetensors(values))
    for name, content, _, _ in malformed_indexes():
        (tmp_path / "model.safetensors.index.json").write_bytes(content)
        with pytest.raises(ken_delta.CheckpointError):
            ken_delta.apply(tmp_path, tmp_path / "delta")
    (tmp_path / "model.safetensors.index.json").write_bytes(make_index({"a": "s.safetensors", "b": "t.safetensors"}))
    assert set(ken_delta.apply(tmp_path, tmp_path / "delta")) == {"a"}
    (tmp_path / "folder").mkdir()
    with pytest.raises(ken_delta.CheckpointError, match="no checkpoint in "):
        ken_delta.apply(tmp_path / "folder", tmp_path / "delta")
    (tmp_path / "folder" / "pytorch_model.bin").write_bytes(b"PK\3\4")
    with pytest.raises(ken_delta.CheckpointError, match="a PyTorch file, and this package reads safetensors"):
        ken_delta.apply(tmp_path / "folder", tmp_path / "delta")


# ---- malformed deltas


def small_pair(folder: Path) -> "tuple[Path, Path]":
    random = np.random.default_rng(3)
    base: "dict[str, Array]" = {
        "a": random.standard_normal((40, 30), np.float32),
        "h": random.standard_normal((6, 200)).astype(np.float16),
        "i": np.arange(400),
        "g": random.standard_normal((2, 400)).astype(np.float64),
    }
    model = {name: values.copy() for name, values in base.items()}
    model["a"] += np.float32(0.01) * random.standard_normal((40, 30), np.float32)
    model["h"] += (0.01 * random.standard_normal((6, 200))).astype(np.float16)
    model["i"][17] = 1 << 40
    model["g"][1, 7] = 3.5
    model["new"] = random.standard_normal((3, 5), np.float32)
    write_safetensors(folder / "model.safetensors", model, {"format": "pt"})
    write_safetensors(folder / "base.safetensors", base)
    return folder / "model.safetensors", folder / "base.safetensors"


def outcome(arrays: "dict[str, Array]", path: Path) -> str:
    """The class of the error that applying a delta ends with, or "". Another error than one of the package's fails the test."""
    try:
        ken_delta.apply(arrays, path)
    except ken_delta.Error as error:
        assert str(error) and "\n" not in str(error)
        return type(error).__name__
    return ""


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_damage_ends_otherwise_than_with_an_error_of_its_own(tmp_path: Path, kenctl: Run, encoding: str) -> None:
    model, base = small_pair(tmp_path)
    arrays = all_tensors(base)
    content = (prune(kenctl, model, base, encoding, "--k", 9) / "delta.safetensors").read_bytes()
    data = 8 + int.from_bytes(content[:8], "little")
    damaged = tmp_path / "damaged"
    for length in {*range(0, len(content), 97), data - 1, data, data + 1, len(content) - 1}:
        damaged.write_bytes(content[:length])
        assert outcome(arrays, damaged) == "DeltaError", length
    for at, bit in zip(range(0, len(content), 5), itertools.cycle((1, 0x80, 0x20))):
        changed = bytearray(content)
        changed[at] ^= bit
        damaged.write_bytes(changed)
        got = outcome(arrays, damaged)
        assert got in ("DeltaError", "WrongBase", ""), at
        if encoding == "packed" and at >= data:
            assert got == "DeltaError", "every byte of the entries is guarded"
    damaged.write_bytes(content + b"\0")
    assert outcome(arrays, damaged) == "DeltaError"


def blocks_of(entry: bytes, count: int) -> "Iterator[tuple[int, int, int]]":
    """(number, begin, end) of an entry's blocks."""
    at = 16 * count
    for number in range(count):
        length = int.from_bytes(entry[16 * number : 16 * number + 4], "little")
        yield number, at, at + length
        at += length


def test_damaged_blocks_that_pass_their_check(tmp_path: Path, kenctl: Run) -> None:
    """Whatever is in a block whose SHA-256 is right: a block of other values, or an error."""
    model, base = small_pair(tmp_path)
    arrays = all_tensors(base)
    delta = prune(kenctl, model, base, "packed", "--k", 9) / "delta.safetensors"
    metadata, entries = read_metadata(delta), read_safetensors(delta)
    outcomes = []
    for name, values in entries.items():
        ((number, begin, end),) = blocks_of(values.tobytes(), 1)
        places = sorted({*range(begin, min(begin + 160, end)), *range(begin, end, 7), end - 1})
        for at, bits in zip(places, itertools.cycle((1, 0xFF, 0x40))):
            forged = bytearray(values.tobytes())
            forged[at] ^= bits
            forged[16 * number + 8 : 16 * number + 16] = hashlib.sha256(forged[begin:end]).digest()[:8]
            changed = {**entries, name: np.frombuffer(forged, np.uint8)}
            write_safetensors(tmp_path / "forged", changed, metadata)
            outcomes.append(outcome(arrays, tmp_path / "forged"))
    assert set(outcomes) == {"DeltaError", ""}
    assert len(outcomes) > 500 and outcomes.count("DeltaError") > 200


@pytest.mark.parametrize(
    ("change", "message"),
    (
        ({"dtype": "F128"}, 'unknown dtype "F128"'),
        ({"dtype": 7}, "expected a string"),
        ({"dtype": "F4", "shape": [3]}, "its elements do not fill whole bytes"),
        ({"shape": [1 << 63, 1 << 63]}, "the product of its shape is too large"),
        ({"shape": [1 << 60, 0]}, "has the wrong shape|is too large|values are stored, of 0 elements"),
        ({"shape": [1 << 64]}, "expected an integer from 0 to 2\\^64-1"),
        ({"shape": [-1]}, "expected an integer"),
        ({"shape": [40, True]}, "expected an integer"),
        ({"shape": [40.0, 30]}, "expected an integer"),
        ({"shape": [1] * 33}, "more than 32 dimensions"),
        ({"shape": {}}, "expected its shape to be an array"),
        ({"shape": [1 << 40]}, "has the wrong shape|shorter than the index"),
        ({"stored": 1 << 62}, "values are stored, of 1200 elements"),
        ({"stored": 0}, "values are stored, of 1200 elements"),
        ({"stored": 7}, "has the wrong shape|blocks store 360 elements, not 7"),
        ({"stored": -1}, "expected an integer"),
        ({"stored": None}, "expected an integer"),
        ({"form": "gasp"}, 'no form of encoding [a-z]+: "gasp"'),
        ({"form": "gaps"}, 'entry "gaps" is missing|no form of encoding packed: "gaps"'),
        ({"form": "same"}, "form same, but 360 values are stored"),
        ({"form": "same", "stored": 0}, "belongs to no tensor"),
        ({"form": "whole"}, "values are stored, but whole are 1200"),
        ({"form": ["mask"]}, "expected a string"),
        ({"base": None}, "it has no base, and is not stored whole"),
        ({"base": 3}, "expected an object"),
        ({"base": {"name": "a", "dtype": "I32", "sha256": "0" * 64}}, "a base of I32 cannot be converted to F32"),
        ({"base": {"name": "a", "dtype": "F32", "sha256": "0" * 63}}, "no SHA-256 of 64 hexadecimal digits"),
        ({"base": {"name": "a", "dtype": "F32"}}, 'member "sha256" is missing'),
        ({"more": 1}, 'unknown member "more"'),
    ),
)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_forged_tensors_are_refused(
    tmp_path_factory: Any, forgery: "dict[str, tuple[Any, Any, Any]]", encoding: str, change: Any, message: str
) -> None:
    metadata, entries, arrays = forgery[encoding]
    tensors = json.loads(metadata["tensors"])
    tensors["a"].update(change)
    path = tmp_path_factory.mktemp("forged") / "delta"
    write_safetensors(path, entries, {**metadata, "tensors": json.dumps(tensors)})
    with pytest.raises(ken_delta.DeltaError, match=message):
        ken_delta.apply(arrays, path)


@pytest.fixture(scope="module")
def forgery(tmp_path_factory: Any) -> "dict[str, tuple[Any, Any, Any]]":
    """Metadata and entries of good deltas by encoding, and the base."""
    from daemon import BUILD

    folder = tmp_path_factory.mktemp("forgery")
    model, base = small_pair(folder)

    def kenctl(*arguments: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([BUILD / "kenctl", *map(str, arguments)], capture_output=True, text=True, timeout=60)

    made = {}
    for encoding in ENCODINGS:
        delta = prune(kenctl, model, base, encoding, "--k", 9) / "delta.safetensors"
        made[encoding] = read_metadata(delta), read_safetensors(delta), all_tensors(base)
    return made


@pytest.mark.parametrize(
    ("change", "message"),
    (
        ({"format": "other"}, 'metadata do not say format "ken-delta"'),
        ({"version": "2"}, 'a delta of version "2"; this package reads version 1'),
        ({"encoding": "x\x1b[1m"}, r'a delta in encoding "x\\x1b\[1m"; this package reads plain and packed'),
        ({"more": ""}, 'metadata: unknown member "more"'),
        ({"model": None}, 'metadata: member "model" is missing'),
        ({"model": "["}, 'metadata "model": '),
        ({"model": "[" * 100000}, 'metadata "model": nested too deeply'),
        ({"model": '{"files":[],"index":null}'}, "expected an array of at least one file"),
        ({"model": '{"files":[{}],"index":null}'}, 'file 1: member "name" is missing'),
        ({"model": '{"files":[{}],"index":"x"}'}, "index is neither null nor"),
        ({"model": '{"files":[{},{}],"index":null}'}, "several files, but no index"),
        ({"model": '{"files":[{"name":"../x","metadata":null,"tensors":[]}],"index":null}'}, "must be called"),
        ({"model": '{"files":1,"files":2,"index":null}'}, 'key "files" appears twice'),
        ({"model": '{"files":NaN,"index":null}'}, "NaN is no JSON"),
        ({"model": '{"files":"\\ud800","index":null}'}, 'metadata "model": '),
        ({"tensors": "{}"}, "it is missing in metadata"),
        ({"tensors": "17"}, "expected an object"),
        ({"tensors": "1" * 10000}, 'metadata "tensors": '),
    ),
)
def test_forged_metadata_are_refused(
    tmp_path: Path, forgery: "dict[str, tuple[Any, Any, Any]]", change: "dict[str, Any]", message: str
) -> None:
    metadata, entries, arrays = forgery["plain"]
    forged = {key: text for key, text in {**metadata, **change}.items() if text is not None}
    write_safetensors(tmp_path / "delta", entries, forged)
    with pytest.raises(ken_delta.DeltaError, match=message):
        ken_delta.apply(arrays, tmp_path / "delta")


def test_forged_files_of_the_model_are_refused(tmp_path: Path, forgery: "dict[str, tuple[Any, Any, Any]]") -> None:
    metadata, entries, arrays = forgery["plain"]
    changes: "tuple[tuple[dict[str, Any], str], ...]" = (
        ({"metadata": {"a": 1}}, 'member "a": expected a string'),
        ({"metadata": {"a\0": ""}}, "a key has a NUL character"),
        ({"tensors": ["a", "a", "g", "h", "i", "new"]}, 'tensor "a": it is twice'),
        ({"tensors": ["a", "g", "h", "i"]}, 'the model has no tensor "new"'),
        ({"tensors": ["__metadata__"]}, "no tensor can have that name"),
        ({"tensors": [""]}, "the name of a tensor is empty"),
        ({"tensors": ["x" * 4097]}, "longer than 4096 bytes"),
        ({"tensors": [1]}, "expected a string"),
        ({"tensors": "a"}, "expected an array of names"),
    )
    for change, message in changes:
        model = json.loads(metadata["model"])
        model["files"][0].update(change)
        write_safetensors(tmp_path / "delta", entries, {**metadata, "model": json.dumps(model)})
        with pytest.raises(ken_delta.DeltaError, match=message):
            ken_delta.apply(arrays, tmp_path / "delta")


def test_names_of_entries_that_two_tensors_could_have(tmp_path: Path) -> None:
    """T with form mask and T.values stored whole need different entries."""
    base = np.zeros(8, np.uint8)
    whole = {"dtype": "U8", "shape": [1], "base": None, "form": "whole", "stored": 1}
    tensors = {"a": {**whole}, "a.whole": {**whole}}
    one = np.ones(1, np.uint8)
    write_delta(tmp_path / "delta", tensors, {"a.whole": one, "a.whole.whole": one})
    assert set(ken_delta.apply({"w": base}, tmp_path / "delta")) == {"a", "a.whole"}


def test_a_model_larger_than_memory_is_an_error_of_the_delta(tmp_path: Path) -> None:
    """An index of blocks that tell as much as they may, in a file of some megabytes, and what cannot be: nothing is allocated for it."""
    blocks = 1 << 17
    index = np.zeros(blocks, np.dtype([("length", "<u4"), ("stored", "<u4"), ("check", "S8")]))
    index["length"], index["stored"] = 20, 524288
    entry = np.concatenate((index.view(np.uint8), np.zeros(20 * blocks, np.uint8)))
    tensor = {"dtype": "U8", "shape": [blocks << 19], "base": None, "form": "whole", "stored": blocks << 19}
    write_delta(tmp_path / "delta", {"w": tensor}, {"w.packed": entry}, "packed")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (32 << 30, hard))
    try:
        with pytest.raises(ken_delta.DeltaError, match="are more than there is memory for"):
            ken_delta.apply({}, tmp_path / "delta")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    with pytest.raises(ken_delta.DeltaError, match="block 0: it has another SHA-256 than the index tells"):
        ken_delta.apply_files({}, tmp_path / "delta", tmp_path / "made")
    assert not list(tmp_path.glob("made*"))


# ---- as a program, and installed


def python(*arguments: object, path: Path = PACKAGE, **options: Any) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, **options)


def test_the_command_line(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path)
    out = prune(kenctl, model, base, "packed", "--k", 20)
    delta = out / "delta.safetensors"
    made = tmp_path / "made.safetensors"
    apply = ("-m", "ken_delta", "apply", "--base", base, "--delta", delta, "-o", made)
    assert ok(python(*apply)) == ""
    assert made.read_bytes() == (out / "model.safetensors").read_bytes()
    again = python(*apply)
    assert (again.returncode, again.stdout) == (1, "") and again.stderr == f"ken_delta: {made} is there already\n"
    assert ok(python(*apply, "--force")) == ""
    assert json.loads(ok(python("-m", "ken_delta", "inspect", delta, "--json"))) == ken_delta.inspect(delta)
    lines = ok(python("-m", "ken_delta", "inspect", delta)).splitlines()
    assert lines[0].startswith("delta, encoding packed, ") and 'classifier.ü"weight  F32    [4,64]' in "\n".join(lines)
    for arguments, status, message in (
        (("inspect", base), 1, f'ken_delta: {base}: this is no delta: its metadata do not say format "ken-delta"\n'),
        (("inspect", tmp_path / "none"), 1, "ken_delta: [Errno 2] No such file or directory: "),
        ((), 2, "usage: python -m ken_delta"),
        (("inspect",), 2, "usage: python -m ken_delta inspect"),
    ):
        result = python("-m", "ken_delta", *arguments)
        assert result.returncode == status and result.stderr.startswith(message), result.stderr
    assert f"ken_delta {ken_delta.__version__}\n" == ok(python("-m", "ken_delta", "--version"))
    assert f"kenctl {ken_delta.__version__}\n" == ok(kenctl("--version")), "one version for all of the tree"


def test_the_examples_of_the_readme(tmp_path: Path, kenctl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    model, base = make_pair(tmp_path)
    (tmp_path / "bert").mkdir()
    shutil.copy(base, tmp_path / "bert" / "model.safetensors")
    ok(kenctl("prune", "--model", model, "--base", base, "--k", 20, "--delta-encoding", "packed", "-o", "pruned"))
    model.unlink()
    monkeypatch.chdir(tmp_path)
    readme = (PACKAGE / "README.md").read_text()
    (example,) = re.findall(r"```python\n(import ken_delta.*?)```", readme, re.DOTALL)
    names = {"tensors_of_base": all_tensors(base)}
    exec(example, names)
    dense = tmp_path / "pruned" / "model.safetensors"
    assert model.read_bytes() == dense.read_bytes()
    assert all(same_bits(names["tensors"][name], array) for name, array in read_safetensors(dense).items())
    model.unlink()
    for command in re.findall(r"^python (-m ken_delta .*?)(?: +#.*)?$", readme, re.MULTILINE):
        ok(python(*command.split(), cwd=tmp_path))
    assert model.read_bytes() == dense.read_bytes()


def test_without_zstandard(tmp_path: Path, kenctl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    model, base = make_pair(tmp_path)
    plain, packed = (prune(kenctl, model, base, encoding, "--k", 20) / "delta.safetensors" for encoding in ENCODINGS)
    modules: "dict[str, Any]" = sys.modules
    monkeypatch.setitem(modules, "zstandard", None)
    ken_delta.apply(base, plain)
    assert ken_delta.inspect(packed)["encoding"] == "packed"
    with pytest.raises(ken_delta.MissingZstandard, match=r"pip install ken-delta\[packed\]"):
        ken_delta.apply(base, packed)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_memory_does_not_depend_on_the_size(tmp_path: Path, kenctl: Run, encoding: str) -> None:
    write_tiled(tmp_path / "base.safetensors", 96 << 20, 1, tensors=1)
    write_tiled(tmp_path / "model.safetensors", 96 << 20, 1, 0.01, tensors=1)
    out = prune(kenctl, tmp_path / "model.safetensors", tmp_path / "base.safetensors", encoding, "--keep", "0.05")
    program = (
        "import resource, sys, ken_delta, zstandard\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "ken_delta.apply_files(*sys.argv[1:])\n"
        "print(peak() - before)\n"
    )
    made = tmp_path / "made"
    grown = ok(python("-c", program, tmp_path / "base.safetensors", out / "delta.safetensors", made))
    assert int(grown) < 32 << 10, "KiB"
    assert (
        hashlib.sha256(made.read_bytes()).digest() == hashlib.sha256((out / "model.safetensors").read_bytes()).digest()
    )


def test_pip_installs_it(tmp_path: Path, kenctl: Run) -> None:
    tree = tmp_path / "tree"  # pip builds in it
    shutil.copytree(PACKAGE, tree, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    for path in (tree, *tree.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)  # it may come from a tree that is read-only
    target = tmp_path / "site"
    options = ("--no-build-isolation", "--no-index", "--no-deps", "--disable-pip-version-check", "-q")
    ok(python("-m", "pip", "install", *options, "--target", target, tree, path=tmp_path))
    assert {p.name for p in (target / "ken_delta").iterdir()} >= {p.name for p in PACKAGE.glob("ken_delta/*.*")}
    (information,) = target.glob("ken_delta-*.dist-info/METADATA")
    lines = information.read_text().replace(" ", "").replace("(", "").replace(")", "").splitlines()
    assert {f"Version:{ken_delta.__version__}", "Requires-Dist:numpy>=1.22", "Provides-Extra:packed"} <= set(lines)
    model, base = make_pair(tmp_path)
    out = prune(kenctl, model, base, "packed", "--k", 20)
    program = "import sys, ken_delta; print(ken_delta.__file__); ken_delta.apply_files(*sys.argv[1:])"
    where = ok(python("-c", program, base, out / "delta.safetensors", tmp_path / "made", path=target, cwd=tmp_path))
    assert where.startswith(str(target))
    assert (tmp_path / "made").read_bytes() == (out / "model.safetensors").read_bytes()
