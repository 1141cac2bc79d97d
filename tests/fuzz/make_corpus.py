# SPDX-License-Identifier: Apache-2.0
"""Makes the seeds of the fuzz targets: make_corpus.py [FOLDER]. Deltas are made by $KEND_BUILD/kenctl.

A file "valid-NAME" must be accepted by its target and one "malformed-NAME" refused, which the replay holds them to; files of other names are
what fuzzing found and are left alone.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Iterator

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from checkpoints import (  # noqa: E402
    make_index,
    make_safetensors,
    malformed_headers,
    malformed_indexes,
    read_header,
    to_bf16,
    write_safetensors,
    write_sharded,
)
from torch_files import (  # noqa: E402
    call,
    dict_of,
    global_of,
    integer,
    make_torch,
    malformed_pickles,
    malformed_zips,
    pickled,
    sizes,
    storage,
    tensor,
    text,
)

BUILD = Path(os.environ.get("KEND_BUILD", HERE.parents[1] / "build"))
SEED_MAX = 4096
Seeds = Iterator["tuple[str, bytes]"]


# ---- checkpoints


def safetensors_seeds() -> Seeds:
    some: "dict[str, Any]" = {
        "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.arange(4, dtype=np.uint16),
        "ids": np.arange(3, dtype=np.int64),
        "scalar": np.array(1.5),
        "flags": np.array([True, False]),
    }
    yield "valid-mixed", make_safetensors(some, {"format": "pt", "note": 'a/b "\u00e9"\n'}, {"b": "BF16"})
    yield "valid-none", make_safetensors({})
    yield "valid-metadata-alone", make_safetensors({}, {})
    yield "valid-empty-tensors", make_safetensors({"a": np.zeros((0, 8), np.float32), "b": np.zeros((3, 0), np.int8)})
    yield "valid-names", make_safetensors({'\u00fc"\\': np.zeros(1, np.uint8), "x" * 200: np.zeros(1, np.uint8)})
    yield "valid-small-dtypes", make_safetensors(
        {"a": np.zeros(2, np.uint8), "b": np.zeros(1, np.uint8)}, None, {"a": "F8_E4M3", "b": "F8_E5M2"}
    )
    yield "valid-rank-32", make_safetensors({"a": np.zeros((1,) * 32, np.uint8)})
    for name, content, _, _ in malformed_headers():
        yield f"malformed-{name}", content


def index_seeds() -> Seeds:
    """Beside the shards of fuzz_index.c."""
    whole = {"x": "a.safetensors", "y": "a.safetensors", "z": "b/c.safetensors", "t": "d.bin", "u": "d.bin"}
    yield "valid-three-shards", make_index(whole, {"total_size": 37})
    yield "valid-one-shard", json.dumps({"weight_map": {"z": "b/c.safetensors"}}).encode()
    yield "valid-others", make_index({"w": "none.safetensors", "\u00e9": "a.safetensors"}, {"a": [1, {"b": None}]})
    yield "valid-missing-name", make_index({"x": "a.safetensors"})
    yield "valid-wrong-file", make_index({**whole, "u": "a.safetensors"})
    wrong = ("lacks-tensor", "has-more", "wrong-file", "names-itself")  # by the files beside it, not by its text
    for name, content, _, _ in malformed_indexes():
        if not name.endswith(wrong):
            yield f"malformed-{name}", content


def torch_seeds() -> Seeds:
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    box = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    some: "dict[str, Any]" = {
        "a": matrix,
        "b": matrix.T,
        "c": box.transpose(2, 0, 1),
        "half": np.arange(4, dtype=np.float16),
    }
    yield "valid-strides", make_torch(some)
    yield "valid-ties", make_torch({"a": matrix, "b": np.zeros(2, np.int64)}, ties={"c": "a", "d": "b"})
    yield "valid-nested", make_torch({"a": matrix}, nest="state_dict")
    yield "valid-plain-zip", make_torch({"a": matrix, "e": np.zeros((0, 3), np.float32)}, like_torch=False)
    yield "valid-comment", make_torch({"a": matrix}, like_torch=False, comment=b"a comment")
    yield "valid-untyped", make_torch({"a": np.arange(4, dtype=np.uint16)}, {"a": "U16"})
    yield "valid-bf16", make_torch({"a": to_bf16(matrix)}, {"a": "BF16"})
    for name, content, _, _ in malformed_zips():
        yield f"malformed-{name}", content


def pickle_seeds() -> Seeds:
    """Beside the storages of fuzz_pickle.c."""
    floats, halves = storage("0", "FloatStorage", 64), storage("1", "HalfStorage", 40)
    longs, empty = storage("2", "LongStorage", 9), storage("3", "FloatStorage", 0)
    a, b = (text("a"), tensor(floats, [8, 8])), (text("b"), tensor(halves, [5, 4], [1, 5], 3))
    yield "valid-dict", pickled(dict_of(a, b, (text("c"), tensor(longs, [3, 3])), (text("d"), tensor(empty, [0, 3]))))
    yield "valid-ties", pickled(dict_of(a, (text("z"), a[1]), (text("y"), tensor(floats, [], [], 63))))
    yield "valid-expanded", pickled(dict_of((text("a"), tensor(floats, [4, 3, 5], [0, 2, 1])), b), 4)
    nested = (text("state_dict"), dict_of(a))
    yield "valid-nested", pickled(dict_of((text("epoch"), integer(3)), nested, (text("x"), b"N"), begin=b"}"), 3)
    parameter = call(global_of("torch._utils", "_rebuild_parameter"), a[1], b"\x88", dict_of(begin=b"}"))
    yield "valid-parameter", pickled(dict_of((text("a"), parameter)))
    empties = (
        (text("e"), tensor(floats, [8, 0])),
        (text("b"), tensor(empty, [0, 3])),
        (text("c"), tensor(longs, [0], [1], 4)),
    )
    yield "valid-empty-tensors", pickled(dict_of(*empties))
    untyped = storage("0", "UntypedStorage", 256, "torch.storage")
    third = call(
        *(global_of("torch._utils", "_rebuild_tensor_v3"), untyped, integer(0), sizes([8]), sizes([1]), b"\x89"),
        *(dict_of(), global_of("torch", "uint16")),
    )
    yield "valid-untyped", pickled(dict_of((text("a"), third)))
    memo = b"}q\0(\x8c\1aq\1" + a[1] + b"q\2\x8c\1bh\2\x8c\1cr\3\0\0\0h\2" + b"u."
    yield "valid-memo", b"\x80\4\x95" + struct.pack("<Q", len(memo)) + memo
    pairs = b"}" + text("a") + a[1] + b"\x94s" + text("n") + b"\x8a\1\xffs" + text("l") + b"](K\1M\2\0J\3\0\0\0es"
    yield "malformed-list", pickled(pairs, 5)
    yield "valid-numbers", pickled(pairs[: pairs.index(text("l"))] + text("f") + b"G" + bytes(8) + b"s", 5)
    for name, content, _, _ in malformed_pickles():
        yield f"malformed-{name}", content


# ---- deltas


def make_base() -> "tuple[dict[str, np.ndarray[Any, Any]], dict[str, str]]":
    """As injection.c has it."""

    def numbers(number: int, *shape: int) -> "np.ndarray[Any, Any]":
        return ((np.arange(np.prod(shape)) * 37 + number * 11) % 101 - 50).reshape(shape)

    return {
        "a.weight": (numbers(0, 8, 16) / 32).astype(np.float32),
        "b.weight": to_bf16(numbers(1, 4, 24) / 32),
        "c.bias": (numbers(2, 20) / 32).astype(np.float16),
        "d.half": (numbers(3, 3, 6) / 32).astype(np.float64),
        "e.ids": numbers(4, 5).astype(np.int32),
    }, {"b.weight": "BF16"}


def make_model(base: "dict[str, np.ndarray[Any, Any]]") -> "dict[str, np.ndarray[Any, Any]]":
    random = np.random.default_rng(3)
    model = {name: values.copy() for name, values in base.items()}
    for name in ("a.weight", "c.bias", "d.half"):
        model[name] += (random.normal(size=model[name].shape) * 0.01).astype(model[name].dtype)
    model["b.weight"] ^= random.integers(0, 4, model["b.weight"].shape).astype(np.uint16)
    model["e.ids"][3] = 77
    return model


def delta_seeds(encoding: str) -> Seeds:
    base, dtypes = make_base()
    model = make_model(base)
    added = {**model, "f.added": np.ones((2, 3), np.float32)}
    one = {"a.weight": model["a.weight"]}
    converted = {**model, "a.weight": to_bf16(model["a.weight"]), "d.half": model["d.half"].astype(np.float16)}
    cases: "dict[str, tuple[Any, dict[str, str], list[str]]]" = {
        "half": (model, dtypes, ["--keep", "0.5"]),
        "few": (model, dtypes, ["--k", "1", "--method", "magnitude"]),
        "most": (model, dtypes, ["--keep", "0.95"]),
        "same": (base, dtypes, ["--keep", "0.5"]),
        "added": (added, dtypes, ["--k", "2"]),
        "whole": (model, dtypes, ["--k", "2", "--rule", "*=keep"]),
        "one": (one, {}, ["--k", "3"]),
        "converted": (converted, {**dtypes, "a.weight": "BF16"}, ["--k", "4"]),
    }
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_safetensors(folder / "base.safetensors", base, None, dtypes)
        write_sharded(folder / "sharded", [{n: added[n]} for n in sorted(added)[:2]] + [{"f.added": added["f.added"]}])
        for name, (tensors, kinds, options) in cases.items():
            write_safetensors(folder / "model.safetensors", tensors, {"format": "pt"}, kinds)
            yield f"valid-{name}", prune(folder, "model.safetensors", encoding, options)
        yield "valid-sharded", prune(folder, "sharded", encoding, ["--k", "2", "--rule", "b.weight=keep"])


def cells_seeds() -> Seeds:
    """For fuzz_cells.c: the length of a sidecar, the sidecar, and its delta."""
    random = np.random.default_rng(6)
    shapes = {"a.0.w": (5, 34), "a.1.w": (5, 34), "a.10.w": (33, 5), "b": (33, 2), "c": (20,)}
    base: "dict[str, Any]" = {name: random.normal(0, 1, shape).astype(np.float16) for name, shape in shapes.items()}
    model = {name: (v + random.normal(0, 0.1, v.shape)).astype(v.dtype) for name, v in base.items()}
    cases = {"same": ["--k", "1"], "whole": ["--keep", "0.99"], "few": ["--k", "1", "--method", "magnitude"]}
    cases["half"] = ["--keep", "0.5"]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_safetensors(folder / "base.safetensors", base)
        for encoding in ("plain", "packed"):
            for name, options in cases.items():
                write_safetensors(folder / "model.safetensors", base if name == "same" else model)
                delta = prune(folder, "model.safetensors", encoding, options)
                cells = (folder / "out" / ".kend" / "tensors.cells").read_bytes()
                yield f"valid-{encoding}-{name}", struct.pack("<I", len(cells)) + cells + delta
        yield "malformed-head", struct.pack("<I", len(cells)) + b"kencell2" + cells[8:] + delta
        yield "malformed-no-delta", struct.pack("<I", len(cells)) + cells


def prune(folder: Path, model: str, encoding: str, options: "list[str]") -> bytes:
    command = [
        str(BUILD / "kenctl"),
        "prune",
        "-q",
        "-f",
        "--model",
        str(folder / model),
        "--base",
        str(folder / "base.safetensors"),
    ]
    command += ["--outputs", "delta", "--delta-encoding", encoding, "-o", str(folder / "out"), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (folder / "out" / "delta.safetensors").read_bytes()


def block_seeds() -> Seeds:
    """For fuzz_block.c: a byte of dtype and mode, u16 elements, u16 stored, and a block, or what is to be coded."""
    dtypes = ["F64", "F32", "F16", "BF16", "C64", "I64", "U64", "I32", "U32", "I16", "U16", "I8", "U8", "BOOL"]
    good = bytes([1, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 5, 2, 1, 2, 3])
    yield "valid-i16", struct.pack("<BHH", dtypes.index("I16"), 10, 3) + good
    for name, delta in delta_seeds("packed"):
        with tempfile.NamedTemporaryFile() as file:
            file.write(delta)
            file.flush()
            header, data = read_header(file.name)
        for tensor_name, told in json.loads(header["__metadata__"]["tensors"]).items():
            entry = header.get(f"{tensor_name}.packed")
            if not entry:
                continue
            begin = data + entry["data_offsets"][0]
            length, stored = struct.unpack_from("<II", delta, begin)
            count, block = int(np.prod(told["shape"])), delta[begin + 16 : begin + 16 + length]
            yield f"block-{name}-{tensor_name}", struct.pack("<BHH", dtypes.index(told["dtype"]), count, stored) + block
    random = np.random.default_rng(5)
    for number, dtype in enumerate(dtypes[:4] + ["I64", "I32", "I16", "U8"]):
        for mode, kind, count in ((0x80, "coded", 300), (0xC0, "near", 1000)):
            head = struct.pack("<BHH", mode | dtypes.index(dtype), count, 0)
            yield f"valid-{kind}-{dtype.lower()}", head + random.bytes(50 + 60 * number)


# ---- jobs


def job_seeds() -> Seeds:
    pair: "dict[str, Any]" = {"model": "https://models.example/sst2/", "base": "https://models.example/bert/"}
    rules = [{"match": "*.LayerNorm.*", "action": "keep"}, {"match": "encoder.*", "action": "prune", "keep": 0.5}]
    rules += [{"match": "[ab]?.x", "action": "prune", "k": 7}, {"match": "pooler*", "action": "reset"}]
    variants = [{"name": "half", "keep": 0.5}, {"name": "tenth", "keep": 0.1, "method": "magnitude", "rescale": "l1"}]
    full = {
        "kind": "prune",
        "name": "sst2-bert",
        "model": {"url": "https://models.example/sst2/model.safetensors?token=secret", "sha256": "ab" * 32},
        "base": {"url": "file:///srv/models/bert/model.safetensors"},
        "method": "random",
        "k": 384,
        "rescale": "none",
        "duplicates": "all",
        "non_finite": "keep",
        "seed": 9007199254740991,
        "rules": rules,
        "unmatched": "fail",
        "outputs": ["report", "delta"],
        "delta_encoding": "packed",
        "metadata": {"team": "nlp", "\u00e9": ""},
        "timeout_seconds": 3600,
    }
    yield "valid-short", json.dumps({**pair, "keep": 0.25}).encode()
    yield "valid-full", json.dumps(full).encode()
    yield "valid-variants", json.dumps({**pair, "rules": "layers", "variants": variants}).encode()
    yield "valid-seeds", json.dumps(
        {**pair, "k": 1, "variants": [{"name": f"s{i}", "method": "random", "seed": i} for i in range(3)]}
    ).encode()
    yield "valid-hosts", json.dumps(
        {"model": "HTTPS://[2001:db8::1]:8443/a%20b/", "base": {"url": "https://10.0.0.1/b.safetensors?"}, "k": 5}
    ).encode()
    yield "valid-paths", json.dumps({"model": "sst2/", "base": "../bert.bin", "keep": 1e-3}).encode()
    inject = {
        "kind": "inject",
        "base": "https://b.example/b/",
        "delta": {"url": "https://d.example/d?x", "sha256": "0" * 64},
    }
    yield "valid-inject", json.dumps(inject).encode()
    yield "malformed-inject", json.dumps({**inject, "k": 1, "outputs": ["delta"]}).encode()
    names = [{"match": "encoder.*", "base": "bert.encoder.*"}, {"match": "h?ad", "base": "head"}]
    yield "valid-names", json.dumps({**pair, "k": 1, "names": names}).encode()
    yield "malformed-names", json.dumps(
        {**pair, "k": 1, "names": [{"match": "a*", "base": "*b*"}, {"match": ""}]}
    ).encode()
    yield "malformed-later", json.dumps({**pair, "model": "hf://a/b@main", "k": 1, "webhooks": []}).encode()
    yield "malformed-fields", json.dumps(
        {**full, "keep": 2, "metod": "ken", "variants": [], "outputs": ["delta", "delta"]}
    ).encode()
    yield "malformed-types", json.dumps({name: 1.0 for name in full}).encode()
    yield "malformed-array", b"[1, 2]"
    yield "malformed-number", b"17"


SEEDS = {
    "block": block_seeds,
    "cells": cells_seeds,
    "delta": lambda: delta_seeds("plain"),
    "index": index_seeds,
    "job": job_seeds,
    "packed": lambda: delta_seeds("packed"),
    "pickle": pickle_seeds,
    "safetensors": safetensors_seeds,
    "torch": torch_seeds,
}


def main() -> None:
    corpus = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "corpus"
    for target, seeds in SEEDS.items():
        folder = corpus / target
        folder.mkdir(parents=True, exist_ok=True)
        for kind in ("valid-*", "malformed-*", "block-*"):
            for old in folder.glob(kind):
                old.unlink()
        for name, content in seeds():
            if len(content) <= SEED_MAX:
                (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
