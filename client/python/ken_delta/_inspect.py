# SPDX-License-Identifier: Apache-2.0
"""Telling what is in a delta."""

from __future__ import annotations

from typing import Any, Sequence

from ._base import PathLike
from ._delta import VERSION, Delta, Tensor
from ._errors import shown


def _tensor(tensor: Tensor) -> "dict[str, Any]":
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "base": tensor.base and {"name": tensor.base.name, "dtype": tensor.base.dtype},
        "form": tensor.form,
        "stored": tensor.stored,
    }


def _inspected(delta: Delta) -> "dict[str, Any]":
    tensors = delta.tensors.values()
    totals = {
        "tensors": len(tensors),
        "parameters": sum(tensor.elements for tensor in tensors),
        "stored": sum(tensor.stored for tensor in tensors),
        "model_files": len(delta.files),
        "file_bytes": delta.file_bytes,
    }
    head = {"kind": "delta", "version": VERSION, "encoding": delta.encoding, "totals": totals}
    return {**head, "tensors": [_tensor(tensor) for tensor in tensors]}


def inspect(delta: "Delta | PathLike") -> "dict[str, Any]":
    """
    What is in a delta, as `kenctl inspect DELTA -o json` tells it: `encoding`, `totals`, and of each tensor name, dtype, shape, base (name
    and dtype, or None), form, and how many elements are stored. The header is checked in full, the values are not looked at.
    """
    if isinstance(delta, Delta):
        return _inspected(delta)
    with Delta(delta) as opened:
        return _inspected(opened)


def describe(delta: Delta) -> str:
    """The same for people, as lines of text."""
    told = _inspected(delta)
    totals = told["totals"]
    head = (
        f"delta, encoding {delta.encoding}, {delta.file_bytes} bytes, for a model of {delta.nbytes} bytes in {totals['model_files']} files, "
        f"{totals['tensors']} tensors, {totals['parameters']} parameters, of which {totals['stored']} are stored"
    )
    rows = [("TENSOR", "DTYPE", "SHAPE", "FORM", "STORED", "BASE")]
    for tensor in delta.tensors.values():
        shape = f"[{','.join(map(str, tensor.shape))}]"
        base = f"{tensor.base.dtype}:{shown(tensor.base.name)}" if tensor.base else "-"
        rows.append((shown(tensor.name), tensor.dtype, shape, tensor.form, str(tensor.stored), base))
    return "\n".join([head, "", *_aligned(rows)])


def _aligned(rows: "Sequence[Sequence[str]]") -> "list[str]":
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
