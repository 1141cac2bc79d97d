# SPDX-License-Identifier: Apache-2.0
"""What a finished job serves: artifacts with ranges, conditions and digests, and the report's rows page by page."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, Iterator, Optional

import pytest

from daemon import Kend, Response

DATA = Path(__file__).parents[1] / "data" / "era-bf16"


@dataclasses.dataclass
class Finished:
    """A kend with a job of two variants and one without, both succeeded."""

    kend: Kend
    plain: dict[str, Any]
    variants: dict[str, Any]

    def path(self, name: str, job: Optional[dict[str, Any]] = None) -> str:
        return f"/v1/jobs/{(job or self.plain)['id']}/artifacts/{name}"

    def get(self, name: str, method: str = "GET", **headers: str) -> Response:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.kend.request(method, self.path(name), headers=named)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    pair = {"model": f"file://{DATA}/finetuned.safetensors", "base": f"file://{DATA}/base.safetensors"}
    variants = [{"name": "half", "keep": 0.5}, {"name": "tenth", "keep": 0.1, "method": "magnitude"}]
    with Kend(tmp_path_factory.mktemp("artifacts"), {"fetch.file_roots": str(DATA)}) as kend:
        plain = kend.wait(kend.submit({**pair, "keep": 0.5}))
        both = kend.wait(kend.submit({**pair, "variants": variants, "outputs": ["delta", "report"]}))
        assert plain["status"] == both["status"] == "succeeded", (plain["error"], both["error"])
        yield Finished(kend, plain, both)


def test_the_list_is_that_of_the_job(done: Finished) -> None:
    listed = done.kend.get(f"/v1/jobs/{done.plain['id']}/artifacts").json
    assert listed["data"] == done.plain["artifacts"]
    assert [item["name"] for item in listed["data"]] == ["delta.safetensors", "model.safetensors", "report.json"]
    assert {item["variant"] for item in listed["data"]} == {None}
    for item in listed["data"]:
        assert item["url"] == done.kend.url + done.path(item["name"])
    names = [(item["variant"], item["name"]) for item in done.variants["artifacts"]]
    assert names == [(v, f"{v}/{f}") for v in ("half", "tenth") for f in ("delta.safetensors", "report.json")]


@pytest.mark.smoke
def test_bytes_and_their_headers(done: Finished) -> None:
    for item in done.plain["artifacts"]:
        response = done.get(item["name"])
        digest = hashlib.sha256(response.body).digest()
        assert (response.status, len(response.body), digest.hex()) == (200, item["size"], item["sha256"])
        assert response.headers["content-type"] == "application/octet-stream"
        assert response.headers["content-length"] == str(item["size"])
        assert response.headers["etag"] == f'"{item["sha256"]}"'
        assert response.headers["accept-ranges"] == "bytes"
        assert response.headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest).decode()}:"
        assert response.headers["content-disposition"] == f'attachment; filename="{item["name"]}"'
        head = done.get(item["name"], "HEAD")
        assert (head.status, head.body) == (200, b"")
        for name in ("content-length", "etag", "repr-digest", "accept-ranges", "content-disposition"):
            assert head.headers[name] == response.headers[name]


def test_files_of_variants_are_saved_under_names_of_their_own(done: Finished) -> None:
    response = done.kend.get(done.path("half/delta.safetensors", done.variants))
    assert response.headers["content-disposition"] == 'attachment; filename="half-delta.safetensors"'
    encoded = done.kend.get(done.path("half%2Fdelta%2Esafetensors", done.variants))
    assert encoded.body == response.body


@pytest.mark.parametrize(
    ("value", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=100-", 100, -1),
        ("bytes=-7", -7, -1),
        ("bytes=0-999999999999", 0, -1),
        ("bytes=-999999999999", 0, -1),
    ],
)
def test_a_part(done: Finished, value: str, first: int, last: int) -> None:
    whole = done.get("delta.safetensors")
    size = len(whole.body)
    first, last = first % size if first < 0 else first, last % size if last < 0 else last
    part = done.get("delta.safetensors", Range=value)
    assert (part.status, part.body) == (206, whole.body[first : last + 1])
    assert part.headers["content-range"] == f"bytes {first}-{last}/{size}"
    assert part.headers["etag"] == whole.headers["etag"]
    assert part.headers["repr-digest"] == whole.headers["repr-digest"]
    head = done.get("delta.safetensors", "HEAD", Range=value)
    assert (head.status, head.headers["content-length"]) == (206, str(last - first + 1))


@pytest.mark.parametrize("value", ["bytes=0-1,3-4", "bytes=5-3", "bytes=a-b", "items=0-1", "bytes=", "bytes"])
def test_ranges_that_give_the_whole(done: Finished, value: str) -> None:
    response = done.get("report.json", Range=value)
    assert response.status == 200 and "content-range" not in response.headers
    assert hashlib.sha256(response.body).hexdigest() == done.plain["artifacts"][2]["sha256"]


@pytest.mark.parametrize("value", ["bytes={size}-", "bytes=99999999999999999999999-", "bytes=-0"])
def test_ranges_behind_the_end(done: Finished, value: str) -> None:
    size = done.plain["artifacts"][2]["size"]
    response = done.get("report.json", Range=value.format(size=size))
    assert (response.status, response.json["code"]) == (416, "range_not_satisfiable")
    assert response.headers["content-range"] == f"bytes */{size}"


def test_conditions(done: Finished) -> None:
    tag = done.get("report.json", "HEAD").headers["etag"]
    for known in (tag, f"W/{tag}", f'"a", {tag}', "*"):
        for method in ("GET", "HEAD"):
            same = done.get("report.json", method, If_None_Match=known)
            assert (same.status, same.body, same.headers["etag"]) == (304, b"", tag)
    assert done.get("report.json", If_None_Match='"a"').status == 200
    assert done.get("report.json", If_None_Match=tag, Range="bytes=0-1").status == 304
    assert done.get("report.json", Range="bytes=0-1", If_Range=tag).status == 206
    for other in ('"a"', f"W/{tag}", "Wed, 25 Nov 2026 20:00:00 GMT", tag.strip('"')):
        assert done.get("report.json", Range="bytes=0-1", If_Range=other).status == 200
    assert done.get("report.json", Range="bytes=99999999-", If_Range='"a"').status == 200


def test_a_download_in_pieces(done: Finished) -> None:
    size = done.plain["artifacts"][1]["size"]
    edges = [*range(0, size, size // 7 + 1), size]
    pieces = [done.get("model.safetensors", Range=f"bytes={a}-{b - 1}").body for a, b in zip(edges, edges[1:])]
    assert hashlib.sha256(b"".join(pieces)).hexdigest() == done.plain["artifacts"][1]["sha256"]


@pytest.mark.parametrize(
    "name",
    [
        "nope", "delta.safetensors/", "/delta.safetensors", "./delta.safetensors", "../kend.db", "..%2f..%2fkend.db", "%2e%2e/kend.db",
        "/etc/passwd", ".kend/tensors.jsonl", ".kend/result.json", "DELTA.safetensors", "delta.safetensors%20", "half/delta.safetensors",
        "a" * 2000,
    ],
)  # fmt: skip
def test_names_are_looked_up_by_equality(done: Finished, name: str) -> None:
    for method in ("GET", "HEAD"):
        assert done.kend.request(method, done.path(name)).status == 404
    assert done.kend.get(done.path("", done.plain)).status == 404


def rows(done: Finished, job: dict[str, Any], query: str) -> list[dict[str, Any]]:
    """All rows, page by page."""
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = done.kend.get(f"/v1/jobs/{job['id']}/tensors?{query}{after}").json
        found += page["data"]
        if not page["has_more"]:
            return found
        after = f"&after={page['next']}"


def test_rows_of_the_report(done: Finished) -> None:
    report = json.loads(done.get("report.json").body)["tensors"]
    assert len(report) > 20
    assert rows(done, done.plain, "limit=200") == report
    assert rows(done, done.plain, "limit=3") == report
    some = [row for row in report if row["name"].endswith(".weight")]
    assert 0 < len(some) < len(report)
    assert rows(done, done.plain, "name=*.weight&limit=2") == some
    one = report[7]["name"]
    assert [row["name"] for row in rows(done, done.plain, f"name={one}")] == [one]
    assert rows(done, done.plain, "name=nothing*") == []


def test_rows_of_variants(done: Finished) -> None:
    for variant in ("half", "tenth"):
        report = json.loads(done.kend.get(done.path(f"{variant}/report.json", done.variants)).body)["tensors"]
        assert rows(done, done.variants, f"variant={variant}&limit=200") == report
    failed = done.kend.wait(done.kend.submit({"model": "https://192.0.2.1/a", "base": "https://192.0.2.1/b", "k": 1}))
    assert rows(done, failed, "limit=1") == []
    for job, query, detail in (
        (done.variants, "", "is needed"),
        (done.variants, "variant=third", "not a variant"),
        (done.variants, "variant=", "not a variant"),
        (done.plain, "variant=half", "not a variant"),
        (done.plain, "variant=tensors", "not a variant"),
        (done.plain, "after=1", "not a cursor"),
        (done.plain, "after=999999999", "not a cursor"),
        (done.plain, "after=x", "not a cursor"),
        (done.plain, "name=" + "a" * 257, "1 to 256 bytes"),
        (done.plain, "name=", "1 to 256 bytes"),
        (failed, "name=", "1 to 256 bytes"),
        (failed, "variant=half", "not a variant"),
        (failed, "after=x", "not a cursor"),
    ):
        response = done.kend.get(f"/v1/jobs/{job['id']}/tensors?{query}")
        known = (400, "bad_request") if detail != "not a variant" else (404, "not_found")
        assert (response.status, response.json["code"]) == known, query
        assert detail in response.json["detail"]


def test_a_dry_run_answers_the_plan(done: Finished) -> None:
    pair = {"model": f"file://{DATA}/finetuned.safetensors", "base": f"file://{DATA}/base.safetensors"}
    before = done.kend.get("/v1/jobs").json
    response = done.kend.request("POST", "/v1/jobs?dry_run=true", {**pair, "keep": 0.5})
    assert (response.status, response.json["object"]) == (200, "plan")
    assert response.json["variants"] is None
    assert len(response.json["tensors"]) == len(rows(done, done.plain, "limit=200"))
    response = done.kend.request("POST", "/v1/jobs?dry_run=true", {**pair, "base": "https://192.0.2.1/b", "keep": 0.5})
    assert (response.status, response.json["code"]) == (422, "invalid_job")
    error = response.json["job_error"]
    assert (error["code"], error["stage"]) == ("address_forbidden", "checking")
    assert error["message"].startswith("base: https://192.0.2.1/b: ")
    assert response.json["errors"] == [{"pointer": "/base", "detail": error["message"]}]
    assert response.json["title"] == "The check of the job failed"
    assert response.json["detail"] == "address_forbidden: " + error["message"]
    assert done.kend.get("/v1/jobs").json == before


def test_deleting_removes_the_artifacts(done: Finished) -> None:
    pair = {"model": f"file://{DATA}/finetuned.safetensors", "base": f"file://{DATA}/base.safetensors"}
    job = done.kend.wait(done.kend.submit({**pair, "k": 3, "outputs": ["report"]}))
    folder = done.kend.data / "artifacts" / job["id"]
    assert folder.is_dir()
    assert done.kend.request("DELETE", f"/v1/jobs/{job['id']}").status == 204
    assert not folder.exists()
    assert done.kend.get(done.path("report.json", job)).status == 404
