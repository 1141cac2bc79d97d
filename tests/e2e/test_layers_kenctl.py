# SPDX-License-Identifier: Apache-2.0
"""Layers in a terminal, and as pictures: kenctl show, kenctl heatmap --role and --layers."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pytest

from checkpoints import write_safetensors
from daemon import BUILD
from deltas import Run, ok
from layered import Jobs, layered, make_files

ROLE = "layer.*.mlp.weight"
BARS = "█▒░"


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    folder = tmp_path_factory.mktemp("kenctl-layers")
    files = make_files(folder)
    random = np.random.default_rng(1)
    deep: "dict[str, Any]" = {
        f"model.layers.{i}.{n}.w": random.normal(0, 1, (4, 8)).astype(np.float32) for i in range(300) for n in "qkv"
    }
    write_safetensors(files / "deep-base", deep)
    write_safetensors(files / "deep-model", {n: v + np.float32(0.1) * v**2 for n, v in deep.items()})
    document = {"model": f"file://{files}/deep-model", "base": f"file://{files}/deep-base", "k": 3}
    with layered(folder, deep=document) as jobs:
        yield jobs


def on_terminal(jobs: Jobs, job: str, columns: int, *options: str, **environment: str) -> "list[str]":
    """What `kenctl show` draws on a terminal of so many columns: the lines of layers, their heads first."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("LANG", "LC_ALL", "LC_CTYPE", "NO_COLOR")}
    command = [str(BUILD / "kenctl"), "--server", jobs.kend.url, "show", jobs.ids[job], *options]
    with subprocess.Popen(command, stdout=terminal, stderr=subprocess.DEVNULL, env={**kept, **environment}):
        os.close(terminal)
        seen = b""
        while True:
            try:
                more = os.read(controller, 65536)
            except OSError:
                break
            if not more:
                break
            seen += more
    os.close(controller)
    lines = seen.decode().splitlines()
    heads = [i for i, line in enumerate(lines) if line.startswith("LAYER")]
    return lines[heads[0] :] if heads else []


def test_bars_fill_the_width_and_tell_shares(jobs: Jobs) -> None:
    tensors = [t for role in jobs.get("many", "layers", variant="half").json["data"] for t in role["tensors"]]
    for columns in (60, 80, 120):
        lines = on_terminal(jobs, "many", columns, LANG="C.UTF-8", NO_COLOR="1")
        assert len(lines) == 1 + 14 and max(map(len, lines)) < columns
        for line in lines[1:]:
            label, shares = line.split()[0], re.findall(r"([0-9.]+)%", line)
            own = [t for t in tensors if t["name"] == label or t["name"].startswith(label + ".")]
            sums = [sum(t[key] for t in own) for key in ("kept", "reset", "unchanged")]
            assert shares == [f"{100 * part / sum(sums):.1f}" for part in sums], label
            cells = [line.count(ink) for ink in BARS]
            assert all((c > 0) == (s > 0) for c, s in zip(cells, sums)) and sum(cells) >= 6
            assert all(abs(c - sum(cells) * s / sum(sums)) < 1.5 for c, s in zip(cells, sums))
            assert f"{max(t['relative_l2'] for t in own):.4f}" in line


def test_letters_and_colours_are_those_of_the_terminal(jobs: Jobs) -> None:
    plain = "\n".join(on_terminal(jobs, "many", 80, LANG="C"))
    assert plain.isascii() and "#" in plain and "\x1b[34m" in plain
    coloured = "\n".join(on_terminal(jobs, "many", 80, LC_ALL="en_GB.UTF-8", LANG="C"))
    assert "█" in coloured and "\x1b[34m" in coloured
    assert "\x1b" not in "\n".join(on_terminal(jobs, "many", 80, LANG="C", NO_COLOR="1"))


def test_numbers_in_a_pipe(jobs: Jobs, kenctl: Run) -> None:
    shown = kenctl("--server", jobs.kend.url, "show", jobs.ids["many"], "--variant", "few")
    lines = ok(shown).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("LAYER"))
    assert lines[first].split() == ["LAYER", "KEPT", "RESET", "UNCHANGED", "RELATIVE-L2"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[first + 1 :]}
    tensors = [t for role in jobs.get("many", "layers", variant="few").json["data"] for t in role["tensors"]]
    own = [t for t in tensors if t["name"].startswith("layer.10.")]
    assert rows["layer.10"][:3] == [str(sum(t[key] for t in own)) for key in ("kept", "reset", "unchanged")]
    assert float(rows["layer.10"][3]) == pytest.approx(max(t["relative_l2"] for t in own), rel=1e-5)
    other = kenctl("--server", jobs.kend.url, "show", jobs.ids["many"])
    assert "variant half" in other.stderr and "variant half" not in shown.stderr
    assert kenctl("--server", jobs.kend.url, "show", jobs.ids["many"], "--variant", "none").returncode == 1
    assert "LAYER" not in ok(kenctl("--server", jobs.kend.url, "show", jobs.ids["failed"]))


def test_three_hundred_layers_stay_readable(jobs: Jobs, kenctl: Run) -> None:
    lines = on_terminal(jobs, "deep", 80, LANG="C.UTF-8", NO_COLOR="1")
    assert (
        20 < len(lines) <= 42
        and lines[1].startswith("model.layers.0-7 ")
        and lines[-1].startswith("model.layers.296-299 ")
    )
    told = ok(kenctl("--server", jobs.kend.url, "show", jobs.ids["deep"]))
    assert told.count("model.layers.") == 300


def test_layers_of_jobs_and_folders_are_drawn_alike(jobs: Jobs, tmp_path: Path, kenctl: Run) -> None:
    model, base = jobs.files / "model", jobs.files / "base"
    document = f'{{"model": "{model}", "base": "{base}", "variants": [{{"name": "half", "keep": 0.5}}]}}'
    (tmp_path / "job.json").write_text(document)
    ok(kenctl("prune", "--job", "job.json", "-o", "out"))
    server, half = ("--server", jobs.kend.url), ("--variant", "half", "--view", "mask", "--width", 500)
    ok(kenctl(*server, "heatmap", jobs.ids["many"], "--role", ROLE, *half, "-o", "job.png"))
    ok(kenctl("heatmap", "out", "--role", ROLE, *half, "-o", "folder.png"))
    ok(kenctl("heatmap", "out", "layer.7.mlp.weight", "--layers", *half, "-o", "tensor.png"))
    ok(kenctl(*server, "heatmap", jobs.ids["many"], "--role", "l*mlp*", *half, "-o", "glob.png"))
    wanted = jobs.get("many", "layers.png", role=ROLE, variant="half", view="mask", width=500).body
    for name in ("job", "folder", "tensor", "glob"):
        assert (tmp_path / f"{name}.png").read_bytes() == wanted, name
    ok(kenctl(*server, "heatmap", jobs.ids["many"], "embed", "--variant", "half", "--legend", "-o", "legend.png"))
    framed = jobs.get("many", "heatmap.png", tensor="embed", variant="half", legend="true").body
    assert (tmp_path / "legend.png").read_bytes() == framed


def test_what_is_wrong_with_a_role(jobs: Jobs, tmp_path: Path, kenctl: Run) -> None:
    ok(kenctl("prune", "--model", jobs.files / "model", "--base", jobs.files / "base", "--k", 9, "-o", "out"))
    for status, message, arguments in (
        (2, "needs TENSOR or --role", ("out",)),
        (2, "takes the place of TENSOR", ("out", "embed", "--role", ROLE)),
        (2, "takes the place of TENSOR", ("out", "--role", ROLE, "--layers")),
        (2, "--region is of one matrix", ("out", "--role", ROLE, "--region", "0,0,1,1")),
        (2, "--legend is of one matrix", ("out", "embed", "--layers", "--legend")),
        (2, "--width of layers", ("out", "--role", ROLE, "--width", 100)),
        (1, "no pruned tensors", ("out", "--role", "nothing")),
        (2, "more than one role", ("out", "--role", "*")),
        (1, "no pruned tensors", (jobs.ids["many"], "--variant", "half", "--role", "nothing")),
        (1, "variant", (jobs.ids["many"], "--role", ROLE)),
    ):
        result = kenctl("--server", jobs.kend.url, "heatmap", *arguments, "-o", "p.png")
        assert (result.returncode, message in result.stderr) == (status, True), (arguments, result.stderr)
    (tmp_path / "out" / "report.json").unlink()
    result = kenctl("heatmap", "out", "--role", ROLE, "-o", "p.png")
    assert result.returncode == 1 and "report.json" in result.stderr and not (tmp_path / "p.png").exists()
