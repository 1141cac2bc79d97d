# SPDX-License-Identifier: Apache-2.0
"""Deltas: one is opened, and all that its header tells is checked."""

from __future__ import annotations

import dataclasses
import math
import os
import re
from types import TracebackType
from typing import Any, Mapping, Optional, Type

from ._dtypes import DTYPES, Dtype
from ._errors import DeltaError, shown
from ._json import a_number, a_text, an_object, members_of, read_json, texts_of
from ._safetensors import Entry, SafetensorsFile, check_name, count_bytes, read_dtype, read_shape
from ._source import Part

FORMAT, VERSION = "ken-delta", "1"
FORMS = {"plain": ("same", "whole", "mask", "gaps"), "packed": ("same", "whole", "mask")}
MODEL_NAME, INDEX_NAME = "model.safetensors", "model.safetensors.index.json"
DELTA_NAME = "delta.safetensors"
MOST_NAME = 4096  # bytes of a tensor's name; its entries have a suffix
BLOCK, BLOCK_INDEX = (
    524288,
    16,
)  # encoding packed: bytes of the tensor that a block stands for, and of the index for each block


@dataclasses.dataclass(frozen=True)
class BaseTensor:
    """The base tensor that one of the model is made from; sha256 is of its bytes, in lower-case hex."""

    name: str
    dtype: str
    sha256: str


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One tensor of the model. `stored` of its elements are in the delta, in this `form`; all others are the base's."""

    name: str
    dtype: str
    shape: "tuple[int, ...]"
    base: "Optional[BaseTensor]"
    form: str
    stored: int

    @property
    def elements(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """How many bytes it has."""
        return self.elements * DTYPES[self.dtype].bits // 8

    @property
    def kind(self) -> Dtype:
        return DTYPES[self.dtype]

    @property
    def units(self) -> int:
        """What is counted when it is taken to pieces: its elements, or its bytes if elements have not whole ones."""
        return self.nbytes // self.kind.size


@dataclasses.dataclass(frozen=True)
class ModelFile:
    """One file of the model: its `metadata`, or None, and the names of its tensors in the order of their data."""

    name: str
    metadata: "Optional[Mapping[str, str]]"
    tensors: "tuple[str, ...]"


class Delta:
    """
    A delta that is open for reading; `ken_delta.open` makes one. Use it in a `with` statement, or close it.

    encoding: "plain" or "packed". files: those of the model, in order. sharded: whether the model has an index.
    tensors: those of the model by name, in the model's order. file_bytes: size of the delta.
    """

    encoding: str
    files: "tuple[ModelFile, ...]"
    sharded: bool
    tensors: "dict[str, Tensor]"

    def __init__(self, path: "str | os.PathLike[str]") -> None:
        self.path = _in_folder(os.fspath(path))
        self._file = SafetensorsFile(self.path, DeltaError)
        self.file_bytes = self._file.reader.size
        try:
            self._read()
        except BaseException as error:
            self.close()
            if isinstance(error, DeltaError):
                raise DeltaError(f"{self.path}: {error}") from None
            raise

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors of the model: what `apply` gives, and `apply_files` writes."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    def close(self) -> None:
        """Closes the file; the delta can no longer be applied."""
        self._file.close()

    def __enter__(self) -> "Delta":
        return self

    def __exit__(
        self, kind: "Optional[Type[BaseException]]", error: "Optional[BaseException]", trace: "Optional[TracebackType]"
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ken_delta.Delta {self.path!r}, {self.encoding}, {len(self.tensors)} tensors>"

    def entry(self, tensor: Tensor, suffix: str) -> Part:
        """The bytes of one of the tensor's entries."""
        return self._file.source(f"{tensor.name}.{suffix}")

    def entry_dtype(self, tensor: Tensor, suffix: str) -> Dtype:
        """The dtype of one of the tensor's entries."""
        return self._file.entries[f"{tensor.name}.{suffix}"].dtype

    # ---- metadata

    def _read(self) -> None:
        metadata = self._file.metadata or {}
        if not is_delta(metadata):
            raise DeltaError(f'this is no delta: its metadata do not say format "{FORMAT}"')
        members_of(metadata, ("format", "version", "encoding", "model", "tensors"), "metadata", DeltaError)
        if metadata["version"] != VERSION:
            raise DeltaError(f'a delta of version "{shown(metadata["version"])}"; this package reads version {VERSION}')
        if metadata["encoding"] not in FORMS:
            raise DeltaError(
                f'a delta in encoding "{shown(metadata["encoding"])}"; this package reads plain and packed'
            )
        self.encoding = metadata["encoding"]
        self._read_model(read_json(metadata["model"], 'metadata "model"', DeltaError))
        self._read_tensors(read_json(metadata["tensors"], 'metadata "tensors"', DeltaError))
        self._check_entries()

    def _read_model(self, value: Any) -> None:
        what = 'metadata "model"'
        model = members_of(value, ("files", "index"), what, DeltaError)
        if model["index"] not in (None, INDEX_NAME):
            raise DeltaError(f'{what}: index is neither null nor "{INDEX_NAME}"')
        self.sharded = model["index"] is not None
        files = model["files"]
        if not isinstance(files, list) or not files:
            raise DeltaError(f"{what}: expected an array of at least one file")
        if len(files) > 1 and not self.sharded:
            raise DeltaError(f"{what}: several files, but no index")
        self.files = tuple(self._read_file(file, number, len(files)) for number, file in enumerate(files, 1))

    def _read_file(self, value: Any, number: int, count: int) -> ModelFile:
        name = f"model-{number:05d}-of-{count:05d}.safetensors" if self.sharded else MODEL_NAME
        what = f'metadata "model": file {number}'
        file = members_of(value, ("name", "metadata", "tensors"), what, DeltaError)
        if file["name"] != name:
            raise DeltaError(f'{what} must be called "{name}"')
        metadata = file["metadata"]
        if metadata is not None:
            metadata = texts_of(metadata, f"{what}: metadata", DeltaError)
        if not isinstance(file["tensors"], list):
            raise DeltaError(f"{what}: expected an array of names")
        if self.sharded and not file["tensors"]:
            raise DeltaError(f"{what} has no tensor")
        for tensor in file["tensors"]:
            check_name(a_text(tensor, f"{what}: a tensor's name", DeltaError), what, DeltaError, MOST_NAME)
            if tensor == "__metadata__":
                raise DeltaError(f"{what}: no tensor can have that name: {tensor}")
        return ModelFile(name, metadata, tuple(file["tensors"]))

    def _read_tensors(self, value: Any) -> None:
        told = an_object(value, 'metadata "tensors"', DeltaError)
        self.tensors = {}
        for name in (name for file in self.files for name in file.tensors):
            if name in self.tensors:
                raise DeltaError(f'tensor "{shown(name)}": it is twice in metadata "model"')
            if name not in told:
                raise DeltaError(f'tensor "{shown(name)}": it is missing in metadata "tensors"')
            self.tensors[name] = _read_tensor(name, told[name], self.encoding)
        for name in told:
            if name not in self.tensors:
                raise DeltaError(f'metadata "tensors": the model has no tensor "{shown(name)}"')

    # ---- entries

    def _check_entries(self) -> None:
        used: "set[str]" = set()
        for tensor in self.tensors.values():
            for suffix in _suffixes(tensor, self.encoding):
                what, name = f'tensor "{shown(tensor.name)}": entry "{suffix}"', f"{tensor.name}.{suffix}"
                if name not in self._file.entries:
                    raise DeltaError(f"{what} is missing")
                if name in used:
                    raise DeltaError(f"{what} is that of another tensor")
                used.add(name)
                _check_entry(tensor, suffix, self._file.entries[name], what)
        for name in self._file.entries:
            if name not in used:
                raise DeltaError(f'entry "{shown(name)}" belongs to no tensor')


def is_delta(metadata: "Mapping[str, str]") -> bool:
    """Whether a file with these metadata calls itself a delta."""
    return metadata.get("format") == FORMAT


def _in_folder(path: str) -> str:
    """The path of a delta, or of that in a folder."""
    if not os.path.isdir(path):
        return path
    if not os.path.lexists(os.path.join(path, DELTA_NAME)):
        raise DeltaError(f"no delta in {path}: there is no {DELTA_NAME}")
    return os.path.join(path, DELTA_NAME)


def _read_base(value: Any, what: str) -> BaseTensor:
    base = members_of(value, ("name", "dtype", "sha256"), f"{what}: base", DeltaError)
    dtype = read_dtype(base["dtype"], f"{what}: base", DeltaError)
    sha256 = a_text(base["sha256"], f"{what}: sha256", DeltaError)
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise DeltaError(f"{what}: no SHA-256 of 64 hexadecimal digits")
    return BaseTensor(a_text(base["name"], f"{what}: base: name", DeltaError), dtype.name, sha256)


def _read_tensor(name: str, value: Any, encoding: str) -> Tensor:
    what = f'tensor "{shown(name)}"'
    told = members_of(value, ("dtype", "shape", "base", "form", "stored"), what, DeltaError)
    dtype, shape = read_dtype(told["dtype"], what, DeltaError), read_shape(told["shape"], what, DeltaError)
    count_bytes(dtype, shape, what, DeltaError)
    form, stored = a_text(told["form"], f"{what}: form", DeltaError), a_number(
        told["stored"], f"{what}: stored", DeltaError
    )
    if form not in FORMS[encoding]:
        raise DeltaError(f'{what}: no form of encoding {encoding}: "{shown(form)}"')
    base = None if told["base"] is None else _read_base(told["base"], what)
    tensor = Tensor(name, dtype.name, shape, base, form, stored)
    _check_form(tensor, what)
    return tensor


def _check_form(tensor: Tensor, what: str) -> None:
    if tensor.base and tensor.base.dtype != tensor.dtype:
        if not (tensor.kind.floating and DTYPES[tensor.base.dtype].floating):
            raise DeltaError(f"{what}: a base of {tensor.base.dtype} cannot be converted to {tensor.dtype}")
    if tensor.form == "whole":
        if tensor.stored != tensor.elements:
            raise DeltaError(f"{what}: {tensor.stored} values are stored, but whole are {tensor.elements}")
        return
    if not tensor.base:
        raise DeltaError(f"{what}: it has no base, and is not stored whole")
    if tensor.form == "same":
        if tensor.stored:
            raise DeltaError(f"{what}: form same, but {tensor.stored} values are stored")
        return
    if not tensor.kind.divisible:
        raise DeltaError(f"{what}: {tensor.dtype} has no elements of whole bytes to be stored one by one")
    if not 0 < tensor.stored <= tensor.elements:
        raise DeltaError(f"{what}: {tensor.stored} values are stored, of {tensor.elements} elements")


def _suffixes(tensor: Tensor, encoding: str) -> "tuple[str, ...]":
    """Of the entries that a tensor has."""
    if tensor.form == "same":
        return ()
    if encoding == "packed":
        return ("packed",)
    return ("whole",) if tensor.form == "whole" else ("values", tensor.form)


def _check_entry(tensor: Tensor, suffix: str, entry: Entry, what: str) -> None:
    dtypes: "tuple[str, ...]" = (tensor.dtype,)
    shape: "tuple[int, ...]" = (tensor.stored,)
    if suffix == "whole":
        shape = tensor.shape
    elif suffix == "mask":
        dtypes, shape = ("U8",), (-(-tensor.elements // 8),)
    elif suffix == "gaps":
        dtypes = ("U16", "U32")
    elif suffix == "packed":
        dtypes, shape = ("U8",), (entry.length,)
    if entry.dtype.name not in dtypes:
        raise DeltaError(f"{what} has dtype {entry.dtype.name}")
    if entry.shape != shape:
        raise DeltaError(f"{what} has the wrong shape")
    if suffix == "packed" and entry.length // BLOCK_INDEX < -(-tensor.nbytes // BLOCK):
        raise DeltaError(f"{what} is shorter than the index of its blocks")
