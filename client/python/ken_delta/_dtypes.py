# SPDX-License-Identifier: Apache-2.0
"""The dtypes of safetensors, and conversion between the floating ones."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True)
class Dtype:
    """One dtype. `array` is that of its NumPy arrays; `alias` the name of one that other packages give NumPy for it."""

    name: str
    bits: int
    array: "np.dtype[Any]"
    fraction: int = 0  # bits below the exponent field; 0: not floating
    alias: str = ""

    @property
    def size(self) -> int:
        """Bytes of an element; where elements have not whole bytes, every byte counts as one."""
        return self.bits // 8 or 1

    @property
    def divisible(self) -> bool:
        """Whether elements have whole bytes."""
        return self.bits % 8 == 0

    @property
    def floating(self) -> bool:
        """Whether it is F64, F32, F16 or BF16."""
        return self.fraction > 0

    @property
    def exponents(self) -> int:
        """The largest value of the exponent field; 0 if not floating."""
        return (1 << (self.bits - 1 - self.fraction)) - 1 if self.floating else 0

    @property
    def word(self) -> "np.dtype[Any]":
        """The unsigned integers of an element's bits."""
        return np.dtype(f"<u{self.size}")


DTYPES = {
    dtype.name: dtype
    for dtype in (
        Dtype("F64", 64, np.dtype("<f8"), fraction=52),
        Dtype("F32", 32, np.dtype("<f4"), fraction=23),
        Dtype("F16", 16, np.dtype("<f2"), fraction=10),
        Dtype("BF16", 16, np.dtype("<u2"), fraction=7, alias="bfloat16"),
        Dtype("C64", 64, np.dtype("<c8")),
        Dtype("I64", 64, np.dtype("<i8")),
        Dtype("U64", 64, np.dtype("<u8")),
        Dtype("I32", 32, np.dtype("<i4")),
        Dtype("U32", 32, np.dtype("<u4")),
        Dtype("I16", 16, np.dtype("<i2")),
        Dtype("U16", 16, np.dtype("<u2")),
        Dtype("I8", 8, np.dtype("i1")),
        Dtype("U8", 8, np.dtype("u1")),
        Dtype("BOOL", 8, np.dtype("?")),
        Dtype("F8_E5M2", 8, np.dtype("u1"), alias="float8_e5m2"),
        Dtype("F8_E4M3", 8, np.dtype("u1"), alias="float8_e4m3fn"),
        Dtype("F8_E8M0", 8, np.dtype("u1"), alias="float8_e8m0fnu"),
        Dtype("F6_E2M3", 6, np.dtype("u1")),
        Dtype("F6_E3M2", 6, np.dtype("u1")),
        Dtype("F4", 4, np.dtype("u1")),
    )
}


def _odd(values: Array) -> Array:
    """float64 as float32 cut off, with the last bit set where anything was: rounding that once more is as if it were the first time."""
    near = values.astype("<f4")
    bits, back = near.view("<u4"), near.astype("<f8")
    bits -= np.abs(back) > np.abs(values)
    bits |= back != values
    return near


def _values(bits: Array, source: Dtype) -> Array:
    if source.name != "BF16":
        return bits.view(source.array)
    wide: Array = bits.astype("<u4") << np.uint32(16)
    return wide.view("<f4")


def _rounded(values: Array, target: Dtype) -> Array:
    """The bits of finite or infinite values, rounded to nearest, halves to even."""
    if target.size == 2 and values.dtype.itemsize == 8:
        values = _odd(values)
    if target.name != "BF16":
        return values.astype(target.array).view(target.word)
    wide = values.astype("<f4").view("<u4")
    rounded: Array = (wide + np.uint32(0x7FFF) + (wide >> np.uint32(16) & np.uint32(1))) >> np.uint32(16)
    return rounded.astype("<u2")


def convert(bits: Array, source: Dtype, target: Dtype) -> Array:
    """bits [n] of elements of a floating dtype -> their bits [n] in another, as "Injecting" of proto/delta-format.md says."""
    with np.errstate(all="ignore"):
        made = _rounded(_values(bits, source), target)
    wide = bits.astype("<u8")
    infinity = source.exponents << source.fraction
    nan = np.flatnonzero((wide & np.uint64((1 << (source.bits - 1)) - 1)) > np.uint64(infinity))
    if nan.size:
        old = wide[nan]
        upper = (old << np.uint64(64 - source.fraction)) >> np.uint64(64 - target.fraction)
        sign = (old >> np.uint64(source.bits - 1)) << np.uint64(target.bits - 1)
        quiet = target.exponents << target.fraction | 1 << (target.fraction - 1)
        made[nan] = (sign | upper | np.uint64(quiet)).astype(target.word)
    return made
