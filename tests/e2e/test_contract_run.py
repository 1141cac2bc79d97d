# SPDX-License-Identifier: Apache-2.0
"""The run of the contract's fuzzer leaves nothing behind, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contract import SOURCE
from daemon import BUILD

RUN = SOURCE / "tests" / "contract" / "fuzz_contract.py"


def children(pid: int) -> "set[int]":
    """Those of the process, and theirs."""
    found = set()
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            found |= {child} | children(child)
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_no_children(tmp_path: Path, number: int) -> None:
    program = tmp_path / "schemathesis"
    program.write_text('#!/bin/sh\ntouch called\nmv called "$CALLED"\nexec sleep 600\n')
    program.chmod(0o755)
    called = tmp_path / "called"
    environment = {
        **os.environ,
        "KEND_BUILD": str(BUILD),
        "SCHEMATHESIS": str(program),
        "CALLED": str(called),
        "TMPDIR": str(tmp_path),
    }
    run = subprocess.Popen(
        [sys.executable, str(RUN)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        end = time.monotonic() + 120
        while not called.exists():
            assert run.poll() is None and time.monotonic() < end
            time.sleep(0.05)
        started = children(run.pid)
        assert len(started) >= 2  # kend and schemathesis
        run.send_signal(number)
        assert run.wait(60) != 0
        while any(alive(pid) for pid in started):
            assert time.monotonic() < end, "children were left"
            time.sleep(0.05)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["called", "schemathesis"]
    finally:
        run.kill()
        run.communicate()
