# SPDX-License-Identifier: Apache-2.0
"""Making the model from its base and a delta."""

from __future__ import annotations

import contextlib
import json
import os
from typing import IO, Any, Iterable, Iterator, Mapping

import numpy as np

from ._base import Base, PathLike, check_digest, open_base
from ._delta import INDEX_NAME, Delta, ModelFile, Tensor
from ._dtypes import Array
from ._errors import DeltaError, of_file, shown
from ._output import check_output, placed, published
from ._packed import packed_pieces
from ._plain import plain_pieces
from ._safetensors import make_header


def _pieces(base: Base, delta: Delta, tensor: Tensor) -> "Iterator[Array]":
    """The bits of a tensor's elements, in order; the base's tensor is checked before the first."""
    source = None
    if tensor.base:
        source = base.find(tensor, tensor.base)
        check_digest(source, tensor.base)
    return (packed_pieces if delta.encoding == "packed" else plain_pieces)(delta, tensor, source)


def _array_of(base: Base, delta: Delta, tensor: Tensor) -> Array:
    pieces = _pieces(base, delta, tensor)
    try:
        made = np.empty(tensor.units, tensor.kind.word)
    except MemoryError:
        raise DeltaError(
            f'tensor "{shown(tensor.name)}": {tensor.nbytes} bytes are more than there is memory for'
        ) from None
    at = 0
    for piece in pieces:
        made[at : at + piece.size] = piece
        at += piece.size
    array = made.view(tensor.kind.array)
    return array.reshape(tensor.shape) if tensor.kind.divisible else array


@contextlib.contextmanager
def _opened(base: "Mapping[str, Any] | PathLike", delta: "Delta | PathLike") -> "Iterator[tuple[Base, Delta]]":
    """Both; what is opened here is closed."""
    with contextlib.ExitStack() as stack:
        if not isinstance(delta, Delta):
            delta = stack.enter_context(Delta(delta))
        opened = open_base(base)
        stack.callback(opened.close)
        yield opened, delta


def _chosen(delta: Delta, names: "Iterable[str] | None") -> "list[Tensor]":
    if names is None:
        return list(delta.tensors.values())
    wanted = dict.fromkeys(names)
    for name in wanted:
        if name not in delta.tensors:
            raise KeyError(f'the model has no tensor "{shown(name)}"')
    return [tensor for name, tensor in delta.tensors.items() if name in wanted]


def apply(
    base: "Mapping[str, Any] | PathLike", delta: "Delta | PathLike", *, names: "Iterable[str] | None" = None
) -> "dict[str, Array]":
    """
    The tensors of the pruned model by name, in the model's order: new arrays with the model's dtypes and shapes.

    names: those of the model's tensors that are wanted; nothing is read for any other. None: all of them. KeyError: one is not there.

    base: arrays by name, as safetensors.numpy.load_file gives them (NumPy arrays, or what numpy.asarray makes them of without another
    dtype), or the path of a safetensors file, of the index of a sharded checkpoint, or of a folder with one of them.
    delta: an open delta, or the path of one, or of a folder with delta.safetensors.

    NumPy has no bfloat16 and no 8-bit floats: BF16 comes and goes as uint16 with the same bits, F8_* as uint8; in `base`, arrays of the
    dtypes of the package ml_dtypes do as well. Of dtypes below 8 bits (F4, F6_*) it is the tensor's bytes, uint8 of one dimension.

    Raises WrongBase if a base tensor is missing, or has another dtype, shape or SHA-256 than the delta was made from; DeltaError,
    CheckpointError and MissingZstandard; OSError. Memory: the result, and some megabytes; Delta.nbytes tells how large it becomes.
    """
    with _opened(base, delta) as (opened, source):
        return {tensor.name: _array_of(opened, source, tensor) for tensor in _chosen(source, names)}


# ---- files


def _write_file(path: str, base: Base, delta: Delta, file: ModelFile) -> None:
    tensors = [delta.tensors[name] for name in file.tensors]
    with _created(path) as written:
        written.write(make_header(file.metadata, ((t.name, t.dtype, t.shape, t.nbytes) for t in tensors)))
        for tensor in tensors:
            for piece in _pieces(base, delta, tensor):
                written.write(piece.data.cast("B"))


def _write_index(path: str, delta: Delta) -> None:
    weight_map = {name: file.name for file in delta.files for name in file.tensors}
    index = {"metadata": {"total_size": delta.nbytes}, "weight_map": weight_map}
    with _created(path) as written:
        written.write((json.dumps(index, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode())


@contextlib.contextmanager
def _created(path: str) -> "Iterator[IO[bytes]]":
    """A new file, which is on the disk at the end."""
    with of_file(path), open(path, "xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _write_folder(folder: str, base: Base, delta: Delta) -> None:
    os.mkdir(folder)
    for file in delta.files:
        _write_file(os.path.join(folder, file.name), base, delta, file)
    _write_index(os.path.join(folder, INDEX_NAME), delta)


def apply_files(
    base: "Mapping[str, Any] | PathLike", delta: "Delta | PathLike", output: PathLike, *, replace: bool = False
) -> None:
    """
    Writes the pruned model, bit for bit the files that it was pruned to.

    base, delta, errors: as of `apply`. output: the path of the file, or of the folder if the model is sharded (`Delta.sharded`); into a
    folder that is there already, a model of one file goes as model.safetensors. It is written beside that and renamed when all is right;
    nothing is left behind otherwise. What is there already is a FileExistsError unless `replace`; of a folder then only files of the same
    names are replaced, and the inputs never are. The output is looked at before the work begins. Memory: some megabytes, whatever the
    model's size.
    """
    output = os.fspath(output)
    with _opened(base, delta) as (opened, source):
        output = placed(output, source)
        check_output(output, source, (source.path, *opened.paths), replace)
        with published(output) as aside:
            if source.sharded:
                _write_folder(aside, opened, source)
            else:
                _write_file(aside, opened, source, source.files[0])
