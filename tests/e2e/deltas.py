# SPDX-License-Identifier: Apache-2.0
"""Pairs for tests of kenctl, and deltas read by Python that knows only proto/delta-format.md."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any, Callable

import numpy as np

from checkpoints import DTYPES, from_bf16, read_metadata, read_safetensors, to_bf16, write_safetensors, write_sharded

Run = Callable[..., "subprocess.CompletedProcess[str]"]


# ---- the format, from proto/delta-format.md alone


def convert(values: "np.ndarray[Any, Any]", source: str, target: str) -> "np.ndarray[Any, Any]":
    """Base elements in the tensor's dtype; finite values."""
    if source == target:
        return values
    wide = from_bf16(values) if source == "BF16" else values
    return to_bf16(wide.astype(np.float32)) if target == "BF16" else wide.astype(DTYPES[target])


def read_delta(delta: Path, base: "dict[str, np.ndarray[Any, Any]]") -> "dict[str, bytes]":
    """The model's files that the delta and the base make."""
    metadata = read_metadata(delta)
    assert list(metadata) == ["format", "version", "encoding", "model", "tensors"]
    assert (metadata["format"], metadata["version"], metadata["encoding"]) == ("ken-delta", "1", "plain")
    model, tensors, entries = json.loads(metadata["model"]), json.loads(metadata["tensors"]), read_safetensors(delta)
    used: "set[str]" = set()

    def entry(name: str) -> "np.ndarray[Any, Any]":
        used.add(name)
        return entries[name]

    def tensor_bytes(name: str) -> bytes:
        tensor = tensors[name]
        if tensor["base"]:
            source = base[tensor["base"]["name"]]
            assert hashlib.sha256(source.tobytes()).hexdigest() == tensor["base"]["sha256"]
            result = convert(source, tensor["base"]["dtype"], tensor["dtype"]).reshape(-1).copy()
        if tensor["form"] == "whole":
            assert list(entry(f"{name}.whole").shape) == tensor["shape"]
            return entry(f"{name}.whole").tobytes()
        if tensor["form"] == "mask":
            bits = np.unpackbits(entry(f"{name}.mask"), bitorder="little")
            assert bits.sum() == tensor["stored"] and not bits[len(result) :].any()
            places = np.flatnonzero(bits)
        elif tensor["form"] == "gaps":
            places = np.cumsum(entry(f"{name}.gaps").astype(np.int64) + 1) - 1
        else:
            assert tensor["form"] == "same" and tensor["stored"] == 0
            return result.tobytes()
        values = entry(f"{name}.values")
        assert len(values) == tensor["stored"] == len(places)
        result[places] = values
        return result.tobytes()

    files, weight_map, total = {}, {}, 0
    for file in model["files"]:
        header: "dict[str, Any]" = {} if file["metadata"] is None else {"__metadata__": file["metadata"]}
        data = b""
        for name in file["tensors"]:
            content = tensor_bytes(name)
            tensor = tensors[name]
            header[name] = {
                "dtype": tensor["dtype"],
                "shape": tensor["shape"],
                "data_offsets": [len(data), len(data) + len(content)],
            }
            weight_map[name] = file["name"]
            data += content
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        files[file["name"]] = len(text).to_bytes(8, "little") + text + data
        total += len(data)
    if model["index"] is not None:
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        files[model["index"]] = (json.dumps(index, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
    assert used == set(entries), "superfluous entries"
    return files


def smallest_form(tensor: "dict[str, Any]", largest_gap: int) -> str:
    """The form that a writer must take."""
    elements, size, stored = (
        int(np.prod(tensor["shape"], dtype=np.int64)),
        DTYPES[tensor["dtype"]].itemsize,
        tensor["stored"],
    )
    if not tensor["base"]:
        return "whole"
    if not stored:
        return "same"
    sizes = {
        "whole": elements * size,
        "mask": stored * size + -(-elements // 8),
        "gaps": stored * (size + (2 if largest_gap < 65536 else 4)),
    }
    return min(sizes, key=lambda form: sizes[form])  # the first of equals


# ---- pairs


def make_pair(folder: Path, sharded: bool = False) -> "tuple[Path, Path]":
    """A fine-tuned checkpoint and its base with tensors of many kinds."""
    random = np.random.default_rng(7)
    base: "dict[str, Any]" = {
        "emb.weight": random.normal(size=(40, 64)).astype(np.float32),
        "layer.0.weight": random.normal(size=(16, 300)).astype(np.float32),
        "layer.0.bias": random.normal(size=(300,)).astype(np.float16),
        "layer.1.weight": random.normal(size=(3, 4096)).astype(np.float64),
        "norm.weight": np.ones(64, np.float32),
        "position_ids": np.arange(512, dtype=np.int64).reshape(1, 512),
        "only.in.base": np.zeros(3, np.float32),
    }
    model = {name: values.copy() for name, values in base.items() if name != "only.in.base"}
    for name in ("emb.weight", "layer.0.weight", "layer.0.bias", "layer.1.weight"):
        model[name] += (random.normal(size=model[name].shape) * 0.1).astype(model[name].dtype)
    model["position_ids"][0, 7] = 70000
    model['classifier.ü"weight'] = random.normal(size=(4, 64)).astype(np.float32)
    if sharded:
        names = sorted(model)
        write_sharded(folder / "model", [{n: model[n] for n in names[:3]}, {n: model[n] for n in names[3:]}])
        write_sharded(folder / "base", [{n: base[n]} for n in reversed(base)])
        return folder / "model", folder / "base"
    write_safetensors(folder / "model.safetensors", model, {"format": "pt", "note": "a/b \u00e9"})
    write_safetensors(folder / "base.safetensors", base)
    return folder / "model.safetensors", folder / "base.safetensors"


def all_tensors(path: Path) -> "dict[str, np.ndarray[Any, Any]]":
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    return {name: values for file in files for name, values in read_safetensors(file).items()}


def ok(result: "subprocess.CompletedProcess[str]") -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout


def tree(folder: Path) -> "dict[str, str]":
    """Digests of all files below a folder."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
