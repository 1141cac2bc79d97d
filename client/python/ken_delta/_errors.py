# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, and how names from files are shown in messages."""

from __future__ import annotations

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


def shown(text: str) -> str:
    """A text that was read, with what could steer a terminal or break a line as \\xNN, cut if it is very long."""
    clean = (c if c.isprintable() else "".join(f"\\x{byte:02x}" for byte in c.encode()) for c in text[:SHOWN])
    return "".join(clean) + ("..." if len(text) > SHOWN else "")
