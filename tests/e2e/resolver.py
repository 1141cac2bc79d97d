# SPDX-License-Identifier: Apache-2.0
"""Names whose addresses change: tests/fault/resolver.c before a program, and what it was asked."""

from __future__ import annotations

import os
from pathlib import Path

from daemon import BUILD

LIBRARY = BUILD / "tests/fault/resolver.so"


class Resolver:
    """The names of a test. Programs that are started with `env` get these answers."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "answers"
        self.path.touch()
        # The library has no sanitizer in it, and comes before the program's.
        sanitizer = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
        self.env = {"LD_PRELOAD": str(LIBRARY), "RESOLVER_ANSWERS": str(self.path), "ASAN_OPTIONS": sanitizer}

    def name(self, name: str, *answers: str) -> None:
        """The n-th time it is looked up `name` has the n-th of these, addresses with commas between; the last one stays."""
        with self.path.open("a") as file:
            print(name, *answers, file=file)

    def asked(self) -> list[str]:
        """What was answered so far: "NAME ADDRESS,..."."""
        log = Path(f"{self.path}.log")
        return log.read_text().splitlines() if log.exists() else []
