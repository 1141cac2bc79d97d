# SPDX-License-Identifier: Apache-2.0
"""Encoding packed: a tensor of the model, block by block."""

from __future__ import annotations

import hashlib
import struct
from typing import Any, Iterator, NamedTuple, Optional

import numpy as np

from ._delta import BLOCK, BLOCK_INDEX, Delta, Tensor
from ._dtypes import Array, Dtype
from ._errors import DeltaError, MissingZstandard, shown
from ._pieces import base_piece, spans
from ._source import Part, Source

LONGEST = 1114368  # bytes of a block
CLASSES = 16
DIRECT = 192  # symbols below are the upper bits of a number themselves
WIDE = 185  # a symbol less this: how many bits longer than `shift` the number is
HEAD, CLASS = struct.Struct("<BBHI"), struct.Struct("<BBHII")
INDEX = np.dtype([("length", "<u4"), ("stored", "<u4"), ("check", "V8")])


def packed_pieces(delta: Delta, tensor: Tensor, base: "Optional[Source]") -> "Iterator[Array]":
    """The elements' bits, in order, as unsigned integers [n] of their size; base [elements]: bytes, already checked."""
    most = BLOCK // tensor.kind.size
    if tensor.form == "same":
        assert base is not None
        for start, count in spans(tensor.units, most):
            yield base_piece(tensor, base, start, count)
        return
    entry, unpacker = delta.entry(tensor, "packed"), Unpacker(tensor)
    index = _read_index(tensor, entry, most)
    at = index.nbytes
    for number, (start, count) in enumerate(spans(tensor.units, most)):
        length, stored = int(index["length"][number]), int(index["stored"][number])
        if tensor.form == "whole" or base is None:
            piece = np.zeros(count, tensor.kind.word)
        else:
            piece = base_piece(tensor, base, start, count)
        unpacker.block = number
        block = entry.read(at, length)
        if hashlib.sha256(block).digest()[:8] != index["check"][number].tobytes():
            raise unpacker.bad("it has another SHA-256 than the index tells")
        unpacker.unpack(bytes(block), stored, piece)
        at += length
        yield piece


def _read_index(tensor: Tensor, entry: Part, most: int) -> "np.ndarray[tuple[int], np.dtype[np.void]]":
    """The index [blocks], of which lengths and counts are as they must be."""
    counts = np.array([count for _, count in spans(tensor.units, most)], np.uint32)
    index: Array = np.frombuffer(entry.read(0, BLOCK_INDEX * counts.size), INDEX)
    what = f'tensor "{shown(tensor.name)}"'
    for wrong, reason in (
        (index["length"] > LONGEST, "is longer than a block can be"),
        (index["stored"] > counts, "stores more elements than it has"),
        ((index["stored"] == 0) != (index["length"] == 0), "is empty, or nothing of it is stored, but not both"),
    ):
        if wrong.any():
            raise DeltaError(f"{what}: block {np.flatnonzero(wrong)[0]} {reason}")
    length = index.nbytes + int(index["length"].sum(dtype=np.uint64))
    if length != entry.size:
        raise DeltaError(f"{what}: its index and blocks have {length} bytes, but there are {entry.size}")
    stored = int(index["stored"].sum(dtype=np.uint64))
    if stored != (tensor.units if tensor.form == "whole" else tensor.stored):
        raise DeltaError(f"{what}: its blocks store {stored} elements, not {tensor.stored}")
    return index


def _zstandard() -> Any:
    """The package, which only packed deltas need."""
    try:
        import zstandard
    except ImportError:
        hint = "packed deltas need the package zstandard: pip install zstandard"
        raise MissingZstandard(hint, name="zstandard") from None
    return zstandard


class _Block(NamedTuple):
    """A block whose parts were checked, as far as that is possible without the base."""

    where: "Optional[Array]"  # [stored] which elements are stored; None: all
    top: int  # exponent
    shifts: "list[int]"  # of each class
    symbols: "list[Array]"  # uint8 [symbols] of each class
    low: bytes


class Unpacker:
    """Decodes the blocks of one tensor."""

    def __init__(self, tensor: Tensor) -> None:
        self.block = 0  # the number of the one that is being decoded
        self._name, self._dtype = tensor.name, tensor.kind
        self._zstandard = _zstandard()
        self._decompressor = self._zstandard.ZstdDecompressor()

    def bad(self, reason: str) -> DeltaError:
        """The error that the block is malformed."""
        return DeltaError(f'tensor "{shown(self._name)}": block {self.block}: {reason}')

    def unpack(self, content: bytes, stored: int, elements: Array) -> None:
        """Makes of the bits of the base's elements [n], zeros if there is none, those of the model's."""
        if not stored:
            return
        block = self._parse(content, stored, elements.size)
        if block.where is None:
            elements[:] = self._restore(elements, block)
        else:
            elements[block.where] = self._restore(elements[block.where], block)

    # ---- parts

    def _parse(self, content: bytes, stored: int, count: int) -> _Block:
        if len(content) < HEAD.size:
            raise self.bad("it is too short")
        kind, classes, top, mask_length = HEAD.unpack_from(content)
        at = HEAD.size + CLASS.size * classes
        if not 1 <= classes <= (CLASSES if self._dtype.floating else 1):
            raise self.bad(f"it has {classes} classes")
        if top > self._dtype.exponents:
            raise self.bad("its top exponent is too large")
        if at > len(content):
            raise self.bad("it is too short")
        heads = list(CLASS.iter_unpack(content[HEAD.size : at]))
        where = self._mask(kind, content[at : at + mask_length], mask_length, stored, count)
        at += mask_length
        symbols = []
        for shift, coding, zero, number, length in heads:
            if coding > 1 or zero or shift > 8 * self._dtype.size - 8 or number > stored:
                raise self.bad("a class of an unknown kind")
            symbols.append(self._part(content[at : at + length], length, number, coding == 1))
            at += length
        if sum(part.size for part in symbols) != stored:
            raise self.bad("its classes have another number of symbols than elements are stored")
        return _Block(where, top, [head[0] for head in heads], symbols, content[at:])

    def _part(self, content: bytes, length: int, raw: int, coded: bool) -> Array:
        """A part of so many bytes, uint8 [raw]."""
        if len(content) != length:
            raise self.bad("a part is longer than the block")
        if coded:
            try:
                if self._zstandard.frame_content_size(content) != raw:
                    raise self.bad("a coded part does not tell the length that it must have")
                content = self._decompressor.decompress(content, allow_extra_data=False)
            except self._zstandard.ZstdError as error:
                raise self.bad(f"a coded part is not one whole zstd frame: {error}") from None
        if len(content) != raw:
            raise self.bad("a part has another length than it must have")
        return np.frombuffer(content, np.uint8)

    def _mask(self, kind: int, content: bytes, length: int, stored: int, count: int) -> "Optional[Array]":
        if kind == 0:
            if length or stored != count:
                raise self.bad("it has no mask, but not all elements are stored, or it has a needless one")
            return None
        if kind > 2:
            raise self.bad("unknown kind of mask")
        mask = self._part(content, length, -(-count // 8), kind == 2)
        if count % 8 and int(mask[-1]) >> count % 8:
            raise self.bad("its mask has bits behind its last element")
        where = np.flatnonzero(np.unpackbits(mask, bitorder="little"))
        if where.size != stored:
            raise self.bad("its mask has another number of bits than elements are stored")
        return where

    # ---- elements

    def _restore(self, base: Array, block: _Block) -> Array:
        """The bits of the stored elements [stored] from the base's."""
        tables = _Tables(block.shifts)
        codes = self._codes(base, block)
        widths = tables.width[codes]
        if widths.max() >= 8 * self._dtype.size:
            raise self.bad("a symbol that is too large")
        ends = np.cumsum(widths, dtype=np.int64)
        self._check_low(block.low, int(ends[-1]))
        low = _take_bits(block.low, ends - widths, self._dtype.size == 8) & tables.below[codes]
        number = (tables.high[codes] | low).astype(self._dtype.word)
        one = number.dtype.type(1)
        return _add(base, number >> one ^ (~(number & one) + one), self._dtype)

    def _codes(self, base: Array, block: _Block) -> Array:
        """Class x 256 + symbol of each stored element."""
        if len(block.symbols) == 1:
            return block.symbols[0]
        exponents = (base >> base.dtype.type(self._dtype.fraction)) & base.dtype.type(self._dtype.exponents)
        below = np.clip(block.top - exponents.astype(np.int16), 0, len(block.symbols) - 1).astype(np.uint8)
        counts = [part.size for part in block.symbols]
        if np.bincount(below, minlength=len(counts)).tolist() != counts:
            raise self.bad("its base has other exponents")
        codes = np.empty(base.size, np.uint16)
        codes[np.argsort(below, kind="stable")] = np.concatenate(block.symbols)
        codes |= below.astype(np.uint16) << np.uint16(8)
        return codes

    def _check_low(self, low: bytes, bits: int) -> None:
        if len(low) != -(-bits // 8):
            raise self.bad("its low bits have the wrong length")
        if bits % 8 and low[-1] >> bits % 8:
            raise self.bad("it has bits behind its last element's")


class _Tables:
    """What a symbol of a class stands for, by class x 256 + symbol."""

    def __init__(self, shifts: "list[int]") -> None:
        shift = np.repeat(np.array(shifts, np.int64), 256)
        symbol = np.tile(np.arange(256), len(shifts))
        direct = symbol < DIRECT
        self.width = np.where(direct, shift, shift + symbol - WIDE)  # low bits that follow it
        width = (self.width & 63).astype(np.uint64)  # wider ones are refused
        one = np.uint64(1)
        self.high = np.where(direct, symbol.astype(np.uint64) << shift.astype(np.uint64), one << width)
        self.below = (one << width) - one


def _take_bits(stream: bytes, starts: Array, wide: bool) -> Array:
    """At least the 33 bits from each of the places on, 64 if `wide`, as uint64 [n]."""
    words = np.frombuffer(stream + bytes(-len(stream) % 4 + 16), "<u4").astype(np.uint64)
    pairs = words[:-1] | words[1:] << np.uint64(32)
    word, bit = starts >> 5, (starts & 31).astype(np.uint64)
    taken: Array = pairs[word] >> bit
    if wide:
        taken |= pairs[word + 2] << np.uint64(1) << (np.uint64(63) - bit)
    return taken


def _add(base: Array, difference: Array, dtype: Dtype) -> Array:
    """Elements that are so far from the base's, in the order of floating-point values or of integers."""
    made: Array = base + difference
    if dtype.floating:
        sign = base.dtype.type(1 << (dtype.bits - 1))
        ordered = (base ^ (_signs(base) | sign)) + difference
        made = ordered ^ (~_signs(ordered) | sign)
    return made


def _signs(bits: Array) -> Array:
    """All ones where the top bit is set, else zeros."""
    size = bits.dtype.itemsize
    signed: Array = bits.view(f"<i{size}") >> (8 * size - 1)
    return signed.view(bits.dtype)
