# SPDX-License-Identifier: Apache-2.0
"""Every malformed checkpoint is refused in the check stage with its code and reason, by kend over HTTP and by kenctl; both stay well."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import numpy as np
import pytest

from checkpoints import Malformed, malformed_checkpoints, write_safetensors
from daemon import Kend
from origin import Origin

CORPUS = list(malformed_checkpoints())


def write(folder: Path, malformed: Malformed) -> Path:
    """The checkpoint's files in a folder of its name; what to open there."""
    where = folder / malformed.name
    where.mkdir()
    for name, content in malformed.files.items():
        (where / name).write_bytes(content)
    return where / malformed.location


@pytest.mark.smoke
def test_the_corpus_is_large_enough() -> None:
    assert len(CORPUS) >= 170
    assert len({malformed.name for malformed in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("side", ["model", "base"])
def test_jobs_fail_with_the_reason(side: str, kend: Kend, origin: Origin, tmp_path: Path) -> None:
    root = tmp_path / "origin"
    write_safetensors(root / "good.safetensors", {"a": np.zeros(2, np.float32)})
    other = "base" if side == "model" else "model"
    jobs = []
    for malformed in CORPUS:
        write(root, malformed)
        url = f"{origin.url}/{malformed.name}/{malformed.location}"
        jobs.append(kend.submit({side: url, other: f"{origin.url}/good.safetensors", "k": 1}))
    for malformed, job in zip(CORPUS, jobs):
        ended = kend.wait(job)
        assert ended["status"] == "failed", malformed.name
        error = ended["error"]
        assert (error["code"], error["stage"]) == (malformed.code, "checking"), (malformed.name, error)
        assert malformed.message in error["message"], (malformed.name, error)
        assert ended["artifacts"] == []
    assert kend.get("/livez").status == 200


def test_kenctl_fails_with_the_reason(kenctl: Callable, tmp_path: Path) -> None:
    for malformed in CORPUS:
        if malformed.name in (
            "too-many-tensors",
            "name-too-long",
            "torch-pickle-many-objects",
        ):  # the limits of kenctl are wider
            continue
        ended = kenctl("inspect", write(tmp_path, malformed))
        assert ended.returncode == 1, (malformed.name, ended)
        assert malformed.message in ended.stderr, (malformed.name, ended.stderr)
        assert ended.stdout == "", malformed.name
