# SPDX-License-Identifier: Apache-2.0
"""Checkpoints on disk: one safetensors file, or shards with their index."""

from __future__ import annotations

import os
import re
from typing import Type

from ._delta import INDEX_NAME, MODEL_NAME
from ._errors import CheckpointError, Error, shown
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
        try:
            self._open(_in_folder(path) if os.path.isdir(path) else path)
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

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _open(self, path: str) -> None:
        text = _json_or_safetensors(path)
        if text is None:
            file = self._files[path] = SafetensorsFile(path, CheckpointError)
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
                self._files[name] = SafetensorsFile(os.path.join(os.path.dirname(index), name), CheckpointError)
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


def _json_or_safetensors(path: str, error: Type[Error] = CheckpointError) -> "bytearray | None":
    """The text of an index; None if it is a safetensors file, as far as its first bytes tell."""
    reader = FileReader(path, error)
    try:
        head = reader.read(0, min(reader.size, 9))
        if head[:2] == b"PK" or head[:1] == b"\x80":
            raise _torch(path)
        if head[8:9] == b"{" and 0 in head[:8] or not head.lstrip().startswith(b"{"):
            return None
        if reader.size > MOST_HEADER:
            raise error(f"{path}: an index of {reader.size} bytes is over the limit of {MOST_HEADER}")
        return reader.read(0, reader.size)
    finally:
        reader.close()


def _torch(path: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: a PyTorch file, and this package reads safetensors: use kenctl inject, or load it with torch and give its tensors to apply"
    )
