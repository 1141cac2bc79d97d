# SPDX-License-Identifier: Apache-2.0
"""What `kenctl export --format trl` writes, read by the real safetensors package and applied as TRL's and vLLM's receivers do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
torch: Any = pytest.importorskip("torch")
safetensors: Any = pytest.importorskip("safetensors")
safetensors_torch: Any = pytest.importorskip("safetensors.torch")

KENCTL = Path(os.environ["KEND_BUILD"]) / "kenctl"


def kenctl(*arguments: object) -> None:
    subprocess.run([str(KENCTL), *map(str, arguments)], check=True, capture_output=True)


def receive_trl(path: Path, held: "dict[str, Any]") -> None:
    """TRL: an assignment to the flattened tensor that the worker holds."""
    with safetensors.safe_open(str(path), framework="pt", device="cpu") as file:
        metadata = file.metadata()
        assert metadata["sparse"] == "True" and 0 <= float(metadata["sparsity"]) < 1
        for name in json.loads(metadata["changed_params"]):
            indices, values = file.get_tensor(f"{name}.indices").long(), file.get_tensor(f"{name}.values")
            flat = held[name].flatten()
            flat[indices] = values
            held[name] = flat.reshape(held[name].shape)


def receive_vllm(path: Path, held: "dict[str, Any]") -> None:
    """vLLM: patches of int32 indices, copied in place."""
    with safetensors.safe_open(str(path), framework="pt", device="cpu") as file:
        for name in json.loads(file.metadata()["changed_params"]):
            indices, values = file.get_tensor(f"{name}.indices"), file.get_tensor(f"{name}.values")
            assert indices.dtype == torch.int32 and values.dtype == held[name].dtype
            held[name].view(-1).index_copy_(0, indices.long(), values)


@pytest.mark.parametrize("receive", (receive_trl, receive_vllm))
@pytest.mark.parametrize("encoding", ("plain", "packed"))
@pytest.mark.parametrize("dtype", (torch.bfloat16, torch.float16, torch.float32))
def test_the_receiver_holds_the_pruned_model(tmp_path: Path, receive: Any, encoding: str, dtype: Any) -> None:
    torch.manual_seed(4)
    base = {"emb.weight": torch.randn(300, 64, dtype=dtype), "norm.bias": torch.randn(64, dtype=dtype)}
    base["wide.weight"] = torch.randn(3, 120_000, dtype=dtype)
    tuned = {name: values + 0.1 * torch.randn_like(values) for name, values in base.items()}
    tuned["head.weight"] = torch.randn(2, 64, dtype=dtype)
    safetensors_torch.save_file(base, str(tmp_path / "base"))
    safetensors_torch.save_file(tuned, str(tmp_path / "tuned"))
    pair = ("--model", tmp_path / "tuned", "--base", tmp_path / "base")
    kenctl("prune", *pair, "--keep", "0.2", "--delta-encoding", encoding, "-o", tmp_path / "out")
    delta = ("--delta", tmp_path / "out" / "delta.safetensors", "--base", tmp_path / "base")
    kenctl("export", *delta, "--format", "trl", "-o", tmp_path / "update")
    held = {name: values.clone() for name, values in base.items()}
    held["head.weight"] = torch.zeros(2, 64, dtype=dtype)
    receive(tmp_path / "update", held)
    pruned = safetensors_torch.load_file(str(tmp_path / "out" / "model.safetensors"))
    assert set(pruned) == set(held)
    for name, values in pruned.items():
        assert held[name].dtype == values.dtype and torch.equal(held[name], values), name


def test_nothing_to_write(tmp_path: Path) -> None:
    safetensors_torch.save_file({"a": torch.randn(5, 20)}, str(tmp_path / "base"))
    pair = ("--model", tmp_path / "base", "--base", tmp_path / "base")
    kenctl("prune", *pair, "--k", 3, "-o", tmp_path / "out")
    kenctl("export", "--delta", tmp_path / "out" / "delta.safetensors", "--format", "trl", "-o", tmp_path / "update")
    with safetensors.safe_open(str(tmp_path / "update"), framework="pt") as file:
        assert list(file.keys()) == [] and file.metadata()["changed_params"] == "[]"
