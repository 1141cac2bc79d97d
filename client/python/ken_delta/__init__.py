# SPDX-License-Identifier: Apache-2.0
"""
Deltas of kend in Python: with the base at hand, the pruned model comes back bit for bit.

    tensors = ken_delta.apply(base, "delta.safetensors")                    # dicts of arrays
    ken_delta.apply_files("bert/", "delta.safetensors", "model.safetensors")  # files

Needs NumPy; deltas of encoding `packed` need the package zstandard as well. The format: proto/delta-format.md of kend.
"""

from ._apply import apply, apply_files
from ._base import PathLike as _PathLike
from ._delta import BaseTensor, Delta, ModelFile, Tensor
from ._errors import CheckpointError, DeltaError, Error, MissingZstandard, WrongBase
from ._inspect import inspect

__version__ = "0.1.0"
__all__ = [
    "BaseTensor",
    "CheckpointError",
    "Delta",
    "DeltaError",
    "Error",
    "MissingZstandard",
    "ModelFile",
    "Tensor",
    "WrongBase",
    "apply",
    "apply_files",
    "inspect",
    "open",
]


def open(path: _PathLike) -> Delta:
    """
    A delta, open for reading; its header is checked in full. Use it in a `with` statement, or close it.

    Raises DeltaError if it is malformed, or of another version or encoding; OSError if it cannot be read.
    """
    return Delta(path)
