# SPDX-License-Identifier: Apache-2.0
"""Every method, rescale and duplicates on every dtype: kenctl prune gives the bits that the oracle, the other reading of KEN.md, gives."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from checkpoints import read_safetensors, write_safetensors

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "oracle"))
import ken_oracle as oracle  # noqa: E402

SHAPES: dict[str, tuple[int, ...]] = {
    "matrix": (7, 90),
    "long": (2, 700),
    "cube": (3, 5, 8),
    "vector": (130,),
    "scalar": (),
    "column": (4, 1),
}


def make_pair() -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """Model and base by tensor name, and the dtype of each."""
    generator = np.random.default_rng(20)
    model: dict[str, Any] = {}
    base: dict[str, Any] = {}
    dtypes: dict[str, str] = {}
    for dtype, (shape_name, shape) in itertools.product(oracle.NUMPY_TYPE, SHAPES.items()):
        name = f"{dtype}.{shape_name}"
        origin = 0.05 * generator.standard_normal(shape)
        moved = origin + 0.01 * generator.standard_normal(shape)
        if shape_name == "matrix":
            moved[0] = 0.25  # nothing to estimate
            moved[1] = origin[1]  # unchanged
            moved[2] = np.round(moved[2], 2)  # duplicates, zeros among them
            moved[3, ::4] = origin[3, ::4]
            moved[4, 5] = 1000.0  # an outlier
            moved[5] *= 1e-4
        model[name] = oracle.from_float64(np.asarray(moved), dtype)
        base[name] = oracle.from_float64(np.asarray(origin), dtype)
        dtypes[name] = dtype
    return model, base, dtypes


@pytest.mark.smoke
def test_kenctl_prunes_as_the_oracle_does(
    kenctl: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    model, base, dtypes = make_pair()
    stored = {
        name: "F32" if name == "BF16.long" else dtype for name, dtype in dtypes.items()
    }  # a base in another dtype
    stored_base = {**base, "BF16.long": oracle.widen_bf16(base["BF16.long"])}
    write_safetensors(tmp_path / "model.safetensors", model, dtypes=dtypes)
    write_safetensors(tmp_path / "base.safetensors", stored_base, dtypes=stored)
    variants: list[dict[str, Any]] = [
        {"name": f"{method}-{rescale}-{duplicates}", "method": method, "rescale": rescale, "duplicates": duplicates}
        for method, rescale, duplicates in itertools.product(
            ("ken", "density", "magnitude", "random"), ("none", "l1"), ("exact", "all")
        )
    ]
    for number, variant in enumerate(variants):
        amount: dict[str, Any] = {"k": 20} if number % 3 == 0 else {"keep": (0.1, 0.35, 0.7)[number % 3]}
        variant.update(amount, seed=number * 1_000_003)
    job = {
        "model": "model.safetensors",
        "base": "base.safetensors",
        "variants": variants,
        "outputs": ["model", "report"],
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    done = kenctl("prune", "--job", "job.json", "-o", "out")
    assert done.returncode == 0, done.stderr
    for variant in variants:
        name = variant.pop("name")
        pruned = read_safetensors(tmp_path / "out" / name / "model.safetensors")
        report = json.loads((tmp_path / "out" / name / "report.json").read_text())
        selected = {tensor["name"]: tensor["selected"] for tensor in report["tensors"]}
        for tensor, dtype in dtypes.items():
            expected, mask = oracle.prune_tensor(tensor, model[tensor], base[tensor], dtype, **variant)
            assert pruned[tensor].tobytes() == expected.tobytes(), (name, tensor)
            assert selected[tensor] == mask.sum(), (name, tensor)
