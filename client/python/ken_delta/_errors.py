# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, and how names from files are shown in messages."""

from __future__ import annotations

import contextlib
import errno
from typing import Iterator

SHOWN = 160  # characters of a name in a message, at most


class Error(Exception):
    """All errors of this package but those of the operating system (OSError) and of wrong arguments (TypeError, ValueError)."""


class DeltaError(Error):
    """The delta is malformed, damaged, or of a version or encoding that this package does not know."""


class CheckpointError(Error):
    """The base's files are no safetensors checkpoint, or a malformed one."""


class WrongBase(Error):
    """The base is not the one that the delta was made from. `tensor` is the name of the base tensor that tells."""

    def __init__(self, message: str, tensor: str = "") -> None:
        super().__init__(message)
        self.tensor = tensor


class MissingZstandard(Error, ImportError):
    """The delta is packed, and the package zstandard is not installed."""


@contextlib.contextmanager
def of_file(path: str) -> "Iterator[None]":
    """Errors of reading and writing, which the system gives without a name, get that of the file."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = path
        raise


_REMEDIES = {
    errno.EACCES: "this user may not read or write it: change its permissions, or those of its folder",
    errno.EDQUOT: "this user's quota is used up: make room, or choose an output elsewhere",
    errno.EFBIG: "it becomes larger than files may be here: choose an output elsewhere",
    errno.ELOOP: "a loop of symbolic links: give the file itself",
    errno.EMFILE: "so many files may not be open here: raise the limit (ulimit -n)",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
    errno.ENOENT: "there is no such file or folder: check the path",
    errno.ENOSPC: "no space is left: make room, or choose an output elsewhere",
    errno.ENOTDIR: "a part of the path is a file, not a folder: check the path",
    errno.EROFS: "nothing can be written there: choose an output elsewhere",
}
_REMEDIES[errno.EPERM] = _REMEDIES[errno.EACCES]


def explain(error: OSError) -> str:
    """An error of the operating system for people: which file, and what to do."""
    if error.errno is None:
        return str(error)
    name = "standard output" if error.filename is None else error.filename
    return f"{name}: {_REMEDIES.get(error.errno, error.strerror)}"


def shown(text: str) -> str:
    """A text that was read, with what could steer a terminal or break a line as \\xNN, cut if it is very long."""
    clean = (c if c.isprintable() else "".join(f"\\x{byte:02x}" for byte in c.encode()) for c in text[:SHOWN])
    return "".join(clean) + ("..." if len(text) > SHOWN else "")
