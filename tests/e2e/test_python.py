# SPDX-License-Identifier: Apache-2.0
"""ken_delta, the package in client/python, gives the very files that kenctl prunes, and refuses whatever is not a delta of its base."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from checkpoints import (
    DTYPES,
    make_header,
    make_index,
    malformed_headers,
    malformed_indexes,
    make_safetensors,
    read_header,
    read_safetensors,
    write_safetensors,
    write_tiled,
)
from deltas import all_tensors, make_pair, ok

PACKAGE = Path(__file__).resolve().parents[2] / "client" / "python"
sys.path.insert(0, str(PACKAGE))
import ken_delta  # noqa: E402

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Array = Any
ENCODINGS = ("plain", "packed")
SIZES = {"F4": 0.5, "F6_E2M3": 0.75, **{name: dtype.itemsize for name, dtype in DTYPES.items()}}


# ---- pairs


def write_kinds(path: Path, tensors: "dict[str, tuple[str, tuple[int, ...], bytes]]") -> None:
    """A file of (dtype, shape, bytes)."""
    entries: "dict[str, Any]" = {"__metadata__": {"format": "pt", "nöte": 'ü"\\\n\u0001\u2028😀'}}
    at = 0
    for name, (dtype, shape, content) in tensors.items():
        assert len(content) == math.prod(shape) * SIZES[dtype], name
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(content)]}
        at += len(content)
    path.write_bytes(make_header(entries) + b"".join(content for _, _, content in tensors.values()))


def values_of(random: np.random.Generator, dtype: str, values: Array) -> bytes:
    """Finite float32 values in a floating dtype, cut off."""
    if dtype == "BF16":
        return (values.astype(np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    return values.astype(DTYPES[dtype]).tobytes()


def make_kinds(folder: Path) -> "tuple[Path, Path]":
    """A pair with every dtype, more than a block of some, bases in other dtypes, scalars, empty tensors, tensors without a base."""
    random = np.random.default_rng(11)
    model: "dict[str, tuple[str, tuple[int, ...], bytes]]" = {}
    base = dict(model)
    floating = ("F64", "F32", "F16", "BF16")
    for dtype, other in itertools.product(floating, floating):
        shape: "tuple[int, ...]" = (300, 1000) if dtype == other else (7, 90)
        old = random.standard_normal(shape, np.float32) * np.float32(0.05)
        new = old + np.float32(0.002) * random.standard_normal(shape, np.float32)
        model[f"{dtype}.of.{other}"] = dtype, shape, values_of(random, dtype, new)
        base[f"{dtype}.of.{other}"] = other, shape, values_of(random, other, old)
    for dtype, shape in itertools.product((*DTYPES, "F4", "F6_E2M3"), ((), (0, 4), (6, 8), (700, 800))):
        if (shape == () and SIZES[dtype] < 1) or (len(shape) == 2 and shape[0] == 700 and dtype not in ("I32", "U8")):
            continue
        content = bytearray(random.bytes(int(math.prod(shape) * SIZES[dtype])))
        if dtype in floating:
            content = bytearray(b"\0" * len(content))
        if dtype == "BOOL":
            content = bytearray(byte & 1 for byte in content)
        base[f"{dtype}{list(shape)}"] = dtype, shape, bytes(content)
        if len(content) > 7:
            content[7] ^= 1
        model[f"{dtype}{list(shape)}"] = dtype, shape, bytes(content)
    model['head.ü"\\\t'] = "F32", (4, 30), values_of(random, "F32", random.standard_normal((4, 30)))
    model["head.F4"] = "F4", (3, 4), b"\1\2\3\4\5\6"
    model["head.empty"] = "I64", (0,), b""
    base["only.in.base"] = "F32", (), bytes(4)
    write_kinds(folder / "model.safetensors", dict(sorted(model.items())))
    write_kinds(folder / "base.safetensors", base)
    return folder / "model.safetensors", folder / "base.safetensors"


def prune(kenctl: Run, model: Path, base: Path, encoding: str, *arguments: object) -> Path:
    """The folder of what a pair is pruned to."""
    out = model.parent / "-".join(map(str, ("out", encoding, *arguments)))
    ok(kenctl("prune", "--model", model, "--base", base, *arguments, "--delta-encoding", encoding, "-o", out))
    return out


def files_of(path: Path) -> "dict[str, bytes]":
    """A model's files by name, of a folder or of a single file."""
    files = [p for p in path.iterdir() if p.name.startswith("model")] if path.is_dir() else [path]
    return {"model.safetensors" if p == path else p.name: p.read_bytes() for p in files}


def same_bits(array: Array, other: Array) -> bool:
    return bool(array.shape == other.shape and array.dtype == other.dtype and array.tobytes() == other.tobytes())


# ---- the same bytes


@pytest.mark.smoke
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("arguments", (("--k", 1), ("--keep", "0.1"), ("--keep", "0.7", "--rescale", "l1")))
def test_every_dtype(tmp_path: Path, kenctl: Run, encoding: str, arguments: "tuple[object, ...]") -> None:
    model, base = make_kinds(tmp_path)
    out = prune(kenctl, model, base, encoding, *arguments)
    ken_delta.apply_files(base, out / "delta.safetensors", tmp_path / "made")
    assert (tmp_path / "made").read_bytes() == (out / "model.safetensors").read_bytes()
    entries = read_header(out / "model.safetensors")[0]
    arrays = ken_delta.apply(base, out / "delta.safetensors")
    assert list(arrays) == [name for name in entries if name != "__metadata__"]
    for name, array in arrays.items():
        dtype, shape = entries[name]["dtype"], entries[name]["shape"]
        if SIZES[dtype] >= 1:
            assert (array.dtype, list(array.shape)) == (DTYPES[dtype], shape), name
        else:
            assert (array.dtype, array.ndim) == (np.uint8, 1), name
        assert array.flags.writeable and array.flags.owndata or array.base is not None
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("sharded", (False, True))
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_files_and_arrays(tmp_path: Path, kenctl: Run, encoding: str, sharded: bool) -> None:
    model, base = make_pair(tmp_path, sharded)
    arrays = all_tensors(base)
    for arguments in (("--k", 1), ("--k", 20), ("--k", 250), ("--keep", "0.6"), ("--keep", "0.95")):
        out = prune(kenctl, model, base, encoding, *arguments)
        delta = out / "delta.safetensors"
        made = tmp_path / f"made{out.name}"
        ken_delta.apply_files(base, delta, made)
        assert files_of(made) == files_of(out)
        dense = {n: array for path in out.glob("model*.safetensors") for n, array in read_safetensors(path).items()}
        with ken_delta.open(delta) as opened:
            assert opened.sharded == sharded and opened.encoding == encoding
            assert opened.nbytes == sum(array.nbytes for array in dense.values())
            either: "tuple[Any, ...]" = (arrays, base)
            for given in either:
                got = ken_delta.apply(given, opened)
                assert set(got) == set(dense)
                assert all(same_bits(array, dense[name]) for name, array in got.items())
        told = json.loads(ok(kenctl("inspect", delta, "-o", "json")))
        assert ken_delta.inspect(delta) == told
    with pytest.raises(FileExistsError):
        ken_delta.apply_files(base, delta, made)
    ken_delta.apply_files(base, delta, made, replace=True)
    assert files_of(made) == files_of(out)


def test_an_index_and_arrays_as_base_of_files(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path, True)
    out = prune(kenctl, model, base, "plain", "--k", 20)
    (index,) = base.glob("*.index.json")
    either: "tuple[Any, ...]" = (index, str(index), all_tensors(base))
    for number, given in enumerate(either):
        ken_delta.apply_files(given, out / "delta.safetensors", tmp_path / f"made{number}")
        assert files_of(tmp_path / f"made{number}") == files_of(out)


def test_arrays_of_other_layouts(tmp_path: Path, kenctl: Run) -> None:
    """Big-endian and not contiguous: the values count."""
    model, base = make_pair(tmp_path)
    out = prune(kenctl, model, base, "plain", "--k", 20)
    arrays = all_tensors(base)
    expected = ken_delta.apply(arrays, out / "delta.safetensors")
    turned = {n: np.asfortranarray(a.astype(a.dtype.newbyteorder(">"))) for n, a in arrays.items()}
    got = ken_delta.apply(turned, out / "delta.safetensors")
    assert all(same_bits(got[name], array) for name, array in expected.items())


# ---- conversion


def hard_values(dtype: str) -> Array:
    """Bits of values that are hard to convert: all of 16 bits; limits, halves and NaN of others."""
    if SIZES[dtype] == 2:
        return np.arange(1 << 16, dtype=np.uint32).astype("<u2")
    word, wide = (np.uint32, "<f4") if dtype == "F32" else (np.uint64, "<f8")
    random = np.random.default_rng(5)
    random_bits = np.frombuffer(random.bytes(8 * 20000), word)
    halves = []
    for source in ("<f2", "<f4"):
        bits = np.arange(1 << 16, dtype=np.uint32).astype("<u2") if source == "<f2" else random_bits.astype("<u4")
        with np.errstate(all="ignore"):
            narrow = bits.view(source).astype(wide)
            above = (bits + bits.dtype.type(1)).view(source).astype(wide)
            halves += [narrow, (narrow + above) / 2]
    with np.errstate(all="ignore"):
        bf16 = (np.arange(1 << 16, dtype=np.uint32) << 16).view("<f4").astype(wide)
        halves += [bf16, (bf16[:-1] + bf16[1:]) / 2]
    bits = np.concatenate([values.view(word) for values in halves])
    return np.concatenate((random_bits, bits, bits + word(1), bits - word(1))).astype(f"<u{int(SIZES[dtype])}")


def write_delta(path: Path, tensors: "dict[str, Any]", entries: "dict[str, Array]", encoding: str = "plain") -> None:
    """A delta of one file by hand; entries in the right order."""
    model = {"files": [{"name": "model.safetensors", "metadata": None, "tensors": list(tensors)}], "index": None}
    metadata = {"format": "ken-delta", "version": "1", "encoding": encoding, "model": json.dumps(model)}
    write_safetensors(path, entries, {**metadata, "tensors": json.dumps(tensors)})


def told(dtype: str, array: Array, form: str = "same", stored: int = 0, base_dtype: str = "", name: str = "w") -> Any:
    base = {"name": name, "dtype": base_dtype or dtype, "sha256": hashlib.sha256(array.tobytes()).hexdigest()}
    return {"dtype": dtype, "shape": list(array.shape), "base": base, "form": form, "stored": stored}


@pytest.mark.smoke
def test_every_conversion_is_that_of_kenctl(tmp_path: Path, kenctl: Run) -> None:
    floating = ("F64", "F32", "F16", "BF16")
    base = {dtype: hard_values(dtype) for dtype in floating}
    tensors = {
        f"{source}.{target}": told(target, base[source], base_dtype=source, name=source)
        for source, target in itertools.product(floating, floating)
    }
    write_safetensors(tmp_path / "base.safetensors", base, dtypes={dtype: dtype for dtype in floating})
    write_delta(tmp_path / "delta", tensors, {})
    ok(kenctl("inject", "--base", "base.safetensors", "--delta", "delta", "-o", "expected"))
    ken_delta.apply_files(tmp_path / "base.safetensors", tmp_path / "delta", tmp_path / "made")
    expected, made = read_safetensors(tmp_path / "expected"), read_safetensors(tmp_path / "made")
    for name, values in expected.items():
        bits = f"u{values.itemsize}"
        wrong = np.flatnonzero(values.view(bits) != made[name].view(bits))
        assert not wrong.size, (name, wrong[:5], base[name.split(".")[0]][wrong[:5]])
    assert (tmp_path / "expected").read_bytes() == (tmp_path / "made").read_bytes()


@pytest.mark.parametrize("gap_dtype", ("<u2", "<u4"))
def test_gaps_far_and_near(tmp_path: Path, gap_dtype: str) -> None:
    """Over the edges of what is made at a time."""
    elements = 3 << 18
    far = [0, 1, 2, (1 << 18) - 1, 1 << 18, (1 << 18) + 1, (2 << 18) + 5, elements - 1]
    if gap_dtype == "<u2":
        far = sorted({*far, *range(0, elements, 60000)})
    base = np.arange(elements, dtype=np.int32)
    gaps = (np.diff(far, prepend=-1) - 1).astype(gap_dtype)
    values = -np.arange(1, len(far) + 1, dtype=np.int32)
    entries = {"w.values": values, "w.gaps": gaps}
    if gap_dtype == "<u2":
        assert int(gaps.max()) < 65536
    write_delta(tmp_path / "delta", {"w": told("I32", base, "gaps", len(far))}, entries)
    expected = base.copy()
    expected[far] = values
    assert same_bits(ken_delta.apply({"w": base}, tmp_path / "delta")["w"], expected)
    gaps[-1] += 1
    write_delta(tmp_path / "delta", {"w": told("I32", base, "gaps", len(far))}, entries)
    with pytest.raises(ken_delta.DeltaError, match="its gaps lead beyond its 786432 elements"):
        ken_delta.apply({"w": base}, tmp_path / "delta")


# ---- another base


@pytest.mark.smoke
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_another_base_is_refused(tmp_path: Path, kenctl: Run, encoding: str) -> None:
    model, base = make_pair(tmp_path)
    delta = prune(kenctl, model, base, encoding, "--k", 20) / "delta.safetensors"
    name = "layer.1.weight"
    arrays = all_tensors(base)
    near = arrays[name].copy()
    near[2, 7] = np.nextafter(near[2, 7], np.inf)
    changes: "tuple[tuple[dict[str, Any], str], ...]" = (
        ({name: near}, r'base tensor "layer\.1\.weight" has SHA-256 [0-9a-f]{64}, not [0-9a-f]{64}: '),
        ({name: arrays[name] * 1000}, "has SHA-256 "),
        ({name: arrays[name].astype(np.float32)}, "is an array of float32, not of float64|is F32, not F64"),
        ({name: arrays[name].reshape(4096, 3)}, r"has shape \[4096, 3\], not \[3, 4096\]"),
        ({name: None}, 'the base has no tensor "layer.1.weight"'),
    )
    for changed, message in changes:
        other = {**arrays, **changed}
        if other[name] is None:
            del other[name]
        write_safetensors(tmp_path / "other", other)
        for call in (
            lambda: ken_delta.apply(other, delta),
            lambda: ken_delta.apply(tmp_path / "other", delta),
            lambda: ken_delta.apply_files(tmp_path / "other", delta, tmp_path / "made"),
        ):
            with pytest.raises(ken_delta.WrongBase, match=message) as raised:
                call()
            assert raised.value.tensor == name
    assert not list(tmp_path.glob("made*"))
    with pytest.raises(TypeError):
        ken_delta.apply(17, delta)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        ken_delta.apply(tmp_path / "none", delta)


def test_malformed_bases_are_refused(tmp_path: Path) -> None:
    write_delta(tmp_path / "delta", {"a": told("F32", np.zeros(2, np.float32), name="a")}, {})
    (tmp_path / "good").write_bytes(make_safetensors({"a": np.zeros(2, np.float32)}))
    assert set(ken_delta.apply(tmp_path / "good", tmp_path / "delta")) == {"a"}
    for name, content, _, _ in malformed_headers():
        if name == "too-many-tensors":  # within the limits here
            continue
        (tmp_path / "base").write_bytes(content)
        with pytest.raises(ken_delta.CheckpointError):
            ken_delta.apply(tmp_path / "base", tmp_path / "delta")
    for name in "st":
        values = {"a" if name == "s" else "b": np.zeros(2, np.float32)}
        (tmp_path / f"{name}.safetensors").write_bytes(make_safetensors(values))
    for name, content, _, _ in malformed_indexes():
        (tmp_path / "model.safetensors.index.json").write_bytes(content)
        with pytest.raises(ken_delta.CheckpointError):
            ken_delta.apply(tmp_path, tmp_path / "delta")
    (tmp_path / "model.safetensors.index.json").write_bytes(make_index({"a": "s.safetensors", "b": "t.safetensors"}))
    assert set(ken_delta.apply(tmp_path, tmp_path / "delta")) == {"a"}
    (tmp_path / "folder").mkdir()
    with pytest.raises(ken_delta.CheckpointError, match="no checkpoint in "):
        ken_delta.apply(tmp_path / "folder", tmp_path / "delta")
    (tmp_path / "folder" / "pytorch_model.bin").write_bytes(b"PK\3\4")
    with pytest.raises(ken_delta.CheckpointError, match="a PyTorch file, and this package reads safetensors"):
        ken_delta.apply(tmp_path / "folder", tmp_path / "delta")


# ---- as a program, and installed


def python(*arguments: object, path: Path = PACKAGE, **options: Any) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, **options)


def test_the_command_line(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path)
    out = prune(kenctl, model, base, "packed", "--k", 20)
    delta = out / "delta.safetensors"
    made = tmp_path / "made.safetensors"
    apply = ("-m", "ken_delta", "apply", "--base", base, "--delta", delta, "-o", made)
    assert ok(python(*apply)) == ""
    assert made.read_bytes() == (out / "model.safetensors").read_bytes()
    again = python(*apply)
    assert (again.returncode, again.stdout) == (1, "") and again.stderr.startswith(
        f"ken_delta: {made} is there already: "
    )
    assert ok(python(*apply, "--force")) == ""
    assert json.loads(ok(python("-m", "ken_delta", "inspect", delta, "--json"))) == ken_delta.inspect(delta)
    lines = ok(python("-m", "ken_delta", "inspect", delta)).splitlines()
    assert lines[0].startswith("delta, encoding packed, ") and 'classifier.ü"weight  F32    [4,64]' in "\n".join(lines)
    for arguments, status, message in (
        (("inspect", base), 1, f'ken_delta: {base}: this is no delta: its metadata do not say format "ken-delta"\n'),
        (("inspect", tmp_path / "none"), 1, f"ken_delta: {tmp_path}/none: there is no such file or folder: "),
        ((), 2, "usage: python -m ken_delta"),
        (("inspect",), 2, "usage: python -m ken_delta inspect"),
    ):
        result = python("-m", "ken_delta", *arguments)
        assert result.returncode == status and result.stderr.startswith(message), result.stderr
    assert f"ken_delta {ken_delta.__version__}\n" == ok(python("-m", "ken_delta", "--version"))
    assert f"kenctl {ken_delta.__version__}\n" == ok(kenctl("--version")), "one version for all of the tree"


def test_the_examples_of_the_readme(tmp_path: Path, kenctl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    model, base = make_pair(tmp_path)
    (tmp_path / "bert").mkdir()
    shutil.copy(base, tmp_path / "bert" / "model.safetensors")
    ok(kenctl("prune", "--model", model, "--base", base, "--k", 20, "--delta-encoding", "packed", "-o", "pruned"))
    model.unlink()
    monkeypatch.chdir(tmp_path)
    readme = (PACKAGE / "README.md").read_text()
    (example,) = re.findall(r"```python\n(import ken_delta.*?)```", readme, re.DOTALL)
    names = {"tensors_of_base": all_tensors(base)}
    exec(example, names)
    dense = tmp_path / "pruned" / "model.safetensors"
    assert model.read_bytes() == dense.read_bytes()
    assert all(same_bits(names["tensors"][name], array) for name, array in read_safetensors(dense).items())
    model.unlink()
    for command in re.findall(r"^python (-m ken_delta .*?)(?: +#.*)?$", readme, re.MULTILINE):
        ok(python(*command.split(), cwd=tmp_path))
    assert model.read_bytes() == dense.read_bytes()


def test_without_zstandard(tmp_path: Path, kenctl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    model, base = make_pair(tmp_path)
    plain, packed = (prune(kenctl, model, base, encoding, "--k", 20) / "delta.safetensors" for encoding in ENCODINGS)
    modules: "dict[str, Any]" = sys.modules
    monkeypatch.setitem(modules, "zstandard", None)
    ken_delta.apply(base, plain)
    assert ken_delta.inspect(packed)["encoding"] == "packed"
    with pytest.raises(ken_delta.MissingZstandard, match="pip install zstandard$"):
        ken_delta.apply(base, packed)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_memory_does_not_depend_on_the_size(tmp_path: Path, kenctl: Run, encoding: str) -> None:
    write_tiled(tmp_path / "base.safetensors", 96 << 20, 1, tensors=1)
    write_tiled(tmp_path / "model.safetensors", 96 << 20, 1, 0.01, tensors=1)
    out = prune(kenctl, tmp_path / "model.safetensors", tmp_path / "base.safetensors", encoding, "--keep", "0.05")
    program = (
        "import resource, sys, ken_delta, zstandard\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "ken_delta.apply_files(*sys.argv[1:])\n"
        "print(peak() - before)\n"
    )
    made = tmp_path / "made"
    grown = ok(python("-c", program, tmp_path / "base.safetensors", out / "delta.safetensors", made))
    assert int(grown) < 32 << 10, "KiB"
    assert (
        hashlib.sha256(made.read_bytes()).digest() == hashlib.sha256((out / "model.safetensors").read_bytes()).digest()
    )


def test_pip_installs_it(tmp_path: Path, kenctl: Run) -> None:
    tree = tmp_path / "tree"  # pip builds in it
    shutil.copytree(PACKAGE, tree, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    for path in (tree, *tree.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)  # it may come from a tree that is read-only
    target = tmp_path / "site"
    options = ("--no-build-isolation", "--no-index", "--no-deps", "--disable-pip-version-check", "-q")
    ok(python("-m", "pip", "install", *options, "--target", target, tree, path=tmp_path))
    assert {p.name for p in (target / "ken_delta").iterdir()} >= {p.name for p in PACKAGE.glob("ken_delta/*.*")}
    (information,) = target.glob("ken_delta-*.dist-info/METADATA")
    lines = information.read_text().replace(" ", "").replace("(", "").replace(")", "").splitlines()
    assert {f"Version:{ken_delta.__version__}", "Requires-Dist:numpy>=1.22", "Provides-Extra:packed"} <= set(lines)
    model, base = make_pair(tmp_path)
    out = prune(kenctl, model, base, "packed", "--k", 20)
    program = "import sys, ken_delta; print(ken_delta.__file__); ken_delta.apply_files(*sys.argv[1:])"
    where = ok(python("-c", program, base, out / "delta.safetensors", tmp_path / "made", path=target, cwd=tmp_path))
    assert where.startswith(str(target))
    assert (tmp_path / "made").read_bytes() == (out / "model.safetensors").read_bytes()
