# SPDX-License-Identifier: Apache-2.0
"""Jobs of kind inject: the model that a base and a delta make, byte for byte as a prune job published it."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np
import pytest

from checkpoints import make_header, read_header, read_safetensors, write_safetensors, write_sharded, write_tiled
from daemon import Kend
from deltas import all_tensors, make_pair, ok
from origin import Origin
from running import cancel, files_of, kend_of, until_stage
from torch_files import make_torch

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def inject(base: str, delta: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "inject", "base": base, "delta": delta, **fields}


def prune_here(kenctl: Run, model: Path, base: Path, out: Path, *arguments: object) -> Path:
    """Prunes without a server: the delta, beside which the model's files are."""
    ok(kenctl("prune", "--model", model, "--base", base, "--keep", "0.5", *arguments, "-o", out))
    return out / "delta.safetensors"


def model_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name.startswith("model")}


def published(kend: Kend, job: dict[str, Any]) -> dict[str, bytes]:
    assert job["status"] == "succeeded", job["error"]
    return {artifact["name"]: kend.download(job["id"], artifact["name"]) for artifact in job["artifacts"]}


def run(kend: Kend, document: dict[str, Any]) -> dict[str, Any]:
    return kend.wait(kend.submit(document))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder for file: URLs."""
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


@pytest.fixture
def pair(files: Path, kenctl: Run) -> Path:
    """A folder with a base and a delta, and the pruned model."""
    model, base = make_pair(files, False)
    shutil.copy(prune_here(kenctl, model, base, files / "out"), files / "delta.safetensors")
    assert base == files / "base.safetensors"
    return files


# ---- what comes out


@pytest.mark.smoke
@pytest.mark.parametrize("encoding", ("plain", "packed"))
@pytest.mark.parametrize("sharded", (False, True))
def test_the_model_is_the_pruned_one(tmp_path: Path, files: Path, kenctl: Run, sharded: bool, encoding: str) -> None:
    model, base = make_pair(files, sharded)
    delta = prune_here(kenctl, model, base, files / "out", "--delta-encoding", encoding)
    location = f"{base}/" if base.is_dir() else str(base)
    with kend_of(tmp_path) as kend:
        pruned = run(
            kend, {"model": f"file://{model}" + "/" * model.is_dir(), "base": f"file://{location}", "keep": 0.5}
        )
        job = run(kend, inject(f"file://{location}", f"file://{delta}", name="again", metadata={"of": pruned["id"]}))
        assert published(kend, job) == model_files(files / "out")
        told = {(a["name"], a["variant"], a["size"], a["sha256"]) for a in pruned["artifacts"]}
        assert {(a["name"], a["variant"], a["size"], a["sha256"]) for a in job["artifacts"]} <= told
        totals = job["summary"]
        assert totals["tensors"] == len(all_tensors(model))
        assert totals["delta_bytes"] == delta.stat().st_size
        assert totals["model_bytes"] == pruned["summary"]["model_bytes"]
        progress = job["progress"]
        assert (progress["percent"], progress["rows_done"]) == (100, progress["rows_total"])
        assert progress["bytes_fetched"] == progress["bytes_total"] > totals["delta_bytes"]
        assert kend.get(f"/v1/jobs/{job['id']}/tensors").json["data"] == []
        listed = kend.get(f"/v1/jobs?metadata.of={pruned['id']}").json["data"]
        assert [shown["id"] for shown in listed] == [job["id"]]
        assert listed[0]["kind"] == "inject" and listed[0]["outputs"] == ["model"] and "k" not in listed[0]


def test_a_folder_stands_for_the_delta_in_it(tmp_path: Path, pair: Path) -> None:
    """Though the model lies there, too."""
    assert (pair / "out" / "model.safetensors").exists()
    with kend_of(tmp_path) as kend, Origin(pair) as origin:
        for folder in (f"file://{pair}/out/", f"{origin.url}/out/"):
            job = run(kend, inject(f"file://{pair}/base.safetensors", folder))
            assert published(kend, job) == model_files(pair / "out")


def test_over_http_and_again_from_the_cache(tmp_path: Path, pair: Path) -> None:
    with Origin(pair) as origin, kend_of(tmp_path) as kend:
        document = inject(f"{origin.url}/base.safetensors", f"{origin.url}/delta.safetensors")
        first, second = run(kend, document), run(kend, document)
        assert published(kend, first) == published(kend, second) == model_files(pair / "out")


def test_a_base_of_torch(tmp_path: Path, files: Path, kenctl: Run) -> None:
    random = np.random.default_rng(4)
    values = {f"layer.{i}.weight": random.standard_normal((64, 96), np.float32) for i in range(3)}
    (files / "base.bin").write_bytes(make_torch(values))
    write_safetensors(files / "model.safetensors", {name: value + np.float32(0.1) for name, value in values.items()})
    delta = prune_here(kenctl, files / "model.safetensors", files / "base.bin", files / "out")
    with kend_of(tmp_path) as kend:
        job = run(kend, inject(f"file://{files}/base.bin", f"file://{delta}"))
        assert published(kend, job) == model_files(files / "out")


def test_digests_of_the_inputs(tmp_path: Path, pair: Path) -> None:
    base, delta = ({"url": f"file://{pair}/{name}.safetensors"} for name in ("base", "delta"))
    right = {"sha256": hashlib.sha256((pair / "delta.safetensors").read_bytes()).hexdigest()}
    with kend_of(tmp_path) as kend:
        job = run(kend, {"kind": "inject", "base": base, "delta": {**delta, **right}})
        assert job["status"] == "succeeded", job["error"]
        job = run(kend, {"kind": "inject", "base": base, "delta": {**delta, "sha256": "00" * 32}})
        assert (job["error"]["code"], job["error"]["stage"]) == ("digest_mismatch", "fetching")
        assert job["error"]["message"].startswith("delta: ")
        assert not files_of(kend, job["id"])


# ---- what is refused


def test_another_base_is_refused_by_its_digest(tmp_path: Path, pair: Path) -> None:
    name = "layer.0.weight"
    content = bytearray((pair / "base.safetensors").read_bytes())
    header, data = read_header(pair / "base.safetensors")
    content[data + header[name]["data_offsets"][0]] ^= 1
    (pair / "other.safetensors").write_bytes(content)
    with kend_of(tmp_path) as kend:
        job = run(kend, inject(f"file://{pair}/other.safetensors", f"file://{pair}/delta.safetensors"))
        assert job["status"] == "failed" and not job["artifacts"]
        assert (job["error"]["code"], job["error"]["stage"]) == ("digest_mismatch", "pruning")
        assert f'base tensor "{name}" has SHA-256' in job["error"]["message"]
        assert not files_of(kend, job["id"])


def forge(path: Path, to: Path, **metadata: str) -> None:
    """A delta with other metadata."""
    header, data = read_header(path)
    header["__metadata__"].update(metadata)
    to.write_bytes(make_header(header) + path.read_bytes()[data:])


def test_hopeless_jobs_fail_in_the_check(tmp_path: Path, pair: Path) -> None:
    base, delta = f"file://{pair}/base.safetensors", f"file://{pair}/delta.safetensors"
    tensors = read_safetensors(pair / "base.safetensors")
    write_safetensors(pair / "few.safetensors", dict(list(tensors.items())[1:]))
    forge(pair / "delta.safetensors", pair / "version.safetensors", version="9")
    forge(pair / "delta.safetensors", pair / "encoding.safetensors", encoding="brotli")
    forge(pair / "delta.safetensors", pair / "torn.safetensors", model="{}")
    (pair / "text.safetensors").write_text("this is no checkpoint")
    (pair / "empty").mkdir()
    shutil.copy(pair / "base.safetensors", pair / "empty" / "model.safetensors")
    cases = (
        (inject(base, base), "bad_checkpoint", "/delta", "delta: base.safetensors: this is no delta"),
        (inject(base, f"file://{pair}/version.safetensors"), "unsupported_checkpoint", "/delta", 'version "9"'),
        (inject(base, f"file://{pair}/encoding.safetensors"), "unsupported_checkpoint", "/delta", 'encoding "brotli"'),
        (inject(base, f"file://{pair}/torn.safetensors"), "bad_checkpoint", "/delta", "delta: "),
        (inject(base, f"file://{pair}/text.safetensors"), "bad_checkpoint", "/delta", "delta: text.safetensors"),
        (inject(base, f"file://{pair}/none.safetensors"), "fetch_failed", "/delta", "delta: "),
        (inject(f"file://{pair}/none.safetensors", delta), "fetch_failed", "/base", "base: "),
        (inject(f"file://{pair}/few.safetensors", delta), "tensor_mismatch", "/base", "the base has no tensor"),
        (inject(base, f"file://{pair}/empty/"), "fetch_failed", "/delta", "delta: no delta.safetensors in file://"),
        ({"model": delta, "base": base, "k": 3}, "unsupported_checkpoint", "/model", 'kind "inject"'),
    )
    with kend_of(tmp_path) as kend:
        for document, code, pointer, message in cases:
            answer = kend.request("POST", "/v1/jobs?dry_run=true", document)
            assert answer.status == 422, answer.body
            problem = answer.json
            assert (problem["job_error"]["code"], problem["errors"][0]["pointer"]) == (code, pointer)
            assert message in problem["errors"][0]["detail"]
            job = run(kend, document)
            assert (job["error"]["code"], job["error"]["stage"]) == (code, "checking")
            assert message in job["error"]["message"]


def test_a_header_over_the_limit(tmp_path: Path, pair: Path) -> None:
    with kend_of(tmp_path, fetch__max_header_bytes="1KiB") as kend:
        job = run(kend, inject(f"file://{pair}/base.safetensors", f"file://{pair}/delta.safetensors"))
        assert (job["error"]["code"], job["error"]["stage"]) == ("too_large", "checking")


def test_no_space(tmp_path: Path, pair: Path) -> None:
    with kend_of(tmp_path, artifacts__max_bytes="1KiB") as kend:
        job = run(kend, inject(f"file://{pair}/base.safetensors", f"file://{pair}/delta.safetensors"))
        assert (job["error"]["code"], job["error"]["stage"]) == ("no_space", "checking")


def test_documents_with_faults(tmp_path: Path, files: Path) -> None:
    good = inject(f"file://{files}/b", f"file://{files}/d.safetensors")
    faults: list[tuple[dict[str, Any], str, str]] = [
        ({"delta": None}, "/delta", "must be a URL or an object"),
        ({"outputs": ["delta"]}, "/outputs", 'can be ["model"] alone'),
        ({"outputs": ["model", "report"]}, "/outputs", 'can be ["model"] alone'),
        ({"outputs": []}, "/outputs", "at least one"),
        ({"dleta": "x"}, "/dleta", 'did you mean "delta"'),
        ({"base": {"url": f"file://{files}/b/", "sha256": "00" * 32}}, "/base/sha256", "single file"),
        ({"model": f"file://{files}/m"}, "/model", 'jobs of kind "inject" do not take it'),
    ]
    for field in (
        "method",
        "k",
        "keep",
        "rescale",
        "duplicates",
        "non_finite",
        "seed",
        "rules",
        "unmatched",
        "variants",
    ):
        faults.append(({field: 1}, f"/{field}", 'jobs of kind "inject" do not take it'))
    faults.append(({"delta_encoding": "packed"}, "/delta_encoding", 'jobs of kind "inject" do not take it'))
    with kend_of(tmp_path) as kend:
        for change, pointer, detail in faults:
            answer = kend.request("POST", "/v1/jobs", {**good, **change})
            assert answer.status == 422 and answer.json["code"] == "invalid_job"
            [fault] = answer.json["errors"]
            assert fault["pointer"] == pointer and detail in fault["detail"]
        for missing in ("base", "delta"):
            document = {key: value for key, value in good.items() if key != missing}
            [fault] = kend.request("POST", "/v1/jobs", document).json["errors"]
            assert fault == {"pointer": f"/{missing}", "detail": "is required"}
        prune = {"model": good["base"], "base": good["base"], "k": 1, "delta": good["delta"]}
        [fault] = kend.request("POST", "/v1/jobs", prune).json["errors"]
        assert fault == {"pointer": "/delta", "detail": 'jobs of kind "prune" do not take it'}


# ---- dry runs, stopping, kills


def test_a_dry_run_tells_the_plan(tmp_path: Path, pair: Path) -> None:
    document = inject(f"file://{pair}/base.safetensors", f"file://{pair}/delta.safetensors")
    with kend_of(tmp_path) as kend:
        plan = kend.request("POST", "/v1/jobs?dry_run=true", document).json
        assert kend.get("/v1/jobs").json["data"] == []
    size = (pair / "out" / "model.safetensors").stat().st_size
    assert (plan["disk_bytes"], plan["totals"]["model_bytes"]) == (size, size)
    assert plan["delta"]["bytes"] == (pair / "delta.safetensors").stat().st_size
    assert 0 < plan["memory_bytes"] <= 96 << 20
    tensors = {tensor["name"]: tensor for tensor in plan["tensors"]}
    assert set(tensors) == set(all_tensors(pair / "model.safetensors"))
    assert sum(tensor["stored"] for tensor in plan["tensors"]) == plan["totals"]["stored"]
    assert not plan["tensors_cut"] and plan["variants"] is None and plan["warnings"] == []


@pytest.fixture
def large(files: Path, kenctl: Run) -> Path:
    """A base, a packed delta and the pruned model of 192 MiB."""
    write_tiled(files / "base.safetensors", 192 << 20, 1)
    write_tiled(files / "tuned.safetensors", 192 << 20, 1, 0.02)
    arguments = ("--delta-encoding", "packed")
    delta = prune_here(kenctl, files / "tuned.safetensors", files / "base.safetensors", files / "out", *arguments)
    shutil.copy(delta, files / "delta.safetensors")
    return files


def test_cancel_and_kill(tmp_path: Path, large: Path) -> None:
    document = inject(f"file://{large}/base.safetensors", f"file://{large}/delta.safetensors")
    with kend_of(tmp_path, prune__threads=1) as kend:
        job = kend.submit(document)
        until_stage(kend, job, "pruning")
        assert cancel(kend, job)["status"] == "cancelled"
        assert not files_of(kend, job)
        job = kend.submit(document)
        until_stage(kend, job, "pruning")
        time.sleep(0.1)
        kend.kill()
        assert not (kend.data / "artifacts" / job).exists()
        kend.start()
        ended = kend.wait(job)
        assert ended["attempt"] == 2
        assert published(kend, ended) == model_files(large / "out")
        assert files_of(kend, job) == [job]
        assert kend.peak_memory() < 256 << 20


def test_a_kill_while_fetching_goes_on_from_the_bytes_that_are_there(tmp_path: Path, large: Path) -> None:
    with Origin(large, 40 << 20) as origin, kend_of(tmp_path) as kend:
        job = kend.submit(inject(f"{origin.url}/base.safetensors", f"{origin.url}/delta.safetensors"))
        until_stage(kend, job, "fetching")
        time.sleep(2.5)
        shown = kend.job(job)
        assert 0 < shown["progress"]["percent"] < 100 and shown["stage"] == "fetching"
        kend.kill()
        kend.start()
        ended = kend.wait(job)
        assert published(kend, ended) == model_files(large / "out")
        notes = [event["data"].get("message", "") for event in kend.events(job)]
        resumed: Optional[re.Match[str]] = next(
            filter(None, (re.match(r"attempt 2 goes on: (\d+) of", n) for n in notes))
        )
        assert resumed and int(resumed[1]) > 0


# ---- kenctl


def test_kenctl_submits_and_downloads(tmp_path: Path, pair: Path, kenctl: Run) -> None:
    arguments = ("submit", "--kind", "inject", "--base", f"file://{pair}/base.safetensors")
    with kend_of(tmp_path) as kend:
        server = ("--server", kend.url)
        missing = kenctl(*arguments, *server)
        assert missing.returncode == 2 and "needs --base and --delta" in missing.stderr
        done = kenctl(*arguments, *server, "--delta", f"file://{pair}/delta.safetensors", "--wait")
        assert done.returncode == 0, done.stderr
        assert "delta_bytes" in done.stdout and "succeeded" in done.stdout
        plan = kenctl(*arguments, *server, "--delta", f"file://{pair}/delta.safetensors", "--dry-run")
        assert plan.returncode == 0 and "disk_bytes" in plan.stdout
        refused = kenctl(*arguments, *server, "--delta", f"file://{pair}/delta.safetensors", "--k", 3)
        assert refused.returncode == 1 and "do not take it" in refused.stderr
        [job] = kend.get("/v1/jobs").json["data"]
        shown = ok(kenctl("show", job["id"], *server))
        assert "inject" in shown and "delta.safetensors" in shown
        ok(kenctl("download", job["id"], "-o", "got", *server))
    assert (tmp_path / "got" / "model.safetensors").read_bytes() == (pair / "out" / "model.safetensors").read_bytes()


def test_threads_do_not_change_a_byte(tmp_path: Path, files: Path, kenctl: Run) -> None:
    model, base = make_pair(files, True)
    for encoding in ("plain", "packed"):
        delta = prune_here(kenctl, model, base, files / encoding, "--delta-encoding", encoding)
        for threads in (1, 2, 7):
            out = tmp_path / f"{encoding}{threads}"
            ok(kenctl("inject", "--base", base, "--delta", delta, "-o", out, "--threads", threads))
            assert {path.name: path.read_bytes() for path in out.iterdir()} == model_files(files / encoding)
            ok(kenctl("verify", files / encoding, "--base", base, "--threads", threads))
    bad = kenctl("inject", "--base", base, "--delta", delta, "-o", tmp_path / "none", "--threads", "0")
    assert bad.returncode == 2 and "--threads is a number from 1 to" in bad.stderr
    assert not (tmp_path / "none").exists()
