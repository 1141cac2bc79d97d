# SPDX-License-Identifier: Apache-2.0
"""The targets of tests/fuzz where there is no libFuzzer: what they tell of inputs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from daemon import BUILD
from torch_files import make_torch

TARGET = BUILD / "tests" / "fuzz" / "fuzz_torch"


def test_what_came_of_each_file_is_told(tmp_path: Path) -> None:
    if not TARGET.exists():
        pytest.skip("the targets are built by make check")
    (tmp_path / "good").write_bytes(make_torch({"a": np.ones(3, np.float32)}))
    (tmp_path / "bad").write_text("no zip")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "inner").write_text("no zip")
    done = subprocess.run(
        [str(TARGET), "good", "bad", "folder"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "good: accepted\nbad: refused\nfolder/inner\n3 inputs\n"
    done = subprocess.run([str(TARGET), "bad"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout == "bad: refused\n1 input\n"
