# SPDX-License-Identifier: Apache-2.0
"""The oracle against what others computed: the masks of the published implementation, and the digests of a real pruned pair."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ken_oracle as oracle

DATA = Path(__file__).resolve().parent.parent / "data"
TENSORS = (
    "enc.layers.0.linear1.bias",
    "enc.layers.1.norm1.weight",
    "enc.layers.2.self_attn.in_proj_bias",
    "enc.layers.3.self_attn.out_proj.weight",
)


def read_safetensors(path: Path) -> tuple[dict[str, oracle.Floats], dict[str, str], dict[str, str]]:
    """Tensors, their dtypes, and the metadata."""
    data = path.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    header: dict[str, Any] = json.loads(data[8 : 8 + size])
    metadata = header.pop("__metadata__", {})
    types = {**oracle.NUMPY_TYPE, "U8": np.uint8, "I32": np.int32}
    tensors = {
        name: np.frombuffer(
            data[8 + size :], types[entry["dtype"]], int(np.prod(entry["shape"])), entry["data_offsets"][0]
        ).reshape(entry["shape"])
        for name, entry in header.items()
    }
    return tensors, {name: entry["dtype"] for name, entry in header.items()}, metadata


def test_ken_equals_the_published_implementation_on_all_vectors() -> None:
    tensors, _, metadata = read_safetensors(DATA / "selection.safetensors")
    rows = 0
    for case, description in sorted(metadata.items()):
        if not case.startswith("case"):
            continue
        k = json.loads(description)["k"]
        for x, mask in zip(tensors[f"{case}.rows"], tensors[f"{case}.mask"]):
            selected = oracle.with_duplicates(x, oracle.select_ken(x, k)) if k < len(x) else np.ones(len(x), dtype=bool)
            assert np.array_equal(selected, mask.astype(bool)), case
            rows += 1
    assert rows == 479


@pytest.mark.parametrize("pair", ["era-bf16", "era-f32"])
def test_pruned_tensors_have_the_digests_of_the_real_pair(pair: str) -> None:
    folder = DATA / pair
    model, dtypes, _ = read_safetensors(folder / "finetuned.safetensors")
    base, _, _ = read_safetensors(folder / "base.safetensors")
    checked = 0
    for name, configuration in json.loads((folder / "expected.json").read_text()).items():
        for tensor in TENSORS if "tensor_sha256" in configuration else ():
            pruned, _ = oracle.prune_tensor(tensor, model[tensor], base[tensor], dtypes[tensor], **configuration["job"])
            assert hashlib.sha256(pruned.tobytes()).hexdigest() == configuration["tensor_sha256"][tensor], (
                name,
                tensor,
            )
            checked += 1
    assert checked == 6 * len(TENSORS)


def test_philox_gives_the_known_answers_of_its_authors() -> None:
    assert oracle.philox([0] * 4, 0) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert oracle.philox([0xFFFFFFFF] * 4, 2**64 - 1) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


def test_random_is_nested_for_growing_k() -> None:
    key = hashlib.sha256(b"tensor").digest()
    smaller = oracle.select_random(101, 30, 5, key, 3)
    larger = oracle.select_random(101, 60, 5, key, 3)
    assert smaller.sum() == 30 and larger.sum() == 60 and not np.any(smaller & ~larger)


def test_bfloat16_narrows_to_nearest_even() -> None:
    values = np.array([1 + 2**-8, 1 + 2**-8 + 2**-40, 1 + 3 * 2**-8, -0.0, 2.0**-134, 2.0**-133, 3e38])
    assert oracle.narrow_bf16(values).tolist() == [0x3F80, 0x3F81, 0x3F82, 0x8000, 0x0000, 0x0001, 0x7F62]


def test_l1_keeps_the_norm_of_the_update() -> None:
    generator = np.random.default_rng(1)
    base = generator.normal(size=(5, 40)).astype(np.float32)
    model = base + (0.01 * generator.normal(size=(5, 40))).astype(np.float32)
    pruned, selected = oracle.prune_tensor("t", model, base, "F32", keep=0.25, rescale="l1")
    assert np.all(selected.sum(axis=1) == 10) and np.array_equal(pruned[~selected], base[~selected])
    norms = np.abs(pruned.astype(float) - base).sum(axis=1) / np.abs(model.astype(float) - base).sum(axis=1)
    assert np.allclose(norms, 1, atol=1e-5)


def test_rows_with_nothing_to_estimate() -> None:
    base = np.zeros((3, 4), np.float32)
    model = np.array([[1, 1, 1, 1], [0, 0, 0, 0], [1, 2, 3, 4]], np.float32)
    _, selected = oracle.prune_tensor("t", model, base, "F32", k=2)
    assert selected[0].tolist() == [True, True, False, False] and not selected[1].any()
    assert oracle.prune_tensor("t", model, base, "F32", k=4)[1].all()
