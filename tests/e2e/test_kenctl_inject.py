# SPDX-License-Identifier: Apache-2.0
"""kenctl inject and verify."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from checkpoints import read_header, read_safetensors, write_safetensors
from deltas import Run, make_pair, ok, tree


def test_inject_gives_the_model_bit_for_bit(tmp_path: Path, kenctl: Run, pruned: "tuple[Path, Path]") -> None:
    base, out = pruned
    arguments = ("inject", "--base", base, "--delta", out / "delta.safetensors", "-o", "new.safetensors")
    assert ok(kenctl(*arguments)) == "new.safetensors: 7 tensors, every base tensor checked\n"
    assert (tmp_path / "new.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()
    result = kenctl(*arguments)
    assert (result.returncode, "new.safetensors is there already; --force replaces it" in result.stderr) == (1, True)
    (tmp_path / "new.safetensors").write_text("old")
    assert json.loads(ok(kenctl(*arguments, "--force", "--json"))) == {
        "output": "new.safetensors",
        "files": 1,
        "tensors": 7,
        "artifacts": [
            {
                "name": "model.safetensors",
                "size": (out / "model.safetensors").stat().st_size,
                "sha256": tree(out)["model.safetensors"],
            }
        ],
    }
    assert (tmp_path / "new.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()


def test_inject_makes_a_folder_where_the_model_is_sharded(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path, True)
    ok(kenctl("prune", "--model", model, "--base", base, "--k", 20, "-o", "out"))
    ok(kenctl("inject", "--base", base, "--delta", "out/delta.safetensors", "-o", "new"))
    expected = {name: digest for name, digest in tree(tmp_path / "out").items() if name.startswith("model")}
    assert tree(tmp_path / "new") == expected
    assert ok(kenctl("verify", "out", "--base", base, "-q")) == ""
    index = tmp_path / "out" / "model.safetensors.index.json"
    assert ok(kenctl("verify", "--delta", "out/delta.safetensors", "--base", base, "--model", index, "-q")) == ""
    index.write_text(index.read_text() + " ")
    result = kenctl("verify", "out", "--base", base)
    assert (result.returncode, "the index has other bytes than the delta makes" in result.stderr) == (1, True)


def test_a_folder_stands_for_the_delta_in_it(tmp_path: Path, kenctl: Run, pruned: "tuple[Path, Path]") -> None:
    base, out = pruned
    ok(kenctl("inject", "--base", base, "--delta", "out", "-o", "new"))
    assert (tmp_path / "new").read_bytes() == (out / "model.safetensors").read_bytes()
    assert "valid: 7 tensors" in ok(kenctl("verify", "--base", base, "--delta", "out/"))
    ok(kenctl("export", "--delta", "out", "--format", "trl", "-o", "update"))
    (tmp_path / "variants").mkdir()
    for name in ("two", "one"):
        shutil.copytree(out, tmp_path / "variants" / name)
    (tmp_path / "empty").mkdir()
    for command in (("inject", "-o", "x"), ("export", "--format", "trl", "-o", "x"), ("verify",)):
        for folder, status, message in (
            ("variants", 2, "variants has several variants, of which one must be named: one, two"),
            ("empty", 1, "empty: no delta.safetensors is in this folder"),
        ):
            result = kenctl(*command, "--base", base, "--delta", folder)
            assert (result.returncode, result.stdout) == (status, "")
            assert result.stderr == f"kenctl: {message}\n", command
    result = kenctl("inspect", "variants")
    assert (result.returncode, result.stderr.count("one, two")) == (2, 1)


def test_inject_into_a_folder(tmp_path: Path, kenctl: Run, pruned: "tuple[Path, Path]") -> None:
    base, out = pruned
    (tmp_path / "new").mkdir()
    inject = ("inject", "--base", base, "--delta", "out", "-o", "new")
    assert ok(kenctl(*inject)) == "new/model.safetensors: 7 tensors, every base tensor checked\n"
    result = kenctl(*inject)
    assert result.returncode == 1 and "new/model.safetensors is there already; --force replaces it" in result.stderr
    (tmp_path / "new" / "model.safetensors").write_text("old")
    ok(kenctl(*inject, "-f"))
    assert tree(tmp_path / "new") == {"model.safetensors": tree(out)["model.safetensors"]}


@pytest.mark.parametrize("sharded", (False, True))
def test_no_output_replaces_its_input(tmp_path: Path, kenctl: Run, sharded: bool) -> None:
    model, base = make_pair(tmp_path, sharded)
    ok(kenctl("prune", "-q", "--model", model, "--base", base, "--k", 9, "-o", "out"))
    if not sharded:
        (tmp_path / "folder").mkdir()
        base = base.rename(tmp_path / "folder" / "model.safetensors").parent
    (tmp_path / "link").symlink_to(base)
    inject = ("inject", "-f", "--base", base, "--delta", "out")
    calls: "list[tuple[object, ...]]" = [(*inject, "-o", base), (*inject, "-o", "link")]
    calls += [("prune", "-f", "--model", model, "--base", base, "--k", 9, "-o", base)]
    if not sharded:
        calls += [(*inject, "-o", base / "model.safetensors"), (*inject, "-o", "out/delta.safetensors")]
    before = tree(tmp_path)
    for call in calls:
        result = kenctl(*call)
        assert (result.returncode, result.stdout) == (1, ""), call
        assert re.search(r" is the (base|delta) itself, which would be replaced", result.stderr), result.stderr
        assert tree(tmp_path) == before
    ok(kenctl("prune", "-qf", "--model", model, "--base", base, "--k", 9, "-o", base, "--outputs", "delta,report"))


def test_what_is_no_regular_file_is_never_replaced(tmp_path: Path, kenctl: Run, pruned: "tuple[Path, Path]") -> None:
    base, _out = pruned
    sharded, sharded_base = make_pair(tmp_path / "sharded", True)
    prune = ("prune", "-q", "--model", sharded, "--base", sharded_base, "--k", 9)
    ok(kenctl(*prune, "-o", "shards"))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "new").mkdir()
    os.mkfifo(tmp_path / "new" / "model.safetensors.index.json")
    for output in ("pipe", "link", "new"):
        calls: "list[tuple[object, ...]]" = [
            ("inject", "--base", sharded_base, "--delta", "shards", "-o", output),
            (*prune, "-o", output),
        ]
        if output != "new":
            calls.append(("inject", "--base", base, "--delta", "out", "-o", output))
            calls.append(("export", "--delta", "out", "--format", "trl", "-o", output))
        for call in calls:
            result = kenctl(*call, "-f")
            assert (result.returncode, result.stdout) == (1, ""), call
            assert "is there and no regular file: nothing replaces it" in result.stderr, result.stderr
            assert "--force" not in kenctl(*call).stderr or output == "new"
    assert all(p.is_fifo() for p in (tmp_path / "pipe", tmp_path / "link", *(tmp_path / "new").iterdir()))


def test_another_base_is_refused_by_the_tensors_name(tmp_path: Path, kenctl: Run, pruned: "tuple[Path, Path]") -> None:
    base, out = pruned
    tensors = {name: values.copy() for name, values in read_safetensors(base).items()}
    tensors["layer.1.weight"][2, 4095] += 1e-9
    write_safetensors(tmp_path / "other.safetensors", tensors)
    for command in (("inject", "-o", "new.safetensors"), ("verify",)):
        result = kenctl(*command, "--base", "other.safetensors", "--delta", out / "delta.safetensors")
        assert result.returncode == 1
        assert 'base tensor "layer.1.weight" has SHA-256 ' in result.stderr
        assert "this is another base" in result.stderr
    result = kenctl("inject", "-q", "--base", "other.safetensors", "--delta", out, "-o", "new.safetensors", "--json")
    error = json.loads(result.stderr)
    assert (result.returncode, list(error), error["code"]) == (1, ["code", "message"], "digest_mismatch")
    (tmp_path / "other.safetensors").write_text("no checkpoint")
    result = kenctl("inspect", "other.safetensors", "-o", "json")
    assert json.loads(result.stderr)["code"] == "bad_checkpoint"
    tensors = dict(read_safetensors(base))
    del tensors["norm.weight"]
    write_safetensors(tmp_path / "other.safetensors", tensors)
    result = kenctl(
        "inject", "-o", "new.safetensors", "--base", "other.safetensors", "--delta", out / "delta.safetensors"
    )
    assert (result.returncode, 'the base has no tensor "norm.weight"' in result.stderr) == (1, True)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "base.safetensors",
        "model.safetensors",
        "other.safetensors",
        "out",
    ]


def test_verify_finds_every_kind_of_difference(tmp_path: Path, kenctl: Run, pruned: "tuple[Path, Path]") -> None:
    base, out = pruned
    text = ok(kenctl("verify", "out", "--base", base))
    assert (
        text
        == "valid: 7 tensors; the delta fits the base, base and delta make the model bit for bit, the report agrees\n"
    )
    assert (
        ok(kenctl("verify", "--delta", out / "delta.safetensors", "--base", base))
        == "valid: 7 tensors; the delta fits the base, no model was compared\n"
    )
    answer = json.loads(ok(kenctl("verify", "out", "--base", base, "-o", "json")))
    assert answer == {"valid": True, "tensors": 7, "model_compared": True, "report_compared": True}

    model = bytearray((out / "model.safetensors").read_bytes())
    header, begin = read_header(out / "model.safetensors")
    model[begin + header["layer.0.weight"]["data_offsets"][0] + 4 * 77] ^= 1
    (tmp_path / "changed.safetensors").write_bytes(model)
    result = kenctl("verify", "--delta", out / "delta.safetensors", "--base", base, "--model", "changed.safetensors")
    assert (result.returncode, 'tensor "layer.0.weight": element 77 differs from the model\'s' in result.stderr) == (
        1,
        True,
    )

    report = json.loads((out / "report.json").read_text())
    report["totals"]["delta_bytes"] += 1
    (out / "report.json").write_text(json.dumps(report))
    result = kenctl("verify", "out", "--base", base)
    assert (result.returncode, "out/report.json: delta_bytes of the totals is " in result.stderr) == (1, True)

    delta = bytearray((out / "delta.safetensors").read_bytes())
    delta[-1] ^= 0x80
    (tmp_path / "delta.safetensors").write_bytes(delta)
    result = kenctl("verify", "--delta", "delta.safetensors", "--base", base)
    assert (result.returncode, 'kenctl: tensor "' in result.stderr) == (1, True), result.stderr
    for command, message in (
        (("verify",), "'verify' needs a folder, or --delta"),
        (("verify", "out"), "'verify' needs --base"),
        (("inject", "--base", base), "'inject' needs --base, --delta and -o"),
    ):
        result = kenctl(*command)
        assert (result.returncode, message in result.stderr) == (2, True), result.stderr


def test_verify_checks_the_base_before_the_model(tmp_path: Path, kenctl: Run, pruned: "tuple[Path, Path]") -> None:
    base, _ = pruned
    tensors = {name: values.copy() for name, values in read_safetensors(base).items()}
    tensors["layer.1.weight"] += 1
    write_safetensors(tmp_path / "other.safetensors", tensors)
    result = kenctl("verify", "out", "--base", "other.safetensors")
    assert (result.returncode, result.stdout) == (1, "")
    assert re.search(r'base tensor "layer\.1\.weight" has SHA-256 .*: this is another base', result.stderr)
    assert "differs from the model" not in result.stderr


def test_verify_takes_a_folder_of_variants(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path)
    variants = [{"name": "two", "k": 20}, {"name": "one", "keep": 0.2, "rescale": "l1"}]
    (tmp_path / "job.json").write_text(json.dumps({"model": str(model), "base": str(base), "variants": variants}))
    ok(kenctl("prune", "--job", "job.json", "-o", "out"))
    rest = "valid: 7 tensors; the delta fits the base, base and delta make the model bit for bit, the report agrees\n"
    assert ok(kenctl("verify", "out", "--base", base)) == f"one: {rest}two: {rest}"
    answer = {"valid": True, "tensors": 7, "model_compared": True, "report_compared": True}
    assert json.loads(ok(kenctl("verify", "out", "--base", base, "-o", "json"))) == {
        "valid": True,
        "variants": {"one": answer, "two": answer},
    }
    assert ok(kenctl("verify", "out/two", "--base", base)) == rest
    changed = bytearray((tmp_path / "out/one/model.safetensors").read_bytes())
    changed[-1] ^= 1
    (tmp_path / "out/one/model.safetensors").write_bytes(changed)
    result = kenctl("verify", "out", "--base", base)
    assert (result.returncode, result.stdout) == (1, f"two: {rest}")
    assert (
        re.findall(r"^kenctl: .*", result.stderr, re.M)
        == re.findall(r"^kenctl: one: tensor \".*", result.stderr, re.M)
        != []
    )
    answers = json.loads(kenctl("verify", "out", "--base", base, "-o", "json").stdout)
    assert answers == {"valid": False, "variants": {"one": {"valid": False}, "two": answer}}
    (tmp_path / "empty").mkdir()
    for folder, message in (
        ("empty", "empty: neither a delta.safetensors nor folders of variants with one are in it"),
        ("job.json", "job.json: this is no folder"),
        ("none", "none: No such file or directory"),
    ):
        result = kenctl("verify", folder, "--base", base)
        assert (result.returncode, result.stderr) == (1, f"kenctl: {message}\n")


@pytest.mark.parametrize(
    ("where", "change", "message"),
    (
        ("layer.1.weight", {"kept": 1, "reset": -1}, 'kept of tensor "layer.1.weight" is 61, but the delta stores 60'),
        ("layer.1.weight", {"unchanged": 1}, "do not add up to its 12288 elements"),
        ("totals", {"kept": 1}, "kept of the totals is "),
        ("totals", {"reset": -1}, "reset of the totals is "),
        ("totals", {"whole": 1}, "whole of the totals is "),
        ("totals", {"added": 1}, "added of the totals is "),
        ("totals", {"parameters": 1}, "parameters of the totals is "),
        ("totals", {"model_bytes": 1}, "model_bytes of the totals is "),
        ("layer.1.weight", {"kept": None}, 'not a report: tensor "layer.1.weight" has no kept'),
    ),
)
def test_verify_finds_a_forged_report(
    kenctl: Run, pruned: "tuple[Path, Path]", where: str, change: "dict[str, Any]", message: str
) -> None:
    base, out = pruned
    report = json.loads((out / "report.json").read_text())
    (forged,) = [report["totals"]] if where == "totals" else [t for t in report["tensors"] if t["name"] == where]
    for key, by in change.items():
        forged[key] = None if by is None else forged[key] + by
    (out / "report.json").write_text(json.dumps(report))
    result = kenctl("verify", "-q", "out", "--base", base)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("kenctl: out/report.json: ") and message in result.stderr, result.stderr
