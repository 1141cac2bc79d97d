# SPDX-License-Identifier: Apache-2.0
"""Legends, layers side by side, and comparisons of masks as pictures: held against NumPy, and against what is written in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checkpoints import read_safetensors, write_safetensors
from daemon import Kend
from layered import DATA, Jobs, jobs  # noqa: F401  a fixture
from pictures import INK, LAST, PAPER, Picture, decode, on_paper, written

GOLDEN = Path(__file__).parents[1] / "golden"
BOTH, HERE, THERE, NEITHER = (20, 20, 20), (0, 114, 178), (240, 170, 40), (240, 240, 240)
ROLE = "layer.*.mlp.weight"
TENSOR = "layer.3.mlp.weight"
Array = np.ndarray[Any, Any]


def draw(jobs: Jobs, job: str, what: str, **query: Any) -> Picture:
    response = jobs.get(job, what, **query)
    assert response.status == 200, response.body
    assert response.headers["content-type"] == "image/png" and response.headers["cache-control"] == "private, no-cache"
    again = jobs.kend.get(
        f"/v1/jobs/{jobs.ids[job]}/{what}?" + "&".join(f"{k}={v}" for k, v in query.items()),
        headers={"If-None-Match": response.headers["etag"]},
    )
    assert (again.status, again.body) == (304, b"")
    return decode(response.body)


# ---- comparisons


@pytest.mark.parametrize(
    ("here", "there"),
    (
        (("many", "half"), ("many", "few")),
        (("many", "few"), ("packed", "")),
        (("packed", ""), ("whole", "")),
        (("whole", ""), ("whole", "")),
    ),
)
def test_each_element_has_the_colour_of_its_kind(jobs: Jobs, here: "tuple[str, str]", there: "tuple[str, str]") -> None:
    query: "dict[str, Any]" = {"tensor": TENSOR, "view": "compare", "width": 70, "with": jobs.ids[there[0]]}
    query.update({name: value for name, value in (("variant", here[1]), ("with_variant", there[1])) if value})
    seen = draw(jobs, here[0], "heatmap.png", **query).colours()
    a, b = jobs.kept(*here)[TENSOR], jobs.kept(*there)[TENSOR]
    assert seen.shape == (40, 70, 3)
    for colour, kind in ((BOTH, a & b), (HERE, a & ~b), (THERE, ~a & b), (NEITHER, ~a & ~b)):
        assert np.array_equal((seen == colour).all(2), kind)
    part = draw(jobs, here[0], "heatmap.png", **{**query, "x": 9, "y": 3, "w": 20, "h": 20, "width": 40}).colours()
    assert np.array_equal(part, np.kron(seen[3:23, 9:29], np.ones((2, 2, 1), np.uint8)))


def mixed(counts: Array) -> "tuple[int, ...]":
    """Ninths of four colours: rounded down, those left over to what lost most, the first of equals."""
    parts = counts * 9 // counts.sum()
    rest = counts * 9 % counts.sum()
    for _ in range(9 - int(parts.sum())):
        parts[rest.argmax()] += 1
        rest[rest.argmax()] = 0
    return tuple(int(v) for v in (np.array([BOTH, HERE, THERE, NEITHER]) * parts[:, None]).sum(0) // 9 + 0)


def test_colours_of_several_elements_are_mixed(jobs: Jobs) -> None:
    query = {
        "tensor": TENSOR,
        "view": "compare",
        "variant": "half",
        "with_variant": "few",
        "x": 3,
        "w": 64,
        "width": 16,
    }
    seen = draw(jobs, "many", "heatmap.png", **query).colours()
    a, b = (jobs.kept("many", name)[TENSOR][:, 3:67] for name in ("half", "few"))
    for row in range(seen.shape[0]):
        first, end = row * 40 // seen.shape[0], max((row + 1) * 40 // seen.shape[0], row * 40 // seen.shape[0] + 1)
        for column in range(16):
            x, y = a[first:end, 4 * column : 4 * column + 4], b[first:end, 4 * column : 4 * column + 4]
            counts = np.array([(x & y).sum(), (x & ~y).sum(), (~x & y).sum(), (~x & ~y).sum()])
            assert np.abs(np.array(mixed(counts)) - seen[row, column].astype(int)).max() <= 1


def test_what_cannot_be_compared(jobs: Jobs) -> None:
    cases: "tuple[tuple[int, str, dict[str, Any]], ...]" = (
        (400, "bad_request", {"tensor": "odd", "variant": "half", "with": jobs.ids["other"]}),
        (404, "not_found", {"tensor": "embed", "variant": "half", "with": jobs.ids["other"]}),
        (404, "not_found", {"tensor": TENSOR, "variant": "half", "with": "job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C"}),
        (404, "not_found", {"tensor": TENSOR, "variant": "half", "with_variant": "other"}),
        (400, "bad_request", {"tensor": TENSOR, "with_variant": "half"}),
        (400, "bad_request", {"variant": "half"}),
        (400, "bad_request", {"tensor": TENSOR, "variant": "half", "x": 70}),
    )
    for status, code, query in cases:
        response = jobs.get("many", "heatmap.png", view="compare", **query)
        assert (response.status, response.json["code"]) == (status, code), (query, response.json)


# ---- legends


def test_a_legend_stands_around_the_same_picture(jobs: Jobs) -> None:
    for view in ("mask", "neighbors", "density", "delta", "compare"):
        query = {"tensor": TENSOR, "view": view, "variant": "half", "x": 5, "y": 8, "w": 60, "h": 30, "width": 240}
        plain = draw(jobs, "many", "heatmap.png", **query)
        framed = draw(jobs, "many", "heatmap.png", **query, legend="true")
        left, top = 24, 17  # two digits of rows
        inner = framed.pixels[top : top + 120, left : left + 240]
        assert np.array_equal(inner, on_paper(plain.pixels)), view
        assert framed.palette[3 * INK :] == bytes((0, 0, 0, 255, 255, 255))
        below = framed.pixels[top + 120]
        assert [x - left for x in np.flatnonzero(below == INK)] == [4 * (c - 5) + 2 for c in (10, 20, 30, 40, 50, 60)]
        beside = framed.pixels[:, left - 1]
        assert [y - top for y in np.flatnonzero(beside == INK)] == [4 * (r - 8) + 2 for r in (10, 20, 30)]
        assert written(framed.pixels, left + 4 * 5 + 2 - 6, top + 120 + 8, 2) == "10"
    assert written(framed.pixels, left, 4, 12) == "kept by both"


def test_a_legend_tells_the_ends_of_the_scale(jobs: Jobs) -> None:
    query = {"tensor": TENSOR, "view": "mask", "variant": "half", "width": 140, "max": 0.125, "legend": "true"}
    framed = draw(jobs, "many", "heatmap.png", **query).pixels
    top, bar, height = 17, 24 + 140 + 4, 80
    assert list(framed[[top, top + height - 1], bar]) == [LAST, 1]
    assert written(framed, bar + 16, top, 5) == "0.125"
    assert written(framed, bar + 16, top + height - 9, 6) == "-0.125"
    assert written(framed, bar + 16, top + (height - 9) // 2, 1) == "0"


# ---- layers


@pytest.mark.parametrize("view", ("mask", "neighbors", "density", "delta"))
def test_layers_stand_side_by_side(jobs: Jobs, view: str) -> None:
    listed = jobs.get("many", "layers", variant="half").json["data"]
    tensors = next(role["tensors"] for role in listed if role["role"] == ROLE)
    grid = draw(jobs, "many", "layers.png", role=ROLE, variant="half", view=view, width=500)
    assert written(grid.pixels, 8, 4, len(ROLE)) == ROLE
    columns, width, height = 4, 115, 40 * 115 // 70
    assert grid.pixels.shape == (34 + 3 * (height + 22 + 8), 8 + columns * (width + 8))
    for i, tensor in enumerate(tensors):
        x, y = 8 + i % columns * (width + 8), 34 + i // columns * (height + 22 + 8)
        said = f"{i}  kept {100 * tensor['kept_fraction']:.1f}%"
        assert written(grid.pixels, x, y, len(said)) == said
        said = f"relative L2 {tensor['relative_l2']:.3g}"
        assert written(grid.pixels, x, y + 9, len(said)) == said
        alone = draw(jobs, "many", "heatmap.png", tensor=tensor["name"], variant="half", view=view, width=width)
        inner = grid.pixels[y + 22 : y + 22 + height, x : x + width]
        rows = np.arange(height) * 40 // height
        whole = draw(jobs, "many", "heatmap.png", tensor=tensor["name"], variant="half", view=view, width=70).pixels
        assert np.array_equal(inner, on_paper(whole[np.ix_(rows, np.arange(width) * 70 // width)])), tensor["name"]
        assert alone.palette[: 3 * INK] == grid.palette[: 3 * INK]


def test_a_few_layers_take_no_more_room_than_they_need(jobs: Jobs) -> None:
    grid = draw(jobs, "packed", "layers.png", role="embed")
    assert grid.pixels.shape == (34 + 40 * 256 // 70 + 22 + 8, 8 + 256 + 8)
    assert written(grid.pixels, 8, 34, 9) == "kept 19.9" or written(grid.pixels, 8, 34, 5) == "kept "
    assert (grid.pixels[:, :8] == PAPER).all()


def test_layers_that_cannot_be_drawn(jobs: Jobs) -> None:
    cases: "tuple[tuple[int, str, dict[str, Any]], ...]" = (
        (404, "not_found", {"role": "layer.3.mlp.weight", "variant": "half"}),
        (404, "not_found", {"role": "layer.*", "variant": "half"}),
        (404, "not_found", {"role": ROLE, "variant": "other"}),
        (400, "bad_request", {"role": ROLE}),
        (400, "bad_request", {"variant": "half"}),
        (400, "bad_request", {"role": ROLE, "variant": "half", "width": 127}),
        (400, "bad_request", {"role": ROLE, "variant": "half", "view": "compare"}),
        (400, "bad_request", {"role": ROLE, "variant": "half", "max": 0}),
    )
    for status, code, query in cases:
        response = jobs.get("many", "layers.png", **query)
        assert (response.status, response.json["code"]) == (status, code), (query, response.json)


def test_three_hundred_layers(tmp_path: Path) -> None:
    """In one picture that can still be read, and not in one that is too narrow."""
    files = tmp_path / "files"
    files.mkdir()
    random = np.random.default_rng(1)
    base = {f"l.{i}.w": random.normal(0, 1, (60, 8)).astype(np.float32) for i in range(300)}
    write_safetensors(files / "base", base)
    write_safetensors(files / "model", {name: v + np.float32(0.1) * v**2 for name, v in base.items()})
    with Kend(tmp_path, {"fetch.file_roots": str(files)}) as kend:
        job = kend.submit({"model": f"file://{files}/model", "base": f"file://{files}/base", "k": 4})
        assert kend.wait(job)["status"] == "succeeded"
        grid = decode(kend.get(f"/v1/jobs/{job}/layers.png?role=l.*.w").body).pixels
        assert grid.shape[0] <= 4096 and grid.shape[1] <= 1024
        height = (grid.shape[0] - 34) // 38
        assert written(grid, 8, 34 + 37 * height, 12) == "296  kept 50"
        refused = kend.get(f"/v1/jobs/{job}/layers.png?role=l.*.w&width=128")
        assert refused.status == 400 and "300 layers" in refused.json["detail"]


# ---- the real pair


@pytest.mark.parametrize("what", ("legend", "compare", "layers"))
def test_golden_pictures(tmp_path: Path, what: str) -> None:
    """The same pixels in the same colours; how zlib packs them is its release's own affair."""
    with Kend(tmp_path, {"fetch.file_roots": str(DATA)}) as kend:
        pair = {"model": f"file://{DATA}/finetuned.safetensors", "base": f"file://{DATA}/base.safetensors"}
        variants = [{"name": "half", "keep": 0.5}, {"name": "tenth", "keep": 0.1, "method": "magnitude"}]
        job = kend.submit({**pair, "variants": variants})
        assert kend.wait(job)["status"] == "succeeded"
        matrix = "heatmap.png?tensor=enc.layers.0.linear2.weight&variant=half&x=40&y=30&w=96&h=64&width=192&legend=true"
        path = {
            "legend": f"{matrix}&view=delta",
            "compare": f"{matrix}&view=compare&with_variant=tenth",
            "layers": "layers.png?role=enc.layers.*.self_attn.out_proj.weight&variant=half&width=264",
        }[what]
        body = kend.get(f"/v1/jobs/{job}/{path}").body
        golden = GOLDEN / f"heatmap-{what}.png"
        (tmp_path / golden.name).write_bytes(body)
        drawn, wanted = decode(body), decode(golden.read_bytes())
        assert drawn.palette == wanted.palette and np.array_equal(drawn.pixels, wanted.pixels)
        if what == "compare":
            base, *kept = (
                read_safetensors(path)["enc.layers.0.linear2.weight"][30:94, 40:136]
                for path in (
                    DATA / "base.safetensors",
                    *(kend.data / "artifacts" / job / name / "model.safetensors" for name in ("half", "tenth")),
                )
            )
            a, b = (values != base for values in kept)
            seen = drawn.colours()[17 : 17 + 128 : 2, 24 : 24 + 192 : 2]
            assert np.array_equal((seen == BOTH).all(2), a & b) and np.array_equal((seen == THERE).all(2), ~a & b)
