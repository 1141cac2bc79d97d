#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What benchmarks share: pairs of random tiles, timing in turns, and the table of figures with what is required."""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import struct
import subprocess
import tempfile
import time
import typing
from pathlib import Path
from typing import Callable, Optional

import numpy as np

MIB = 1 << 20
TILE = 64 * MIB
Shapes = typing.List[typing.Tuple[str, typing.Tuple[int, ...]]]


# ---- pairs


def bert_shapes() -> Shapes:
    """BERT base: 109 million parameters."""
    shapes: Shapes = [("embeddings.word.weight", (30522, 768)), ("embeddings.position.weight", (512, 768))]
    for layer in range(12):
        for name, shape in (
            ("attention.query.weight", (768, 768)),
            ("attention.key.weight", (768, 768)),
            ("attention.value.weight", (768, 768)),
            ("attention.output.weight", (768, 768)),
            ("attention.LayerNorm.weight", (768,)),
            ("intermediate.weight", (3072, 768)),
            ("intermediate.bias", (3072,)),
            ("output.weight", (768, 3072)),
            ("output.bias", (768,)),
        ):
            shapes.append((f"encoder.layer.{layer}.{name}", shape))
    return shapes + [("pooler.weight", (768, 768))]


def square_shapes(parameters: int) -> Shapes:
    """Some tensors with rows of 1024."""
    tensors = max(1, min(16, parameters // 1024 // 64))
    return [(f"layer.{i:02}.weight", (parameters // tensors // 1024, 1024)) for i in range(tensors)]


def write_pair(folder: Path, shapes: Shapes) -> int:
    """model.safetensors and base.safetensors of F32: a random tile repeated, with differences everywhere. Returns the parameters."""
    entries, at = {}, 0
    for name, shape in shapes:
        length = 4 * int(np.prod(shape))
        entries[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + length]}
        at += length
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    random = np.random.default_rng(1)
    count = min(TILE, at) // 4
    base = 0.04 * random.standard_normal(count, np.float32)
    model = base + 0.002 * random.standard_normal(count, np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    for file_name, tile in (("base", base), ("model", model)):
        with (folder / f"{file_name}.safetensors").open("wb") as file:
            file.write(struct.pack("<Q", len(header)) + header)
            content = memoryview(tile.tobytes())
            for first in range(0, at, len(content)):
                file.write(content[: min(len(content), at - first)])
    return at // 4


# ---- running


def timed(command: "list[str]") -> float:
    begin = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return time.monotonic() - begin


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def in_turns(times: int, *runs: Callable[[], float]) -> "list[list[float]]":
    """Each run's seconds; the first turn only warms up."""
    seconds: list[list[float]] = [[] for _ in runs]
    for turn in range(times + 1):
        for i, run in enumerate(runs):
            took = run()
            if turn:
                seconds[i].append(took)
    return seconds


def median_ratio(times: int, slow: Callable[[], float], fast: Callable[[], float]) -> "tuple[float, str]":
    """Of the medians, with what they are of."""
    a, b = (statistics.median(seconds) for seconds in in_turns(times, slow, fast))
    return a / b, f"{a:.2f} s, {b:.2f} s"


# ---- figures


class Figures:
    """What was measured; `bound` is the most, or with `least` the least, that is allowed."""

    def __init__(self) -> None:
        self.lines: list[dict] = []

    def add(
        self, name: str, value: float, bound: Optional[float], unit: str, note: str = "", least: bool = False
    ) -> None:
        good = bound is None or (value >= bound if least else value <= bound)
        required = "" if bound is None else f"  required {bound:g}{'' if good else ', MISSED'}"
        print(f"{name:<52} {value:8.3g} {unit:<9}{required}{'  (' + note + ')' if note else ''}", flush=True)
        self.lines.append({"name": name, "value": float(f"{value:.4g}"), "unit": unit, "required": bound, "good": good})


# ---- a program of benchmarks


def arguments(doc: str, quick: str) -> argparse.ArgumentParser:
    """What every program takes; doc is its own, quick tells what --quick does."""
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    parser.add_argument("build", type=Path, help="where kend, kenctl and what else is run were built")
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--json", type=Path, help="add the figures to this file")
    parser.add_argument("--folder", type=Path, help="work below this folder (default: the build)")
    return parser


def measure(options: argparse.Namespace, name: str, benches: Callable[[Figures, Path], None]) -> int:
    """Runs the benches in a folder that is removed, adds their figures to the file under the name. The exit status: 1 if one is missed."""
    figures = Figures()
    work = Path(tempfile.mkdtemp(prefix="bench-", dir=options.folder or options.build)).resolve()
    try:
        benches(figures, work)
    finally:
        shutil.rmtree(work)
    if options.json:
        known = json.loads(options.json.read_text()) if options.json.exists() else {}
        options.json.write_text(json.dumps({**known, name: figures.lines}, indent=1) + "\n")
    return 0 if all(line["good"] for line in figures.lines) else 1
