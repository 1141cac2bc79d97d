# SPDX-License-Identifier: Apache-2.0
"""What a file is, told from its first bytes as kend tells it."""

from __future__ import annotations

import re

HEAD = 512  # bytes that are enough
_LENGTH = 8  # bytes of the header's length, which a safetensors file begins with
_TAR = slice(257, 262)
_BEGINNINGS = (
    ("git", b"version https://git-lfs[.]github[.]com/spec/"),
    ("safetensors", rb"(?s:.{8})\{"),
    ("torch", rb"PK\x03\x04|\x80[\x01-\x05][^\0]"),  # zip; pickle, of PyTorch before 1.6
)
WRONG = {
    "json": "this is JSON, not a safetensors file",
    "html": "this is an HTML page, not a safetensors file: download the file itself",
    "git": "this is a Git LFS pointer, not the file it stands for: git lfs pull gets that",
    "torch": "a PyTorch file, not a safetensors file",
    "": "no safetensors file: its header does not begin with '{'",
}


def content_of(head: "bytes | bytearray") -> str:
    """What a file with these first bytes is: "safetensors", or one of WRONG."""
    if 0 not in head[:_LENGTH]:  # the length of a header below 2^56 has a NUL byte, text has none
        text = re.sub(rb"^(\xef\xbb\xbf)?[ \n\r\t]*", b"", head)
        for kind, first in (("json", b"{"), ("html", b"<")):
            if text.startswith(first):
                return kind
    for kind, beginning in _BEGINNINGS:
        if re.match(beginning, head):
            return kind
    return "torch" if head[_TAR] == b"ustar" else ""
