# SPDX-License-Identifier: Apache-2.0
"""Pruned models with layers: what is seen of them, as lists and as pictures, is held against their values."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any, Iterator
from urllib.parse import urlencode

import numpy as np
import pytest

from checkpoints import read_safetensors, write_safetensors
from daemon import Kend, Response

DATA = Path(__file__).parents[1] / "data" / "era-bf16"
Array = np.ndarray[Any, Any]


def make_pair(folder: Path) -> None:
    """Layers 0 to 11 in textual order, experts in some of them, and what has no number at all."""
    random = np.random.default_rng(4)
    names = sorted(f"layer.{i}.mlp.weight" for i in range(12)) + [
        f"layer.{i}.expert.{j}.w" for i in (2, 10) for j in (9, 11)
    ]
    base: "dict[str, Any]" = {
        name: random.normal(0, 0.05, (40, 70)).astype(np.float32) for name in [*names, "embed", "odd"]
    }
    model = {name: v + random.normal(0, 0.01, v.shape).astype(np.float32) for name, v in base.items()}
    model["layer.3.mlp.weight"][::2] = base["layer.3.mlp.weight"][::2]
    model["bias"] = base["bias"] = np.ones(7, np.int64)
    write_safetensors(folder / "model", model)
    write_safetensors(folder / "base", base)
    other, model = dict(base), dict(model)
    other["layer.5.mlp.weight"] = base["layer.5.mlp.weight"] + np.float32(1)
    other["odd"], model["odd"] = (np.ascontiguousarray(pair["odd"].reshape(70, 40)) for pair in (base, model))
    model["more"], other["more"] = model.pop("embed"), other.pop("embed")
    write_safetensors(folder / "other-model", model)
    write_safetensors(folder / "other-base", other)


def make_files(folder: Path) -> Path:
    """The folder of files that are pruned, with the pair."""
    files = folder / "files"
    files.mkdir()
    make_pair(files)
    return files


@dataclasses.dataclass
class Jobs:
    kend: Kend
    files: Path
    ids: "dict[str, str]"

    def get(self, job: str, what: str, **query: Any) -> Response:
        return self.kend.get(f"/v1/jobs/{self.ids[job]}/{what}?" + urlencode(query))

    def kept(self, job: str, variant: str = "") -> "dict[str, Array]":
        """Which values are not the base's."""
        model = read_safetensors(self.kend.data / "artifacts" / self.ids[job] / variant / "model.safetensors")
        base = read_safetensors(self.files / ("other-base" if job == "other" else "base"))
        return {name: np.asarray(values != base[name]) for name, values in model.items() if values.dtype == np.float32}


def documents(files: Path) -> "dict[str, dict[str, Any]]":
    """What is pruned of what make_pair made there."""
    pair = {"model": f"file://{files}/model", "base": f"file://{files}/base"}
    variants = [{"name": "half", "keep": 0.5}, {"name": "few", "k": 3, "method": "magnitude"}]
    return {
        "many": {**pair, "variants": variants},
        "packed": {**pair, "keep": 0.2, "delta_encoding": "packed", "method": "random", "seed": 5},
        "whole": {**pair, "keep": 0.99},
        "other": {"model": f"file://{files}/other-model", "base": f"file://{files}/other-base", "keep": 0.5},
        "none": {**pair, "k": 3, "outputs": ["model", "report"]},
        "failed": {**pair, "k": 3, "base": pair["base"] + "-is-not-there"},
    }


@contextlib.contextmanager
def layered(folder: Path, **more: "dict[str, Any]") -> Iterator[Jobs]:
    """A kend that has done these jobs and what more is asked of its files; all but "failed" succeed."""
    files = folder / "files"
    with Kend(folder, {"fetch.file_roots": str(files)}) as kend:
        ids = {name: kend.submit(document) for name, document in {**documents(files), **more}.items()}
        for name, job in ids.items():
            assert kend.wait(job)["status"] == ("failed" if name == "failed" else "succeeded")
        yield Jobs(kend, files, ids)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    folder = tmp_path_factory.mktemp("layers")
    make_files(folder)
    with layered(folder) as jobs:
        yield jobs
