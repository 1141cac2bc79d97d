# SPDX-License-Identifier: Apache-2.0
"""kenctl without a server: prune, inject, verify, inspect, and the command line itself. Deltas are read by Python that knows only the format."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from checkpoints import (
    DTYPES,
    from_bf16,
    read_header,
    read_metadata,
    read_safetensors,
    to_bf16,
    write_safetensors,
    write_sharded,
)
from daemon import BUILD

Run = Callable[..., "subprocess.CompletedProcess[str]"]
LOCAL = ("prune", "inject", "verify", "inspect", "diff", "export")
COMMANDS = ("submit", "list", "show", "watch", "cancel", "delete", "download", *LOCAL)


# ---- the format, from proto/delta-format.md alone


def convert(values: "np.ndarray[Any, Any]", source: str, target: str) -> "np.ndarray[Any, Any]":
    """Base elements in the tensor's dtype; finite values."""
    if source == target:
        return values
    wide = from_bf16(values) if source == "BF16" else values
    return to_bf16(wide.astype(np.float32)) if target == "BF16" else wide.astype(DTYPES[target])


def read_delta(delta: Path, base: "dict[str, np.ndarray[Any, Any]]") -> "dict[str, bytes]":
    """The model's files that the delta and the base make."""
    metadata = read_metadata(delta)
    assert list(metadata) == ["format", "version", "encoding", "model", "tensors"]
    assert (metadata["format"], metadata["version"], metadata["encoding"]) == ("ken-delta", "1", "plain")
    model, tensors, entries = json.loads(metadata["model"]), json.loads(metadata["tensors"]), read_safetensors(delta)
    used: "set[str]" = set()

    def entry(name: str) -> "np.ndarray[Any, Any]":
        used.add(name)
        return entries[name]

    def tensor_bytes(name: str) -> bytes:
        tensor = tensors[name]
        if tensor["base"]:
            source = base[tensor["base"]["name"]]
            assert hashlib.sha256(source.tobytes()).hexdigest() == tensor["base"]["sha256"]
            result = convert(source, tensor["base"]["dtype"], tensor["dtype"]).reshape(-1).copy()
        if tensor["form"] == "whole":
            assert list(entry(f"{name}.whole").shape) == tensor["shape"]
            return entry(f"{name}.whole").tobytes()
        if tensor["form"] == "mask":
            bits = np.unpackbits(entry(f"{name}.mask"), bitorder="little")
            assert bits.sum() == tensor["stored"] and not bits[len(result) :].any()
            places = np.flatnonzero(bits)
        elif tensor["form"] == "gaps":
            places = np.cumsum(entry(f"{name}.gaps").astype(np.int64) + 1) - 1
        else:
            assert tensor["form"] == "same" and tensor["stored"] == 0
            return result.tobytes()
        values = entry(f"{name}.values")
        assert len(values) == tensor["stored"] == len(places)
        result[places] = values
        return result.tobytes()

    files, weight_map, total = {}, {}, 0
    for file in model["files"]:
        header: "dict[str, Any]" = {} if file["metadata"] is None else {"__metadata__": file["metadata"]}
        data = b""
        for name in file["tensors"]:
            content = tensor_bytes(name)
            tensor = tensors[name]
            header[name] = {
                "dtype": tensor["dtype"],
                "shape": tensor["shape"],
                "data_offsets": [len(data), len(data) + len(content)],
            }
            weight_map[name] = file["name"]
            data += content
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        files[file["name"]] = len(text).to_bytes(8, "little") + text + data
        total += len(data)
    if model["index"] is not None:
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        files[model["index"]] = (json.dumps(index, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
    assert used == set(entries), "superfluous entries"
    return files


def smallest_form(tensor: "dict[str, Any]", largest_gap: int) -> str:
    """The form that a writer must take."""
    elements, size, stored = (
        int(np.prod(tensor["shape"], dtype=np.int64)),
        DTYPES[tensor["dtype"]].itemsize,
        tensor["stored"],
    )
    if not tensor["base"]:
        return "whole"
    if not stored:
        return "same"
    sizes = {
        "whole": elements * size,
        "mask": stored * size + -(-elements // 8),
        "gaps": stored * (size + (2 if largest_gap < 65536 else 4)),
    }
    return min(sizes, key=lambda form: sizes[form])  # the first of equals


# ---- pairs


def make_pair(folder: Path, sharded: bool = False) -> "tuple[Path, Path]":
    """A fine-tuned checkpoint and its base with tensors of many kinds."""
    random = np.random.default_rng(7)
    base: "dict[str, Any]" = {
        "emb.weight": random.normal(size=(40, 64)).astype(np.float32),
        "layer.0.weight": random.normal(size=(16, 300)).astype(np.float32),
        "layer.0.bias": random.normal(size=(300,)).astype(np.float16),
        "layer.1.weight": random.normal(size=(3, 4096)).astype(np.float64),
        "norm.weight": np.ones(64, np.float32),
        "position_ids": np.arange(512, dtype=np.int64).reshape(1, 512),
        "only.in.base": np.zeros(3, np.float32),
    }
    model = {name: values.copy() for name, values in base.items() if name != "only.in.base"}
    for name in ("emb.weight", "layer.0.weight", "layer.0.bias", "layer.1.weight"):
        model[name] += (random.normal(size=model[name].shape) * 0.1).astype(model[name].dtype)
    model["position_ids"][0, 7] = 70000
    model['classifier.ü"weight'] = random.normal(size=(4, 64)).astype(np.float32)
    if sharded:
        names = sorted(model)
        write_sharded(folder / "model", [{n: model[n] for n in names[:3]}, {n: model[n] for n in names[3:]}])
        write_sharded(folder / "base", [{n: base[n]} for n in reversed(base)])
        return folder / "model", folder / "base"
    write_safetensors(folder / "model.safetensors", model, {"format": "pt", "note": "a/b \u00e9"})
    write_safetensors(folder / "base.safetensors", base)
    return folder / "model.safetensors", folder / "base.safetensors"


def all_tensors(path: Path) -> "dict[str, np.ndarray[Any, Any]]":
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    return {name: values for file in files for name, values in read_safetensors(file).items()}


def ok(result: "subprocess.CompletedProcess[str]") -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout


def tree(folder: Path) -> "dict[str, str]":
    """Digests of all files below a folder."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


# ---- prune


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
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted([*found, "delta.safetensors", "report.json"])
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
    assert (plan["tensors"], plan["added_tensors"], plan["dropped_tensors"]) == (7, 1, 1)
    assert plan["model_bytes"] == model.stat().st_size
    assert "pruned_tensors" in ok(kenctl("prune", "--model", model, "--base", base, "--k", 5, "-n"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base.safetensors", "model.safetensors"]


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


# ---- inject and verify


@pytest.fixture
def pruned(tmp_path: Path, kenctl: Run) -> "tuple[Path, Path]":
    """The base, and a folder with what pruning gave."""
    model, base = make_pair(tmp_path)
    ok(kenctl("prune", "--model", model, "--base", base, "--k", 20, "-o", "out"))
    return base, tmp_path / "out"


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
        == "valid: 7 tensors; the delta fits the base\n"
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


# ---- inspect


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


# ---- the command line


def test_help_and_version(kenctl: Run) -> None:
    text = ok(kenctl("--help"))
    for command in COMMANDS:
        assert re.search(rf"^  {command} +\S", text, re.M)
        help_text = ok(kenctl(command, "--help"))
        assert help_text.startswith(f"Usage: kenctl {command} ")
        assert "Example" in help_text and f"  kenctl {command}" in help_text and "--quiet" in help_text
        assert max(len(line) for line in help_text.splitlines()) < 150
        assert ok(kenctl("help", command)) == help_text
        assert ("--server" in help_text) == (command not in LOCAL)
        assert "hf://" not in help_text and ("packed" in help_text) == (command in ("prune", "submit", *LOCAL[4:]))
        assert ("--metadata" in help_text) == (command in ("submit", "list"))
    assert re.search(r"--model MODEL +the pruned model$", ok(kenctl("verify", "--help")), re.M)
    assert ok(kenctl("help")) == text and "hf://" not in text
    assert re.fullmatch(r"kenctl \d+\.\d+\.\d+\n", ok(kenctl("--version")))


@pytest.mark.parametrize(
    ("arguments", "message"),
    (
        ((), "which command? See: kenctl --help"),
        (("prnue",), "unknown command 'prnue'\nDid you mean 'prune'? See: kenctl --help"),
        (("frobnicate",), "unknown command 'frobnicate'\nSee: kenctl --help"),
        (("inspect", "x", "--jsn"), "unknown option '--jsn'\nDid you mean '--json'? See: kenctl inspect --help"),
        (("help", "prnue"), "unknown command 'prnue'\nDid you mean 'prune'? See: kenctl --help"),
        (("inspect", "x", "--server", "http://a"), "unknown option '--server'"),
        (("--server", "http://a", "inspect", "x"), "'inspect' works on this machine: it takes no --server"),
        (("submit", "--k", "3", "--keep", "0.5"), "--k and --keep exclude each other"),
        (("submit", "--k", "3", "--base", "b"), "'submit' needs --model and --base where there is no job document"),
        (("prune", "--k", "3", "--model", "m"), "'prune' needs --model and --base where there is no job document"),
        (
            ("submit", "--model", "m", "--base", "b", "--metadata", "a=b", "--metadata", "a=c"),
            "--metadata has 'a' twice",
        ),
        (("inject", "--base", "b", "--delta", "d", "-o", "-"), "the model cannot go to standard output"),
        (("inspect", "x", "-z"), "unknown option '-z'\nSee: kenctl inspect --help"),
        (("--sever", "x", "list"), "unknown option '--sever'\nDid you mean '--server'? See: kenctl --help"),
        (("inspect",), "'inspect' needs FILE\nSee: kenctl inspect --help"),
        (("inspect", "a", "b"), "unexpected argument 'b'"),
        (("inspect", "a", "-o"), "option '-o' needs a value: -o FORMAT"),
        (("inspect", "a", "-o", "xml"), "-o is text or json, not 'xml'"),
        (("inspect", "a", "--json=yes"), "option '--json' takes no value"),
        (("inject", "--k", "3"), "unknown option '--k'"),
        (("--server", "ftp://x", "list"), "the server must be a URL as http://127.0.0.1:8377, not 'ftp://x'"),
    ),
)
def test_a_wrong_command_line_ends_with_2_and_a_hint(kenctl: Run, arguments: "tuple[str, ...]", message: str) -> None:
    result = kenctl(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr


def test_no_colour_and_no_bar_in_a_pipe(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path)
    result = kenctl("prune", "--model", model, "--base", base, "--k", 5, "-o", "out")
    assert "\033" not in result.stderr + result.stdout and "\r" not in result.stderr
    assert re.fullmatch(r"(warning: .*\n)*pruning, \d+ rows\npublishing\ndone after \d\.\d s\n", result.stderr)
    assert kenctl("prune", "--model", model, "--base", base, "--k", 5, "-o", "quiet", "-q").stderr == ""
    result = kenctl("inspect", "\033[31mnone")
    assert "\033" not in result.stderr


def test_a_bar_on_a_terminal(tmp_path: Path) -> None:
    model, base = make_pair(tmp_path)
    ours, theirs = os.openpty()
    command = [
        str(BUILD / "kenctl"),
        "prune",
        "--model",
        str(model),
        "--base",
        str(base),
        "--k",
        "5",
        "-o",
        str(tmp_path / "out"),
    ]
    process = subprocess.Popen(command, stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait(30) == 0
    assert b"\r\033[Kpruning    [" in shown
    assert shown.endswith(b"\r\033[K"), "the bar is removed"
