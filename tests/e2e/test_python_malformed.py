# SPDX-License-Identifier: Apache-2.0
"""Deltas that are no deltas: ken_delta ends with an error of its own, whatever is in them."""

from __future__ import annotations

import hashlib
import itertools
import json
import resource
import subprocess
from pathlib import Path
from typing import Any, Callable, Iterator

import numpy as np
import pytest

from checkpoints import read_metadata, read_safetensors, write_safetensors
from daemon import BUILD
from deltas import all_tensors
from test_python import ENCODINGS, ken_delta, prune, write_delta

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Array = Any


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
        (
            {
                "model": '{"files":[{"name":"model-00001-of-00001.safetensors","metadata":null,"tensors":[]}],'
                '"index":"model.safetensors.index.json"}'
            },
            "file 1 has no tensor",
        ),
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
