# SPDX-License-Identifier: Apache-2.0
"""PNGs of kend, by Python that knows only what a PNG is; and the letters in them."""

from __future__ import annotations

import dataclasses
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

FONT = Path(__file__).parents[2] / "core" / "heatmap" / "font.c"
#: Numbers of the palette where there is more than a matrix.
LAST, INK, PAPER = 253, 254, 255
Array = np.ndarray[Any, Any]


@dataclasses.dataclass
class Picture:
    pixels: Array  # numbers of the palette [height, width]
    palette: bytes

    def colours(self) -> Array:
        """Red, green and blue [height, width, 3]."""
        return np.asarray(np.frombuffer(self.palette, np.uint8).reshape(256, 3)[self.pixels])


def decode(png: bytes) -> Picture:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data, palette = 8, b"", b""
    head: "tuple[int, ...]" = ()
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        content = png[at + 8 : at + 8 + length]
        assert zlib.crc32(kind + content) == struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0]
        if kind == b"IHDR":
            head = struct.unpack(">II", content[:8])
            assert content[8:] == bytes((8, 3, 0, 0, 0))
        elif kind == b"PLTE":
            palette = content
        elif kind == b"tRNS":
            assert content == b"\0"
        elif kind == b"IDAT":
            data += content
        at += 12 + length
    lines = np.frombuffer(zlib.decompress(data), np.uint8).reshape(head[1], head[0] + 1)
    assert not lines[:, 0].any(), "lines are not filtered"
    return Picture(lines[:, 1:], palette)


def on_paper(pixels: Array) -> Array:
    """What a matrix's numbers are where there are ink and paper, too."""
    return np.asarray(np.where(pixels == 0, PAPER, np.minimum(pixels, LAST)))


def written(pixels: Array, x: int, y: int, length: int) -> str:
    """What is written there: as many letters."""
    lines = re.findall(r"\{((?:0x[0-9a-f]{2}(?:, )?){7})\}", FONT.read_text())
    letters = {bytes(int(b, 16) for b in line.split(", ")): chr(32 + i) for i, line in enumerate(lines)}
    assert len(lines) == 95 and len(letters) == 95, "no two letters look alike"
    text = ""
    for at in range(x, x + 6 * length, 6):
        box = np.zeros((7, 5), int)
        seen = pixels[y : y + 7, at : at + 5] == INK
        box[: seen.shape[0], : seen.shape[1]] = seen
        text += letters.get(bytes(int(v) for v in box @ [16, 8, 4, 2, 1]), "?")
    return text
