# SPDX-License-Identifier: Apache-2.0
"""Memory has a bound that the operator sets, and does not grow with the checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from checkpoints import write_safetensors, write_tiled
from daemon import Kend
from sanitizers import SANITIZED

MIB = 1 << 20
BOUND = 256 * MIB


def prune(tmp_path: Path, folder: Path, document: dict, seconds: float) -> tuple[dict, int]:
    """The ended job and kend's peak resident memory, at default options with two threads."""
    with Kend(tmp_path, {"fetch.file_roots": folder, "prune.threads": 2}) as kend:
        job = kend.wait(
            kend.submit(
                {"model": f"file://{folder}/model.safetensors", "base": f"file://{folder}/base.safetensors", **document}
            ),
            seconds,
        )
        return job, kend.peak_memory()


@pytest.mark.parametrize("mib", [256, pytest.param(2048, marks=pytest.mark.slow)])
def test_peak_does_not_grow_with_the_pair(tmp_path: Path, mib: int) -> None:
    """A pair of files of so many MiB, made of one random tile repeated."""
    write_tiled(tmp_path / "base.safetensors", mib * MIB, seed=1)
    write_tiled(tmp_path / "model.safetensors", mib * MIB, seed=1, difference=0.02)
    job, peak = prune(tmp_path, tmp_path, {"keep": 0.5}, 600)
    print(f"pair of {mib} MiB: peak {peak / MIB:.0f} MiB, timings {job['timings']}")
    assert job["status"] == "succeeded", job["error"]
    assert peak < BOUND or SANITIZED  # which keep freed memory, and shadows of it


@pytest.mark.parametrize("method", ["ken", "density", "magnitude", "random"])
def test_a_row_of_4_mi_values_works_at_defaults(tmp_path: Path, method: str) -> None:
    random = np.random.default_rng(3)
    base = random.standard_normal((1, 4 * MIB), np.float32)
    write_safetensors(tmp_path / "base.safetensors", {"row": base})
    write_safetensors(
        tmp_path / "model.safetensors", {"row": base + 0.02 * random.standard_normal(base.shape, np.float32)}
    )
    job, peak = prune(tmp_path, tmp_path, {"keep": 0.5, "method": method}, 120)
    assert job["status"] == "succeeded", job["error"]
    assert job["summary"]["selected"] == 2 * MIB
    assert peak < BOUND or SANITIZED  # which keep freed memory, and shadows of it


@pytest.mark.smoke
def test_a_row_that_does_not_fit_fails_in_the_check_stage(tmp_path: Path) -> None:
    row = np.ones((1, 8 * MIB), np.float32)
    write_safetensors(tmp_path / "base.safetensors", {"wide.row": row})
    write_safetensors(tmp_path / "model.safetensors", {"wide.row": row + 1})
    job, _ = prune(tmp_path, tmp_path, {"keep": 0.5}, 60)
    assert job["status"] == "failed"
    assert job["error"]["code"] == "too_large"
    assert job["error"]["stage"] == "checking"
    assert "wide.row" in job["error"]["message"] and "prune.memory" in job["error"]["message"]
