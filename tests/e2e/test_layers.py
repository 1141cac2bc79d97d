# SPDX-License-Identifier: Apache-2.0
"""Layers by role, and comparisons of masks, held against what NumPy counts in the pruned models."""

from __future__ import annotations

import contextlib
import http.client
import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest

from checkpoints import read_safetensors, write_tiled
from daemon import Kend
from layered import DATA, Jobs, jobs  # noqa: F401  a fixture
from running import files, kend_of, of_files  # noqa: F401
from tokens import House

Array = np.ndarray[Any, Any]


# ---- layers


def test_layers_are_in_the_order_of_their_numbers(jobs: Jobs) -> None:
    listed = jobs.get("many", "layers", variant="half").json
    roles = {role["role"]: role["tensors"] for role in listed["data"]}
    assert (listed["object"], listed["has_more"], listed["next"]) == ("list", False, None)
    assert set(roles) == {"layer.*.mlp.weight", "layer.*.expert.*.w", "embed", "odd"}
    assert [t["name"] for t in roles["layer.*.mlp.weight"]] == [f"layer.{i}.mlp.weight" for i in range(12)]
    assert [t["numbers"] for t in roles["layer.*.expert.*.w"]] == [[2, 9], [2, 11], [10, 9], [10, 11]]
    assert roles["embed"][0]["numbers"] == []


def test_layers_tell_what_the_report_does(jobs: Jobs) -> None:
    rows = {row["name"]: row for row in jobs.get("many", "tensors", variant="half", limit=200).json["data"]}
    kept = jobs.kept("many", "half")
    listed = [t for role in jobs.get("many", "layers", variant="half").json["data"] for t in role["tensors"]]
    assert {t["name"] for t in listed} == set(kept)
    for tensor in listed:
        row = rows[tensor["name"]]
        assert {key: tensor[key] for key in ("shape", "relative_l2", "kept", "reset", "unchanged")} == {
            key: row[key] for key in ("shape", "relative_l2", "kept", "reset", "unchanged")
        }
        assert tensor["kept"] == int(kept[tensor["name"]].sum())
        assert tensor["kept_fraction"] == pytest.approx(kept[tensor["name"]].mean())


def test_layers_come_in_pages(jobs: Jobs) -> None:
    whole = jobs.get("many", "layers", variant="few").json["data"]
    first = jobs.get("many", "layers", variant="few", limit=3).json
    last = jobs.get("many", "layers", variant="few", limit=3, after=first["next"]).json
    assert first["has_more"] and not last["has_more"] and first["data"] + last["data"] == whole
    assert jobs.get("many", "layers", variant="few", after=99).json["data"] == []


# ---- comparisons


def compared(jobs: Jobs, job: str, **query: Any) -> "dict[str, Any]":
    response = jobs.get(job, "compare", **query)
    assert response.status == 200, response.body
    return dict(response.json)


PAIRS = (
    ("many", "half", "many", "few"),
    ("many", "few", "packed", ""),
    ("packed", "", "whole", ""),
    ("whole", "", "many", "half"),
    ("packed", "", "packed", ""),
)


@pytest.mark.parametrize("pair", PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_counts_are_those_of_numpy(jobs: Jobs, pair: "tuple[str, str, str, str]") -> None:
    here, variant, there, with_variant = pair
    query = {"with": jobs.ids[there], **({"variant": variant} if variant else {})}
    listed = compared(jobs, here, **query, **({"with_variant": with_variant} if with_variant else {}))
    a, b = jobs.kept(here, variant), jobs.kept(there, with_variant)
    rows = [
        {
            r["name"]: r["relative_l2"]
            for r in jobs.get(job, "tensors", limit=200, **({"variant": v} if v else {})).json["data"]
        }
        for job, v in ((here, variant), (there, with_variant))
    ]
    sums = dict.fromkeys(("both", "only_here", "only_there", "neither"), 0)
    assert {t["name"] for t in listed["data"]} == set(a) and listed["skipped"] == []
    for tensor in listed["data"]:
        one, other = a[tensor["name"]], b[tensor["name"]]
        counted = {
            "both": int((one & other).sum()),
            "only_here": int((one & ~other).sum()),
            "only_there": int((~one & other).sum()),
            "neither": int((~one & ~other).sum()),
        }
        assert {key: tensor[key] for key in counted} == counted, tensor["name"]
        assert tensor["jaccard"] == pytest.approx(counted["both"] / (one | other).sum())
        assert tensor["relative_l2_here"] == rows[0][tensor["name"]]
        assert tensor["relative_l2_there"] == rows[1][tensor["name"]]
        sums = {key: sums[key] + counted[key] for key in sums}
    totals = listed["totals"]
    assert {key: totals[key] for key in sums} == sums
    assert (totals["tensors"], totals["skipped"]) == (len(a), 0)


def test_a_job_is_like_itself(jobs: Jobs) -> None:
    for query in ({"variant": "half"}, {"variant": "half", "with_variant": "half"}):
        totals = compared(jobs, "many", **query)["totals"]
        assert totals["jaccard"] == 1 and totals["only_here"] == totals["only_there"] == 0 < totals["both"]


def test_what_cannot_be_compared_is_named(jobs: Jobs) -> None:
    listed = compared(jobs, "many", variant="half", **{"with": jobs.ids["other"]})
    assert {(t["name"], t["reason"]) for t in listed["skipped"]} == {
        ("layer.5.mlp.weight", "base"),
        ("odd", "shape"),
        ("embed", "only_here"),
        ("more", "only_there"),
    }
    assert listed["totals"]["skipped"] == 4 and listed["totals"]["tensors"] == len(listed["data"]) == 15
    assert listed["totals"]["only_here"] == listed["totals"]["only_there"] == 0


def test_pages_of_a_comparison(jobs: Jobs) -> None:
    query = {"variant": "half", "with_variant": "few"}
    whole = compared(jobs, "many", **query)
    pages, after = [], "0"
    while after:
        page = compared(jobs, "many", **query, limit=7, after=after)
        assert page["totals"] == whole["totals"] and len(page["data"]) <= 7
        pages += page["data"]
        after = page["next"]
    assert pages == whole["data"]


def test_names_that_are_not_there(jobs: Jobs) -> None:
    nobody = "job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C"
    compared_wrongly: "tuple[tuple[int, str, str, dict[str, Any]], ...]" = (
        (404, "not_found", "many", {"variant": "half", "with": nobody}),
        (404, "not_found", "many", {"variant": "half", "with": "nonsense"}),
        (404, "not_found", "many", {"variant": "other"}),
        (404, "not_found", "many", {"variant": "half", "with_variant": "other"}),
        (400, "bad_request", "many", {}),
        (400, "bad_request", "packed", {"with": jobs.ids["many"]}),
        (400, "bad_request", "packed", {"after": "x"}),
        (400, "bad_request", "packed", {"limit": 0}),
        (400, "bad_request", "packed", {"colour": 1}),
        (409, "no_delta", "none", {}),
        (409, "no_delta", "packed", {"with": jobs.ids["none"]}),
        (409, "no_delta", "failed", {}),
        (409, "no_delta", "packed", {"with": jobs.ids["failed"]}),
    )
    for status, code, job, query in compared_wrongly:
        response = jobs.get(job, "compare", **query)
        assert (response.status, response.json["code"]) == (status, code), (job, query, response.json)
    listed_wrongly: "tuple[tuple[int, str, str, dict[str, Any]], ...]" = (
        (400, "bad_request", "many", {}),
        (404, "not_found", "many", {"variant": "other"}),
        (409, "no_delta", "failed", {}),
    )
    for status, code, job, query in listed_wrongly:
        response = jobs.get(job, "layers", **query)
        assert (response.status, response.json["code"]) == (status, code), (job, query, response.json)
    assert jobs.kend.get(f"/v1/jobs/{nobody}/layers").status == 404
    assert jobs.kend.get(f"/v1/jobs/{nobody}/compare").status == 404
    assert jobs.get("none", "layers").json["data"], "a report has layers without a delta, too"


def test_others_jobs_cannot_be_compared(tmp_path: Path) -> None:
    house = House(tmp_path)
    with house.kend:
        mine, theirs = house.job("submit"), house.job("foreign")
        told = house.ask("submit", "GET", f"/v1/jobs/{mine}/compare?with={theirs}")
        unknown = house.ask("submit", "GET", f"/v1/jobs/{mine}/compare?with=job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C")
        assert (told.status, told.json) == (404, unknown.json)
        assert house.ask("admin", "GET", f"/v1/jobs/{mine}/compare?with={theirs}").status == 200


def test_a_long_row(tmp_path: Path, files: Path) -> None:  # noqa: F811
    """As of a tensor with hundreds of tied names, each of 4 KiB."""
    with kend_of(tmp_path) as kend:
        job = kend.submit(of_files(files))
        kend.wait(job)
        paths = [f"/v1/jobs/{job}/{path}" for path in ("layers", "tensors")]
        before = [kend.get(path).json for path in paths]
        rows = kend.data / "artifacts" / job / ".kend" / "tensors.jsonl"
        first, *others = rows.read_text().splitlines()
        rows.write_text("\n".join([first[:-1] + " " * (1 << 20) + "}", *others]) + "\n")
        for path, shown in zip(paths, before):
            response = kend.get(path)
            assert (response.status, response.json) == (200, shown)


def test_many_at_once(jobs: Jobs) -> None:
    """Threads are few: who finds none is told to come again, and nobody waits for ever; HEAD is answered as GET is."""
    job, other = jobs.ids["packed"], jobs.ids["whole"]
    whats = ("layers", "compare", "layers.png?role=embed")
    wanted = {what: jobs.kend.get(f"/v1/jobs/{job}/{what}").body for what in whats}
    seen: "list[tuple[int, bool]]" = []

    def ask(what: str, query: "dict[str, Any]") -> None:
        for _ in range(6):
            answer = jobs.kend.get(f"/v1/jobs/{job}/{what}{'&' if '?' in what else '?'}{urlencode(query)}")
            seen.append((answer.status, bool(query) or answer.body == wanted[what] or answer.status == 429))

    nothing: "list[dict[str, Any]]" = [{}, {}]
    threads = [threading.Thread(target=ask, args=(what, query)) for what in wanted for query in nothing]
    threads += [threading.Thread(target=ask, args=("compare", {"with": other, "limit": n})) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 60 and {status for status, _ in seen} <= {200, 429} and all(same for _, same in seen)
    assert jobs.get("packed", "compare").body == wanted["compare"]
    head = jobs.kend.request("HEAD", f"/v1/jobs/{job}/layers")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(wanted["layers"])))


def test_kend_stops_while_it_compares(tmp_path: Path) -> None:
    """Who waits is answered or hung up on; the process ends well."""
    files = tmp_path / "files"
    files.mkdir()
    write_tiled(files / "base", 64 << 20, 1, n=4096)
    write_tiled(files / "model", 64 << 20, 1, 0.01, n=4096)
    with Kend(tmp_path, {"fetch.file_roots": str(files)}) as kend:
        pair = {"model": f"file://{files}/model", "base": f"file://{files}/base", "outputs": ["delta"]}
        variants = [{"name": f"v{k}", "k": 1000 + k, "method": "magnitude"} for k in range(4)]
        job = kend.submit({**pair, "delta_encoding": "packed", "variants": variants})
        assert kend.wait(job)["status"] == "succeeded"

        def ask(number: int) -> None:
            path = f"/v1/jobs/{job}/compare?variant=v{number}&with_variant=v{(number + 1) % 4}"
            with contextlib.suppress(OSError, http.client.HTTPException):
                kend.get(path)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        assert kend.stop() == 0
        for thread in threads:
            thread.join()


# ---- the real pair


def test_the_real_pair(tmp_path: Path) -> None:
    with Kend(tmp_path, {"fetch.file_roots": str(DATA)}) as kend:
        variants = [{"name": "half", "keep": 0.5}, {"name": "tenth", "keep": 0.1, "method": "magnitude"}]
        pair = {"model": f"file://{DATA}/finetuned.safetensors", "base": f"file://{DATA}/base.safetensors"}
        job = kend.wait(kend.submit({**pair, "variants": variants}))
        folder = kend.data / "artifacts" / job["id"]
        base = read_safetensors(DATA / "base.safetensors")
        half, tenth = (read_safetensors(folder / name / "model.safetensors") for name in ("half", "tenth"))
        listed = kend.get(f"/v1/jobs/{job['id']}/compare?variant=half&with_variant=tenth&limit=200").json
        assert listed["totals"]["tensors"] == len(listed["data"]) > 20
        for tensor in listed["data"]:
            a, b = (model[tensor["name"]] != base[tensor["name"]] for model in (half, tenth))
            assert (tensor["both"], tensor["only_here"], tensor["only_there"]) == (
                int((a & b).sum()),
                int((a & ~b).sum()),
                int((~a & b).sum()),
            )
        roles = kend.get(f"/v1/jobs/{job['id']}/layers?variant=half").json["data"]
        for role in roles:
            for tensor in role["tensors"]:
                assert re.sub("[0-9]+", "*", tensor["name"]) == role["role"]
                assert tensor["kept"] == int((half[tensor["name"]] != base[tensor["name"]]).sum())
