# SPDX-License-Identifier: Apache-2.0
"""Files that a real PyTorch has written are pruned as the same tensors in safetensors files are."""

from __future__ import annotations

import collections
import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
torch: Any = pytest.importorskip("torch")

from checkpoints import make_header, make_index  # noqa: E402

KENCTL = Path(os.environ["KEND_BUILD"]) / "kenctl"
DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.complex64: "C64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
for symbol, dtype in (("uint16", "U16"), ("uint32", "U32"), ("float8_e4m3fn", "F8_E4M3"), ("float8_e5m2", "F8_E5M2")):
    if hasattr(torch, symbol):
        DTYPES[getattr(torch, symbol)] = dtype


def content_of(tensor: Any) -> bytes:
    """Bytes, row-major; by way of storages, since NumPy has no bfloat16."""
    dense = tensor.detach().contiguous().clone().reshape(-1)
    return bytes(dense.view(torch.uint8).tolist()) if dense.numel() else b""


def write_safetensors(path: Path, tensors: "dict[str, Any]", metadata: "dict[str, str]") -> None:
    entries: "dict[str, Any]" = {"__metadata__": metadata}
    parts, at = [], 0
    for name, tensor in tensors.items():
        content = content_of(tensor)
        entries[name] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [at, at + len(content)],
        }
        parts.append(content)
        at += len(content)
    path.write_bytes(make_header(entries) + b"".join(parts))


def run(*arguments: object) -> str:
    ended = subprocess.run([KENCTL, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def outputs(model: Path, base: Path, out: Path) -> "tuple[dict[str, bytes], dict[str, Any]]":
    run("prune", "--model", model, "--base", base, "--keep", "0.3", "-o", out)
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    report = json.loads(files.pop("report.json"))
    report.pop("inputs")
    return files, report


def in_order(path: Path, tensors: "dict[str, Any]") -> "dict[str, Any]":
    """The tensors in the order in which kenctl finds them in the file."""
    shown = json.loads(run("inspect", path, "-o", "json"))
    return {row["name"]: tensors[row["name"]] for row in shown["tensors"]}


def tuned(tensors: "dict[str, Any]") -> "dict[str, Any]":
    torch.manual_seed(2)
    return {
        name: tensor + (torch.randn(tensor.shape) * 0.02).to(tensor.dtype) if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }


def compare(tmp_path: Path, save: "Callable[[dict[str, Any], Path], None]", base: "dict[str, Any]") -> "dict[str, Any]":
    """Prunes a pair as torch files and as safetensors files; returns the report."""
    model = tuned(base)
    for name, tensors in (("model", model), ("base", base)):
        path = tmp_path / f"{name}.pt"
        save(tensors, path)
        write_safetensors(tmp_path / f"{name}.safetensors", in_order(path, tensors), {"format": "pt"})
    found = outputs(tmp_path / "model.pt", tmp_path / "base.pt", tmp_path / "out-pt")
    expected = outputs(tmp_path / "model.safetensors", tmp_path / "base.safetensors", tmp_path / "out-st")
    assert found == expected
    for left, right in (("pt", "safetensors"), ("safetensors", "pt")):
        out = tmp_path / f"out-{left}-{right}"
        assert outputs(tmp_path / f"model.{left}", tmp_path / f"base.{right}", out) == expected
    return found[1]


def make_base() -> "dict[str, Any]":
    torch.manual_seed(1)
    base = {
        "emb": torch.randn(200, 64),
        "double": torch.randn(10, 6, 7, dtype=torch.float64),
        "half": torch.randn(40, 33).to(torch.float16),
        "bf16": torch.randn(64, 128).to(torch.bfloat16),
        "turned": torch.randn(50, 90).t(),
        "moved": torch.randn(4, 5, 6, 7).permute(2, 0, 3, 1),
        "channels": torch.randn(2, 8, 5, 5).to(memory_format=torch.channels_last),
        "sliced": torch.randn(30, 40)[3:20, 5:30:3],
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 4),
        "steps": torch.tensor(12),
        "bool": torch.arange(9) % 2 == 0,
    }
    for dtype in (torch.int32, torch.int16, torch.int8, torch.uint8, torch.complex64):
        base[str(dtype)] = torch.arange(12).to(dtype).reshape(3, 4)
    for dtype, name in DTYPES.items():
        if name in ("U16", "U32", "F8_E4M3", "F8_E5M2"):
            base[name] = torch.arange(6).to(torch.uint8).to(dtype)
    return base


@pytest.mark.parametrize("nest", (None, "state_dict", "model", "model_state_dict"))
@pytest.mark.parametrize("protocol", (2, 3, 4, 5))
def test_all_dtypes_and_strides(nest: "str | None", protocol: int, tmp_path: Path) -> None:
    def save(tensors: "dict[str, Any]", path: Path) -> None:
        kept = {name: tensor for name, tensor in tensors.items()}
        whole = {"epoch": 3, "lr": 1e-3, nest: kept, "note": "text", "best": None} if nest else kept
        torch.save(whole, path, pickle_protocol=protocol)

    # What is tuned is a new tensor, with the strides of the old one where those are dense.
    compare(tmp_path, save, make_base())


def test_modules(tmp_path: Path) -> None:
    """State dicts of modules: OrderedDict with _metadata, buffers, parameters."""

    def save(tensors: "dict[str, Any]", path: Path) -> None:
        module = make_module()
        module.load_state_dict(tensors)
        torch.save(module.state_dict(), path)

    def make_module() -> Any:
        torch.manual_seed(3)
        parts = [torch.nn.Embedding(90, 32), torch.nn.Linear(32, 48), torch.nn.LayerNorm(48), torch.nn.BatchNorm1d(48)]
        return torch.nn.Sequential(*parts)

    report = compare(tmp_path, save, dict(make_module().state_dict()))
    assert report["totals"]["parameters"] > 4000 and "tied" not in report


def test_parameters(tmp_path: Path) -> None:
    def save(tensors: "dict[str, Any]", path: Path) -> None:
        kept = {n: torch.nn.Parameter(t, requires_grad=t.is_floating_point()) for n, t in tensors.items()}
        torch.save(collections.OrderedDict(kept), path)

    compare(tmp_path, save, {"a": torch.randn(30, 20), "b": torch.randn(7)})


def test_tied_weights(tmp_path: Path) -> None:
    class Tied(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embed = torch.nn.Embedding(70, 40)
            self.head = torch.nn.Linear(40, 70, bias=False)
            self.head.weight = self.embed.weight

    torch.manual_seed(4)
    base = Tied()
    model = copy.deepcopy(base)
    with torch.no_grad():
        model.embed.weight += 0.01 * torch.randn(70, 40)
    for name, module in (("model", model), ("base", base)):
        state = module.state_dict()
        assert list(state) == ["embed.weight", "head.weight"]
        torch.save(state, tmp_path / f"{name}.pt")
        metadata = {"format": "pt", "head.weight": "embed.weight"}
        write_safetensors(tmp_path / f"{name}.safetensors", {"embed.weight": state["embed.weight"]}, metadata)
    files, report = outputs(tmp_path / "model.pt", tmp_path / "base.pt", tmp_path / "out")
    assert report.pop("tied") == [{"name": "head.weight", "of": "embed.weight"}]
    expected = outputs(tmp_path / "model.safetensors", tmp_path / "base.safetensors", tmp_path / "out2")
    assert (files, report) == expected


def test_shards(tmp_path: Path) -> None:
    base = make_base()
    model = tuned(base)
    names = list(base)
    for side, tensors in (("model", model), ("base", base)):
        (tmp_path / side).mkdir()
        (tmp_path / f"{side}-st").mkdir()
        torch_map, safe_map = {}, {}
        for number, part in enumerate((names[:5], names[5:]), 1):
            file = f"pytorch_model-{number:05d}-of-00002.bin"
            torch.save({name: tensors[name] for name in part}, tmp_path / side / file)
            torch_map.update({name: file for name in part})
            safe = f"model-{number:05d}-of-00002.safetensors"
            laid = in_order(tmp_path / side / file, tensors)
            write_safetensors(tmp_path / f"{side}-st" / safe, laid, {"format": "pt"})
            safe_map.update({name: safe for name in part})
        (tmp_path / side / "pytorch_model.bin.index.json").write_bytes(make_index(torch_map))
        (tmp_path / f"{side}-st" / "model.safetensors.index.json").write_bytes(make_index(safe_map))
    found = outputs(tmp_path / "model", tmp_path / "base", tmp_path / "out")
    assert found == outputs(tmp_path / "model-st", tmp_path / "base-st", tmp_path / "out2")


def test_what_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    torch.save({"a": torch.ones(2)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    torch.save({"a": torch.ones(2).to_sparse()}, tmp_path / "sparse.pt")
    for name, message in (
        ("module.pt", 'the global "torch.nn.modules.linear.Linear" is none that a state dict needs'),
        ("old.pt", "a torch file in the pickle format of before PyTorch 1.6"),
        ("sparse.pt", 'the global "torch._utils._rebuild_sparse_tensor" is none that a state dict needs'),
    ):
        ended = subprocess.run([KENCTL, "inspect", tmp_path / name], capture_output=True, text=True)
        assert ended.returncode == 1 and message in ended.stderr, ended.stderr
