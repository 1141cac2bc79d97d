# SPDX-License-Identifier: Apache-2.0
"""safetensors files: headers read and checked in full, and written."""

from __future__ import annotations

import math
import os
from typing import Any, Iterable, Mapping, NamedTuple, Optional, Sequence, Type

from ._content import HEAD, WRONG, content_of
from ._dtypes import DTYPES, Dtype
from ._errors import Error, shown
from ._json import a_number, a_text, an_object, members_of, read_json, texts_of, write_json
from ._source import FileReader, Part

MOST_HEADER = 100_000_000  # bytes; as in the safetensors package
MOST_DIMENSIONS = 32
MOST_NAME = 4096 + len(".values")  # bytes
LENGTH = 8  # bytes of the header's length


class Entry(NamedTuple):
    """One tensor of a file."""

    dtype: Dtype
    shape: "tuple[int, ...]"
    offset: int  # from the beginning of the file
    length: int


def read_shape(value: Any, what: str, error: Type[Error]) -> "tuple[int, ...]":
    """A shape from JSON."""
    if not isinstance(value, list):
        raise error(f"{what}: expected its shape to be an array")
    if len(value) > MOST_DIMENSIONS:
        raise error(f"{what}: more than {MOST_DIMENSIONS} dimensions")
    return tuple(a_number(dimension, f"{what}: a dimension", error) for dimension in value)


def read_dtype(value: Any, what: str, error: Type[Error]) -> Dtype:
    """A dtype from JSON."""
    name = a_text(value, f"{what}: dtype", error)
    if name not in DTYPES:
        raise error(f'{what}: unknown dtype "{shown(name)}"')
    return DTYPES[name]


def count_bytes(dtype: Dtype, shape: Sequence[int], what: str, error: Type[Error]) -> int:
    """How many bytes a tensor has."""
    if math.prod(dimension or 1 for dimension in shape) * dtype.bits >= 1 << 64:  # NumPy does not look at zeros either
        raise error(f"{what}: the product of its shape is too large")
    bits = math.prod(shape) * dtype.bits
    if bits % 8:
        raise error(f"{what}: its elements do not fill whole bytes")
    return bits // 8


def check_name(name: str, what: str, error: Type[Error], most: int = MOST_NAME) -> None:
    """A tensor has a name of 1 to so many bytes without NUL."""
    if not 0 < len(name.encode()) <= most or "\0" in name:
        raise error(f"{what}: the name of a tensor is empty, longer than {most} bytes, or has a NUL character")


class SafetensorsFile:
    """A file whose header was read and checked: `entries` by name in the order of their data, and `metadata`, or None."""

    def __init__(self, path: "str | os.PathLike[str]", error: Type[Error]) -> None:
        self.path = os.fspath(path)
        self.reader = FileReader(path, error)
        self._error = error
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def source(self, name: str) -> Part:
        """The bytes of one tensor."""
        entry = self.entries[name]
        return Part(self.reader, entry.offset, entry.length)

    def close(self) -> None:
        self.reader.close()

    def _read(self) -> None:
        header, begin = self._header()
        self.metadata: "Optional[Mapping[str, str]]" = None
        if "__metadata__" in header:
            self.metadata = texts_of(header.pop("__metadata__"), f"{self.path}: __metadata__", self._error)
        entries = [(name, self._entry(name, value, begin)) for name, value in header.items()]
        entries.sort(key=lambda item: (item[1].offset, item[1].length, item[0]))
        at = begin
        for name, entry in entries:
            if entry.offset != at:
                raise self._error(f"{self._tensor(name)}: its data do not begin where those of the one before end")
            at += entry.length
        if at != self.reader.size:
            raise self._error(f"{self.path}: the last {self.reader.size - at} bytes of the file belong to no tensor")
        self.entries = dict(entries)

    def _header(self) -> "tuple[dict[str, Any], int]":
        """The header's object, and where the data begin."""
        size = self.reader.size
        content = content_of(self.reader.head(HEAD))
        if not size:
            raise self._error(f"{self.path}: the file is empty")
        if content not in ("safetensors", ""):
            raise self._error(f"{self.path}: {WRONG[content]}")
        if size < LENGTH + 2:
            raise self._error(f"{self.path}: {size} bytes are too few for a safetensors file")
        length = int.from_bytes(self.reader.read(0, LENGTH), "little")
        if length > size - LENGTH:
            raise self._error(f"{self.path}: no safetensors file: its header reaches beyond its end")
        if length > MOST_HEADER:
            raise self._error(f"{self.path}: a header of {length} bytes is over the limit of {MOST_HEADER}")
        if not content:
            raise self._error(f"{self.path}: {WRONG[content]}")
        text = self.reader.read(LENGTH, length)
        what = f"{self.path}: header"
        return an_object(read_json(text, what, self._error), what, self._error), LENGTH + length

    def _tensor(self, name: str) -> str:
        return f'{self.path}: tensor "{shown(name)}"'

    def _entry(self, name: str, value: Any, begin: int) -> Entry:
        what, error = self._tensor(name), self._error
        check_name(name, what, error)
        members = members_of(value, ("dtype", "shape", "data_offsets"), what, error)
        dtype = read_dtype(members["dtype"], what, error)
        shape = read_shape(members["shape"], what, error)
        length, offsets = count_bytes(dtype, shape, what, error), members["data_offsets"]
        if not isinstance(offsets, list) or len(offsets) != 2:
            raise error(f"{what}: data_offsets are not two integers")
        first, last = (a_number(offset, f"{what}: data_offsets", error) for offset in offsets)
        if last - first != length:
            raise error(f"{what}: data_offsets span {last - first} bytes, dtype and shape need {length}")
        if begin + last > self.reader.size:
            raise error(f"{what}: data_offsets end behind the end of the file")
        return Entry(dtype, shape, begin + first, length)


def make_header(
    metadata: "Optional[Mapping[str, str]]", tensors: "Iterable[tuple[str, str, Sequence[int], int]]"
) -> bytes:
    """The header of a file: its metadata, and name, dtype, shape and bytes of each tensor in the order of their data."""
    header: "dict[str, Any]" = {} if metadata is None else {"__metadata__": metadata}
    at = 0
    for name, dtype, shape, length in tensors:
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + length]}
        at += length
    text = write_json(header)
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(LENGTH, "little") + text
