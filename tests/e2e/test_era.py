# SPDX-License-Identifier: Apache-2.0
"""The proof on a real model: a pre-trained / fine-tuned pair goes through kend over HTTP in every configuration of its expected.json."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Callable

import pytest

from checkpoints import read_safetensors
from daemon import Kend
from origin import Origin

DATA = Path(__file__).parents[1] / "data"
PAIRS = ("era-f32", "era-bf16")
CASES = [(pair, name) for pair in PAIRS for name in json.loads((DATA / pair / "expected.json").read_text())]

BATCH = 10


def load_evaluator() -> ModuleType:
    """tests/data/era-bf16/evaluate.py as a module."""
    spec = importlib.util.spec_from_file_location("evaluate", DATA / "era-bf16" / "evaluate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def accuracy(model: Path, test: Path) -> float:
    """As evaluate.py prints it, in batches whose intermediate values fit a cache: half the time."""
    evaluate = load_evaluator()
    parameters, rows = evaluate.read(model), evaluate.read(test)
    ids, labels = rows["ids"], rows["labels"]
    right = sum(
        int((evaluate.forward(parameters, ids[i : i + BATCH]).argmax(1) == labels[i : i + BATCH]).sum())
        for i in range(0, len(ids), BATCH)
    )
    return right / len(ids)


def test_accuracy_is_what_the_sample_prints() -> None:
    model, test = DATA / "era-bf16" / "finetuned.safetensors", DATA / "era-bf16" / "test.safetensors"
    command = [sys.executable, str(DATA / "era-bf16" / "evaluate.py"), str(model), str(test)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.split()
    assert printed[0] == "accuracy" and accuracy(model, test) == int(printed[2]) / int(printed[3])


@pytest.mark.parametrize(("pair", "name"), CASES)
def test_configuration(pair: str, name: str, kend: Kend, tmp_path: Path, kenctl: Callable) -> None:
    expected = json.loads((DATA / pair / "expected.json").read_text())[name]
    with Origin(DATA / pair) as origin:
        document = {
            "model": f"{origin.url}/finetuned.safetensors",
            "base": f"{origin.url}/base.safetensors",
            **expected["job"],
        }
        job = kend.wait(kend.submit(document))
    assert job["status"] == "succeeded", job["error"]
    files = {}
    for artifact in job["artifacts"]:
        content = kend.download(job["id"], artifact["name"])
        assert len(content) == artifact["size"]
        assert hashlib.sha256(content).hexdigest() == artifact["sha256"]
        files[artifact["name"]] = tmp_path / artifact["name"]
        files[artifact["name"]].write_bytes(content)
    assert sorted(files) == ["delta.safetensors", "model.safetensors", "report.json"]

    report = json.loads(files["report.json"].read_text())
    pruned = [tensor for tensor in report["tensors"] if tensor["method"]]
    assert sum(tensor["rows"] * tensor["n"] for tensor in pruned) == expected["pruned_parameters"]
    assert sum(tensor["selected"] for tensor in pruned) == expected["selected"]
    assert sum(tensor["kept"] for tensor in pruned) == expected["kept"]
    assert report["totals"]["kept"] == expected["kept"]
    assert job["summary"] == report["totals"]

    tensors = read_safetensors(files["model.safetensors"])
    for tensor, digest in expected.get("tensor_sha256", {}).items():
        assert hashlib.sha256(tensors[tensor].tobytes()).hexdigest() == digest, tensor
    assert accuracy(files["model.safetensors"], DATA / pair / "test.safetensors") == pytest.approx(
        expected["accuracy"], abs=0.001
    )

    injected = kenctl(
        "inject",
        "--base",
        DATA / pair / "base.safetensors",
        "--delta",
        files["delta.safetensors"],
        "-o",
        "again.safetensors",
    )
    assert injected.returncode == 0, injected.stderr
    assert (tmp_path / "again.safetensors").read_bytes() == files["model.safetensors"].read_bytes()
