# SPDX-License-Identifier: Apache-2.0
"""Single values and rows of pruned matrices, held against what NumPy makes of the same inputs and of the pruned model."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any, Iterator
from urllib.parse import urlencode

import numpy as np
import pytest

from checkpoints import from_bf16, read_safetensors, to_bf16, write_safetensors, write_sharded
from daemon import Kend, Response
from deltas import Run, ok
from origin import Origin
from test_heatmap import decode
from torch_files import make_torch

DATA = Path(__file__).parents[1] / "data" / "era-bf16"
GOLDEN = Path(__file__).parents[1] / "golden"
TENSOR = "enc.layers.0.linear2.weight"
Array = np.ndarray[Any, Any]
Tensors = dict[str, Array]


# ---- pairs in every format


def make_tensors() -> "tuple[Tensors, Tensors]":
    random = np.random.default_rng(11)
    shapes = {"wide": (70, 333), "tall": (500, 45), "long": (3, 3000), "vector": (77,), "folded": (20, 3, 7)}
    base: Tensors = {name: random.normal(0, 0.05, shape).astype(np.float32) for name, shape in shapes.items()}
    base["half"] = random.normal(0, 0.05, (64, 96)).astype(np.float16)
    base["double"] = random.normal(0, 300, (40, 70))
    base["huge"] = np.full((2, 40), 1e300) * random.normal(0, 1, (2, 40))
    base["brain"] = to_bf16(random.normal(0, 1, (30, 1000)))
    model = {name: (v + random.normal(0, 0.01, v.shape)).astype(v.dtype) for name, v in base.items()}
    model["brain"] = to_bf16(from_bf16(base["brain"]) + random.normal(0, 0.1, (30, 1000)).astype(np.float32))
    model["wide"][::5] = base["wide"][::5]
    model["same"] = base["same"] = random.normal(0, 1, (3, 9)).astype(np.float32)
    model["equal"], base["equal"] = np.full((2, 12), 0.25, np.float32), np.zeros((2, 12), np.float32)
    model["mixed"], base["mixed"] = base["wide"][:20] * np.float32(1.01), to_bf16(base["wide"][:20])
    model["head"] = random.normal(0, 1, (4, 8)).astype(np.float32)
    return model, base


DTYPES = ({"brain": "BF16"}, {"brain": "BF16", "mixed": "BF16"})


def numbers(tensors: Tensors, name: str, dtypes: "dict[str, str]") -> Array:
    values = tensors[name]
    values = values.reshape(values.shape[0] if values.ndim > 1 else 1, -1)
    return np.asarray(from_bf16(values) if dtypes.get(name) == "BF16" else values)


@dataclasses.dataclass
class Looked:
    kend: Kend
    model: Tensors
    base: Tensors
    jobs: "dict[str, str]"  # by the format of the inputs
    pruned: "dict[tuple[str, str], Path]"

    def get(self, call: str, tensor: str, job: str = "file", variant: str = "half", **query: Any) -> Response:
        text = urlencode({"tensor": tensor, "variant": variant, **query})
        return self.kend.get(f"/v1/jobs/{self.jobs[job]}/{call}?{text}")

    def look(self, call: str, tensor: str, job: str = "file", variant: str = "half", **query: Any) -> "dict[str, Any]":
        response = self.get(call, tensor, job, variant, **query)
        assert response.status == 200, response.body
        return dict(response.json)

    def sides(self, tensor: str, job: str, variant: str) -> "tuple[Array, Array, Array, Array]":
        """Base, fine-tuned and pruned values, and which were kept."""
        pruned = numbers(read_safetensors(self.pruned[job, variant]), tensor, DTYPES[0])
        model, base = numbers(self.model, tensor, DTYPES[0]), numbers(self.base, tensor, DTYPES[1])
        kept = np.asarray(pruned.view(f"u{pruned.itemsize}") != base.astype(pruned.dtype).view(f"u{pruned.itemsize}"))
        return base, model, pruned, kept


VARIANTS: "list[dict[str, Any]]" = [
    {"name": "half", "keep": 0.5},
    {"name": "few", "k": 1, "method": "magnitude"},
    {"name": "stretched", "keep": 0.3, "rescale": "l1"},
    {"name": "most", "keep": 0.99, "method": "random", "seed": 7},
]


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looked]:
    folder = tmp_path_factory.mktemp("row")
    files = folder / "files"
    files.mkdir()
    model, base = make_tensors()
    write_safetensors(files / "model", model, dtypes=DTYPES[0])
    write_safetensors(files / "base", base, dtypes=DTYPES[1])
    names = list(model)
    write_sharded(files / "sharded", [{n: model[n] for n in names[i::3]} for i in range(3)], dtypes=DTYPES[0])
    strided = {**base, "tall": np.asfortranarray(base["tall"])}
    (files / "base.bin").write_bytes(make_torch(strided, dtypes=DTYPES[1]))
    with Origin(files) as origin, Kend(folder, {"fetch.file_roots": str(files)}) as kend:
        pairs = {
            "file": {"model": f"file://{files}/model", "base": f"file://{files}/base"},
            "http": {"model": f"{origin.url}/sharded/", "base": f"{origin.url}/base.bin"},
        }
        pairs["packed"] = {**pairs["http"], "delta_encoding": "packed"}
        jobs = {name: kend.submit({**pair, "variants": VARIANTS}) for name, pair in pairs.items()}
        for job in jobs.values():
            assert kend.wait(job)["status"] == "succeeded"
        pruned: "dict[tuple[str, str], Path]" = {}
        for variant in (str(v["name"]) for v in VARIANTS):
            whole = kend.data / "artifacts" / jobs["file"] / variant / "model.safetensors"
            pruned.update({(job, variant): whole for job in jobs})
        yield Looked(kend, model, base, jobs, pruned)


# ---- values

PRUNED = ("wide", "tall", "long", "vector", "folded", "half", "double", "huge", "brain", "same", "equal", "mixed")


@pytest.mark.parametrize("variant", [str(v["name"]) for v in VARIANTS])
@pytest.mark.parametrize("job", ("file", "http", "packed"))
def test_every_value_is_what_numpy_finds(looked: Looked, job: str, variant: str) -> None:
    for tensor in PRUNED:
        sides = looked.sides(tensor, job, variant)
        rows, n = sides[0].shape
        most = max(1, 4096 // n)
        found: "list[list[Any]]" = [[], [], [], []]
        for y in range(0, rows, most):
            told = looked.look("values", tensor, job, variant, y=y, w=n, h=min(most, rows - y))
            for side, key in zip(found, ("base", "model", "pruned", "kept")):
                side.extend(told[key])
        for side, wanted, key in zip(found, sides, ("base", "model", "pruned", "kept")):
            assert np.array_equal(np.array(side), wanted.astype(bool if key == "kept" else float)), (tensor, key)


@pytest.mark.parametrize("job", ("file", "packed"))
def test_any_region(looked: Looked, job: str) -> None:
    base, model, pruned, kept = looked.sides("wide", job, "stretched")
    for x, y, w, h in ((332, 69, 1, 1), (0, 0, 1, 70), (100, 3, 51, 60), (5, 68, 328, 2)):
        told = looked.look("values", "wide", job, "stretched", x=x, y=y, w=w, h=h)
        assert {key: told[key] for key in "xywh"} == {"x": x, "y": y, "w": w, "h": h}
        assert (told["object"], told["tensor"], told["variant"]) == ("values", "wide", "stretched")
        place = np.s_[y : y + h, x : x + w]
        for key, side in (("base", base), ("model", model), ("pruned", pruned), ("kept", kept)):
            assert np.array_equal(np.array(told[key]), side[place]), (x, y, w, h, key)
    told = looked.look("values", "mixed", job, x=7, y=9)
    assert (told["dtype"], told["base_dtype"]) == ("F32", "BF16") and np.array(told["kept"]).shape == (1, 1)


# ---- rows


def check_row(told: "dict[str, Any]", row: Array, kept: Array) -> None:
    """By NumPy alone: the density is the plain sum of KEN.md, step 3."""
    with np.errstate(over="ignore"):
        x = np.clip(row.astype(np.float64), -3.4028234663852886e38, 3.4028234663852886e38)
    x = x.astype(np.float32).astype(np.float64)
    low, high, s = x.min(), x.max(), x.std()
    assert (told["n"], told["kept"], told["minimum"], told["maximum"]) == (len(x), int(kept.sum()), low, high)
    assert math.isclose(told["mean"], x.mean(), rel_tol=1e-9, abs_tol=1e-12 * s)
    assert math.isclose(told["standard_deviation"], s, rel_tol=1e-12)
    assert math.isclose(told["bandwidth"], 1.06 * s * len(x) ** -0.2, rel_tol=1e-12)
    edges = np.linspace(low, high, 65)
    assert np.array_equal(told["histogram"]["edges"], edges)
    assert np.array_equal(told["histogram"]["all"], np.histogram(x, edges)[0])
    assert np.array_equal(told["histogram"]["kept"], np.histogram(x[kept], edges)[0])
    at, h = np.array(told["density"]["at"]), told["bandwidth"]
    assert np.array_equal(at, np.linspace(low, high, 128))
    sums = np.array([np.exp(-0.5 * ((g - x) / h) ** 2).sum() for g in at])
    wanted = sums / (len(x) * h * math.sqrt(2 * math.pi))
    assert np.allclose(told["density"]["value"], wanted, rtol=1e-9, atol=1e-15 * wanted.max())


@pytest.mark.parametrize("job", ("file", "http", "packed"))
def test_rows_are_what_numpy_finds(looked: Looked, job: str) -> None:
    for tensor in ("wide", "tall", "long", "vector", "folded", "half", "double", "huge", "brain", "mixed"):
        _, model, _, kept = looked.sides(tensor, job, "half")
        for row in {0, model.shape[0] // 2, model.shape[0] - 1}:
            told = looked.look("row", tensor, job, row=row)
            assert (told["object"], told["tensor"], told["variant"], told["row"]) == ("row", tensor, "half", row)
            assert told["k"] == max(1, round(0.5 * model.shape[1])) and told["non_finite"] == 0
            check_row(told, model[row], kept[row])


@pytest.mark.parametrize("variant", [str(v["name"]) for v in VARIANTS])
def test_what_was_selected_adds_up_to_the_report(looked: Looked, variant: str) -> None:
    listed = looked.kend.get(f"/v1/jobs/{looked.jobs['http']}/tensors?variant={variant}&limit=200").json["data"]
    told = {tensor["name"]: tensor for tensor in listed}
    for tensor in ("wide", "vector", "half", "double", "same", "mixed"):
        rows = range(looked.sides(tensor, "http", variant)[0].shape[0])
        seen = [looked.look("row", tensor, "http", variant, row=row) for row in rows]
        assert sum(row["selected"] for row in seen) == told[tensor]["selected"], tensor
        assert sum(row["kept"] for row in seen) == told[tensor]["kept"], tensor


def test_a_row_of_equal_values(looked: Looked) -> None:
    told = looked.look("row", "equal", row=1)
    assert (told["minimum"], told["maximum"], told["mean"], told["standard_deviation"]) == (0.25, 0.25, 0.25, 0)
    assert told["bandwidth"] == 0 and not any(told["density"]["value"])
    assert (told["histogram"]["edges"][0], told["histogram"]["edges"][64]) == (-0.25, 0.75)
    assert sum(told["histogram"]["all"]) == told["histogram"]["all"][32] == 12
    assert (told["selected"], told["kept"], told["histogram"]["kept"][32]) == (6, 6, 6)


def test_values_that_are_no_numbers(tmp_path: Path) -> None:
    base = np.zeros((3, 40), np.float32)
    model = np.random.default_rng(1).normal(0, 1, (3, 40)).astype(np.float32)
    model[1, :3], model[2] = (np.nan, np.inf, -np.inf), np.nan
    write_safetensors(tmp_path / "model", {"a": model})
    write_safetensors(tmp_path / "base", {"a": base})
    pair = {name: f"file://{tmp_path}/{name}" for name in ("model", "base")}
    with Kend(tmp_path, {"fetch.file_roots": str(tmp_path)}) as kend:
        job = kend.submit({**pair, "keep": 0.5, "non_finite": "keep"})
        assert kend.wait(job)["status"] == "succeeded"
        told = kend.get(f"/v1/jobs/{job}/values?tensor=a&y=1&w=4").json
        assert told["model"] == [["NaN", "Infinity", "-Infinity", float(model[1, 3])]]
        assert (told["base"], told["kept"], told["variant"]) == ([[0] * 4], [[True] * 4], None)
        row = kend.get(f"/v1/jobs/{job}/row?tensor=a&row=1").json
        assert (row["n"], row["non_finite"], row["kept"], row["selected"]) == (40, 3, 40, 40)
        assert (row["minimum"], row["maximum"]) == (model[1, 3:].min(), model[1, 3:].max())
        assert sum(row["histogram"]["all"]) == sum(row["histogram"]["kept"]) == 37
        nothing = kend.get(f"/v1/jobs/{job}/row?tensor=a&row=2").json
        assert (nothing["non_finite"], nothing["minimum"], nothing["mean"], nothing["bandwidth"]) == (40, None, None, 0)
        for y in range(3):
            assert kend.get(f"/v1/jobs/{job}/heatmap.png?tensor=a&view=row&y={y}").status == 200


# ---- refusals


@pytest.mark.parametrize(
    ("call", "query", "detail"),
    (
        ("values", {"x": 333}, '"x" must be from 0 to 332: the matrix has 333 columns'),
        ("values", {"y": 70}, '"y" must be from 0 to 69: the matrix has 70 rows'),
        ("values", {"x": 300, "w": 34}, '"w" must be from 1 to 33'),
        ("values", {"y": 69, "h": 2}, '"h" must be from 1 to 1'),
        ("values", {"w": 0}, '"w" must be a whole number from 1 to 4096'),
        ("values", {"h": 5000}, '"h" must be a whole number from 1 to 4096'),
        ("values", {"w": 100, "h": 41}, '"w" and "h" ask for more than 4096 values'),
        ("values", {"x": -1}, '"x" must be a whole number'),
        ("values", {"row": 1}, 'unknown query parameter "row"'),
        ("row", {}, '"row" is needed'),
        ("row", {"row": 70}, '"row" must be from 0 to 69: the matrix has 70 rows'),
        ("row", {"row": 10**30}, '"row" must be from 0 to 69'),
        ("row", {"row": "a"}, '"row" must be a whole number'),
        ("heatmap.png", {"view": "row"}, '"y" is needed'),
        ("heatmap.png", {"view": "row", "y": 70}, '"row" must be from 0 to 69'),
        ("heatmap.png", {"view": "row", "y": 1, "width": 15}, '"width" must be a whole number from 16 to 4096'),
        ("heatmap.png", {"view": "row", "y": 1, "width": 63}, '"width" must be from 64 to 4096 in view row'),
    ),
)
def test_what_cannot_be_looked_at_is_named(looked: Looked, call: str, query: "dict[str, Any]", detail: str) -> None:
    response = looked.get(call, "wide", **query)
    assert (response.status, response.json["code"]) == (400, "bad_request") and detail in response.json["detail"]


def test_unknown_tensors_and_variants(looked: Looked) -> None:
    for call in ("values?", "row?row=0&", "heatmap.png?view=row&y=0&"):
        path = f"/v1/jobs/{looked.jobs['file']}/{call}"
        for query in ("tensor=nothing&variant=half", "tensor=head&variant=half", "tensor=wide&variant=other"):
            assert looked.kend.get(path + query).json["code"] == "not_found"
        for query in ("tensor=wide", "variant=half"):
            assert looked.kend.get(path + query).json["code"] == "bad_request"
        assert looked.kend.get(f"/v1/jobs/job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C/{call}tensor=wide").status == 404


# ---- pictures


def test_a_picture_of_a_row(looked: Looked) -> None:
    _, model, _, kept = looked.sides("wide", "file", "half")
    first = looked.get("heatmap.png", "wide", view="row", y=6, width=640)
    assert first.status == 200 and first.headers["content-type"] == "image/png"
    pixels = decode(first.body).pixels
    assert pixels.shape == (240, 640)
    x = model[6].astype(np.float64)
    columns = np.minimum((x - x.min()) / (x.max() - x.min()) * 640, 639).astype(int)
    strip = np.zeros(640, np.uint8)
    strip[columns] = 1
    strip[columns[kept[6]]] = 2
    assert np.array_equal(pixels[-20:], np.tile(strip, (20, 1)))
    counts = np.histogram(x, 64)[0]
    heights = (pixels[:214] == 1).sum(0)[4::10] + (pixels[:214] == 2).sum(0)[4::10]
    assert counts[np.argmax(heights)] >= 0.9 * counts.max()
    again = looked.get("heatmap.png", "wide", view="row", y=6, width=640)
    assert again.body == first.body and again.headers["etag"] == first.headers["etag"]
    path = f"/v1/jobs/{looked.jobs['file']}/heatmap.png?tensor=wide&variant=half&view=row&y=6&width=640"
    assert looked.kend.request("GET", path, headers={"If-None-Match": first.headers["etag"]}).status == 304
    assert looked.get("heatmap.png", "wide", "packed", view="row", y=6, width=640).body == first.body


def test_the_real_pair_on_every_kernel(tmp_path: Path) -> None:
    """A row of a matrix of the sample: numbers by NumPy, the same bytes whatever kernel, and the golden picture's pixels."""
    dtypes = {name: "BF16" for name in read_safetensors(DATA / "base.safetensors")}
    model = numbers(read_safetensors(DATA / "finetuned.safetensors"), TENSOR, dtypes)
    base = numbers(read_safetensors(DATA / "base.safetensors"), TENSOR, dtypes)
    pair = {"model": f"file://{DATA}/finetuned.safetensors", "base": f"file://{DATA}/base.safetensors"}
    seen: "list[tuple[bytes, bytes]]" = []
    for kernel in ("scalar", "auto"):
        (tmp_path / kernel).mkdir()
        with Kend(tmp_path / kernel, {"fetch.file_roots": str(DATA), "prune.kernel": kernel}) as kend:
            job = kend.submit({**pair, "keep": 0.25})
            assert kend.wait(job)["status"] == "succeeded"
            path = f"/v1/jobs/{job}"
            told = kend.get(f"{path}/row?tensor={TENSOR}&row=17")
            picture = kend.get(f"{path}/heatmap.png?tensor={TENSOR}&view=row&y=17&width=192").body
            seen.append((told.body, picture))
            pruned = numbers(read_safetensors(kend.data / "artifacts" / job / "model.safetensors"), TENSOR, dtypes)
            check_row(told.json, model[17], np.asarray(pruned[17] != base[17]))
    assert seen[0] == seen[1]
    drawn, golden = decode(seen[0][1]), decode((GOLDEN / "row.png").read_bytes())
    assert drawn.palette == golden.palette and np.array_equal(drawn.pixels, golden.pixels)


# ---- kenctl


def test_kenctl_draws_rows_of_jobs_and_folders_alike(looked: Looked, tmp_path: Path, kenctl: Run) -> None:
    files = looked.kend.data.parent / "files"
    ok(kenctl("prune", "--model", files / "model", "--base", files / "base", "--keep", "0.5", "-o", "out"))
    options = ("wide", "--view", "row", "--row", 6, "--width", 200)
    ok(kenctl("heatmap", "out", *options, "--model", files / "model", "-o", "folder.png"))
    ok(
        kenctl(
            "--server",
            looked.kend.url,
            "heatmap",
            looked.jobs["packed"],
            *options,
            "--variant",
            "half",
            "-o",
            "job.png",
        )
    )
    assert (tmp_path / "folder.png").read_bytes() == (tmp_path / "job.png").read_bytes()
    for status, message, arguments in (
        (2, "go together", ("wide", "--view", "row")),
        (2, "go together", ("wide", "--row", "6")),
        (2, "--row is", ("wide", "--view", "row", "--row", "-1")),
        (2, "no --region, --max or --legend", ("wide", "--view", "row", "--row", "6", "--region", "0,0,1,1")),
        (2, "needs --model", ("wide", "--view", "row", "--row", "6")),
        (2, '"row" must be', ("wide", "--view", "row", "--row", "70", "--model", files / "model")),
        (2, '"width" must be', ("wide", "--view", "row", "--row", "7", "--width", "20", "--model", files / "model")),
        (1, "no pruned tensor", ("head", "--view", "row", "--row", "1", "--model", files / "model")),
        (1, "no such tensor", ("half", "--view", "row", "--row", "1", "--model", DATA / "finetuned.safetensors")),
    ):
        result = kenctl("heatmap", "out", *arguments, "-o", "p.png")
        assert result.returncode == status and message in result.stderr, (arguments, result.stderr)


def test_kenctl_shows_values(looked: Looked, kenctl: Run) -> None:
    base, model, pruned, kept = looked.sides("wide", "file", "half")
    server = ("--server", looked.kend.url, "values", looked.jobs["file"], "wide", "--variant", "half")
    lines = [line.split() for line in ok(kenctl(*server, "--region", "5,6,2,3")).splitlines()]
    assert lines[0] == ["ROW", "COLUMN", "BASE", "MODEL", "PRUNED", "KEPT"] and len(lines) == 7
    for line in lines[1:]:
        y, x = int(line[0]), int(line[1])
        assert [np.float32(text) for text in line[2:5]] == [base[y, x], model[y, x], pruned[y, x]]
        assert line[5] == ("yes" if kept[y, x] else "no")
    assert [line.split()[:2] for line in ok(kenctl(*server, "--at", "69,332")).splitlines()[1:]] == [["69", "332"]]
    for status, message, arguments in (
        (2, "needs --at", ()),
        (2, "needs --at", ("--at", "1,1", "--region", "0,0,1,1")),
        (2, "--at is", ("--at", "1,")),
        (2, "--region is", ("--region", "1,2,3,4,5")),
        (1, '"x" must be from 0 to 332', ("--at", "0,333")),
    ):
        result = kenctl(*server, *arguments)
        assert result.returncode == status and message in result.stderr, (arguments, result.stderr)
