# SPDX-License-Identifier: Apache-2.0
"""When a job's inputs can still be looked at: only where the very bytes that it had are its own owner's to read, and without a word to
anybody."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pytest

from checkpoints import make_safetensors
from daemon import Kend, Response
from origin import Behaviour, Origin
from tokens import Tokens

CALLS = ("values?x=3&y=2&", "row?row=2&", "heatmap.png?view=row&y=2&")
Array = np.ndarray[Any, Any]


def tensors(seed: int) -> Array:
    return np.random.default_rng(seed).normal(0, 1, (40, 1000)).astype(np.float32)


def serve(origin: Origin, name: str, seed: int) -> "dict[str, Any]":
    """A pair at the origin; the document of a job."""
    for number, side in enumerate(("model", "base")):
        origin.put(f"/{name}/{side}", make_safetensors({"a": tensors(2 * seed + number)}))
    return {"model": f"{origin.url}/{name}/model", "base": f"{origin.url}/{name}/base", "keep": 0.5}


def look(kend: Kend, job: str, call: str = CALLS[0], headers: "dict[str, str] | None" = None) -> Response:
    return kend.request("GET", f"/v1/jobs/{job}/{call}tensor=a", headers=headers or {})


def are_gone(kend: Kend, job: str, headers: "dict[str, str] | None" = None) -> bool:
    answers = [look(kend, job, call, headers) for call in CALLS]
    assert len({answer.status for answer in answers}) == 1, answers
    if answers[0].status == 200:
        return False
    assert [(answer.status, answer.json["code"]) for answer in answers] == [(409, "inputs_gone")] * 3
    drawn = kend.request("GET", f"/v1/jobs/{job}/heatmap.png?tensor=a&view=mask", headers=headers or {})
    assert drawn.status == 200, "pictures outlive the cache"
    return True


def run(kend: Kend, document: "dict[str, Any]", headers: "dict[str, str] | None" = None) -> str:
    response = kend.request("POST", "/v1/jobs", document, headers or {})
    assert response.status == 202, response.body
    job = str(response.json["id"])
    shown = kend.request("GET", f"/v1/jobs/{job}?wait=60", headers=headers or {}).json
    assert shown["status"] == "succeeded", shown
    return job


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as made:
        yield made


def test_as_long_as_the_cache_has_them(tmp_path: Path, origin: Origin) -> None:
    one, two = serve(origin, "one", 1), serve(origin, "two", 2)
    with Kend(tmp_path, {"cache.max_bytes": 500_000}) as kend:
        first = run(kend, one)
        assert not are_gone(kend, first)
        assert look(kend, first).json["model"] == [[float(tensors(2)[2, 3])]]
        asked = len(origin.seen())
        second = run(kend, two)
        assert are_gone(kend, first) and not are_gone(kend, second)
        assert look(kend, second).json["model"] == [[float(tensors(4)[2, 3])]]
        assert not [seen for seen in origin.seen()[asked:] if seen.path.startswith("/one")]
        third = run(kend, one)  # the same bytes again, by whatever job
        assert not are_gone(kend, first) and not are_gone(kend, third) and are_gone(kend, second)


def test_headers_that_are_not_read_in_passing(tmp_path: Path, origin: Origin) -> None:
    """Of many tensors: the same answers, from a thread of their own, and several at once."""
    document = serve(origin, "one", 1)
    for number, side in enumerate(("model", "base")):
        many = {
            f"layer.{i}.of.many.that.make.headers.long": np.full((2, 8), i + number, np.float32) for i in range(2000)
        }
        origin.put(f"/one/{side}", make_safetensors({"a": tensors(2 + number), **many}))
    with Kend(tmp_path) as kend:
        job = run(kend, document)
        assert not are_gone(kend, job)
        assert look(kend, job).json["model"] == [[float(tensors(2)[2, 3])]]
        assert look(kend, job, "values?x=1000&").status == look(kend, job, "row?row=40&").status == 400
        drawn = look(kend, job, CALLS[2])
        assert drawn.body[:4] == b"\x89PNG"
        assert look(kend, job, CALLS[2], {"If-None-Match": drawn.headers["etag"]}).status == 304
        answers: "list[Response]" = []
        threads = [threading.Thread(target=lambda: answers.append(look(kend, job))) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {answer.status for answer in answers} <= {200, 429} and 200 in {answer.status for answer in answers}
        for data in (kend.data / "cache").glob("*/data"):
            os.utime(data, ns=(1, 1))
        assert are_gone(kend, job)


def test_nobody_is_asked(tmp_path: Path, origin: Origin) -> None:
    document = serve(origin, "one", 1)
    kend = Kend(tmp_path)
    with kend:
        job = run(kend, document)
    origin.stop()
    with kend:
        assert not are_gone(kend, job)


def test_another_file_at_the_same_place(tmp_path: Path, origin: Origin) -> None:
    document = serve(origin, "one", 1)
    with Kend(tmp_path) as kend:
        first = run(kend, document)
        origin.put("/one/base", make_safetensors({"a": tensors(9)}))
        assert not are_gone(kend, first)  # what was cached is what it was
        second = run(kend, document)
        assert are_gone(kend, first) and not are_gone(kend, second)
        assert look(kend, second).json["base"] == [[float(tensors(9)[2, 3])]]


def test_what_an_origin_lets_nobody_compare_is_not_kept(tmp_path: Path, origin: Origin) -> None:
    document = serve(origin, "one", 1)
    origin.behave("/one/model", Behaviour(drop_headers=("ETag", "Last-Modified")))
    with Kend(tmp_path) as kend:
        assert are_gone(kend, run(kend, document))


def test_cached_bytes_that_were_touched(tmp_path: Path, origin: Origin) -> None:
    document = serve(origin, "one", 1)
    with Kend(tmp_path) as kend:
        job = run(kend, document)
        for data in (tmp_path / "data" / "cache").glob("*/data"):
            with open(data, "r+b") as file:
                file.seek(200_000 // 2)
                file.write(b"xxxx")
            break
        assert are_gone(kend, job)


def test_jobs_of_an_older_kend(tmp_path: Path, origin: Origin) -> None:
    document = serve(origin, "one", 1)
    with Kend(tmp_path) as kend:
        job = run(kend, document)
        told = kend.data / "artifacts" / job / ".kend" / "inputs.json"
        assert "one" not in told.read_text(), "what the inputs were, not where"
        told.unlink()
        assert are_gone(kend, job)
        listed = {artifact["name"] for artifact in kend.job(job)["artifacts"]}
        assert not [name for name in listed if "inputs" in name]
        assert kend.get(f"/v1/jobs/{job}/artifacts/.kend/inputs.json").status == 404


# ---- owners


def key(owner: str, url: str) -> str:
    return hashlib.sha256(owner.encode() + b"\0" + url.encode()).hexdigest()


def test_each_owner_reads_its_own_copy(tmp_path: Path, origin: Origin) -> None:
    """The same URLs, the same bytes, and yet: who may not read the job sees nothing, and no copy stands in for another's."""
    document = serve(origin, "one", 1)
    tokens = Tokens(tmp_path)
    for name, owner, scope in (("nlp", "nlp", "submit"), ("other", "other", "submit"), ("admin", "root", "admin")):
        tokens.make(name, owner, scope)
    who = {name: tokens.bearer(name) for name in ("nlp", "other", "admin")}
    kend = Kend(tmp_path, {"auth.tokens_file": tokens.path})
    with kend:
        jobs = {owner: run(kend, document, who[owner]) for owner in ("nlp", "other")}
        for owner, foreign in (("nlp", "other"), ("other", "nlp")):
            assert not are_gone(kend, jobs[owner], who[owner]) and not are_gone(kend, jobs[owner], who["admin"])
            for call in CALLS:
                refused = look(kend, jobs[owner], call, who[foreign])
                unknown = look(kend, "job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C", call, who[foreign])
                assert refused.status == unknown.status == 404
                assert refused.json["detail"] == unknown.json["detail"]
                assert look(kend, jobs[owner], call, {}).status == 401
    for side in ("model", "base"):
        shutil.rmtree(kend.data / "cache" / key("nlp", document[side]))
    with kend:
        assert are_gone(kend, jobs["nlp"], who["nlp"]) and are_gone(kend, jobs["nlp"], who["admin"])
        assert not are_gone(kend, jobs["other"], who["other"])


# ---- files in place


def test_files_that_are_read_in_place(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for number, side in enumerate(("model", "base")):
        (files / side).write_bytes(make_safetensors({"a": tensors(number)}))
    document = {"model": f"file://{files}/model", "base": f"file://{files}/base", "keep": 0.5}
    kend = Kend(tmp_path, {"fetch.file_roots": files})
    with kend:
        job = run(kend, document)
        assert not are_gone(kend, job)
        was = (files / "base").stat()
        os.utime(files / "base", ns=(was.st_atime_ns, was.st_mtime_ns + 1))
        assert are_gone(kend, job)
        os.utime(files / "base", ns=(was.st_atime_ns, was.st_mtime_ns))
        assert not are_gone(kend, job)
        shutil.copy2(files / "base", files / "copy")  # the same bytes and time, another file
        os.rename(files / "base", files / "kept")
        os.rename(files / "copy", files / "base")
        assert are_gone(kend, job)
        (files / "base").unlink()
        assert are_gone(kend, job)
        os.rename(files / "kept", files / "base")
        assert not are_gone(kend, job)
        (files / "model").write_bytes(b"no checkpoint any more")
        assert are_gone(kend, job)
    with kend:
        job = run(kend, {**document, "model": document["base"]})
        assert not are_gone(kend, job)
    kend.settings["fetch.file_roots"] = ""
    with kend:
        assert are_gone(kend, job), "what may be read is asked anew"


# ---- while all is in motion


@pytest.mark.parametrize("encoding", ("plain", "packed"))
def test_right_or_gone_whatever_the_cache_does_meanwhile(tmp_path: Path, origin: Origin, encoding: str) -> None:
    pairs = [{**serve(origin, f"pair{i}", i), "delta_encoding": encoding} for i in range(3)]
    with Kend(tmp_path, {"cache.max_bytes": 700_000}) as kend:
        jobs = [run(kend, pair) for pair in pairs]
        wrong: "list[Any]" = []
        seen: "list[int]" = []
        end = threading.Event()

        def read(i: int) -> None:
            while not end.is_set():
                answer = look(kend, jobs[i], "values?w=1000&h=4&")
                seen.append(answer.status)
                if answer.status == 200:
                    same = np.array_equal(answer.json["model"], tensors(2 * i)[:4].astype(float))
                    same = same and np.array_equal(answer.json["base"], tensors(2 * i + 1)[:4].astype(float))
                    if not same:
                        wrong.append(answer.body[:200])
                elif answer.status != 409 or answer.json["code"] != "inputs_gone":
                    wrong.append(answer.body)

        threads = [threading.Thread(target=read, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        for turn in range(12):
            run(kend, pairs[turn % 3])
        end.set()
        for thread in threads:
            thread.join()
        assert not wrong and {200, 409} <= set(seen)
