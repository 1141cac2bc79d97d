# SPDX-License-Identifier: Apache-2.0
"""Bytes that are read piece by piece, wherever they lie."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import threading
from typing import Protocol, Type

from ._errors import Error, of_file

PIECE = 1 << 20  # bytes that are read at a time


class Source(Protocol):
    """Some bytes, of a tensor or an entry."""

    size: int

    def read(self, at: int, length: int) -> bytearray:
        """A copy of `length` bytes from `at` on, which must be there."""


class FileReader:
    """A file that is open for reading, by any thread. Raises `error` where it is shorter than it was."""

    def __init__(self, path: "str | os.PathLike[str]", error: Type[Error]) -> None:
        self.path = os.fspath(path)
        self.error = error
        self._lock = threading.Lock()
        mode = os.stat(self.path).st_mode  # first, as opening a pipe could wait for ever
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
            raise error(f"{self.path}: {kind}, not a file: give the path of a file on disk")
        self._file = io.FileIO(self.path)
        self.size = os.fstat(self._file.fileno()).st_size

    def read(self, at: int, length: int) -> bytearray:
        content = bytearray(length)
        view, filled = memoryview(content), 0
        with self._lock, of_file(self.path):
            self._file.seek(at)
            while filled < length:
                count = self._file.readinto(view[filled:])
                if not count:
                    raise self.error(f"{self.path}: the file ends before its byte {at + length}")
                filled += count
        return content

    def head(self, most: int) -> bytearray:
        """At most so many bytes from the beginning."""
        return self.read(0, min(self.size, most))

    def close(self) -> None:
        self._file.close()


class Part:
    """A range of a file."""

    def __init__(self, file: FileReader, offset: int, size: int) -> None:
        self.file, self.offset, self.size = file, offset, size

    def read(self, at: int, length: int) -> bytearray:
        return self.file.read(self.offset + at, length)


class Memory:
    """Bytes in memory."""

    def __init__(self, view: memoryview) -> None:
        self.view, self.size = view, len(view)

    def read(self, at: int, length: int) -> bytearray:
        return bytearray(self.view[at : at + length])


def sha256_of(source: Source) -> str:
    """The SHA-256 of all its bytes, in lower-case hex."""
    digest = hashlib.sha256()
    for at in range(0, source.size, PIECE):
        digest.update(source.read(at, min(PIECE, source.size - at)))
    return digest.hexdigest()
