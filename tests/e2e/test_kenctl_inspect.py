# SPDX-License-Identifier: Apache-2.0
"""kenctl inspect."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np

from checkpoints import read_metadata, read_safetensors, write_safetensors
from deltas import Run, make_pair, ok


def test_inspect_tells_the_kind_from_the_content(tmp_path: Path, kenctl: Run, pruned: "tuple[Path, Path]") -> None:
    _, out = pruned
    for source, kind in (
        ("model.safetensors", "checkpoint"),
        ("delta.safetensors", "delta"),
        ("report.json", "report"),
    ):
        shutil.copy(out / source, tmp_path / "thing")
        answer = json.loads(ok(kenctl("inspect", "thing", "-o", "json")))
        assert answer["kind"] == kind
        assert len(answer["tensors"]) == 7
        assert ok(kenctl("inspect", "thing")).startswith(kind)


def test_inspect_a_checkpoint(tmp_path: Path, kenctl: Run) -> None:
    model, _ = make_pair(tmp_path)
    answer = json.loads(ok(kenctl("--json", "inspect", model)))
    tensors = read_safetensors(model)
    assert {t["name"]: (t["dtype"], t["shape"], t["bytes"]) for t in answer["tensors"]} == {
        name: ({"<f4": "F32", "<f2": "F16", "<f8": "F64", "<i8": "I64"}[v.dtype.str], list(v.shape), v.nbytes)
        for name, v in tensors.items()
    }
    parameters = sum(v.size for v in tensors.values())
    assert answer["totals"]["parameters"] == parameters
    assert answer["totals"]["file_bytes"] == model.stat().st_size
    assert answer["files"][0]["metadata"] == {"format": "pt", "note": "a/b \u00e9"}
    text = ok(kenctl("inspect", model)).splitlines()
    assert text[0].startswith(f"checkpoint, 1 file, 7 tensors, {parameters} parameters, ")
    assert ["layer.1.weight", "F64", "[3,4096]", "12288", "98304", "model.safetensors"] in [
        line.split() for line in text
    ]


HOSTILE = "a\x1b[31mred\nx\u202ey\u009b\x7f"
SHOWN = r"a\x1b[31mred\x0ax\xe2\x80\xaey\xc2\x9b\x7f"


def test_names_cannot_steer_a_terminal_or_break_a_line(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path)
    for path in (model, base):
        tensors = dict(read_safetensors(path))
        tensors[HOSTILE] = np.ones((2, 8), np.float32) * (2 if path == model else 1)
        write_safetensors(path, tensors, {"note": HOSTILE})
    ok(kenctl("prune", "--model", model, "--base", base, "--k", 3, "-o", "out"))
    inspected: tuple[object, ...] = (model, "out/delta.safetensors", "out/report.json")
    for what in inspected:
        lines = ok(kenctl("inspect", what)).split("\n")
        assert [line for line in lines if line.startswith(f"{SHOWN}  ")], what
        assert all(c.isprintable() for line in lines for c in line), what
        assert HOSTILE in [t["name"] for t in json.loads(ok(kenctl("inspect", what, "-o", "json")))["tensors"]]
    table = [line for line in ok(kenctl("inspect", model)).split("\n") if "[" in line and "metadata" not in line]
    columns = [found.start() for found in (re.search(r"F\d\d|I64", line) for line in table) if found]
    assert len(columns) == len(table) and len(set(columns)) == 1, "columns stand below each other"
    result = kenctl("inspect", HOSTILE)
    assert result.returncode == 1 and result.stderr == f"kenctl: cannot read {SHOWN}: No such file or directory\n"


def test_json_keeps_the_numbers_of_the_report(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path)
    ok(kenctl("prune", "--model", model, "--base", base, "--keep", 0.3, "-o", "out"))
    text = ok(kenctl("inspect", "out/report.json", "-o", "json"))
    assert '\n  "keep": 0.3,\n' in text
    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
    assert '"warnings": [' in text and "[],\n" in text, "empty arrays stay on their line"


def test_inspect_names_the_files_that_there_are(tmp_path: Path, kenctl: Run) -> None:
    model, _ = make_pair(tmp_path)
    (tmp_path / "era").mkdir()
    for name in ("base.safetensors", "pytorch_model.bin"):
        shutil.copy(model, tmp_path / "era" / name)
    for path, name in (("era/base.safetensors", "base.safetensors"), ("era", "pytorch_model.bin")):
        answer = json.loads(ok(kenctl("inspect", path, "-o", "json")))
        assert {answer["files"][0]["name"], *(t["file"] for t in answer["tensors"])} == {name}
        text = ok(kenctl("inspect", path))
        assert f"metadata of era/{name}: " in text
        assert "model.safetensors" not in text and f"  {name}\n" in text


def test_inspect_sharded_checkpoints(tmp_path: Path, kenctl: Run) -> None:
    model, _ = make_pair(tmp_path, True)
    (index,) = model.glob("*.index.json")
    for path in (model, index):
        answer = json.loads(ok(kenctl("inspect", path, "-o", "json")))
        assert (answer["kind"], answer["has_index"], len(answer["files"]), answer["totals"]["tensors"]) == (
            "checkpoint",
            True,
            2,
            7,
        )


def test_inspect_a_delta(tmp_path: Path, kenctl: Run, pruned: "tuple[Path, Path]") -> None:
    _, out = pruned
    answer = json.loads(ok(kenctl("inspect", out / "delta.safetensors", "-o", "json")))
    tensors = json.loads(read_metadata(out / "delta.safetensors")["tensors"])
    assert {t["name"]: (t["form"], t["stored"]) for t in answer["tensors"]} == {
        n: (t["form"], t["stored"]) for n, t in tensors.items()
    }
    assert answer["totals"]["stored"] == sum(t["stored"] for t in tensors.values())
    assert answer["encoding"] == "plain"


def test_inspect_what_is_nothing(tmp_path: Path, kenctl: Run) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "list").write_text('{"a": 1}')
    (tmp_path / "empty").mkdir()
    for name in ("text", "list", "empty", "none"):
        result = kenctl("inspect", name)
        assert (result.returncode, result.stdout) == (1, ""), name
        assert result.stderr.startswith("kenctl: ")


def test_one_is_no_plural(tmp_path: Path, kenctl: Run) -> None:
    write_safetensors(tmp_path / "base", {"a": np.zeros((1, 4), np.float32)})
    write_safetensors(tmp_path / "model", {"a": np.ones((1, 4), np.float32)})
    ok(kenctl("prune", "--model", "model", "--base", "base", "--k", 1, "-o", "out"))
    for command in (
        ("inspect", "model"),
        ("inspect", "out/delta.safetensors"),
        ("verify", "out", "--base", "base"),
        ("inject", "--base", "base", "--delta", "out", "-o", "new"),
        ("export", "--delta", "out", "--format", "trl", "-o", "update"),
        ("diff", "new", "out/model.safetensors"),
    ):
        assert re.search(r"\b1 tensor\b", ok(kenctl(*command))), command
    assert "1 of 1 tensor differs; 1 of 4 values" in kenctl("diff", "base", "out/model.safetensors").stdout


def test_a_report_shows_its_lists(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path)
    ok(kenctl("prune", "--model", model, "--base", base, "--k", 9, "-o", "out"))
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["dropped"] == ["only.in.base"]
    report["warnings"] = [f"w{i}\n" for i in range(25)]
    report["tied"] = [{"name": "x", "of": "emb.weight"}, 3]
    (tmp_path / "report.json").write_text(json.dumps(report))
    lines = ok(kenctl("inspect", "report.json")).splitlines()
    shown = [line for line in lines if line.startswith(("warning: ", "dropped: ", "tied: ", "and "))]
    warnings = [f"warning: w{i}\\x0a" for i in range(20)]
    assert shown == [*warnings, "and 5 more", "dropped: only.in.base", "tied: x is emb.weight"]


def test_a_folder_is_its_model_or_its_delta(tmp_path: Path, kenctl: Run, pruned: "tuple[Path, Path]") -> None:
    _, out = pruned
    note = "note: out is taken for the model in it; its delta is out/delta.safetensors\n"
    result = kenctl("inspect", "out")
    assert result.stdout.startswith("checkpoint, ") and result.stderr == note
    assert kenctl("inspect", "-q", "out").stderr == ""
    result = kenctl("diff", "out", "out/model.safetensors")
    assert (result.returncode, result.stderr.count(note)) == (0, 1)
    (out / "model.safetensors").unlink()
    result = kenctl("inspect", "out")
    assert result.stdout.startswith("delta, ") and result.stderr == ""
    assert kenctl("diff", "-q", "out", "out/delta.safetensors").returncode == 0


def test_prune_tells_a_delta_from_a_model(tmp_path: Path, kenctl: Run, pruned: "tuple[Path, Path]") -> None:
    base, _ = pruned
    result = kenctl("prune", "--model", "out/delta.safetensors", "--base", base, "--k", 3, "-o", "new")
    message = "model: out/delta.safetensors is a delta: `kenctl inject` makes the model of it and its base"
    assert result.returncode != 0 and result.stderr == f"kenctl: {message}\n"
