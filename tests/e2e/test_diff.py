# SPDX-License-Identifier: Apache-2.0
"""kenctl diff: what it tells of two models or deltas is what NumPy tells."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from checkpoints import from_bf16, read_safetensors, to_bf16, write_safetensors, write_sharded
from deltas import make_pair, ok
from torch_files import make_torch

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Array = "np.ndarray[Any, Any]"
PIECE = 65536


def diff(kenctl: Run, status: int, *arguments: object) -> "dict[str, Any]":
    result = kenctl("diff", *arguments, "-o", "json")
    assert result.returncode == status, result.stderr
    answer: "dict[str, Any]" = json.loads(result.stdout)
    assert answer["same"] == (status == 0)
    return answer


def sum_of_squares(values: "np.ndarray[Any, Any]") -> float:
    """In the order that is promised: parts of a row, in eight lanes each, then one after the other."""
    total = 0.0
    values = np.atleast_1d(values)
    for row in values.reshape(-1, values.shape[-1]).astype(np.float64):
        for part in (row[i : i + PIECE] for i in range(0, len(row), PIECE)):
            lanes = np.concatenate([part, np.zeros(-len(part) % 8)]).reshape(-1, 8)
            a = np.cumsum(lanes * lanes, axis=0)[-1]
            total += float(((a[0] + a[1]) + (a[2] + a[3])) + ((a[4] + a[5]) + (a[6] + a[7])))
    return total


def relative_l2(a: "np.ndarray[Any, Any]", b: "np.ndarray[Any, Any]") -> float:
    return float(np.sqrt(sum_of_squares(b.astype(np.float64) - a)) / np.sqrt(sum_of_squares(a)))


def make_models(folder: Path) -> "tuple[Any, Any]":
    """Every result, dtypes of all sizes, tensors longer than a piece."""
    random = np.random.default_rng(11)
    a: "dict[str, Any]" = {
        "same": random.normal(size=(7, 30)).astype(np.float32),
        "few": random.normal(size=(300, 700)).astype(np.float32),
        "long.row": random.normal(size=(2, 150_001)),
        "half": random.normal(size=(50, 33)).astype(np.float16),
        "bf16": to_bf16(random.normal(size=(90, 1000)).astype(np.float32)),
        "ids": np.arange(100_000, dtype=np.int64),
        "bytes": np.arange(77, dtype=np.uint8),
        "scalar": np.array(2.0, np.float32),
        "empty": np.zeros((0, 4), np.float32),
        "shape": np.zeros((3, 4), np.float32),
        "wider": to_bf16(random.normal(size=(20, 50)).astype(np.float32)),
        "widest": random.normal(size=(20, 50)).astype(np.float16),
        "kind": np.zeros(5, np.float32),
        "gone": np.zeros(6, np.float32),
    }
    b = {name: values.copy() for name, values in a.items() if name != "gone"}
    b["few"][::50, ::100] += 1
    b["long.row"][1, 70_000:] *= 1.5
    b["half"][3] = 0
    b["bf16"][::2, 5] ^= 1
    b["ids"][[0, 99_999]] = -1
    b["bytes"][5] = 0
    b["scalar"] = np.array(3.0, np.float32)
    b["shape"] = b["shape"].T.copy()
    b["wider"] = from_bf16(a["wider"]).copy()
    b["wider"][0, 0] += 1
    b["widest"] = a["widest"].astype(np.float64)
    b["kind"] = np.zeros(5, np.int32)
    b["new"] = np.ones((2, 2), np.float32)
    write_safetensors(folder / "a.safetensors", a, dtypes={"bf16": "BF16", "wider": "BF16"})
    write_safetensors(folder / "b.safetensors", dict(reversed(b.items())), dtypes={"bf16": "BF16"})
    for tensors, name in ((a, "bf16"), (b, "bf16"), (a, "wider")):
        tensors[name] = from_bf16(tensors[name])
    return a, b


@pytest.mark.smoke
def test_two_models(tmp_path: Path, kenctl: Run) -> None:
    a, b = make_models(tmp_path)
    answer = diff(kenctl, 1, "a.safetensors", "b.safetensors")
    found = {tensor["name"]: tensor for tensor in answer["tensors"]}
    assert list(found) == [*a, "new"]
    results = {
        "shape": "shape",
        "kind": "dtype",
        "wider": "dtype",
        "widest": "dtype",
        "gone": "only_a",
        "new": "only_b",
    }
    results.update({"same": "same", "empty": "same"})
    differing = values = 0
    for name, tensor in found.items():
        assert tensor["difference"] == results.get(name, "values"), name
        assert (tensor["a"] is None) == (name == "new") and (tensor["b"] is None) == (name == "gone")
        if name in ("shape", "kind", "gone", "new"):
            assert tensor["values"] is tensor["differing"] is tensor["relative_l2"] is tensor["non_finite"] is None
            continue
        assert tensor["values"] == a[name].size and tensor["differing"] == (a[name] != b[name]).sum(), name
        floating = a[name].dtype.kind == "f"
        expected = (relative_l2(a[name], b[name]) if (a[name] != b[name]).any() else 0) if floating else None
        assert tensor["relative_l2"] == expected, name
        assert tensor["non_finite"] == (0 if floating else None)
        differing, values = differing + tensor["differing"], values + tensor["values"]
    assert found["widest"]["differing"] == 0
    assert found["wider"]["a"] == {"dtype": "BF16", "shape": [20, 50]} and found["wider"]["b"]["dtype"] == "F32"
    totals = answer["totals"]
    assert (answer["kind"], totals["tensors"], totals["differing_tensors"]) == ("models", 15, 13)
    assert (totals["differing"], totals["values"], totals["non_finite"]) == (differing, values, 0)
    pairs = [(a[n], b[n]) for n, t in found.items() if t["relative_l2"] is not None]
    above = sum(sum_of_squares(y.astype(np.float64) - x) for x, y in pairs)
    below = sum(sum_of_squares(x) for x, y in pairs)
    assert totals["relative_l2"] == pytest.approx(np.sqrt(above / below), rel=1e-14)


def test_nan_infinity_and_minus_zero(tmp_path: Path, kenctl: Run) -> None:
    a = np.ones((2, 10), np.float32)
    b = a.copy()
    a[0, :4] = [np.nan, np.inf, 0.0, np.nan]
    b[0, :4] = [np.nan, -np.inf, -0.0, 1.0]
    b[1, 9] = 3
    write_safetensors(tmp_path / "a", {"x": a, "zero": np.zeros(3)})
    write_safetensors(tmp_path / "b", {"x": b, "zero": np.ones(3)})
    x, zero = diff(kenctl, 1, "a", "b")["tensors"]
    # The same NaN is the same, -0 differs from 0; the three that are not finite on a side are left out of the sums.
    assert (x["differing"], x["non_finite"], x["relative_l2"]) == (4, 3, float(np.sqrt(4 / 16)))
    assert (zero["differing"], zero["relative_l2"]) == (3, None)
    text = kenctl("diff", "a", "b").stdout
    assert "inf" in text and diff(kenctl, 0, "a", "a")["tensors"][0]["non_finite"] == 3


def test_kinds_of_checkpoints(tmp_path: Path, kenctl: Run) -> None:
    """The same tensors in one file, in shards, in a torch file where two are tied."""
    random = np.random.default_rng(5)
    tensors: "dict[str, Any]" = {"emb": random.normal(size=(40, 9)).astype(np.float32), "b": np.arange(9)}
    tensors["head"] = tensors["emb"]
    write_safetensors(tmp_path / "one.safetensors", tensors)
    write_sharded(tmp_path / "shards", [{"b": tensors["b"]}, {"head": tensors["head"], "emb": tensors["emb"]}])
    tied = make_torch({"emb": tensors["emb"], "b": tensors["b"]}, ties={"head": "emb"})
    (tmp_path / "pytorch_model.bin").write_bytes(tied)
    paths = ("one.safetensors", "shards", "shards/model.safetensors.index.json", "pytorch_model.bin")
    for path in paths:
        assert diff(kenctl, 0, paths[0], path)["totals"]["tensors"] == 3
        assert diff(kenctl, 0, path, paths[0])["totals"]["values"] == 729


def test_text_quiet_and_status(tmp_path: Path, kenctl: Run) -> None:
    values = sum(array.size for array in make_models(tmp_path)[0].values())
    result = kenctl("diff", "a.safetensors", "b.safetensors")
    lines = result.stdout.splitlines()
    assert result.returncode == 1 and lines[0].startswith("13 of 15 tensors differ; ")
    assert lines[2].split() == ["TENSOR", "RESULT", "DTYPE", "SHAPE", "DIFFERING", "SHARE", "RELATIVE-L2"]
    assert [line.split()[0] for line in lines[3:5]] == ["few", "long.row"] and len(lines) == 16
    assert ["shape", "other", "shape", "F32", "[3,4]:[4,3]", "-", "-", "-"] in [line.split() for line in lines]
    assert len(kenctl("diff", "--all", "a.safetensors", "b.safetensors").stdout.splitlines()) == 18
    result = kenctl("diff", "-q", "a.safetensors", "b.safetensors")
    assert (result.returncode, result.stdout, result.stderr) == (1, "", "")
    result = kenctl("diff", "a.safetensors", "a.safetensors")
    assert (result.returncode, result.stdout) == (0, f"the same: 14 tensors, {values} values\n")
    with open("/dev/full", "w") as full:
        for other in ("a.safetensors", "b.safetensors"):
            arguments: "dict[str, Any]" = {"stdout": full, "stderr": subprocess.PIPE, "capture_output": False}
            assert kenctl("diff", "a.safetensors", other, **arguments).returncode == 2


def stored(delta: Path) -> "dict[str, Any]":
    """Of each tensor of a plain delta: the places that are stored, and their values."""
    entries = read_safetensors(delta)
    found: "dict[str, Any]" = {}
    for name, values in entries.items():
        if name.endswith(".whole"):
            found[name[:-6]] = (np.arange(values.size), values.reshape(-1))
        elif name.endswith(".values"):
            name = name[:-7]
            gaps, mask = entries.get(f"{name}.gaps"), entries.get(f"{name}.mask")
            bits = None if mask is None else np.flatnonzero(np.unpackbits(mask, bitorder="little"))
            found[name] = (bits if gaps is None else np.cumsum(gaps.astype(np.int64) + 1) - 1, values)
    return found


def prune(kenctl: Run, model: Path, base: Path, out: str, *arguments: object) -> None:
    ok(kenctl("prune", "-q", "--model", model, "--base", base, "-o", out, *arguments))


@pytest.mark.smoke
def test_two_deltas(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path)
    variants: "dict[str, tuple[object, ...]]" = {"few": ("--k", 5), "many": ("--keep", "0.6", "--rescale", "l1")}
    for name, arguments in variants.items():
        prune(kenctl, model, base, name, *arguments)
        prune(kenctl, model, base, f"{name}.packed", *arguments, "--delta-encoding", "packed")
    few, many = (tmp_path / name / "delta.safetensors" for name in variants)
    a, b = stored(few), stored(many)
    answer = diff(kenctl, 1, few, many)
    sums = dict.fromkeys(("both", "only_a", "only_b", "other_values"), 0)
    nothing: Any = (np.zeros(0, int), np.zeros(0))
    for tensor in answer["tensors"]:
        (in_a, values_a), (in_b, values_b) = (side.get(tensor["name"], nothing) for side in (a, b))
        both, at_a, at_b = np.intersect1d(in_a, in_b, return_indices=True)
        expected = {
            "both": len(both),
            "only_a": len(in_a) - len(both),
            "only_b": len(in_b) - len(both),
            "other_values": int((values_a[at_a] != values_b[at_b]).sum()),
        }
        assert {key: tensor[key] for key in expected} == expected, tensor["name"]
        either = len(in_a) + len(in_b) - len(both)
        assert tensor["jaccard"] == (len(both) / either if either else 1)
        sums = {key: sums[key] + expected[key] for key in sums}
        same = not (expected["only_a"] or expected["only_b"] or expected["other_values"])
        assert tensor["difference"] == ("same" if same else "values")
    assert {key: answer["totals"][key] for key in sums} == sums and sums["other_values"] and sums["only_b"]
    assert answer["kind"] == "deltas"
    text = kenctl("diff", few, many).stdout
    assert f"{sums['both']} elements are stored by both" in text and "emb.weight" in text

    # Masks of packed ones need no base, values do; the same content in another encoding is the same.
    packed = diff(kenctl, 1, "few.packed/delta.safetensors", "many.packed/delta.safetensors")["totals"]
    assert packed["other_values"] is None and packed["jaccard"] is not None
    assert {key: packed[key] for key in ("both", "only_a", "only_b")} == {
        key: answer["totals"][key] for key in ("both", "only_a", "only_b")
    }
    pair = ("few.packed/delta.safetensors", "many.packed/delta.safetensors", "--base", base)
    assert diff(kenctl, 1, *pair)["totals"] == answer["totals"]
    result = kenctl("diff", few, "few.packed/delta.safetensors")
    assert result.returncode == 2 and "--base tells whether they are the same" in result.stderr
    assert json.loads(kenctl("diff", few, "few.packed/delta.safetensors", "--json").stdout)["same"] is None
    diff(kenctl, 0, few, "few.packed/delta.safetensors", "--base", base)
    diff(kenctl, 0, "few.packed/delta.safetensors", "few.packed/delta.safetensors")
    diff(kenctl, 0, many, many)


def test_deltas_of_other_bases_and_shapes(tmp_path: Path, kenctl: Run) -> None:
    random = np.random.default_rng(2)
    w = random.normal(size=(6, 50)).astype(np.float32)
    write_safetensors(tmp_path / "base", {"w": w, "x": w, "y": w})
    write_safetensors(tmp_path / "base2", {"w": w * 2, "x": w, "y": w[:3]})
    write_safetensors(tmp_path / "model", {"w": w + 1, "x": w + 1, "y": w + 1})
    write_safetensors(tmp_path / "model2", {"w": w + 1, "x": to_bf16(w + 1), "y": w[:3] + 1}, dtypes={"x": "BF16"})
    prune(kenctl, tmp_path / "model", tmp_path / "base", "a", "--k", 9)
    prune(kenctl, tmp_path / "model2", tmp_path / "base2", "b", "--k", 9)
    answer = diff(kenctl, 1, "a/delta.safetensors", "b/delta.safetensors")
    found = {tensor["name"]: tensor for tensor in answer["tensors"]}
    assert {name: tensor["difference"] for name, tensor in found.items()} == {"w": "base", "x": "dtype", "y": "shape"}
    assert found["w"]["jaccard"] is not None and found["x"]["jaccard"] is found["y"]["both"] is None
    result = kenctl("diff", "a/delta.safetensors", "b/delta.safetensors", "--base", "base")
    assert result.returncode == 2 and "another base" in result.stderr


@pytest.mark.parametrize("encoding", ("plain", "packed"))
@pytest.mark.parametrize("sharded", (False, True))
def test_a_delta_and_a_model(tmp_path: Path, kenctl: Run, encoding: str, sharded: bool) -> None:
    model, base = make_pair(tmp_path, sharded)
    prune(kenctl, model, base, "out", "--k", 9, "--delta-encoding", encoding)
    delta = "out/delta.safetensors"
    pruned = "out" if sharded else "out/model.safetensors"
    diff(kenctl, 0, delta, pruned, "--base", base)
    expected = diff(kenctl, 1, pruned, model)
    assert diff(kenctl, 1, delta, model, "--base", base) == expected
    assert expected["totals"]["differing"] == diff(kenctl, 1, model, delta, "--base", base)["totals"]["differing"] > 0


def test_nothing_in_common(tmp_path: Path, kenctl: Run) -> None:
    ones = np.ones((2, 8), np.float32)
    write_safetensors(tmp_path / "a", {"bert.\u00fc.x": ones, "bert.\u00fc.y": ones, "head": ones})
    write_safetensors(tmp_path / "b", {"x": ones, "y": ones})
    write_safetensors(tmp_path / "c", {"z": ones})
    answer = diff(kenctl, 1, "a", "b")
    assert answer["totals"]["relative_l2"] is None and answer["totals"]["values"] == 0
    for pair, prefixed, other in ((("a", "b"), "A", "B"), (("b", "a"), "B", "A")):
        result = kenctl("diff", *pair)
        assert result.stdout.startswith("5 of 5 tensors differ; 0 of 0 values (-), relative L2 -\n")
        note = f"{prefixed} has 'bert.\u00fc.' in front of the names of {other}\n"
        assert result.stderr.splitlines(True)[-1] == f"note: tensors of the same name are compared, and {note}"
    write_safetensors(tmp_path / "few", {"m.x": ones})
    assert "and A has 'm.' in front of" in kenctl("diff", "few", "b").stderr
    assert "note" not in kenctl("diff", "a", "c").stderr + kenctl("diff", "-q", "a", "b").stderr
    for name in ("b", "c"):
        base = read_safetensors(tmp_path / name)
        write_safetensors(tmp_path / f"{name}.tuned", {key: values + 1 for key, values in base.items()})
        prune(kenctl, tmp_path / f"{name}.tuned", tmp_path / name, f"{name}.out", "--k", 2)
    deltas = ("b.out/delta.safetensors", "c.out/delta.safetensors")
    assert diff(kenctl, 1, *deltas)["totals"]["jaccard"] is None
    assert ": overlap -; " in kenctl("diff", *deltas).stdout


def test_text_tells_what_relative_l2_leaves_out(tmp_path: Path, kenctl: Run) -> None:
    a = np.ones((2, 8), np.float32)
    b = a * 2
    b[0, :3] = np.nan, np.inf, -np.inf
    write_safetensors(tmp_path / "a", {"x": a})
    write_safetensors(tmp_path / "b", {"x": b})
    first = kenctl("diff", "a", "b").stdout.splitlines()[0]
    assert first.endswith("16 of 16 values (100.00%), relative L2 1, leaving out 3 values not finite")
    assert "leaving out" not in kenctl("diff", "a", "a").stdout


def test_trouble_is_2(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path)
    prune(kenctl, model, base, "out", "--k", 9)
    (tmp_path / "text").write_text("just some text, no model")
    delta = "out/delta.safetensors"
    for arguments, message in (
        ((model, "none"), '"none" does not exist'),
        ((model, "text"), "neither a safetensors file"),
        ((model,), "'diff' needs A B"),
        ((model, base, delta), "unexpected argument"),
        ((delta, model), f"{delta} is a delta and {model} is none: --base must name"),
        ((model, base, "--base", base), "--base is of no use"),
        ((delta, model, "--base", "none"), '"none" does not exist'),
        ((delta, model, "--base", model), "this is another base"),
    ):
        result = kenctl("diff", *arguments)
        assert (result.returncode, result.stdout) == (2, ""), arguments
        assert message in result.stderr, result.stderr
