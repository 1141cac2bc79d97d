# SPDX-License-Identifier: Apache-2.0
"""A tensor is made in pieces, so that memory does not depend on its size."""

from __future__ import annotations

from typing import Iterator

import numpy as np

from ._delta import Tensor
from ._dtypes import DTYPES, Array, convert
from ._source import Source


def spans(units: int, most: int) -> "Iterator[tuple[int, int]]":
    """(start, count) of pieces of at most so many elements."""
    for start in range(0, units, most):
        yield start, min(most, units - start)


def base_piece(tensor: Tensor, base: Source, start: int, count: int) -> Array:
    """The bits of the base's elements from `start` on, in the tensor's dtype: unsigned integers [count], to be written to."""
    assert tensor.base
    dtype = DTYPES[tensor.base.dtype]
    bits = np.frombuffer(base.read(start * dtype.size, count * dtype.size), dtype.word)
    return bits if dtype is tensor.kind else convert(bits, dtype, tensor.kind)
