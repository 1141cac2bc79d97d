# SPDX-License-Identifier: Apache-2.0
"""Pictures of pruned matrices, held against what NumPy makes of the same inputs and of the pruned model."""

from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path
from typing import Any, Iterator
from urllib.parse import urlencode

import numpy as np
import pytest

from checkpoints import from_bf16, read_safetensors, write_safetensors
from daemon import Kend, Response
from deltas import Run, ok
from pictures import decode

DATA = Path(__file__).parents[1] / "data" / "era-bf16"
GOLDEN = Path(__file__).parents[1] / "golden"
VIEWS = ("mask", "neighbors", "density", "delta")
CELL = 32
TENSOR = "enc.layers.0.linear2.weight"
Array = np.ndarray[Any, Any]


# ---- matrices, and what must be seen of them


@dataclasses.dataclass
class Matrix:
    model: Array
    base: Array
    pruned: Array
    kept: Array

    def neighbours(self) -> Array:
        padded = np.pad(self.kept, 1).astype(int)
        return np.asarray((padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]) * self.kept)

    def cells(self, values: Array) -> Array:
        """Sums over cells, each at all its places."""
        rows, n = values.shape
        full = np.zeros((-(-rows // CELL) * CELL, -(-n // CELL) * CELL))
        full[:rows, :n] = values
        sums = full.reshape(full.shape[0] // CELL, CELL, -1, CELL).sum((1, 3))
        return np.asarray(np.kron(sums, np.ones((CELL, CELL)))[:rows, :n])


def matrix(model: Path, base: Path, pruned: Path, name: str) -> Matrix:
    values = [read_safetensors(path)[name] for path in (model, base, pruned)]
    bits = [v.view(f"u{v.itemsize}").reshape(v.shape[0] if v.ndim > 1 else 1, -1) for v in values]
    kept = np.asarray(bits[2] != bits[1])
    numbers = [
        np.asarray(from_bf16(b) if v.dtype == np.uint16 else b.view(v.dtype), float) for b, v in zip(bits, values)
    ]
    return Matrix(numbers[0], numbers[1], numbers[2], kept)


def colours(level: Array, shown: Array) -> Array:
    return np.asarray(np.where(shown, 1 + np.floor(np.clip(level, 0, 1) * 254 + 0.5), 0))


def expected(of: Matrix, view: str, end: float) -> Array:
    """One pixel for each element."""
    if view == "mask":
        return colours(0.5 + 0.5 * (of.pruned / end), of.kept)
    if view == "neighbors":
        return colours(of.neighbours() / end, of.kept)
    if view == "density":
        return colours(of.kept / end, np.ones_like(of.kept))
    moved = np.round(np.abs(of.model - of.base) * 2.0**30) / 2.0**30
    return colours(of.cells(moved).astype(np.float32) / of.cells(np.ones_like(moved)) / end, np.ones_like(of.kept))


# ---- a kend with jobs


@dataclasses.dataclass
class Drawn:
    kend: Kend
    files: Path
    job: str  # variants half, few and most of the matrices below, plain; "packed" is half's, packed
    packed: str
    model: dict[str, Path]

    def get(self, tensor: str, variant: str = "half", method: str = "GET", **query: Any) -> Response:
        headers = query.pop("headers", {})
        if variant == "packed":
            path = f"/v1/jobs/{self.packed}/heatmap.png?" + urlencode({"tensor": tensor, **query})
        else:
            path = f"/v1/jobs/{self.job}/heatmap.png?" + urlencode({"tensor": tensor, "variant": variant, **query})
        return self.kend.request(method, path, headers=headers)

    def draw(self, tensor: str, variant: str = "half", **query: Any) -> "tuple[Array, float]":
        response = self.get(tensor, variant, **query)
        assert response.status == 200, response.body
        return decode(response.body).pixels, float(response.headers["x-heatmap-max"])

    def matrix(self, tensor: str, variant: str = "half") -> Matrix:
        return matrix(self.files / "model", self.files / "base", self.model[variant], tensor)


def make_pair(folder: Path) -> None:
    random = np.random.default_rng(3)
    shapes = {"wide": (70, 333), "tall": (500, 45), "long": (3, 3000), "vector": (77,), "folded": (20, 3, 7)}
    base: "dict[str, Any]" = {name: random.normal(0, 0.05, shape).astype(np.float32) for name, shape in shapes.items()}
    base["half"] = random.normal(0, 0.05, (64, 96)).astype(np.float16)
    base["double"] = random.normal(0, 300, (40, 70))
    model = {name: (v + random.normal(0, 0.01, v.shape)).astype(v.dtype) for name, v in base.items()}
    model["wide"][::5] = base["wide"][::5]
    model["ids"] = base["ids"] = np.arange(9)
    model["head"] = random.normal(0, 1, (4, 8)).astype(np.float32)
    write_safetensors(folder / "model", model)
    write_safetensors(folder / "base", base)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drawn]:
    folder = tmp_path_factory.mktemp("heatmap")
    files = folder / "files"
    files.mkdir()
    make_pair(files)
    variants: "list[dict[str, Any]]" = [
        {"name": "half", "keep": 0.5},
        {"name": "few", "k": 1, "method": "magnitude", "rescale": "l1"},
        {"name": "most", "keep": 0.99},
    ]
    with Kend(folder, {"fetch.file_roots": str(files)}) as kend:
        pair: "dict[str, Any]" = {"model": f"file://{files}/model", "base": f"file://{files}/base"}
        documents: "list[dict[str, Any]]" = [
            dict(pair, variants=variants),
            dict(pair, keep=0.5, delta_encoding="packed", outputs=["delta"]),
        ]
        jobs = [kend.wait(kend.submit(document)) for document in documents]
        assert [job["status"] for job in jobs] == ["succeeded"] * 2, [job["error"] for job in jobs]
        folders = kend.data / "artifacts" / jobs[0]["id"]
        models = {v["name"]: folders / str(v["name"]) / "model.safetensors" for v in variants}
        yield Drawn(kend, files, jobs[0]["id"], jobs[1]["id"], models)


@pytest.mark.parametrize("variant", ("half", "few", "most"))
@pytest.mark.parametrize("view", VIEWS)
def test_every_element_is_what_numpy_finds(drawn: Drawn, variant: str, view: str) -> None:
    for tensor in ("wide", "tall", "folded", "half", "double"):
        of = drawn.matrix(tensor, variant)
        rows, n = of.kept.shape
        pixels, end = drawn.draw(tensor, variant, view=view, width=n)
        assert pixels.shape == (max(rows, 16), n)
        wanted = expected(of, view, end)[np.arange(max(rows, 16)) * rows // max(rows, 16)]
        assert np.array_equal(pixels, wanted), (tensor, np.argwhere(pixels != wanted)[:5])


@pytest.mark.parametrize("view", VIEWS)
def test_any_region_enlarged(drawn: Drawn, view: str) -> None:
    for tensor, x, y, w, h, width in (
        ("wide", 17, 31, 40, 20, 100),
        ("tall", 44, 499, 1, 1, 16),
        ("long", 1000, 1, 90, 2, 90),
    ):
        of = drawn.matrix(tensor)
        pixels, end = drawn.draw(tensor, view=view, x=x, y=y, w=w, h=h, width=width)
        height = pixels.shape[0]
        places = np.ix_(y + np.arange(height) * h // height, x + np.arange(width) * w // width)
        assert np.array_equal(pixels, expected(of, view, end)[places]), tensor


def test_a_pixel_of_several_elements_is_their_mean(drawn: Drawn) -> None:
    of = drawn.matrix("wide")
    pixels, end = drawn.draw("wide", x=3, y=5, w=320, h=64, width=80)
    means = of.kept[5:69, 3:323].reshape(16, 4, 80, 4).mean((1, 3))
    assert end == 1 and np.array_equal(pixels, colours(means, np.ones_like(means)))
    pixels, end = drawn.draw("wide", view="neighbors", x=3, y=5, w=320, h=64, width=80)
    stored = of.kept[5:69, 3:323].reshape(16, 4, 80, 4).sum((1, 3))
    summed = of.neighbours()[5:69, 3:323].reshape(16, 4, 80, 4).sum((1, 3))
    assert end == 4 and np.array_equal(pixels, colours(summed / np.maximum(stored, 1) / 4, stored > 0))


def test_from_afar_whole_cells_are_seen(drawn: Drawn) -> None:
    of = drawn.matrix("tall")
    pixels, _ = drawn.draw("tall", x=0, y=0, w=32, h=500, width=16, max=0.8)
    assert pixels.shape == (250, 16)
    big = drawn.draw("long", width=16, view="density")[0]
    counted = drawn.matrix("long").cells(drawn.matrix("long").kept.astype(float))
    assert big.shape == (16, 16) and counted.max() <= 96
    assert np.array_equal(
        pixels, colours(of.kept[:, :32].reshape(250, 2, 16, 2).mean((1, 3)) / 0.8, np.ones((250, 16), bool))
    )


@pytest.mark.parametrize("view", ("neighbors", "density", "delta"))
def test_both_encodings_give_the_same_pictures(drawn: Drawn, view: str) -> None:
    for tensor in ("wide", "tall", "double"):
        plain, packed = drawn.get(tensor, view=view), drawn.get(tensor, "packed", view=view)
        assert plain.status == 200 and plain.body == packed.body


def test_kept_places_of_a_packed_delta_are_seen(drawn: Drawn) -> None:
    """Its values are differences to the base: sign and size are those of the cell."""
    of = drawn.matrix("wide")
    pixels, end = drawn.draw("wide", "packed", view="mask", width=333)
    assert np.array_equal(pixels > 0, of.kept)
    means = of.cells(of.pruned * of.kept) / np.maximum(of.cells(of.kept.astype(float)), 1)
    assert np.abs(pixels - colours(0.5 + 0.5 * means / end, of.kept)).max() <= 1


def test_the_scale_is_that_of_all_tensors(drawn: Drawn) -> None:
    ends = {drawn.draw(tensor, view="mask", width=16)[1] for tensor in ("wide", "half", "double")}
    assert len(ends) == 1
    pixels, end = drawn.draw("wide", view="mask", width=333, max=0.125)
    assert end == 0.125 and np.array_equal(pixels, expected(drawn.matrix("wide"), "mask", 0.125))


def test_a_picture_is_the_same_again_and_not_sent_again(drawn: Drawn) -> None:
    first = drawn.get("wide", view="mask")
    assert first.body == drawn.get("wide", view="mask").body
    assert first.headers["content-type"] == "image/png" and first.headers["cache-control"] == "private, no-cache"
    again = drawn.get("wide", view="mask", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert drawn.get("wide", view="delta", headers={"If-None-Match": first.headers["etag"]}).status == 200
    head = drawn.get("wide", method="HEAD", view="mask")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(first.body)))


@pytest.mark.parametrize(
    ("query", "detail"),
    (
        ({"x": 333}, '"x" must be from 0 to 332: the matrix has 333 columns'),
        ({"y": 70}, '"y" must be from 0 to 69: the matrix has 70 rows'),
        ({"x": 300, "w": 34}, '"w" must be from 1 to 33'),
        ({"y": 69, "h": 2}, '"h" must be from 1 to 1'),
        ({"w": 0}, '"w" must be a whole number'),
        ({"x": -1}, '"x" must be a whole number'),
        ({"y": 10**30}, '"y" must be from 0 to 69'),
        ({"width": 15}, '"width" must be a whole number from 16 to 4096'),
        ({"width": 4097}, '"width" must be a whole number from 16 to 4096'),
        ({"width": 4096, "w": 40, "h": 40}, '"width" is too large'),
        ({"view": "column"}, '"view" must be one of mask, neighbors, density, delta, compare, row'),
        ({"max": 0}, '"max" must be a number above 0'),
        ({"max": "nan"}, '"max" must be a number above 0'),
        ({"max": "1e999"}, '"max" must be a number above 0'),
        ({"legend": "yes"}, '"legend" must be true or false'),
        ({"with_variant": "few"}, '"with_variant" belongs to view compare'),
        ({"colour": 1}, '"colour"'),
    ),
)
def test_what_cannot_be_drawn_is_named(drawn: Drawn, query: "dict[str, Any]", detail: str) -> None:
    response = drawn.get("wide", **query)
    assert response.status == 400 and response.json["code"] == "bad_request"
    assert detail in response.json["detail"]


def test_unknown_tensors_and_variants(drawn: Drawn) -> None:
    for tensor, variant in (("nothing", "half"), ("ids", "half"), ("head", "half"), ("wide", "other")):
        assert drawn.get(tensor, variant).json["code"] == "not_found"
    for query in ("tensor=wide", "variant=half"):
        assert drawn.kend.get(f"/v1/jobs/{drawn.job}/heatmap.png?{query}").json["code"] == "bad_request"
    assert drawn.kend.get("/v1/jobs/job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C/heatmap.png?tensor=wide").status == 404


def test_without_a_delta(drawn: Drawn) -> None:
    pair = {"model": f"file://{drawn.files}/model", "base": f"file://{drawn.files}/base"}
    delta = drawn.kend.data / "artifacts" / drawn.packed / "delta.safetensors"
    (drawn.files / "delta").write_bytes(delta.read_bytes())
    jobs: "list[dict[str, Any]]" = [
        {**pair, "k": 3, "outputs": ["model", "report"]},
        {"kind": "inject", "base": pair["base"], "delta": f"file://{drawn.files}/delta"},
        {**pair, "model": pair["model"] + "-is-not-there", "k": 3},
    ]
    for document in jobs:
        job = drawn.kend.wait(drawn.kend.submit(document))
        response = drawn.kend.get(f"/v1/jobs/{job['id']}/heatmap.png?tensor=wide")
        assert (response.status, response.json["code"]) == (409, "no_delta")


def test_many_at_once_are_the_same(drawn: Drawn) -> None:
    wanted = {view: drawn.get("tall", view=view).body for view in VIEWS}
    seen: "list[bool]" = []

    def look(view: str) -> None:
        seen.extend(drawn.get("tall", view=view).body == wanted[view] for _ in range(5))

    threads = [threading.Thread(target=look, args=(VIEWS[i % 4],)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 60 and all(seen)


# ---- the real pair


@pytest.mark.smoke
def test_a_matrix_of_the_real_pair(tmp_path: Path, kenctl: Run) -> None:
    shapes = {n: v.shape for n, v in read_safetensors(DATA / "base.safetensors").items() if v.ndim == 2}
    name = max(shapes, key=lambda n: shapes[n][0] * shapes[n][1])
    model, base = DATA / "finetuned.safetensors", DATA / "base.safetensors"
    ok(kenctl("prune", "--model", model, "--base", base, "--keep", "0.25", "-o", "out"))
    of = matrix(model, base, tmp_path / "out" / "model.safetensors", name)
    rows, n = of.kept.shape
    for view in ("neighbors", "density"):
        ok(
            kenctl(
                "heatmap",
                "out",
                name,
                "--view",
                view,
                "--region",
                f"0,0,{n},{min(rows, 256)}",
                "--width",
                n,
                "-o",
                f"{view}.png",
            )
        )
        pixels = decode((tmp_path / f"{view}.png").read_bytes()).pixels
        assert np.array_equal(pixels, expected(of, view, 4 if view == "neighbors" else 1)[:256])
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    told = next(tensor for tensor in report["tensors"] if tensor["name"] == name)
    assert told["kept"] == int(of.kept.sum())


@pytest.mark.parametrize("view", VIEWS)
def test_golden_pictures(tmp_path: Path, kenctl: Run, view: str) -> None:
    """The same pixels in the same colours; how zlib packs them is its release's own affair."""
    model, base = DATA / "finetuned.safetensors", DATA / "base.safetensors"
    ok(kenctl("prune", "--model", model, "--base", base, "--keep", "0.25", "--outputs", "delta", "-o", "out"))
    ok(kenctl("heatmap", "out", TENSOR, "--view", view, "--region", "40,30,96,64", "--width", 192, "-o", "part.png"))
    drawn, golden = (decode(path.read_bytes()) for path in (tmp_path / "part.png", GOLDEN / f"heatmap-{view}.png"))
    assert drawn.palette == golden.palette and np.array_equal(drawn.pixels, golden.pixels)


# ---- kenctl


def test_kenctl_draws_jobs_and_folders_alike(drawn: Drawn, tmp_path: Path, kenctl: Run) -> None:
    files = drawn.files
    document = {"model": str(files / "model"), "base": str(files / "base"), "variants": [{"name": "half", "keep": 0.5}]}
    (tmp_path / "job.json").write_text(json.dumps(document))
    ok(kenctl("prune", "--job", "job.json", "-o", "out"))
    options = ("wide", "--variant", "half", "--view", "mask", "--region", "5,6,70,60", "--width", 140, "--max", "0.2")
    ok(kenctl("--server", drawn.kend.url, "heatmap", drawn.job, *options, "-o", "job.png"))
    told = json.loads(ok(kenctl("heatmap", "out", *options, "-o", "folder.png", "--json")))
    drawn_bytes = (tmp_path / "folder.png").read_bytes()
    assert told == {"output": "folder.png", "bytes": len(drawn_bytes)}
    assert drawn_bytes == (tmp_path / "job.png").read_bytes()
    refused = kenctl("heatmap", "out", *options, "-o", "folder.png")
    assert refused.returncode == 1 and "--force" in refused.stderr
    ok(kenctl("heatmap", "out", *options, "-o", "folder.png", "-f"))


def test_kenctl_tells_what_is_wrong(drawn: Drawn, tmp_path: Path, kenctl: Run) -> None:
    ok(kenctl("prune", "--model", drawn.files / "model", "--base", drawn.files / "base", "--k", 9, "-o", "out"))
    ok(kenctl("prune", "--model", drawn.files / "model", "--base", drawn.files / "base", "--k", 8, "-o", "other"))
    for status, message, arguments in (
        (2, "needs -o", ("out", "wide")),
        (2, "--view is", ("out", "wide", "--view", "column", "-o", "p.png")),
        (2, "--region is", ("out", "wide", "--region", "1,2,3", "-o", "p.png")),
        (2, "--width is", ("out", "wide", "--width", "9", "-o", "p.png")),
        (2, "--max is", ("out", "wide", "--max", "-1", "-o", "p.png")),
        (2, '"x" must be', ("out", "wide", "--region", "333,0,1,1", "-o", "p.png")),
        (1, "nothing: no pruned tensor", ("out", "nothing", "-o", "p.png")),
        (1, "cannot read", ("out", "wide", "--variant", "half", "-o", "p.png")),
        (1, "no pruned tensor", (drawn.job, "nothing", "--variant", "half", "-o", "p.png")),
        (1, "not found", ("job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C", "wide", "-o", "p.png")),
    ):
        result = kenctl("--server", drawn.kend.url, "heatmap", *arguments)
        assert result.returncode == status and message in result.stderr.replace("Not", "not"), (
            arguments,
            result.stderr,
        )
    (tmp_path / "out" / "delta.safetensors").write_bytes((tmp_path / "other" / "delta.safetensors").read_bytes())
    result = kenctl("heatmap", "out", "wide", "-o", "p.png")
    assert result.returncode == 1 and "another delta" in result.stderr
    assert not (tmp_path / "p.png").exists()
