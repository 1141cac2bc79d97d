# SPDX-License-Identifier: Apache-2.0
"""An independent reading of KEN.md in NumPy: slow, short, straight from the text. The tests compare the programs with it."""

from __future__ import annotations

import hashlib
import math
from typing import Any, Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


# ---- bfloat16, which NumPy lacks: kept as uint16


def widen_bf16(bits: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def narrow_bf16(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint16]:
    """Rounds float64 once to bfloat16: nearest, ties to even."""
    magnitude = np.abs(values)
    exponent = np.maximum(np.frexp(magnitude)[1] - 1, -126)
    unit = np.ldexp(1.0, exponent - 7)
    rounded = np.rint(magnitude / unit) * unit
    bits = (rounded.astype(np.float32).view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    return bits | (np.signbit(values).astype(np.uint16) << np.uint16(15))


LARGEST: dict[str, float] = {
    "F64": float(np.finfo(np.float64).max),
    "F32": float(np.finfo(np.float32).max),
    "F16": 65504.0,
    "BF16": float.fromhex("0x1.fep127"),
}
NUMPY_TYPE: dict[str, Any] = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}


def to_float64(stored: Floats, dtype: str) -> npt.NDArray[np.float64]:
    return (widen_bf16(stored) if dtype == "BF16" else stored).astype(np.float64)


def to_float32(stored: Floats, dtype: str) -> npt.NDArray[np.float32]:
    """The values that a row is selected by."""
    limit = np.float64(LARGEST["F32"])
    with np.errstate(over="ignore"):
        return np.clip(to_float64(stored, dtype), -limit, limit).astype(np.float32)


def from_float64(values: npt.NDArray[np.float64], dtype: str) -> Floats:
    """Rounded once, clamped to the largest finite value."""
    if dtype == "BF16":
        bits = narrow_bf16(values)
        overflow = (bits & 0x7FFF) == 0x7F80
        return np.where(overflow, bits - 1, bits).astype(np.uint16)
    with np.errstate(over="ignore"):
        narrow = values.astype(NUMPY_TYPE[dtype])
    limit = NUMPY_TYPE[dtype](LARGEST[dtype])
    result: Floats = np.clip(narrow, -limit, limit)
    return result


def convert(stored: Floats, dtype: str, to: str) -> Floats:
    """A base row in the fine-tuned dtype."""
    if dtype == to:
        return stored
    if to == "BF16":
        return narrow_bf16(to_float64(stored, dtype))
    with np.errstate(over="ignore"):
        result: Floats = to_float64(stored, dtype).astype(NUMPY_TYPE[to])
    return result


# ---- selection


def bandwidth(x: npt.NDArray[np.float64]) -> float:
    s = math.sqrt(float(np.mean((x - np.mean(x)) ** 2)))
    return 1.06 * s * len(x) ** -0.2


def densities(x: npt.NDArray[np.float64], at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    h = bandwidth(x)
    c = 1 / (h * math.sqrt(2 * math.pi))
    scale = 1.0
    while c * scale > 2.0**20:
        scale /= 2
    sums = np.array([np.sum(np.exp(-((g - x) ** 2) / (2 * h * h))) for g in at])
    return c * scale / len(x) * sums


def select_ken(x: npt.NDArray[np.float32], k: int) -> Mask:
    taken = np.zeros(len(x), dtype=bool)
    wide = x.astype(np.float64)
    low, high = float(wide.min()), float(wide.max())
    if low == high:
        taken[:k] = True
        return taken
    grid = np.array([low])
    if k > 1:
        grid = np.arange(k) * ((high - low) / (k - 1)) + low
        grid[-1] = high
    levels = np.rint(densities(wide, grid))
    with np.errstate(over="ignore"):
        for j in np.lexsort((np.arange(k), -levels)):
            distance = np.abs(x - np.float32(grid[j]))
            free = np.flatnonzero(~taken)
            taken[free[np.argmin(distance[free])]] = True
    return taken


def first_of(order: npt.NDArray[np.intp], k: int) -> Mask:
    mask = np.zeros(len(order), dtype=bool)
    mask[order[:k]] = True
    return mask


def select_density(x: npt.NDArray[np.float32], k: int) -> Mask:
    if x.min() == x.max():
        return first_of(np.arange(len(x)), k)
    f = densities(x.astype(np.float64), x.astype(np.float64))
    return first_of(np.argsort(-f, kind="stable"), k)


def select_magnitude(model: npt.NDArray[np.float64], base: npt.NDArray[np.float64], k: int) -> Mask:
    return first_of(np.argsort(-np.abs(model - base), kind="stable"), k)


def philox(counter: list[int], key: int) -> list[int]:
    """Philox4x32-10 of a counter of four 32-bit words and a key of 64 bits."""
    words, keys = list(counter), [key & 0xFFFFFFFF, key >> 32]
    for _ in range(10):
        a, b = words[0] * 0xD2511F53, words[2] * 0xCD9E8D57
        words = [(b >> 32) ^ words[1] ^ keys[0], b & 0xFFFFFFFF, (a >> 32) ^ words[3] ^ keys[1], a & 0xFFFFFFFF]
        keys = [(keys[0] + 0x9E3779B9) & 0xFFFFFFFF, (keys[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return words


def words_of(low: int, high: int) -> list[int]:
    return [low & 0xFFFFFFFF, low >> 32, high & 0xFFFFFFFF, high >> 32]


def random_keys(n: int, seed: int, tensor_key: bytes, row: int) -> list[int]:
    start = philox(words_of(seed, row), int.from_bytes(tensor_key[:8], "little"))
    row_key, row_counter = start[0] | start[1] << 32, start[2] | start[3] << 32
    keys: list[int] = []
    for pair in range((n + 1) // 2):
        block = philox(words_of(pair, row_counter), row_key)
        keys += [block[0] | block[1] << 32, block[2] | block[3] << 32]
    return keys[:n]


def select_random(n: int, k: int, seed: int, tensor_key: bytes, row: int) -> Mask:
    keys = random_keys(n, seed, tensor_key, row)
    return first_of(np.array(sorted(range(n), key=lambda i: (keys[i], i))), k)


def with_duplicates(x: npt.NDArray[np.float32], mask: Mask) -> Mask:
    return np.isin(x, x[mask])


def rescale_l1(model: Floats, base: Floats, mask: Mask, dtype: str) -> Floats:
    """The pruned row with the kept updates stretched."""
    result: Floats = np.where(mask, model, base)
    if mask.all():
        return model
    origin = to_float64(base, dtype)
    moved = to_float64(model, dtype) - origin
    total = kept = 0.0
    for i, difference in enumerate(np.abs(moved)):
        total += float(difference)
        kept += float(difference) if mask[i] else 0.0
    stretched = from_float64(origin + (total / kept if kept > 0 else 1.0) * moved, dtype)
    changed = mask & (model.view(unsigned(dtype)) != base.view(unsigned(dtype)))
    result[changed] = stretched[changed]
    return result


def unsigned(dtype: str) -> Any:
    return {"F64": np.uint64, "F32": np.uint32, "F16": np.uint16, "BF16": np.uint16}[dtype]


# ---- pairs of tensors


def amount(n: int, k: int | None, keep: float | None) -> int:
    if k is not None:
        return k
    assert keep is not None
    return max(1, int(np.rint(keep * n)))


def prune_tensor(
    name: str,
    model: Floats,
    base: Floats,
    dtype: str,
    *,
    k: int | None = None,
    keep: float | None = None,
    method: str = "ken",
    rescale: str = "none",
    duplicates: str = "exact",
    seed: int = 0,
) -> tuple[Floats, Mask]:
    """The pruned tensor and its selected columns; model and base [d0, ...] of one dtype, bfloat16 as uint16. All values finite."""
    rows = model.shape[0] if model.ndim > 1 else 1
    model_rows, base_rows = model.reshape(rows, -1), base.reshape(rows, -1)
    result, selected = model_rows.copy(), np.zeros(model_rows.shape, dtype=bool)
    tensor_key = hashlib.sha256(name.encode()).digest()
    for r in range(rows):
        m, b = model_rows[r], base_rows[r]
        n, x = len(m), to_float32(m, dtype)
        count = amount(n, k, keep)
        if n <= count:
            selected[r] = True
            continue
        if np.array_equal(m.view(unsigned(dtype)), b.view(unsigned(dtype))):
            continue
        select: dict[str, Callable[[], Mask]] = {
            "ken": lambda: select_ken(x, count),
            "density": lambda: select_density(x, count),
            "magnitude": lambda: select_magnitude(to_float64(m, dtype), to_float64(b, dtype), count),
            "random": lambda: select_random(n, count, seed, tensor_key, r),
        }
        mask = select[method]()
        if duplicates == "all":
            mask = with_duplicates(x, mask)
        selected[r] = mask
        result[r] = rescale_l1(m, b, mask, dtype) if rescale == "l1" else np.where(mask, m, b)
    return result.reshape(model.shape), selected.reshape(model.shape)
