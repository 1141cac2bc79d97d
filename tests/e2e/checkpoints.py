# SPDX-License-Identifier: Apache-2.0
"""Checkpoints for tests: safetensors files written and read with NumPy alone, shards with their index, and malformed ones."""

from __future__ import annotations

import dataclasses
import json
import struct
from pathlib import Path
from typing import Any, Iterator, Mapping, Optional, Sequence, Union

import numpy as np

from torch_files import make_torch, malformed_torch_files

PathLike = Union[str, Path]
Tensors = Mapping[str, "np.ndarray[Any, Any]"]

DTYPES: "dict[str, np.dtype[Any]]" = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),  # the bits: NumPy has no bfloat16
    "C64": np.dtype("<c8"),
    "I64": np.dtype("<i8"),
    "U64": np.dtype("<u8"),
    "I32": np.dtype("<i4"),
    "U32": np.dtype("<u4"),
    "I16": np.dtype("<i2"),
    "U16": np.dtype("<u2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("bool"),
    "F8_E4M3": np.dtype("u1"),
    "F8_E5M2": np.dtype("u1"),
}
NAMES = {dtype: name for name, dtype in reversed(DTYPES.items()) if name not in ("BF16", "F8_E4M3", "F8_E5M2")}


def to_bf16(values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Bits of float32 values rounded to bfloat16, nearest, ties to even; the values must be finite."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def from_bf16(bits: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """float32 values of bfloat16 bits."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


# ---- reading


def read_header(path: PathLike) -> "tuple[dict[str, Any], int]":
    """The header as parsed JSON, and where the data begin."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(length)), 8 + length


def read_metadata(path: PathLike) -> "dict[str, str]":
    """The header's __metadata__, {} if there is none."""
    return read_header(path)[0].get("__metadata__", {})


def read_safetensors(path: PathLike) -> "dict[str, np.ndarray[Any, Any]]":
    """All tensors of one file; BF16 and F8 as their bits."""
    header, begin = read_header(path)
    header.pop("__metadata__", None)
    content = Path(path).read_bytes()
    tensors = {}
    for name, entry in header.items():
        low, high = entry["data_offsets"]
        values = np.frombuffer(content[begin + low : begin + high], DTYPES[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    return tensors


# ---- writing


def make_header(entries: Mapping[str, Any]) -> bytes:
    """A header of this content, in compact JSON, padded with spaces to 8, its length in front."""
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def make_safetensors(
    tensors: Tensors, metadata: Optional[Mapping[str, str]] = None, dtypes: Optional[Mapping[str, str]] = None
) -> bytes:
    """A file of these tensors in their order. dtypes: names where the array's own does not tell, such as {"a": "BF16"}."""
    entries: "dict[str, Any]" = {} if metadata is None else {"__metadata__": dict(metadata)}
    parts = []
    at = 0
    for name, values in tensors.items():
        content = np.ascontiguousarray(values).tobytes()
        dtype = (dtypes or {}).get(name) or NAMES[values.dtype]
        entries[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [at, at + len(content)]}
        parts.append(content)
        at += len(content)
    return make_header(entries) + b"".join(parts)


def write_safetensors(
    path: PathLike,
    tensors: Tensors,
    metadata: Optional[Mapping[str, str]] = None,
    dtypes: Optional[Mapping[str, str]] = None,
) -> None:
    """make_safetensors to a file."""
    Path(path).write_bytes(make_safetensors(tensors, metadata, dtypes))


def make_index(weight_map: Mapping[str, str], metadata: Optional[Mapping[str, Any]] = None) -> bytes:
    """The text of a model.safetensors.index.json."""
    return json.dumps({"metadata": dict(metadata or {}), "weight_map": dict(weight_map)}, indent=2).encode()


def write_sharded(
    folder: PathLike,
    shards: Sequence[Tensors],
    metadata: Optional[Mapping[str, str]] = None,
    dtypes: Optional[Mapping[str, str]] = None,
) -> None:
    """One file for each of the shards, and their index, into a folder, which is made if missing."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    weight_map = {}
    for number, shard in enumerate(shards, 1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        write_safetensors(Path(folder) / name, shard, metadata, dtypes)
        weight_map.update({tensor: name for tensor in shard})
    (Path(folder) / "model.safetensors.index.json").write_bytes(make_index(weight_map))


def write_tiled(path: PathLike, size: int, seed: int, difference: float = 0.0, n: int = 1024, tensors: int = 4) -> None:
    """About `size` bytes of F32 tensors [rows, n], in the memory of one tile: a random tile of 4 MiB repeated. With a `difference`, random
    values that large are added to the tile of the same seed, as fine-tuning would."""
    tile_rows = max(1, (4 << 20) // (4 * n))
    tiles = max(1, size // (4 * n * tile_rows * tensors))
    random = np.random.default_rng(seed)
    tile = random.standard_normal((tile_rows, n), np.float32)
    if difference:
        tile = tile + np.float32(difference) * random.standard_normal((tile_rows, n), np.float32)
    content = tile.tobytes()
    length = len(content) * tiles
    entries = {
        f"layer.{i}.weight": {
            "dtype": "F32",
            "shape": [tile_rows * tiles, n],
            "data_offsets": [i * length, (i + 1) * length],
        }
        for i in range(tensors)
    }
    with open(path, "wb") as file:
        file.write(make_header(entries))
        for _ in range(tensors * tiles):
            file.write(content)


# ---- malformed


@dataclasses.dataclass(frozen=True)
class Malformed:
    """A checkpoint that must be refused. `files` are named as they would lie in one folder; `location` is what to open there: a file's name,
    or "" for the folder itself. `code` is the job's error code and `message` a part of its message."""

    name: str
    files: "dict[str, bytes]"
    code: str
    message: str
    location: str = "model.safetensors"


def raw(header: Union[str, bytes], data: int = 0, length: Optional[int] = None) -> bytes:
    """A file with exactly this header, so many zero bytes behind it, and its length or another one in front."""
    text = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + bytes(data)


def entry(name: str = "a", dtype: str = '"F32"', shape: str = "[2]", offsets: str = "[0,8]") -> str:
    """One tensor of a header; everything but the name is JSON text."""
    return f'"{name}":{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}}}'


def malformed_headers() -> "Iterator[tuple[str, bytes, str, str]]":
    """Single files: (name, bytes, code, part of the message)."""
    bad, large, unsupported = "bad_checkpoint", "too_large", "unsupported_checkpoint"
    good = entry()

    yield "empty-file", b"", bad, "the file is empty"
    yield "seven-bytes", b"\x02" + bytes(6), bad, "7 bytes are too few for a safetensors file"
    yield "length-only", bytes(8), bad, "8 bytes are too few for a safetensors file"
    yield "text", b"just some text, no model", bad, "neither a safetensors file, a torch file nor an index"
    yield "git-lfs-pointer", b"version https://git-lfs.github.com/spec/v1\n", bad, "this is a Git LFS pointer"
    yield "gguf", b"GGUF\3\0\0\0" + bytes(20), bad, "neither a safetensors file, a torch file nor an index"
    yield "html", b"<!DOCTYPE html><title>404</title>", bad, "this is an HTML page, not a checkpoint"
    older = "format of before PyTorch 1.6: save it again with a newer one"
    legacy = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
    yield "torch-pickle", legacy, unsupported, f"a torch file in the pickle {older}"
    yield "torch-tar", b"sys_info".ljust(257, b"\0") + b"ustar" + bytes(
        300
    ), unsupported, f"a torch file in the tar {older}"
    yield "header-of-2-gib", raw("{}", 100, 1 << 31), large, "a header of 2147483648 bytes is over the limit of "
    yield "header-of-2-to-63", raw("{}", 0, 1 << 63), large, "a header of 9223372036854775808 bytes is over the limit"
    yield "header-of-2-to-64-less-1", raw("{}", 0, (1 << 64) - 1), large, "bytes is over the limit"
    yield "header-beyond-file", raw("{}", 0, 3), bad, "a header of 3 bytes reaches beyond the end of the file of 10"
    yield "header-truncated", raw("{" + good, 0, 1000), bad, "reaches beyond the end of the file"
    yield "header-of-0", raw("{}", 0, 0), bad, "byte 8: expected a value"
    yield "header-with-space-first", raw(" {}"), bad, "neither a safetensors file, a torch file nor an index"
    yield "too-many-tensors", raw(
        "{" + ",".join(entry(str(i), '"U8"', "[0]", "[0,0]") for i in range(100001)) + "}"
    ), large, "more than 100000 tensors"

    yield "json-open", raw("{" + good, 8), bad, "expected ',' or '}'"
    yield "json-comma-at-end", raw("{" + good + ",}", 8), bad, "expected a key"
    yield "json-two-values", raw("{" + good + "}{}", 8), bad, "unexpected text after the value"
    yield "json-single-quotes", raw("{'a':{}}"), bad, "byte 9: expected a key"
    yield "json-depth-bomb", raw('{"a":' + "[" * 100000), bad, 'tensor "a": expected an object'
    yield "json-open-string", raw('{"a'), bad, "the text ends within a string"
    yield "json-nul-behind", raw("{" + good + "}\0", 8), bad, "unexpected text after the value"
    yield "name-not-utf8", raw(b'{"\xff":{}}'), bad, "byte 9: a string is not valid UTF-8"
    yield "name-overlong", raw(b'{"\xc0\xaf":{}}'), bad, "byte 9: a string is not valid UTF-8"
    yield "name-lone-surrogate", raw('{"\\ud800":{}}'), bad, "byte 10: lone surrogate in a string"
    yield "name-with-nul", raw('{"a\\u0000":{}}'), bad, "the name of a tensor has a NUL character"
    yield "name-empty", raw("{" + entry("") + "}", 8), bad, "the name of a tensor is empty"
    yield "name-too-long", raw("{" + entry("x" * 5000) + "}", 8), bad, "the name of a tensor is longer than 4096 bytes"
    yield "name-twice", raw(
        "{" + good + "," + entry(offsets="[8,16]") + "}", 16
    ), bad, 'tensor "a": the name appears twice'
    yield "metadata-array", raw('{"__metadata__":[]}'), bad, "expected __metadata__ to be an object"
    yield "metadata-number", raw('{"__metadata__":{"a":1}}'), bad, "expected a string in __metadata__"
    yield "metadata-twice", raw('{"__metadata__":{},"__metadata__":{}}'), bad, "__metadata__ appears twice"
    yield "metadata-key-twice", raw('{"__metadata__":{"a":"","a":""}}'), bad, 'key "a" appears twice in __metadata__'

    yield "tensor-number", raw('{"a":1}'), bad, 'tensor "a": expected an object'
    yield "tensor-without-dtype", raw(
        '{"a":{"shape":[2],"data_offsets":[0,8]}}', 8
    ), bad, 'tensor "a": field "dtype" is missing'
    yield "tensor-without-shape", raw(
        '{"a":{"dtype":"F32","data_offsets":[0,8]}}', 8
    ), bad, 'tensor "a": field "shape" is missing'
    yield "tensor-without-offsets", raw(
        '{"a":{"dtype":"F32","shape":[2]}}', 8
    ), bad, 'tensor "a": field "data_offsets" is missing'
    yield "tensor-unknown-field", raw('{"a":{"order":"C"}}'), bad, 'tensor "a": unknown field "order"'
    yield "tensor-field-twice", raw('{"a":{"shape":[2],"shape":[2]}}'), bad, 'tensor "a": field "shape" appears twice'
    yield "dtype-unknown", raw("{" + entry(dtype='"F128"') + "}", 8), unsupported, 'tensor "a": unknown dtype "F128"'
    yield "dtype-number", raw("{" + entry(dtype="32") + "}", 8), bad, "expected dtype to be a string"
    dimension = 'tensor "a": a dimension of its shape is no integer from 0 to 2^64-1'
    for name, text in (
        ("negative", "-2"),
        ("fraction", "2.0"),
        ("exponent", "2e0"),
        ("string", '"2"'),
        ("2-to-64", str(1 << 64)),
    ):
        yield f"shape-{name}", raw("{" + entry(shape=f"[{text}]") + "}", 8), bad, dimension
    yield "shape-number", raw("{" + entry(shape="2") + "}", 8), bad, "expected shape to be an array"
    ones = ",".join("1" * 33)
    yield "shape-33-dimensions", raw(
        "{" + entry(shape=f"[{ones}]") + "}", 8
    ), bad, 'tensor "a": more than 32 dimensions'
    product = 'tensor "a": the product of its shape is too large'
    for name, shape, offsets in (
        ("2-to-64", "[4294967296,4294967296]", "[0,0]"),
        ("wraps-to-2", "[2,9223372036854775809]", "[0,8]"),
        ("in-bits", "[2305843009213693952]", "[0,0]"),
    ):
        yield f"product-{name}", raw("{" + entry(shape=shape, offsets=offsets) + "}", 8), bad, product
    yield "packed-not-whole-bytes", raw(
        "{" + entry(dtype='"F4"', shape="[3]", offsets="[0,2]") + "}", 2
    ), bad, 'tensor "a": its elements do not fill whole bytes'
    pair = 'tensor "a": data_offsets are not two integers from 0 to 2^64-1'
    for name, text in (("one", "[8]"), ("three", "[0,8,8]"), ("negative", "[-8,0]"), ("2-to-64", f"[0,{1 << 64}]")):
        yield f"offsets-{name}", raw("{" + entry(offsets=text) + "}", 8), bad, pair
    yield "offsets-exchanged", raw(
        "{" + entry(offsets="[8,0]") + "}", 8
    ), bad, "data_offsets begin at 8, after their end at 0"
    yield "offsets-wrap", raw(
        "{" + entry(offsets="[18446744073709551608,18446744073709551615]") + "}", 8
    ), bad, "data_offsets end at 18446744073709551615, but the file has only 8 bytes of data"
    yield "data-truncated", raw(
        "{" + good + "}", 7
    ), bad, "data_offsets end at 8, but the file has only 7 bytes of data"
    yield "span-too-long", raw(
        "{" + entry(offsets="[0,12]") + "}", 12
    ), bad, "data_offsets span 12 bytes, dtype and shape need 8"
    yield "span-too-short", raw(
        "{" + entry(offsets="[0,4]") + "}", 4
    ), bad, "data_offsets span 4 bytes, dtype and shape need 8"
    yield "hole-first", raw("{" + entry(offsets="[4,12]") + "}", 12), bad, "4 bytes before its data belong to no tensor"
    yield "hole-last", raw("{" + good + "}", 12), bad, "the last 4 bytes of the file belong to no tensor"
    yield "overlap", raw(
        "{" + good + "," + entry("b", offsets="[4,12]") + "}", 12
    ), bad, 'tensor "b": its data overlap those of "a"'


def malformed_indexes() -> "Iterator[tuple[str, bytes, str, str]]":
    """Indexes beside the file s.safetensors, which has the tensor a: (name, bytes, code, part of the message)."""
    bad = "bad_checkpoint"
    yield "index-empty-object", b"{}", bad, "no weight_map, hence not an index"
    yield "index-config-json", b'{"architectures":["Bert"]}', bad, "no weight_map, hence not an index"
    yield "index-byte-order-mark", b'\xef\xbb\xbf{"weight_map":{"a":"s.safetensors"}}', bad, "byte 0: expected a value"
    yield "index-without-tensors", b'{"weight_map":{}}', bad, "weight_map is empty"
    yield "index-map-array", b'{"weight_map":[]}', bad, "expected weight_map to be an object"
    yield "index-map-twice", b'{"weight_map":{"a":"s.safetensors"},"weight_map":{}}', bad, "a key appears twice"
    yield "index-file-number", b'{"weight_map":{"a":1}}', bad, "expected the name of a file"
    yield "index-tensor-twice", b'{"weight_map":{"a":"s.safetensors","a":"s.safetensors"}}', bad, '"a" is mapped twice'
    yield "index-depth-bomb", b'{"x":' + b"[" * 100000, bad, "nested too deeply"
    yield "index-truncated", b'{"weight_map":{"a":"s.safetensors"', bad, "expected ',' or '}'"
    for number, file in enumerate(
        (
            "../s.safetensors",
            "/etc/passwd",
            "x/../../s.safetensors",
            "http://127.0.0.1/s.safetensors",
            "file:///etc/passwd",
            "..\\\\s.safetensors",
            "s.safetensors?x",
            "s.safetensors#x",
            "%2e%2e/s.safetensors",
            "",
        )
    ):
        text = '{"weight_map":{"a":"' + file + '"}}'
        yield f"index-file-name-{number}", text.encode(), bad, "is not a plain relative path"
    yield "index-lacks-tensor", b'{"weight_map":{"A":"s.safetensors"}}', bad, "which does not have it"
    yield "index-has-more", make_index(
        {"a": "s.safetensors", "b": "s.safetensors"}
    ), bad, '"b" is mapped to s.safetensors'
    yield "index-wrong-file", make_index({"a": "t.safetensors", "b": "s.safetensors"}), bad, "but it is in"
    yield "index-names-itself", make_index(
        {"a": "model.safetensors.index.json"}
    ), bad, "neither a safetensors nor a torch file, but JSON"


def malformed_checkpoints() -> Iterator[Malformed]:
    """More than 170 checkpoints that must be refused, each with the code and the reason."""
    for name, content, code, message in malformed_headers():
        yield Malformed(name, {"model.safetensors": content}, code, message)
    shards = {
        "s.safetensors": make_safetensors({"a": np.zeros(2, np.float32)}),
        "t.safetensors": make_safetensors({"b": np.zeros(2, np.float32)}),
    }
    index = "model.safetensors.index.json"
    for name, content, code, message in malformed_indexes():
        yield Malformed(name, {index: content, **shards}, code, message, index)
    yield Malformed(
        "index-missing-file",
        {index: make_index({"a": "none.safetensors"}), **shards},
        "bad_checkpoint",
        'file "none.safetensors" does not exist',
        index,
    )
    yield Malformed(
        "shard-html",
        {index: make_index({"a": "s.safetensors"}), "s.safetensors": b"<html></html>"},
        "bad_checkpoint",
        "s.safetensors: this is an HTML page, not a checkpoint",
        index,
    )
    yield Malformed(
        "shard-torch",
        {index: make_index({"a": "s.bin"}), "s.bin": b"PK\3\4" + bytes(30)},
        "bad_checkpoint",
        "s.bin: torch file: the end of the zip is missing: the file is cut short",
        index,
    )
    yield Malformed(
        "folder-torch-index",
        {
            "pytorch_model.bin.index.json": make_index({"a": "s.bin"}),
            "s.bin": make_torch({"b": np.zeros(2, np.float32)}),
        },
        "bad_checkpoint",
        'pytorch_model.bin.index.json: tensor "a" is mapped to s.bin, which does not have it',
        "",
    )
    tied = make_torch({"a": np.zeros(2, np.float32)}, ties={"b": "a"})
    yield Malformed(
        "torch-index-lacks-tie",
        {"pytorch_model.bin.index.json": make_index({"a": "s.bin"}), "s.bin": tied},
        "bad_checkpoint",
        'pytorch_model.bin.index.json: tensor "b" of s.bin is not in the weight_map',
        "",
    )
    for name, content, code, message in malformed_torch_files():
        yield Malformed(name, {"pytorch_model.bin": content}, code, message, "pytorch_model.bin")
    yield Malformed("folder-html", {"model.safetensors": b"<html>"}, "bad_checkpoint", "this is an HTML page", "")
