# SPDX-License-Identifier: Apache-2.0
"""Model and base whose tensors have other names: what comes out is what comes out of the same pair with the same names."""

from __future__ import annotations

import dataclasses
import json
import signal
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Callable, Mapping, Optional

import numpy as np
import pytest

from checkpoints import from_bf16, read_metadata, read_safetensors, to_bf16, write_safetensors
from daemon import BUILD, Kend, Response
from running import STOP_SECONDS, until_stage
from test_kill import DURABLE_SECONDS, VARIANTS, digests, kill_and_restart, resumptions, undisturbed
from torch_files import make_torch

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Array = "np.ndarray[Any, Any]"


def ok(result: "subprocess.CompletedProcess[str]") -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout


@dataclasses.dataclass(frozen=True)
class Case:
    """Names of the model's tensors with their shapes and the names of their bases; what else the base has; and what the job says."""

    name: str
    pairs: "Mapping[str, tuple[tuple[int, ...], Optional[str]]]"
    dropped: "tuple[str, ...]" = ()
    ties: "dict[str, str]" = dataclasses.field(default_factory=dict)  # of the base
    names: "tuple[str, ...]" = ()  # GLOB=PATTERN
    warnings: int = 0


def bert(prefix: str, base_prefix: str, weight: str = "weight", bias: str = "bias") -> "dict[str, Any]":
    layers = {
        "embeddings.word_embeddings.weight": (50, 24),
        "encoder.layer.0.attention.self.query.weight": (24, 24),
        "encoder.layer.0.attention.self.query.bias": (24,),
    }
    pairs: "dict[str, Any]" = {prefix + name: (shape, base_prefix + name) for name, shape in layers.items()}
    norm = "encoder.layer.0.output.LayerNorm."
    pairs[f"{prefix}{norm}weight"] = ((24,), f"{base_prefix}{norm}{weight}")
    pairs[f"{prefix}{norm}bias"] = ((24,), f"{base_prefix}{norm}{bias}")
    return pairs


TIED = {
    "model.embed_tokens.weight": ((60, 16), "model.embed_tokens.weight"),
    "model.norm.weight": ((16,), "model.norm.weight"),
}
CASES = (
    Case(
        "classifier",
        {**bert("bert.", "", "gamma", "beta"), "classifier.weight": ((3, 24), None)},
        ("pooler.dense.weight",),
    ),
    Case(
        "parallel",
        {**bert("module.bert.", "bert."), "module.classifier.weight": ((3, 24), None)},
        ("cls.predictions.bias",),
    ),
    Case("base-of-parallel", bert("", "module.bert.")),
    Case("llama", {"model.layers.0.w": ((20, 30), "layers.0.w"), "lm_head.weight": ((9, 30), None)}),
    Case(
        "wrapped-twice",
        {"model.model.l.w": ((20, 30), "model.l.w"), "model.lm_head.weight": ((9, 30), "lm_head.weight")},
    ),
    Case("untied", {**TIED, "lm_head.weight": ((60, 16), "model.embed_tokens.weight")}, warnings=1),
    Case(
        "tied-by-metadata",
        {**TIED, "lm_head.weight": ((60, 16), "model.embed_tokens.weight")},
        ties={"lm_head.weight": "model.embed_tokens.weight"},
    ),
    Case("tied", TIED, ("lm_head.weight",)),
    Case(
        "tied-the-other-way",
        {"model.embed_tokens.weight": ((60, 16), "lm_head.weight"), "x": ((5, 5), "x")},
        warnings=1,
    ),
    Case(
        "told",
        {
            "enc.0.w": ((20, 30), "a/0/w"),
            "dec.0.w": ((20, 30), "a/0/w"),
            "enc.10.w": ((7, 5), "a/10/w"),
            "x": ((9,), "x"),
        },
        ("0",),
        names=("???.*.w=a/*/w",),
    ),
)


def make_case(case: Case, bf16: bool) -> "tuple[dict[str, Any], dict[str, Any]]":
    """Model and base; with bf16, the model as bits of bfloat16."""
    random = np.random.default_rng(7)
    model: "dict[str, Any]" = {}
    base: "dict[str, Any]" = {}
    for name, (shape, of) in case.pairs.items():
        if of is not None and of not in base:
            base[of] = random.standard_normal(shape, np.float32)
        tuned = (base[of] if of is not None else 0) + np.float32(0.05) * random.standard_normal(shape, np.float32)
        model[name] = to_bf16(tuned) if bf16 else tuned
    return model, {**base, **{name: np.ones(6, np.float32) for name in case.dropped}}


def renaming(case: Case) -> "list[str]":
    return [word for rule in case.names for word in ("--names", rule)]


def report_of(folder: Path) -> "dict[str, Any]":
    report: "dict[str, Any]" = json.loads((folder / "report.json").read_text())
    report.pop("inputs")
    return report


def tensors_of_delta(path: Path) -> "dict[str, Any]":
    tensors: "dict[str, Any]" = json.loads(read_metadata(path)["tensors"])
    return tensors


def check_as_if_renamed(case: Case, out: Path, plain: Path) -> None:
    """out: of the case; plain: of the same tensors, where every base has the name of the model's."""
    assert (out / "model.safetensors").read_bytes() == (plain / "model.safetensors").read_bytes()
    report, expected = report_of(out), report_of(plain)
    assert {row["name"]: row["base_name"] for row in report["tensors"]} == {
        name: of for name, (_, of) in case.pairs.items()
    }
    assert (sorted(report["dropped"]), len(report["warnings"])) == (sorted(case.dropped), case.warnings)
    for told in (report, expected):
        told["totals"].pop("delta_bytes")
        told.pop("dropped"), told.pop("warnings")
        for row in told["tensors"]:
            row.pop("base_name")
    assert report == expected
    delta, expected_delta = (tensors_of_delta(folder / "delta.safetensors") for folder in (out, plain))
    for name, (_, of) in case.pairs.items():
        assert (delta[name]["base"] or {}).get("name") == of
        if of is not None:
            expected_delta[name]["base"]["name"] = of
    assert delta == expected_delta


def check_delta(kenctl: Run, base: Path, out: Path) -> None:
    """inject, verify and inspect know the names that the delta tells."""
    delta, again = out / "delta.safetensors", out.with_suffix(".again")
    ok(kenctl("inject", "--base", base, "--delta", delta, "-o", again))
    assert again.read_bytes() == (out / "model.safetensors").read_bytes()
    ok(kenctl("verify", out, "--base", base))
    told = {
        row["name"]: row["base"] and row["base"]["name"]
        for row in json.loads(ok(kenctl("inspect", delta, "-o", "json")))["tensors"]
    }
    assert told == {row["name"]: row["base_name"] for row in report_of(out)["tensors"]}
    assert all(name in ok(kenctl("inspect", out / "report.json")) for name in told.values() if name)


@pytest.mark.smoke
@pytest.mark.parametrize("bf16", (False, True), ids=("f32", "bf16"))
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_names_change_nothing_but_names(case: Case, bf16: bool, tmp_path: Path, kenctl: Run) -> None:
    model, base = make_case(case, bf16)
    dtypes = {name: "BF16" for name in model} if bf16 else {}
    same = {name: base[of] for name, (_, of) in case.pairs.items() if of is not None}
    write_safetensors(tmp_path / "model", model, {"format": "pt"}, dtypes)
    write_safetensors(tmp_path / "base", base, {"format": "pt", **case.ties})
    write_safetensors(tmp_path / "same", same)
    for encoding in ("plain", "packed"):
        options = ("--keep", "0.3", "--rescale", "l1", "--delta-encoding", encoding)
        out, plain = tmp_path / f"out-{encoding}", tmp_path / f"same-{encoding}"
        ok(kenctl("prune", "--model", "model", "--base", "base", *options, *renaming(case), "-o", out))
        ok(kenctl("prune", "--model", "model", "--base", "same", *options, "-o", plain))
        check_as_if_renamed(case, out, plain)
        check_delta(kenctl, tmp_path / "base", out)
    rows = report_of(tmp_path / "out-plain")["tensors"]
    assert {(row["dtype"], row["base_dtype"]) for row in rows if row["base_name"]} == {
        ("BF16" if bf16 else "F32", "F32")
    }


def test_what_is_reset_has_the_bases_values_in_the_models_dtype(tmp_path: Path, kenctl: Run) -> None:
    case = CASES[0]
    model, base = make_case(case, bf16=True)
    write_safetensors(tmp_path / "model", model, dtypes={name: "BF16" for name in model})
    write_safetensors(tmp_path / "base", base)
    ok(kenctl("prune", "--model", "model", "--base", "base", "--k", 2, "--outputs", "model,report", "-o", "out"))
    pruned = read_safetensors(tmp_path / "out" / "model.safetensors")
    for name, (_, of) in case.pairs.items():
        if of is None:
            assert (pruned[name] == model[name]).all()
            continue
        reset = pruned[name] != model[name]
        assert (pruned[name][reset] == to_bf16(base[of])[reset]).all()
        assert np.isfinite(from_bf16(pruned[name])).all() and (reset.mean() > 0.8 or reset.size < 100)


# ---- torch files


def prune(kenctl: Run, model: str, base: str, out: Path, *options: object) -> "dict[str, Any]":
    ok(kenctl("prune", "--model", model, "--base", base, "--keep", "0.4", *options, "-o", out))
    return report_of(out)


def base_names(report: "Mapping[str, Any]") -> "dict[str, Optional[str]]":
    return {row["name"]: row["base_name"] for row in report["tensors"]}


def test_ties_of_torch_files(tmp_path: Path, kenctl: Run) -> None:
    random = np.random.default_rng(3)
    embedding, other = random.standard_normal((40, 12), np.float32), random.standard_normal((12, 12), np.float32)
    tuned = embedding + np.float32(0.1)
    (tmp_path / "tied").write_bytes(make_torch({"e.weight": embedding, "w": other}, ties={"out.weight": "e.weight"}))
    (tmp_path / "module").write_bytes(
        make_torch({"module.out.weight": tuned, "module.w": other + 1}, ties={"module.e.weight": "module.out.weight"})
    )
    # A name that the base has for a tie alone, without and with a prefix, and one that the model has for a tie alone.
    write_safetensors(tmp_path / "model", {"e.weight": tuned, "out.weight": tuned + 1, "w": other})
    report = prune(kenctl, "model", "tied", tmp_path / "out")
    assert base_names(report) == {"e.weight": "e.weight", "out.weight": "e.weight", "w": "w"}
    assert (report["dropped"], report["warnings"], "tied" in report) == ([], [], False)
    check_delta(kenctl, tmp_path / "tied", tmp_path / "out")
    report = prune(kenctl, "module", "tied", tmp_path / "out2")
    assert base_names(report) == {"module.out.weight": "e.weight", "module.w": "w"}
    assert report["tied"] == [{"name": "module.e.weight", "of": "module.out.weight"}]
    write_safetensors(tmp_path / "base", {"e.weight": embedding, "w": other})
    report = prune(kenctl, "module", "base", tmp_path / "out3")
    assert base_names(report) == {"module.out.weight": "e.weight", "module.w": "w"}
    check_delta(kenctl, tmp_path / "base", tmp_path / "out3")
    model, again = (tmp_path / out / "model.safetensors" for out in ("out2", "out3"))
    assert model.read_bytes() == again.read_bytes()


# ---- what does not match


def test_a_mismatch_tells_both_sides_and_the_way_out(tmp_path: Path, kenctl: Run) -> None:
    write_safetensors(tmp_path / "model", {f"layer.{i}": np.ones((4, 4), np.float32) for i in range(5)})
    write_safetensors(tmp_path / "base", {f"h.{i}": np.ones((4, 4), np.float32) for i in range(2)})
    common = ("prune", "--model", "model", "--base", "base", "--k", 2)
    result = kenctl(*common, "-o", "out")
    assert result.returncode == 1
    assert 'tensors of the model: "layer.0", "layer.1", "layer.2", ...; of the base: "h.0", "h.1"' in result.stderr
    assert '"names" can pair them; tensors' in result.stderr
    result = kenctl(*common, "--names", "layer.*=h.*", "--unmatched", "fail", "-o", "out")
    assert (result.returncode, 'tensor "layer.2" has no counterpart' in result.stderr) == (1, True)
    warning = 'names rule 1 sends 3 tensors to names that the base does not have: "layer.2" to "h.2", for example'
    result = kenctl(*common, "--names", "layer.*=h.*", "--names", "none=h.0", "-o", "out")
    assert (result.returncode, f"warning: {warning}\n" in result.stderr) == (0, True), result.stderr
    report = report_of(tmp_path / "out")
    assert report["warnings"] == [warning, 'names rule 2, "none", matches no tensor of the model']
    assert base_names(report)["layer.1"] == "h.1"
    assert base_names(report)["layer.2"] is None


def test_a_mismatch_tells_why(tmp_path: Path, kenctl: Run) -> None:
    ones = np.ones((4, 4), np.float32)
    for model, base, names, told in (
        ({"a": ones[0:1], "b": ones}, {"a": ones[0]}, (), 'tensor "a" is [1,4], but [4] in the base'),
        (
            {"bert.a": ones, "roberta.a": ones},
            {"a": ones},
            (),
            'tensor "bert.a" is like "a" of the base, but there are others',
        ),
        (
            {"a": ones, "b": ones},
            {"a": ones},
            ("--names", "*=x.*"),
            'sends 2 tensors to names that the base does not have: "a" to "x.a"',
        ),
        ({"head": ones, "my_own.a": ones}, {"a": ones}, (), '"names" can pair them, as my_own.*=* does'),
        ({"a": ones}, {"b": ones, "my.own.a": ones}, (), '"names" can pair them, as *=my.own.* does'),
    ):
        write_safetensors(tmp_path / "model", model)
        write_safetensors(tmp_path / "base", base)
        prune_it = ("prune", "-n", "--model", "model", "--base", "base", "--k", 2)
        result = kenctl(*prune_it, *names)
        assert (result.returncode, told in result.stderr) == (1, True), result.stderr
        if " as " in told:
            ok(kenctl(*prune_it, "--names", told.split()[-2]))


# ---- jobs


def test_a_job_gives_what_kenctl_gives(kend: Kend, tmp_path: Path, kenctl: Run) -> None:
    case = CASES[-1]
    model, base = make_case(case, bf16=False)
    write_safetensors(tmp_path / "files" / "model.safetensors", model)
    write_safetensors(tmp_path / "files" / "base.safetensors", base)
    rules = [dict(zip(("match", "base"), rule.split("="))) for rule in case.names]
    document = {
        "model": f"file://{tmp_path}/files/model.safetensors",
        "base": f"file://{tmp_path}/files/base.safetensors",
        "keep": 0.4,
        "names": rules,
        "unmatched": "fail",
    }
    response = kend.request("POST", "/v1/jobs?dry_run=true", document)
    assert response.status == 200, response.body
    assert {row["name"]: row["base_name"] for row in response.json["tensors"]} == {
        name: of for name, (_, of) in case.pairs.items()
    }
    assert response.json["totals"]["renamed_tensors"] == 3
    job = kend.submit(document)
    ended = kend.wait(job)
    assert ended["status"] == "succeeded", ended
    assert ended["names"] == rules
    shown = ok(kenctl("--server", kend.url, "show", job))
    assert "names          ???.*.w: a/*/w\n" in shown
    rows = kend.get(f"/v1/jobs/{job}/tensors?limit=200").json["data"]
    assert {row["name"]: row["base_name"] for row in rows} == {name: of for name, (_, of) in case.pairs.items()}
    files = tmp_path / "files"
    prune(kenctl, str(files / "model.safetensors"), str(files / "base.safetensors"), tmp_path / "out", *renaming(case))
    for name in ("delta.safetensors", "model.safetensors", "report.json"):
        assert kend.download(job, name) == (tmp_path / "out" / name).read_bytes(), name


def test_a_killed_job_goes_on_with_its_names(tmp_path: Path) -> None:
    """Each tensor of the base is that of two of the model."""
    random = np.random.default_rng(1)
    files = tmp_path / "files"
    files.mkdir()
    base = {f"b.{i}": random.standard_normal((512, 1024), np.float32) for i in range(8)}
    model = {
        f"{side}.{i}": value + 0.02 * random.standard_normal((512, 1024), np.float32)
        for side in ("left", "right")
        for i, value in enumerate(base.values())
    }
    write_safetensors(files / "base.safetensors", base)
    write_safetensors(files / "model.safetensors", model)
    document = {
        "model": f"file://{files}/model.safetensors",
        "base": f"file://{files}/base.safetensors",
        "names": [{"match": "*.?", "base": "b.?"}],
        "variants": VARIANTS,
        "outputs": ["delta", "report"],
    }
    settings = {"fetch.file_roots": files, "prune.threads": 1}
    expected = undisturbed(tmp_path / "alone", document, settings)
    with Kend(tmp_path, settings) as kend:
        job = kend.submit(document)
        until_stage(kend, job, "pruning", 1)
        time.sleep(DURABLE_SECONDS)
        until_stage(kend, job, "pruning", 1, seconds=1)
        kill_and_restart(kend, job)
        assert digests(kend.wait(job, 120)) == expected
        assert [rows > 0 for _, rows in resumptions(kend, job)] == [True]


# ---- rules that take long to match


@pytest.fixture(name="slow")
def slow_document(tmp_path: Path) -> "dict[str, Any]":
    """A job whose plan takes half a minute and more: each rule is found to match no name only at its end."""
    header: "dict[str, Any]" = {
        "a" * 190 + f"{i:06d}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(60000)
    }
    header["z"] = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    (tmp_path / "files").mkdir()
    path = tmp_path / "files" / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(16))
    rules = [{"match": "*" + "?*" * 125 + f"{i % 10}x*", "base": "q"} for i in range(256)]
    return {"model": f"file://{path}", "base": f"file://{path}", "k": 1, "names": rules}


def test_planning_ends_soon_when_it_is_told_to(tmp_path: Path, slow: "dict[str, Any]") -> None:
    answers: "list[Response]" = []
    with Kend(tmp_path, {"fetch.file_roots": tmp_path / "files", "jobs.drain_seconds": 0}) as kend:
        job = kend.submit(slow)
        while kend.job(job)["stage"] != "checking":
            time.sleep(0.01)
        time.sleep(1)  # most of which it plans
        begin = time.monotonic()
        assert kend.request("POST", f"/v1/jobs/{job}/cancel").status == 202
        assert kend.wait(job)["status"] == "cancelled"
        assert time.monotonic() - begin < STOP_SECONDS
        ended = kend.wait(kend.submit({**slow, "timeout_seconds": 1}))
        assert (ended["error"]["code"], ended["error"]["stage"]) == ("timed_out", "checking")
        asking = threading.Thread(target=lambda: answers.append(kend.request("POST", "/v1/jobs?dry_run=true", slow)))
        asking.start()
        time.sleep(1)
        assert not answers
        begin = time.monotonic()
        assert kend.stop() == 0
        assert time.monotonic() - begin < STOP_SECONDS
        asking.join()
    assert answers[0].status == 503 and answers[0].json["code"] == "draining", answers[0].body


def test_planning_ends_at_an_interrupt(tmp_path: Path, slow: "dict[str, Any]") -> None:
    (tmp_path / "job.json").write_text(json.dumps(slow))
    command = [str(BUILD / "kenctl"), "prune", "--job", "job.json", "--dry-run"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(1)
        assert process.poll() is None
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert time.monotonic() - begin < STOP_SECONDS
    assert process.returncode == 130 and "kenctl: interrupted" in errors
