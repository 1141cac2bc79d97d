# SPDX-License-Identifier: Apache-2.0
"""A kend of which the n-th call of a kind fails, and what must hold nevertheless."""

from __future__ import annotations

import collections
import dataclasses
import errno
import http.client
import mmap
import os
import re
import struct
import subprocess
import time
from pathlib import Path
from typing import Any, Optional

from daemon import BUILD, Kend, Response

#: As enum sweep_kind of tests/fault/sweep.h has them.
KINDS = (
    *("none", "memory", "jansson", "sqlite", "curl", "open", "read", "write", "room", "sync", "name", "sql", "fetch"),
    *("answer", "thread"),
)
#: Result codes of SQLite.
BUSY, NOMEM, IOERR, FULL = 5, 7, 10, 13


@dataclasses.dataclass(frozen=True)
class Fault:
    """What fails and how; which codes a job may fail with, and what its message then says."""

    kind: str
    error: int = errno.ENOMEM
    lasting: bool = False  # not one use alone, but all later ones, until the test says so
    codes: "tuple[str, ...]" = ("internal",)
    text: str = "out of memory"
    holds: bool = False  # nothing fails: it takes until the test says so

    def __str__(self) -> str:
        return f"{self.kind}-{self.error}" + ("-lasting" if self.lasting else "")


NO_SPACE = ("no_space",)
FILES = ("internal", "fetch_failed", "artifact_store_failed")
FAULTS = (
    Fault("memory", text="out of memory|cryptographic library failed"),
    Fault("jansson", text="out of memory|Cannot allocate memory"),
    Fault("sqlite"),
    Fault("curl", codes=("internal", "fetch_failed"), text="[Oo]ut of memory"),
    Fault("open", errno.EMFILE, codes=FILES, text="Too many open files"),
    Fault("read", errno.EIO, codes=FILES, text="Input/output error"),
    Fault("write", errno.ENOSPC, codes=NO_SPACE, text="No space left on device"),
    Fault("write", errno.ENOSPC, True, codes=NO_SPACE, text="No space left on device"),
    Fault("write", errno.EIO, codes=FILES, text="Input/output error"),
    Fault("room", errno.ENOSPC, codes=NO_SPACE, text="No space left on device"),
    Fault("sync", errno.EIO, codes=FILES, text="Input/output error"),
    Fault("name", errno.ENOSPC, codes=NO_SPACE, text="No space left on device"),
    Fault("name", errno.EIO, codes=FILES, text="Input/output error"),
    Fault("sql", FULL, codes=()),
    Fault("sql", FULL, True, codes=()),
    Fault("sql", IOERR, codes=()),
    Fault("sql", BUSY, codes=()),
    Fault("fetch", codes=("internal", "fetch_failed"), text="[Oo]ut of memory"),
    Fault("answer", codes=()),
    Fault("thread", errno.EMFILE, text="out of memory|starting a thread: "),
)


class Control:
    """The file that a swept kend shares (struct sweep)."""

    LAYOUT = struct.Struct("=7I4x6Q")

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(self.LAYOUT.size))
        self.path = path
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), self.LAYOUT.size)

    def arm(self, fault: Fault, first: int) -> None:
        """The call `first` of the fault's kind fails, counted from 1."""
        self._memory[:] = self.LAYOUT.pack(0, first, int(fault.lasting), fault.error, 0, 0, int(fault.holds), *(0,) * 6)
        self._memory[:4] = struct.pack("=I", KINDS.index(fault.kind))

    def disarm(self) -> int:
        """Nothing fails any more; how many calls have."""
        self._memory[:4] = bytes(4)
        return int(self.LAYOUT.unpack(self._memory[:])[5])

    @property
    def count(self) -> int:
        return int(self.LAYOUT.unpack(self._memory[:])[4])

    def place(self) -> str:
        """Where in kend the first call was that failed, and who called that."""
        places = [hex(one) for one in self.LAYOUT.unpack(self._memory[:])[7:] if one]
        if not places:
            return ""
        command = ["addr2line", "-sfp", "-e", str(BUILD / SweptKend.program), *places]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        return " < ".join(line for line in found.stdout.splitlines() if "sweep.c" not in line)


class SweptKend(Kend):
    program = "tests/fault/swept_kend"

    def __init__(self, folder: Path, control: Control, **settings: object) -> None:
        names = {name.replace("__", "."): value for name, value in settings.items()}
        super().__init__(folder, names, {"KEND_SWEEP": str(control.path)})
        self.control = control
        self.usual: "collections.Counter[str]" = collections.Counter()

    def ask(self, method: str, path: str, *arguments: Any, **options: Any) -> Optional[Response]:
        """A request that may be answered by a closed connection: None."""
        try:
            return self.request(method, path, *arguments, **options)
        except (http.client.HTTPException, ConnectionError):
            return None

    def open_files(self) -> "collections.Counter[str]":
        """What is open, sockets left out: connections to origins and clients come and go."""
        found: "collections.Counter[str]" = collections.Counter()
        for entry in Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                target = os.readlink(entry)
            except FileNotFoundError:
                continue
            if not target.startswith("socket:"):
                found[re.sub(r"\d+", "N", target)] += 1
        return found

    def check_open_files(self) -> None:
        """Nothing is open but what was when `usual` was taken."""
        end = time.monotonic() + 10
        while self.open_files() - self.usual:
            assert time.monotonic() < end, f"left open: {self.open_files() - self.usual}"
            time.sleep(0.02)
