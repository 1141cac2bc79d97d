# SPDX-License-Identifier: Apache-2.0
"""Torch files are pruned as the same tensors in safetensors files are: the same bytes, but for what the report says of the inputs."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from checkpoints import make_index, read_metadata, read_safetensors, to_bf16, write_safetensors, write_sharded
from daemon import Kend
from origin import Origin
from torch_files import Entry, dict_of, make_file, make_torch, pickled, storage, tensor, text

Run = Callable[..., "subprocess.CompletedProcess[str]"]
METADATA = {"format": "pt"}


def ok(result: "subprocess.CompletedProcess[str]") -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout


def make_tensors(seed: int = 1) -> "tuple[dict[str, np.ndarray[Any, Any]], dict[str, np.ndarray[Any, Any]]]":
    """Model and base: several dtypes, scalars, empty ones, in the order of the file."""
    random = np.random.default_rng(seed)
    base: "dict[str, np.ndarray[Any, Any]]" = {
        "emb.weight": random.standard_normal((300, 96), np.float32),
        "a.weight": random.standard_normal((40, 7, 11)),
        "b.weight": random.standard_normal((64, 33)).astype(np.float16),
        "steps": np.array(7, np.int64),
        "empty": np.zeros((0, 5), np.float32),
        "ids": np.arange(100, dtype=np.int32),
        "mask": np.arange(9) % 2 == 0,
        "bytes": np.arange(256, dtype=np.uint8),
    }
    model = {
        name: (value + random.normal(0, 0.02, value.shape)).astype(value.dtype) if value.dtype.kind == "f" else value
        for name, value in base.items()
    }
    return {**model, "head.weight": random.standard_normal((3, 96), np.float32)}, base


def outputs(folder: Path) -> "tuple[dict[str, bytes], dict[str, Any]]":
    """All files but the report, and the report without what it says of the inputs."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    report = json.loads(files.pop("report.json"))
    report.pop("inputs")
    return files, report


def prune(kenctl: Run, model: Path, base: Path, out: Path) -> "tuple[dict[str, bytes], dict[str, Any]]":
    ok(kenctl("prune", "--model", model, "--base", base, "--keep", "0.4", "-o", out))
    return outputs(out)


@pytest.mark.smoke
def test_a_torch_pair_gives_the_bytes_of_a_safetensors_pair(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_tensors()
    for name, tensors in (("model", model), ("base", base)):
        write_safetensors(tmp_path / f"{name}.safetensors", tensors, METADATA)
        (tmp_path / f"{name}.pt").write_bytes(make_torch(tensors))
        (tmp_path / f"{name}.zip32").write_bytes(make_torch(tensors, nest="model_state_dict", like_torch=False))
    expected = prune(kenctl, tmp_path / "model.safetensors", tmp_path / "base.safetensors", tmp_path / "out")
    assert sorted(expected[0]) == ["delta.safetensors", "model.safetensors"]
    for number, (left, right) in enumerate(
        (("pt", "pt"), ("pt", "safetensors"), ("safetensors", "pt"), ("zip32", "zip32"))
    ):
        out = tmp_path / f"out{number}"
        assert prune(kenctl, tmp_path / f"model.{left}", tmp_path / f"base.{right}", out) == expected
        inputs = json.loads((out / "report.json").read_text())["inputs"]
        for side, suffix in (("model", left), ("base", right)):
            content = (tmp_path / f"{side}.{suffix}").read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            assert inputs[side]["files"] == [{"name": "model.safetensors", "size": len(content), "sha256": digest}]
        delta = out / "delta.safetensors"
        ok(kenctl("inject", "--base", tmp_path / "base.pt", "--delta", delta, "-o", out / "again.safetensors"))
        assert (out / "again.safetensors").read_bytes() == expected[0]["model.safetensors"]


def test_sizes_may_be_in_zip64_fields(tmp_path: Path, kenctl: Run) -> None:
    content = np.arange(6, dtype=np.float32)
    pickle = pickled(dict_of((text("a"), tensor(storage("7", "FloatStorage", 6), [2, 3]))))
    field = struct.pack("<HHQQ", 1, 16, 24, 24)
    told = {"size": 0xFFFFFFFF, "stored": 0xFFFFFFFF}
    for like_torch in (True, False):
        entry = Entry("archive/data/7", content.tobytes(), central=told, extra=field)
        (tmp_path / "a.pt").write_bytes(make_file(pickle, {}, more=[entry], like_torch=like_torch))
        prune(kenctl, tmp_path / "a.pt", tmp_path / "a.pt", tmp_path / f"out{like_torch}")
        found = read_safetensors(tmp_path / f"out{like_torch}" / "model.safetensors")
        assert (found["a"] == content.reshape(2, 3)).all()


def test_verify_compares_with_a_torch_file(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_tensors()
    (tmp_path / "model.bin").write_bytes(make_torch(model))
    (tmp_path / "base.bin").write_bytes(make_torch(base))
    prune(kenctl, tmp_path / "model.bin", tmp_path / "base.bin", tmp_path / "out")
    pruned = read_safetensors(tmp_path / "out" / "model.safetensors")
    (tmp_path / "pruned.bin").write_bytes(make_torch({name: pruned[name] for name in model}))
    delta = tmp_path / "out" / "delta.safetensors"
    verify = ("verify", "--delta", delta, "--base", tmp_path / "base.bin", "--model")
    ok(kenctl(*verify, tmp_path / "pruned.bin"))
    assert kenctl(*verify, tmp_path / "model.bin").returncode == 1


def test_strides_are_honoured(tmp_path: Path, kenctl: Run) -> None:
    random = np.random.default_rng(2)
    shapes = ((700, 300), (3, 50, 70), (1, 90), (5, 1, 4, 3, 20))
    bases = {f"t{i}": random.standard_normal(shape, np.float32) for i, shape in enumerate(shapes)}
    models = {
        name: value + np.float32(0.01) * random.standard_normal(value.shape, np.float32)
        for name, value in bases.items()
    }
    for name, tensors in (("model", models), ("base", bases)):
        write_safetensors(tmp_path / f"{name}.safetensors", tensors, METADATA)
    expected = prune(kenctl, tmp_path / "model.safetensors", tmp_path / "base.safetensors", tmp_path / "out")
    orders: "list[Callable[[Any], Any]]" = [
        np.asfortranarray,
        lambda values: np.ascontiguousarray(values.swapaxes(0, -1)).swapaxes(0, -1),
        lambda values: np.ascontiguousarray(np.moveaxis(values, 0, 1)).swapaxes(0, 1),
    ]
    for number, order in enumerate(orders):
        for name, tensors in (("model", models), ("base", bases)):
            laid = {key: order(value) for key, value in tensors.items()}
            assert number or not laid["t0"].flags.c_contiguous
            (tmp_path / f"{name}.pt").write_bytes(make_torch(laid))
        for threads in (1, 3):
            out = tmp_path / f"out{number}-{threads}"
            arguments = ("--keep", "0.4", "--threads", threads, "--memory", "8MiB", "-o", out)
            ok(kenctl("prune", "--model", tmp_path / "model.pt", "--base", tmp_path / "base.pt", *arguments))
            assert outputs(out) == expected, (number, threads)


def test_tied_tensors_are_pruned_once_and_come_back(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_tensors()
    (tmp_path / "model.bin").write_bytes(make_torch(model, ties={"lm_head.weight": "emb.weight", "z": "ids"}))
    write_safetensors(tmp_path / "base.safetensors", base)
    write_safetensors(tmp_path / "model.safetensors", model, {**METADATA, "lm_head.weight": "emb.weight", "z": "ids"})
    files, report = prune(kenctl, tmp_path / "model.bin", tmp_path / "base.safetensors", tmp_path / "out")
    assert report.pop("tied") == [{"name": "lm_head.weight", "of": "emb.weight"}, {"name": "z", "of": "ids"}]
    expected = prune(kenctl, tmp_path / "model.safetensors", tmp_path / "base.safetensors", tmp_path / "out2")
    assert (files, report) == expected
    assert "lm_head.weight" not in read_safetensors(tmp_path / "out" / "model.safetensors")
    delta = tmp_path / "out" / "delta.safetensors"
    ok(kenctl("inject", "--base", tmp_path / "base.safetensors", "--delta", delta, "-o", "again.safetensors"))
    found = read_metadata(tmp_path / "again.safetensors")
    assert found == {"format": "pt", "lm_head.weight": "emb.weight", "z": "ids"}


def test_dtypes_may_differ_and_those_without_a_class_of_storage_are_read(tmp_path: Path, kenctl: Run) -> None:
    random = np.random.default_rng(3)
    base: "dict[str, np.ndarray[Any, Any]]" = {
        "w": random.standard_normal((80, 120), np.float32),
        "f8": np.arange(7, dtype=np.uint8),
    }
    model: "dict[str, np.ndarray[Any, Any]]" = {
        "w": to_bf16(base["w"] + 0.05),
        "f8": np.arange(7, dtype=np.uint8),
        "u": np.arange(5, dtype=np.uint16),
    }
    dtypes = {"w": "BF16", "f8": "F8_E4M3", "u": "U16"}
    (tmp_path / "model.bin").write_bytes(make_torch(model, dtypes))
    write_safetensors(tmp_path / "model.safetensors", model, METADATA, dtypes)
    (tmp_path / "base.bin").write_bytes(make_torch(base, {"f8": "F8_E4M3"}))
    write_safetensors(tmp_path / "base.safetensors", base, None, {"f8": "F8_E4M3"})
    expected = prune(kenctl, tmp_path / "model.safetensors", tmp_path / "base.safetensors", tmp_path / "out")
    assert prune(kenctl, tmp_path / "model.bin", tmp_path / "base.bin", tmp_path / "out2") == expected
    (row,) = [row for row in expected[1]["tensors"] if row["name"] == "w"]
    assert (row["dtype"], row["base_dtype"], row["action"]) == ("BF16", "F32", "prune")


def write_torch_shards(folder: Path, shards: "list[dict[str, np.ndarray[Any, Any]]]", **options: Any) -> None:
    folder.mkdir(parents=True)
    weight_map = {}
    for number, shard in enumerate(shards, 1):
        name = f"pytorch_model-{number:05d}-of-{len(shards):05d}.bin"
        (folder / name).write_bytes(make_torch(shard, **options))
        weight_map.update({tensor: name for tensor in shard})
        weight_map.update({tie: name for tie, tensor in options.get("ties", {}).items() if tensor in shard})
    (folder / "pytorch_model.bin.index.json").write_bytes(make_index(weight_map))


def halves(tensors: "dict[str, np.ndarray[Any, Any]]") -> "list[dict[str, np.ndarray[Any, Any]]]":
    names = list(tensors)
    return [{name: tensors[name] for name in part} for part in (names[:3], names[3:])]


def test_sharded_torch_files(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_tensors()
    write_sharded(tmp_path / "st", halves(model), METADATA)
    write_torch_shards(tmp_path / "pt", halves(model))
    write_torch_shards(tmp_path / "base", halves(base))
    write_safetensors(tmp_path / "base.safetensors", base)
    expected = prune(kenctl, tmp_path / "st", tmp_path / "base.safetensors", tmp_path / "out")
    assert prune(kenctl, tmp_path / "pt", tmp_path / "base", tmp_path / "out2") == expected
    index = tmp_path / "pt" / "pytorch_model.bin.index.json"
    assert prune(kenctl, index, tmp_path / "base.safetensors", tmp_path / "out3") == expected
    assert sorted(expected[0]) == [
        "delta.safetensors",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]


def test_a_tie_may_be_in_an_index(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_tensors()
    folder = tmp_path / "pt"
    folder.mkdir()
    (folder / "a.bin").write_bytes(make_torch(model, ties={"lm_head.weight": "emb.weight"}))
    index = make_index({name: "a.bin" for name in [*model, "lm_head.weight"]})
    (folder / "pytorch_model.bin.index.json").write_bytes(index)
    write_safetensors(tmp_path / "base.safetensors", base)
    files, report = prune(kenctl, folder, tmp_path / "base.safetensors", tmp_path / "out")
    assert report["tied"] == [{"name": "lm_head.weight", "of": "emb.weight"}]
    weight_map = json.loads(files["model.safetensors.index.json"])["weight_map"]
    assert set(weight_map) == set(model)


@pytest.mark.parametrize("sharded", (False, True))
def test_a_job_over_http(sharded: bool, kend: Kend, origin: Origin, kenctl: Run, tmp_path: Path) -> None:
    model, base = make_tensors()
    root = tmp_path / "origin"
    if sharded:
        write_torch_shards(root / "model", halves(model))
        write_sharded(tmp_path / "st", halves(model), METADATA)
    else:
        (root / "model").mkdir()
        (root / "model" / "pytorch_model.bin").write_bytes(make_torch(model))
        write_safetensors(tmp_path / "st", model, METADATA)
    (root / "base.pt").write_bytes(make_torch(base))
    write_safetensors(tmp_path / "base.safetensors", base)
    job = kend.submit({"model": f"{origin.url}/model/", "base": f"{origin.url}/base.pt", "keep": 0.4})
    ended = kend.wait(job)
    assert ended["status"] == "succeeded", ended
    files, expected = prune(kenctl, tmp_path / "st", tmp_path / "base.safetensors", tmp_path / "out")
    for name, content in files.items():
        assert kend.download(job, name) == content, name
    report = json.loads(kend.download(job, "report.json"))
    inputs = report.pop("inputs")
    assert report == expected
    content = (root / "base.pt").read_bytes()
    (file,) = inputs["base"]["files"]
    assert (file["size"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_inspect_tells_of_ties_and_of_the_file(tmp_path: Path, kenctl: Run) -> None:
    model, _ = make_tensors()
    content = make_torch(model, ties={"z": "ids"}, nest="model")
    (tmp_path / "x.pth").write_bytes(content)
    answer = json.loads(ok(kenctl("inspect", "x.pth", "-o", "json")))
    (file,) = answer["files"]
    assert (file["name"], file["size"], file["format"]) == ("x.pth", len(content), "pytorch")
    assert file["metadata"] is None and answer["tied"] == [{"name": "z", "of": "ids"}]
    assert [tensor["name"] for tensor in answer["tensors"]] == list(model)
    lines = ok(kenctl("inspect", "x.pth")).splitlines()
    assert lines[0].startswith("checkpoint, 1 PyTorch file, ") and lines[1:3] == ["tied: z is ids", ""]
