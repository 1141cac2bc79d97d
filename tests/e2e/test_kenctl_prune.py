# SPDX-License-Identifier: Apache-2.0
"""kenctl prune without a server. Deltas are read by Python that knows only the format."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from checkpoints import DTYPES, read_header, read_safetensors, write_safetensors
from daemon import BUILD
from deltas import Run, all_tensors, make_pair, ok, read_delta, smallest_form, tree


@pytest.mark.parametrize("sharded", (False, True))
@pytest.mark.parametrize(
    "arguments", (("--k", 5), ("--keep", "0.6", "--rescale", "l1"), ("--k", 1, "--method", "magnitude"))
)
def test_an_independent_reader_makes_the_model(
    tmp_path: Path, kenctl: Run, sharded: bool, arguments: "tuple[object, ...]"
) -> None:
    model, base = make_pair(tmp_path, sharded)
    ok(kenctl("prune", "--model", model, "--base", base, *arguments, "-o", "out"))
    made = read_delta(tmp_path / "out" / "delta.safetensors", all_tensors(base))
    found = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir() if p.name.startswith("model")}
    assert sorted(made) == sorted(found)
    for name, content in made.items():
        assert content == found[name], name
    expected = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]
    assert sorted(found) == (expected if sharded else ["model.safetensors"])
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(
        [*found, ".kend", "delta.safetensors", "report.json"]
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([model.name, base.name, "out"])


def test_the_smallest_form_is_taken_and_entries_are_aligned(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path)
    seen = set()
    for k in (1, 20, 250, 4000):
        ok(kenctl("prune", "--model", model, "--base", base, "--k", k, "-o", f"out{k}"))
        delta = tmp_path / f"out{k}" / "delta.safetensors"
        header, begin = read_header(delta)
        tensors, old, new = (
            json.loads(header.pop("__metadata__")["tensors"]),
            all_tensors(base),
            all_tensors(tmp_path / f"out{k}" / "model.safetensors"),
        )
        for name, tensor in tensors.items():
            gap = 0
            if tensor["base"]:
                places = np.flatnonzero(old[name].reshape(-1) != new[name].reshape(-1))
                assert len(places) == tensor["stored"] or tensor["form"] == "whole"
                gap = int(np.diff(places, prepend=-1).max(initial=0)) - 1
            assert tensor["form"] == smallest_form(
                {**tensor, "stored": len(places) if tensor["base"] else 0}, gap
            ), name
            seen.add(tensor["form"])
        bits = [DTYPES[entry["dtype"]].itemsize for entry in header.values()]
        assert bits == sorted(bits, reverse=True)
        assert all(
            (begin + entry["data_offsets"][0]) % DTYPES[entry["dtype"]].itemsize == 0 for entry in header.values()
        )
    assert seen == {"same", "whole", "mask", "gaps"}


@pytest.mark.smoke
def test_the_real_pair_has_the_digests_of_the_table(tmp_path: Path, data: Path, kenctl: Run) -> None:
    expected = json.loads((data / "era-bf16" / "expected.json").read_text())["ken-keep-0.75"]
    folder = data / "era-bf16"
    ok(
        kenctl(
            "prune",
            "--model",
            folder / "finetuned.safetensors",
            "--base",
            folder / "base.safetensors",
            "--keep",
            "0.75",
            "-o",
            "out",
        )
    )
    tensors = read_safetensors(tmp_path / "out" / "model.safetensors")
    for name, digest in expected["tensor_sha256"].items():
        assert hashlib.sha256(tensors[name].tobytes()).hexdigest() == digest, name
    made = read_delta(tmp_path / "out" / "delta.safetensors", read_safetensors(folder / "base.safetensors"))
    assert made["model.safetensors"] == (tmp_path / "out" / "model.safetensors").read_bytes()


def test_threads_memory_and_kernels_do_not_change_a_byte(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path, True)
    digests = []
    for i, arguments in enumerate(
        ((), ("--threads", 1), ("--threads", 5, "--memory", "8MiB"), ("--memory", "1GiB"), ("--kernel", "scalar"))
    ):
        ok(kenctl("prune", "--model", model, "--base", base, "--keep", "0.3", *arguments, "-o", f"out{i}"))
        digests.append(tree(tmp_path / f"out{i}"))
    assert all(digest == digests[0] for digest in digests)


def test_a_document_with_variants(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path)
    document = {
        "model": {
            "url": f"file://{model}".replace("model.", "model%2E"),
            "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        },
        "base": str(base),
        "rules": [{"match": "norm.*", "action": "reset"}],
        "outputs": ["delta", "report"],
        "variants": [{"name": "half", "keep": 0.5}, {"name": "few", "k": 3, "method": "magnitude", "rescale": "l1"}],
    }
    (tmp_path / "job.json").write_text(json.dumps(document))
    answer = json.loads(ok(kenctl("prune", "--job", "job.json", "-o", "out", "--json", "-q")))
    assert sorted(tree(tmp_path / "out")) == [
        ".kend/few.cells",
        ".kend/half.cells",
        "few/delta.safetensors",
        "few/report.json",
        "half/delta.safetensors",
        "half/report.json",
    ]
    assert sorted(answer["summary"]["variants"]) == ["few", "half"]
    digests = tree(tmp_path / "out")
    for artifact in answer["artifacts"]:
        assert digests[artifact["name"]] == artifact["sha256"]
        assert (tmp_path / "out" / artifact["name"]).stat().st_size == artifact["size"]
        assert artifact["name"].startswith(artifact["variant"] + "/")
    # One variant alone, by options, gives the same delta.
    ok(
        kenctl(
            "prune",
            "--model",
            model,
            "--base",
            base,
            "--keep",
            "0.5",
            "--rule",
            "norm.*=reset",
            "--outputs",
            "delta,report",
            "-o",
            "alone",
        )
    )
    assert tree(tmp_path / "alone")["delta.safetensors"] == digests["half/delta.safetensors"]


def test_rules_from_options(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path)
    rules = ("--rule", "emb.*=keep", "--rule", "layer.0.*=prune:7", "--rule", "layer.1.*=prune:0.5")
    ok(kenctl("prune", "--model", model, "--base", base, "--k", 1, *rules, "-o", "out"))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    found = {t["name"]: (t["action"], t["k"]) for t in report["tensors"]}
    assert found["emb.weight"][0] == "keep"
    assert (found["layer.0.weight"], found["layer.0.bias"], found["layer.1.weight"]) == (
        ("prune", 7),
        ("prune", 7),
        ("prune", 2048),
    )
    ok(kenctl("prune", "--model", model, "--base", base, "--k", 1, "--rules-layers", "-o", "layers"))
    report = json.loads((tmp_path / "layers" / "report.json").read_text())
    assert {t["name"] for t in report["tensors"] if t["action"] == "prune"} == {
        "layer.0.weight",
        "layer.0.bias",
        "layer.1.weight",
    }


def test_the_output_folder_is_not_overwritten_unasked(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path)
    arguments = ("prune", "--model", model, "--base", base, "--k", 5, "-o", "out/")
    (tmp_path / "out").mkdir()
    ok(kenctl(*arguments))  # an empty folder is taken
    before = tree(tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    result = kenctl(*arguments)
    assert result.returncode == 1
    assert "kenctl: the folder out/ is not empty; --force replaces the files in it that are made anew" in result.stderr
    (tmp_path / "out" / "delta.safetensors").write_text("old")
    ok(kenctl(*arguments, "--force"))
    assert tree(tmp_path / "out") == {**before, "notes.txt": hashlib.sha256(b"mine").hexdigest()}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base.safetensors", "model.safetensors", "out"]


def test_a_failed_prune_leaves_nothing(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path)
    tensors = {name: values.copy() for name, values in read_safetensors(model).items()}
    tensors["layer.1.weight"][2, 99] = np.nan
    write_safetensors(model, tensors)
    result = kenctl("prune", "--model", model, "--base", base, "--k", 5, "-o", "out")
    assert result.returncode == 1
    assert re.search(r"layer\.1\.weight.*row 2.*column 99", result.stderr), result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base.safetensors", "model.safetensors"]
    ok(kenctl("prune", "--model", model, "--base", base, "--k", 5, "--non-finite", "keep", "-o", "out"))


def test_a_dry_run_writes_nothing(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path)
    plan = json.loads(ok(kenctl("prune", "--model", model, "--base", base, "--k", 5, "--dry-run", "--json")))
    totals = plan["totals"]
    assert (totals["tensors"], totals["added_tensors"], totals["dropped_tensors"]) == (7, 1, 1)
    assert totals["model_bytes"] == model.stat().st_size
    rows = {row["name"]: row for row in plan["tensors"]}
    assert (len(rows), rows["emb.weight"]["base_name"], rows["emb.weight"]["k"]) == (7, "emb.weight", [5])
    assert "pruned_tensors" in ok(kenctl("prune", "--model", model, "--base", base, "--k", 5, "-n"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base.safetensors", "model.safetensors"]


def test_dtypes_that_differ_are_told(tmp_path: Path, kenctl: Run) -> None:
    values = np.random.default_rng(2).normal(size=(4, 8)).astype(np.float32)
    write_safetensors(tmp_path / "base", {"a.w": values, "b.w": values})
    write_safetensors(tmp_path / "model", {"a.w": (values + 1).astype(np.float16), "b.w": values + 1})
    prune = ("prune", "--model", "model", "--base", "base", "--k", 2)
    note = "note: 1 tensor is of another dtype in the base (F32, here F16): compared and reset in the model's"
    result = kenctl(*prune, "-o", "out")
    assert (result.returncode, note in result.stderr) == (0, True), result.stderr
    assert note not in kenctl(*prune, "-q", "-n").stderr
    rows = [line.split() for line in ok(kenctl("inspect", "out/report.json")).splitlines()]
    assert [(row[:3], row[-1]) for row in rows if row and row[0] in ("TENSOR", "a.w", "b.w")] == [
        (["TENSOR", "DTYPE", "SHAPE"], "BASE"),
        (["a.w", "F16", "[4,8]"], "F32:a.w"),
        (["b.w", "F32", "[4,8]"], "b.w"),
    ]
    plan = json.loads(ok(kenctl(*prune, "-n", "--json")))
    assert [(row["dtype"], row["base_dtype"]) for row in plan["tensors"]] == [("F16", "F32"), ("F32", "F32")]


def test_an_interrupted_prune_leaves_nothing(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    base = {f"w{i}": random.normal(size=(512, 4096)).astype(np.float32) for i in range(4)}
    write_safetensors(tmp_path / "base.safetensors", base)
    write_safetensors(
        tmp_path / "model.safetensors", {name: values * np.float32(1.01) + 0.01 for name, values in base.items()}
    )
    process = subprocess.Popen(
        [
            str(BUILD / "kenctl"),
            "prune",
            "--model",
            "model.safetensors",
            "--base",
            "base.safetensors",
            "--keep",
            "0.5",
            "-o",
            "out",
            "--threads",
            "1",
        ],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 30
    while not list(tmp_path.glob("out*")) and time.monotonic() < end:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "kenctl: interrupted" in errors
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base.safetensors", "model.safetensors"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    (
        (("--k", "0"), "kenctl: the options make no valid job\n  --k: "),
        (("--k", "5", "--keep", "0.5"), "--k and --keep exclude each other"),
        ((), "  --k: one of k and keep is required"),
        (("--keep", "1.5"), "  --keep: "),
        (("--k", "5", "--method", "kne"), "  --method: "),
        (("--k", "5", "--outputs", "delta,modell"), "  --outputs: "),
        (("--k", "5", "--seed", "-1"), "  --seed: "),
        (("--k", "five"), "--k needs a whole number, not 'five'"),
        (("--keep", "half"), "--keep needs a number, not 'half'"),
        (("--k", "5", "--rule", "emb"), "--rule is GLOB=ACTION, not 'emb'"),
        (("--k", "5", "--rule", "emb=prune:x"), "what a --rule keeps is a number"),
        (("--k", "5", "--rule", "a=keep", "--rules-layers"), "--rules-layers and --rule exclude each other"),
        (("--k", "5", "--names", "emb"), "--names is GLOB=PATTERN, not 'emb'"),
        (("--k", "5", "--names", "a*=*.*"), '  --names: has 2 "*"'),
        (("--k", "5", "--metadata", "x"), "unknown option '--metadata'"),
        (("--k", "5", "--threads", "0"), "--threads is a number from 1 to 1024, not '0'"),
        (("--k", "5", "--threads", "-3"), "--threads is a number from 1 to 1024, not '-3'"),
        (("--k", "5", "--memory", "lots"), "--memory is a size as 96MiB, at least 1MiB, not 'lots'"),
        (("--k", "5", "--model-sha256", "00"), "--model-sha256: must be 64 hexadecimal digits"),
        (
            ("--k", "5", "--kernel", "sse9"),
            '--kernel: there is no kernel "sse9" for this architecture: there are auto, scalar',
        ),
        (("--k", "5", "--model", "https://models.example/a"), '  --model: must be a path, not a URL of scheme "https"'),
        (("--k", "5", "--job", "x.json"), "a document and options that make one exclude each other"),
        (("--k", "5", "--timeout", "3"), "unknown option '--timeout'"),
        (("--k", "5", "--name", "a"), "unknown option '--name'"),
        (("--k", "5", "-o", "-"), "-o is a folder; '-' is none"),
        (("--k", "5", "extra"), "unexpected argument 'extra'"),
    ),
)
def test_wrong_options_are_told(tmp_path: Path, kenctl: Run, arguments: "tuple[str, ...]", message: str) -> None:
    model, base = make_pair(tmp_path)
    result = kenctl("prune", "--model", model, "--base", base, "-o", "out", *arguments)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_documents_that_are_none(tmp_path: Path, kenctl: Run) -> None:
    (tmp_path / "bad.json").write_text('{"model": "a",\n "base": }')
    result = kenctl("prune", "--job", "bad.json", "-o", "out")
    assert (result.returncode, "kenctl: bad.json:2:" in result.stderr) == (1, True)
    result = kenctl("prune", "--job", "none.json", "-o", "out")
    assert (result.returncode, "cannot read none.json: No such file" in result.stderr) == (1, True)
    result = kenctl("prune", "--job", "-", "-o", "out", input='{"modell": 1}')
    assert (result.returncode, "/modell: " in result.stderr) == (2, True)
    result = kenctl("prune", "-o", "out")
    assert (result.returncode, "'prune' needs a job document, or --model, --base" in result.stderr) == (2, True)


def test_a_wrong_digest_of_an_input(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path)
    result = kenctl("prune", "--model", model, "--model-sha256", "00" * 32, "--base", base, "--k", 5, "-o", "out")
    assert result.returncode == 1
    assert (
        f"kenctl: model: {model} has SHA-256 {hashlib.sha256(model.read_bytes()).hexdigest()}, not {'00' * 32}"
        in result.stderr
    )


def test_errors_name_the_side_and_the_users_file(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path)
    (tmp_path / "a" / "empty").mkdir(parents=True)
    (tmp_path / "a" / "evaluate.py").write_text("import this\n")
    (tmp_path / "a" / "pytorch_model.bin").write_bytes(b"PK\3\4" + bytes(60))
    none = "no checkpoint in a/empty/: neither model.safetensors nor model.safetensors.index.json, "
    for path, message in (
        ("a/evaluate.py", "a/evaluate.py: neither a safetensors file, a torch file nor an index"),
        ("a/empty/", none),
        ("a", "a/pytorch_model.bin: torch file: the end of the zip is missing: the file is cut short"),
        ("a/none", '"a/none" does not exist'),
    ):
        for side, paths in (("model", (path, base)), ("base", (model, path))):
            result = kenctl("prune", "--model", paths[0], "--base", paths[1], "--k", 5, "-o", "out")
            assert result.returncode == 1
            assert result.stderr.startswith(f"kenctl: {side}: {message}"), result.stderr


def test_a_rule_that_matches_nothing_warns(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path)
    rules = ("--rule", "emb.*=keep", "--rule", "embbedings.*=keep")
    result = kenctl("prune", "--model", model, "--base", base, "--k", "5", *rules, "-o", "out")
    warning = 'rule 2, "embbedings.*", matches no tensor of the model'
    assert (result.returncode, result.stderr.count("rule"), warning in result.stderr) == (0, 1, True), result.stderr
    assert json.loads((tmp_path / "out" / "report.json").read_text())["warnings"] == [warning]


def test_a_job_that_keeps_everything_warns(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path)
    warning = "no tensor is pruned or reset: the rules keep all of them"
    for action, warned in (("keep", True), ("reset", False)):
        rules = ("--rule", f"layer.*={action}", "--rule", "*=keep")
        result = kenctl("prune", "--model", model, "--base", base, "--k", 5, *rules, "-o", action)
        assert (result.returncode, f"warning: {warning}\n" in result.stderr) == (0, warned)
        assert (warning in json.loads((tmp_path / action / "report.json").read_text())["warnings"]) == warned
