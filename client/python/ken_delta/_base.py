# SPDX-License-Identifier: Apache-2.0
"""The base that a delta is applied to: arrays in memory or files, found by name and held against what the delta tells of them."""

from __future__ import annotations

import math
import os
from typing import Any, Mapping, Protocol, Sequence, Union

import numpy as np

from ._checkpoint import Checkpoint
from ._delta import BaseTensor, Tensor
from ._dtypes import DTYPES, Array
from ._errors import WrongBase, shown
from ._source import Memory, Source, sha256_of

PathLike = Union[str, "os.PathLike[str]"]


class Base(Protocol):
    """Where base tensors come from: `paths` are those of all its files."""

    paths: "Sequence[str]"

    def find(self, tensor: Tensor, base: BaseTensor) -> Source:
        """The bytes of the base tensor of a tensor. Raises WrongBase if it is not there, or has another dtype or shape."""

    def close(self) -> None:
        """Closes its files."""


def _wrong(base: BaseTensor, reason: str) -> WrongBase:
    return WrongBase(f'base tensor "{shown(base.name)}" {reason}: the delta was made from another base', base.name)


def _missing(base: BaseTensor) -> WrongBase:
    return WrongBase(f'the base has no tensor "{shown(base.name)}": the delta was made from another base', base.name)


class FileBase:
    """A checkpoint on disk."""

    def __init__(self, path: PathLike) -> None:
        self._checkpoint = Checkpoint(path)
        self.paths: "Sequence[str]" = self._checkpoint.paths

    def find(self, tensor: Tensor, base: BaseTensor) -> Source:
        if base.name not in self._checkpoint:
            raise _missing(base)
        entry = self._checkpoint.entry(base.name)
        if entry.dtype.name != base.dtype:
            raise _wrong(base, f"is {entry.dtype.name}, not {base.dtype}")
        if entry.shape != tensor.shape:
            raise _wrong(base, f"has shape {list(entry.shape)}, not {list(tensor.shape)}")
        return self._checkpoint.source(base.name)

    def close(self) -> None:
        self._checkpoint.close()


class ArrayBase:
    """Arrays by name, or what numpy.asarray makes arrays of."""

    def __init__(self, arrays: "Mapping[str, Any]") -> None:
        self._arrays = arrays
        self.paths: "Sequence[str]" = ()

    def find(self, tensor: Tensor, base: BaseTensor) -> Source:
        if base.name not in self._arrays:
            raise _missing(base)
        dtype = DTYPES[base.dtype]
        try:
            array = np.asarray(self._arrays[base.name])
        except TypeError as error:  # as of a torch tensor in bfloat16
            raise TypeError(
                f'base tensor "{shown(base.name)}": {error}; of dtypes that NumPy has not, give the bits, as {dtype.array.name}'
            ) from error
        if array.dtype.newbyteorder("<") != dtype.array and array.dtype.name != dtype.alias:
            raise _wrong(base, f"is an array of {array.dtype}, not of {dtype.alias or dtype.array.name} ({base.dtype})")
        shape = tensor.shape if dtype.divisible else (math.prod(tensor.shape) * dtype.bits // 8,)
        if array.shape != shape:
            raise _wrong(base, f"has shape {list(array.shape)}, not {list(shape)}")
        return Memory(_bytes_of(array, dtype.array).data)

    def close(self) -> None:
        pass


def _bytes_of(array: Array, dtype: "np.dtype[Any]") -> Array:
    """The bytes of an array in row-major order, little-endian; without a copy where it is so already."""
    if array.dtype.name == dtype.name and array.dtype != dtype:
        array = array.astype(dtype)
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def open_base(base: "Mapping[str, Any] | PathLike") -> Base:
    """A base from what `apply` is given."""
    if isinstance(base, (str, os.PathLike)):
        return FileBase(base)
    if hasattr(base, "keys") and hasattr(base, "__getitem__"):
        return ArrayBase(base)
    raise TypeError(f"the base is a path or a mapping of names to arrays, not {type(base).__name__}")


def check_digest(source: Source, base: BaseTensor) -> None:
    """Raises WrongBase if the bytes are not those that the delta was made from."""
    found = sha256_of(source)
    if found != base.sha256:
        raise _wrong(base, f"has SHA-256 {found}, not {base.sha256}")
