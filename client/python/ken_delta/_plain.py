# SPDX-License-Identifier: Apache-2.0
"""Encoding plain: a tensor of the model, piece by piece."""

from __future__ import annotations

from typing import Iterator, Optional

import numpy as np

from ._delta import Delta, Tensor
from ._dtypes import Array, Dtype
from ._errors import DeltaError, shown
from ._pieces import base_piece, spans
from ._source import Source

PIECE = 1 << 18  # elements; a multiple of 8, so that a mask is cut between bytes


def plain_pieces(delta: Delta, tensor: Tensor, base: "Optional[Source]") -> "Iterator[Array]":
    """The elements' bits, in order, as unsigned integers [n] of their size; base [elements]: bytes, already checked."""
    if tensor.form == "whole":
        whole, size = delta.entry(tensor, "whole"), tensor.kind.size
        for start, count in spans(tensor.units, PIECE):
            yield np.frombuffer(whole.read(start * size, count * size), tensor.kind.word)
        return
    assert base is not None  # all other forms have one
    values = _Values(delta, tensor) if tensor.form != "same" else None
    places = {"same": None, "mask": _Mask, "gaps": _Gaps}[tensor.form]
    where = places(delta, tensor) if places else None
    for start, count in spans(tensor.units, PIECE):
        piece = base_piece(tensor, base, start, count)
        if where and values:
            indexes = where.take(start, count)
            piece[indexes] = values.take(indexes.size)
        yield piece
    if values and values.left:
        raise DeltaError(
            f"{values.what}: it tells the places of {tensor.stored - values.left} values, but {tensor.stored} are stored"
        )


class _Values:
    """The stored values, taken in order."""

    def __init__(self, delta: Delta, tensor: Tensor) -> None:
        self.what = f'tensor "{shown(tensor.name)}"'
        self.left = tensor.stored
        self._entry, self._dtype, self._at = delta.entry(tensor, "values"), tensor.kind, 0

    def take(self, count: int) -> Array:
        if count > self.left:
            raise DeltaError(f"{self.what}: it tells more places than values are stored")
        length = count * self._dtype.size
        content = self._entry.read(self._at, length)
        self._at += length
        self.left -= count
        return np.frombuffer(content, self._dtype.word)


class _Mask:
    """Places as a mask tells them."""

    def __init__(self, delta: Delta, tensor: Tensor) -> None:
        self._entry, self._name = delta.entry(tensor, "mask"), tensor.name

    def take(self, start: int, count: int) -> Array:
        """Those among the `count` elements from `start` on, counted from there."""
        content = self._entry.read(start // 8, -(-count // 8))
        if count % 8 and content[-1] >> count % 8:
            raise DeltaError(f'tensor "{shown(self._name)}": its mask has bits behind its last element')
        return np.flatnonzero(np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little"))


class _Gaps:
    """Places as the gaps between them tell."""

    def __init__(self, delta: Delta, tensor: Tensor) -> None:
        self._entry, self._tensor = delta.entry(tensor, "gaps"), tensor
        self._dtype: Dtype = delta.entry_dtype(tensor, "gaps")
        self._taken = 0  # gaps that were read
        self._held: Array = np.empty(0, np.int64)  # places that were read, but not taken
        self._last = -1

    def take(self, start: int, count: int) -> Array:
        """Those among the `count` elements from `start` on, counted from there."""
        stop = start + count
        while self._last < stop and self._taken < self._tensor.stored:
            self._read()
        below = int(np.searchsorted(self._held, stop))
        taken, self._held = self._held[:below], self._held[below:]
        return taken - start

    def _read(self) -> None:
        count, size = min(PIECE, self._tensor.stored - self._taken), self._dtype.size
        gaps = np.frombuffer(self._entry.read(self._taken * size, count * size), self._dtype.word)
        places = np.cumsum(gaps.astype(np.int64) + 1) + self._last
        self._last = int(places[-1])
        self._taken += count
        if self._last >= self._tensor.elements:
            what = f'tensor "{shown(self._tensor.name)}"'
            raise DeltaError(f"{what}: its gaps lead beyond its {self._tensor.elements} elements")
        self._held = np.concatenate((self._held, places))
