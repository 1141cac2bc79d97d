# SPDX-License-Identifier: Apache-2.0
"""Checkpoints on disk: one safetensors file, or shards with their index."""

from __future__ import annotations

import os
import re

from ._content import HEAD, content_of
from ._delta import INDEX_NAME, MODEL_NAME, is_delta
from ._errors import CheckpointError, shown
from ._json import a_text, an_object, read_json
from ._safetensors import MOST_HEADER, Entry, SafetensorsFile
from ._source import FileReader, Part

TORCH = ("pytorch_model.bin", "pytorch_model.bin.index.json")
MOST_FILES = 4096
_UNSAFE = re.compile(r"[\0-\x1f\x7f\\:?#%]")  # in the name of a file, as kend has it


class Checkpoint:
    """
    The tensors of a safetensors file, of an index (*.safetensors.index.json), or of a folder with model.safetensors or such an index.
    """

    def __init__(self, path: "str | os.PathLike[str]") -> None:
        self._files: "dict[str, SafetensorsFile]" = {}
        self._places: "dict[str, SafetensorsFile]" = {}
        path = os.fspath(path)
        self._path = _in_folder(path) if os.path.isdir(path) else path
        try:
            self._open(self._path)
        except BaseException:
            self.close()
            raise

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def entry(self, name: str) -> Entry:
        """Dtype and shape of a tensor that it has."""
        return self._places[name].entries[name]

    def source(self, name: str) -> Part:
        """Bytes of a tensor that it has."""
        return self._places[name].source(name)

    @property
    def paths(self) -> "list[str]":
        """Of all files that it is in."""
        return [self._path, *(file.path for file in self._files.values())]

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _open(self, path: str) -> None:
        text = _text_of_index(path)
        if text is None:
            file = self._files[path] = _open_safetensors(path)
            self._places = dict.fromkeys(file.entries, file)
            return
        index = an_object(read_json(text, path, CheckpointError), path, CheckpointError)
        if not index.get("weight_map"):
            raise CheckpointError(f"{path}: no weight_map, or an empty one, hence not an index")
        for tensor, name in an_object(index["weight_map"], f"{path}: weight_map", CheckpointError).items():
            file = self._shard(path, a_text(name, f"{path}: the name of a file", CheckpointError))
            if tensor not in file.entries:
                raise CheckpointError(f'{path}: tensor "{shown(tensor)}" is mapped to {shown(name)}, which lacks it')
            self._places[tensor] = file
        for name, file in self._files.items():
            for tensor in file.entries:
                if self._places.get(tensor) is not file:
                    raise CheckpointError(f'{path}: tensor "{shown(tensor)}" of {shown(name)} is not mapped to it')

    def _shard(self, index: str, name: str) -> SafetensorsFile:
        if name not in self._files:
            if _UNSAFE.search(name) or any(part in ("", ".", "..") for part in name.split("/")):
                raise CheckpointError(f'{index}: file name "{shown(name)}" is not a plain relative path')
            if len(self._files) == MOST_FILES:
                raise CheckpointError(f"{index}: more than {MOST_FILES} files")
            try:
                self._files[name] = _open_safetensors(os.path.join(os.path.dirname(index), name))
            except FileNotFoundError:
                raise CheckpointError(f'{index}: file "{shown(name)}" does not exist') from None
        return self._files[name]


def _in_folder(folder: str) -> str:
    """The path of the checkpoint that is in a folder."""
    for name in (MODEL_NAME, INDEX_NAME):
        if os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    for name in TORCH:
        if os.path.exists(os.path.join(folder, name)):
            raise _torch(os.path.join(folder, name))
    raise CheckpointError(f"no checkpoint in {folder}: neither {MODEL_NAME} nor {INDEX_NAME}")


def _text_of_index(path: str) -> "bytearray | None":
    """The text of an index; None if the file is something else, as its first bytes tell."""
    reader = FileReader(path, CheckpointError)
    try:
        content = content_of(reader.head(HEAD))
        if content == "torch":
            raise _torch(path)
        if content != "json":
            return None
        if reader.size > MOST_HEADER:
            raise CheckpointError(f"{path}: an index of {reader.size} bytes is over the limit of {MOST_HEADER}")
        return reader.read(0, reader.size)
    finally:
        reader.close()


def _open_safetensors(path: str) -> SafetensorsFile:
    file = SafetensorsFile(path, CheckpointError)
    if is_delta(file.metadata or {}):
        file.close()
        raise CheckpointError(f"{path}: this is a delta: give the base that it was made from")
    return file


def _torch(path: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: a PyTorch file, and this package reads safetensors: use kenctl inject, or load it with torch and give its tensors to apply"
    )
