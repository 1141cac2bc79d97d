# SPDX-License-Identifier: Apache-2.0
"""kenctl export: deltas in the layout of TRL's sparse weight updates, applied by NumPy as TRL's receiver does."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from checkpoints import DTYPES, make_header, read_header, read_metadata, read_safetensors, to_bf16, write_safetensors
from deltas import all_tensors, make_pair, ok, tree

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Tensors = "dict[str, np.ndarray[Any, Any]]"
KEYS = ["format", "version", "sparse", "model_version", "num_changed_params", "total_changed_elements"]
KEYS += ["total_elements", "sparsity", "changed_params"]


def receive(update: Path, held: "dict[str, np.ndarray[Any, Any]]") -> "dict[str, np.ndarray[Any, Any]]":
    """What TRL's receiver makes of the tensors it holds."""
    metadata, entries = read_metadata(update), read_safetensors(update)
    assert metadata["sparse"] == "True"
    held = dict(held)
    for name in json.loads(metadata["changed_params"]):
        indices, values = entries[f"{name}.indices"], entries[f"{name}.values"]
        flat = held[name].flatten()
        flat[indices.astype(np.int64)] = values
        held[name] = flat.reshape(held[name].shape)
    return held


def check_layout(update: Path, model: "dict[str, np.ndarray[Any, Any]]") -> None:
    header, begin = read_header(update)
    metadata = header.pop("__metadata__")
    assert list(metadata) == KEYS
    names = json.loads(metadata["changed_params"])
    assert set(header) == {f"{name}.{suffix}" for name in names for suffix in ("indices", "values")}
    changed = 0
    for name in names:
        indices, values = header[f"{name}.indices"], header[f"{name}.values"]
        assert indices["dtype"] == "I32" and indices["shape"] == values["shape"] and len(values["shape"]) == 1
        changed += values["shape"][0]
    for entry in header.values():
        assert (begin + entry["data_offsets"][0]) % DTYPES[entry["dtype"]].itemsize == 0
    for name, found in read_safetensors(update).items():
        if name.endswith(".indices"):
            assert (np.diff(found) > 0).all() and found[0] >= 0 and found[-1] < model[name[:-8]].size
    elements = sum(values.size for values in model.values())
    assert (metadata["format"], metadata["version"], metadata["model_version"]) == ("sparse_weight_patch", "1", "0")
    assert int(metadata["num_changed_params"]) == len(names)
    assert int(metadata["total_changed_elements"]) == changed
    assert int(metadata["total_elements"]) == elements
    assert float(metadata["sparsity"]) == 1.0 - changed / elements


def check_update(update: Path, model_path: Path, base: "dict[str, np.ndarray[Any, Any]]") -> None:
    """The receiver holds the base in the model's dtypes, and the tensors that the base lacks with any values."""
    files = sorted(model_path.glob("model*.safetensors")) if model_path.is_dir() else [model_path]
    model = {name: values for file in files for name, values in read_safetensors(file).items()}
    check_layout(update, model)
    made = receive(update, {name: base.get(name, np.zeros_like(values)) for name, values in model.items()})
    for name, values in model.items():
        assert made[name].dtype == values.dtype and made[name].tobytes() == values.tobytes(), name


@pytest.mark.smoke
@pytest.mark.parametrize("sharded", (False, True))
@pytest.mark.parametrize("arguments", (("--k", 1), ("--keep", "0.6", "--rescale", "l1"), ("--k", 250), ("--k", 4000)))
def test_the_receiver_has_the_pruned_model(
    tmp_path: Path, kenctl: Run, sharded: bool, arguments: "tuple[object, ...]"
) -> None:
    model, base = make_pair(tmp_path, sharded)
    for encoding in ("plain", "packed"):
        prune = ("prune", "--model", model, "--base", base, *arguments, "--delta-encoding", encoding)
        ok(kenctl(*prune, "-o", encoding))
        export = ("export", "--delta", f"{encoding}/delta.safetensors", "--format", "trl")
        ok(kenctl(*export, "--base", base, "-o", f"{encoding}.update"))
        check_update(tmp_path / f"{encoding}.update", tmp_path / encoding, all_tensors(base))
        if encoding == "plain":
            ok(kenctl(*export, "-o", "without.update"))
    # A plain delta has all that is needed: its base only adds a check.
    assert (tmp_path / "plain.update").read_bytes() == (tmp_path / "without.update").read_bytes()


@pytest.mark.parametrize("encoding", ("plain", "packed"))
def test_bf16_of_the_real_pair(tmp_path: Path, data: Path, kenctl: Run, encoding: str) -> None:
    model, base = data / "era-bf16" / "finetuned.safetensors", data / "era-bf16" / "base.safetensors"
    ok(kenctl("prune", "--model", model, "--base", base, "--keep", "0.25", "--delta-encoding", encoding, "-o", "out"))
    export = ("export", "--delta", "out/delta.safetensors", "--base", base, "--format", "trl", "-o", "update", "--json")
    answer = json.loads(ok(kenctl(*export)))
    check_update(tmp_path / "update", tmp_path / "out", read_safetensors(base))
    metadata = read_metadata(tmp_path / "update")
    assert answer == {
        "output": "update",
        "format": "trl",
        "tensors": int(metadata["num_changed_params"]),
        "added": 2,
        "renamed": 0,
        "values": int(metadata["total_changed_elements"]),
        "parameters": int(metadata["total_elements"]),
        "bytes": (tmp_path / "update").stat().st_size,
    }


@pytest.mark.parametrize("encoding", ("plain", "packed"))
def test_pieces_and_dtypes(tmp_path: Path, kenctl: Run, encoding: str) -> None:
    """Tensors longer than a block, in several sizes of element; a base in F32 for a model in BF16."""
    random = np.random.default_rng(3)
    wide = random.normal(size=(3, 200_000)).astype(np.float32)
    base: "dict[str, Any]" = {"wide": wide, "f64": wide[:, :90_000].astype(np.float64)}
    base["ids"] = random.integers(0, 99, 600_000).astype(np.int8)
    model = {name: values.copy() for name, values in base.items()}
    model["wide"] = to_bf16(wide + (random.normal(size=wide.shape) * 0.1).astype(np.float32))
    model["f64"] += random.normal(size=(3, 90_000)) * 0.1
    model["ids"][::5] += 1
    write_safetensors(tmp_path / "model.safetensors", model, dtypes={"wide": "BF16"})
    write_safetensors(tmp_path / "base.safetensors", base)
    prune = ("prune", "--model", "model.safetensors", "--base", "base.safetensors", "--keep", "0.05", "-o", "out")
    ok(kenctl(*prune, "--delta-encoding", encoding))
    export = ("export", "--delta", "out/delta.safetensors", "--base", "base.safetensors", "--format", "trl")
    text = ok(kenctl(*export, "-o", "update"))
    assert text.startswith("update: 3 tensors, ")
    assert text.endswith(f", {(tmp_path / 'update').stat().st_size} bytes\n")
    check_update(tmp_path / "update", tmp_path / "out", {**base, "wide": to_bf16(wide)})


def test_a_delta_of_nothing(tmp_path: Path, kenctl: Run) -> None:
    write_safetensors(tmp_path / "base.safetensors", {"a": np.ones((4, 9), np.float32)})
    ok(kenctl("prune", "--model", "base.safetensors", "--base", "base.safetensors", "--k", 2, "-o", "out"))
    ok(kenctl("export", "--delta", "out/delta.safetensors", "--format", "trl", "-o", "update", "-q"))
    check_update(tmp_path / "update", tmp_path / "base.safetensors", read_safetensors(tmp_path / "base.safetensors"))
    assert json.loads(read_metadata(tmp_path / "update")["changed_params"]) == []
    assert read_metadata(tmp_path / "update")["sparsity"] == "1"


def made_delta(path: Path, dtype: str, shape: "list[int]", entries: "dict[str, Any]", form: str, stored: int) -> None:
    """A plain delta of one tensor "big", whose entries are as a header tells them and zeros."""
    told = {"dtype": dtype, "shape": shape, "base": {"name": "other.big", "dtype": dtype, "sha256": "0" * 64}}
    files = [{"name": "model.safetensors", "metadata": None, "tensors": ["big"]}]
    metadata = {
        "format": "ken-delta",
        "version": "1",
        "encoding": "plain",
        "model": json.dumps({"files": files, "index": None}),
        "tensors": json.dumps({"big": {**told, "form": form, "stored": stored}}),
    }
    end = max(entry["data_offsets"][1] for entry in entries.values())
    path.write_bytes(make_header({"__metadata__": metadata, **entries}) + bytes(end))


def test_what_indices_cannot_tell_is_refused(tmp_path: Path, kenctl: Run) -> None:
    def entry(dtype: str, count: int, begin: int, end: int) -> "dict[str, Any]":
        return {"dtype": dtype, "shape": [count], "data_offsets": [begin, end]}

    export = ("export", "--delta", "delta", "--format", "trl", "-o", "update")
    one = {"big.values": entry("U8", 1, 0, 1), "big.gaps": entry("U16", 1, 1, 3)}
    made_delta(tmp_path / "delta", "U8", [1 << 16, (1 << 15) + 1], one, "gaps", 1)
    result = kenctl(*export)
    assert result.returncode == 1
    expected = 'tensor "big" has 2147549184 elements; the indices of this format, of 32 bits, reach 2147483648'
    assert expected in result.stderr and not (tmp_path / "update").exists()
    made_delta(tmp_path / "delta", "U8", [1 << 16, 1 << 15], one, "gaps", 1)
    assert "1 of the tensors has another name in the base" in kenctl(*export).stderr
    assert read_safetensors(tmp_path / "update")["big.indices"].tolist() == [0]
    made_delta(tmp_path / "delta", "F4", [6], {"big.whole": {**entry("F4", 6, 0, 3)}}, "whole", 6)
    result = kenctl(*export, "--force")
    assert result.returncode == 1 and 'tensor "big": F4 has no elements of whole bytes' in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["delta", "update"]


def test_refusals(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path)
    prune = ("prune", "--model", model, "--base", base, "--k", 5, "-q")
    ok(kenctl(*prune, "-o", "plain"))
    ok(kenctl(*prune, "--delta-encoding", "packed", "-o", "packed"))
    plain = ("--delta", "plain/delta.safetensors")
    (tmp_path / "there").write_text("mine")
    before = tree(tmp_path)
    for arguments, status, message in (
        ((*plain, "-o", "x"), 2, "'export' needs --delta, --format and -o"),
        ((*plain, "--format", "gguf", "-o", "x"), 2, 'there is no format "gguf" to export to: there is trl\nSee: '),
        ((*plain, "--format", "trl", "-o", "-"), 2, "the export cannot go to standard output"),
        ((*plain, "--format", "trl", "-o", "there"), 1, "there is there already; --force replaces it"),
        ((*plain, "--format", "trl", "-o", "plain"), 1, "plain is there already"),
        ((*plain, "--format", "trl", "-fo", plain[1]), 1, "plain/delta.safetensors is the delta itself"),
        ((*plain, "--format", "trl", "-f", "-o", base, "--base", base), 1, f"{base} is the base itself"),
        (("--delta", model, "--format", "trl", "-o", "x"), 1, "this is no delta"),
        (("--delta", "none", "--format", "trl", "-o", "x"), 1, '"none" does not exist'),
        (
            ("--delta", "packed/delta.safetensors", "--format", "trl", "-o", "x"),
            2,
            "packed/delta.safetensors is packed: its values are differences to the base, which --base must name",
        ),
        ((*plain, "--format", "trl", "-o", "x", "--base", model), 1, "this is another base"),
    ):
        result = kenctl("export", *arguments)
        assert (result.returncode, result.stdout) == (status, ""), arguments
        assert message in result.stderr, result.stderr
        assert tree(tmp_path) == before
    ok(kenctl("export", *plain, "--format", "trl", "-o", "there", "--force"))
    check_update(tmp_path / "there", tmp_path / "plain" / "model.safetensors", all_tensors(base))


@pytest.mark.parametrize("encoding", ("plain", "packed"))
def test_damage_is_found_and_nothing_is_left(tmp_path: Path, kenctl: Run, encoding: str) -> None:
    model, base = make_pair(tmp_path)
    ok(kenctl("prune", "--model", model, "--base", base, "--k", 5, "--delta-encoding", encoding, "-o", "out"))
    delta = tmp_path / "out" / "delta.safetensors"
    header, begin = read_header(delta)
    suffix = ".mask" if encoding == "plain" else ".packed"
    at = begin + next(e["data_offsets"][1] for name, e in header.items() if name.endswith(suffix)) - 1
    content = bytearray(delta.read_bytes())
    content[at] ^= 0xFF
    delta.write_bytes(content)
    result = kenctl("export", "--delta", delta, "--base", base, "--format", "trl", "-o", "update")
    assert result.returncode == 1 and "tensor" in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([model.name, base.name, "out"])
