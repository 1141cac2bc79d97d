# SPDX-License-Identifier: Apache-2.0
"""The command line and configuration of the real kend: what it prints, what it refuses, and with which exit status."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Mapping, Optional

import pytest

from daemon import BUILD

SOURCE = Path(os.environ.get("KEND_SOURCE", Path(__file__).parents[2]))
GOLDEN = SOURCE / "tests" / "golden" / "kend.conf"


def kend(*arguments: object, env: Optional[Mapping[str, str]] = None) -> "subprocess.CompletedProcess[str]":
    """Runs kend, which must end by itself, without the variables of this test run."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KEND_")}
    return subprocess.run(
        [str(BUILD / "kend"), *map(str, arguments)],
        env={**environment, **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.smoke
def test_the_effective_configuration_gives_itself_again() -> None:
    done = kend("--config", GOLDEN, "--data", "/data", "--check-config")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == GOLDEN.read_text()


@pytest.mark.smoke
def test_the_sample_holds_the_defaults() -> None:
    by_sample = kend("--config", SOURCE / "conf" / "kend.conf", "--data", "/data", "--check-config")
    by_default = kend("--data", "/data", "--check-config")
    assert by_sample.returncode == by_default.returncode == 0
    assert by_sample.stdout == by_default.stdout


def test_flags_win_over_environment_over_file(tmp_path: Path) -> None:
    conf = tmp_path / "kend.conf"
    conf.write_text("[jobs]\nmax_running = 3\nkeep_days = 3\ndrain_seconds = 3\n")
    env = {"KEND_JOBS_KEEP_DAYS": "4", "KEND_JOBS_DRAIN_SECONDS": "4", "KEND_DATA": "/elsewhere"}
    done = kend("--config", conf, "--set", "jobs.drain_seconds=5", "--check-config", env=env)
    lines = done.stdout.splitlines()
    assert {"max_running = 3", "keep_days = 4", "drain_seconds = 5", "# data folder: /elsewhere"} <= set(lines)


@pytest.mark.parametrize(
    "text, message",
    [
        ("[http]\nthreads = 0\n", ':2: http.threads = "0": must be a whole number from 1 to 64'),
        ("[http]\n\nthread = 1\n", ':3: unknown option "http.thread"; did you mean "http.threads"?'),
        ("[htpp]\nthreads = 1\n", ':2: unknown section "htpp"; did you mean "http"?'),
        ("threads = 1\n", ":1: a key stands before the first [section]"),
        ("[http]\nthreads\n", ":2: expected [section] or key = value"),
        (
            "[auth]\npublic = all\n",
            ':2: auth.public = "all": must be any of probes, metrics, version, openapi, comma-separated',
        ),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    conf = tmp_path / "kend.conf"
    conf.write_text(text)
    options: list[list[str]] = [[], ["--check-config"]]
    for more in options:
        done = kend("--config", conf, "--data", tmp_path / "data", *more)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", f"kend: {conf}{message}\n")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--set", "http.listen=x"], "--set: http.listen"),
        (["--set", "nothing"], "expected section.key=value"),
        (["--listen", "kend.example:80"], "--listen: http.listen"),
        (["--config", "/nonexistent/kend.conf"], "/nonexistent/kend.conf: No such file or directory"),
        (["--set", "auth.tokens_file=/nonexistent"], "/nonexistent does not exist; kenctl token create"),
        (["--frobnicate"], "frobnicate"),
        (["stray"], "options only"),
    ],
)
def test_a_bad_flag_is_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = kend("--data", tmp_path / "data", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_root_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Here as at the start, which would fail."""
    words = ["--data", tmp_path / "data", "--set", f"fetch.file_roots={tmp_path},/nonexistent"]
    options: list[list[str]] = [[], ["--check-config"]]
    for more in options:
        done = kend(*words, *more)
        message = 'kend: fetch.file_roots: "/nonexistent": No such file or directory\n'
        assert (done.returncode, done.stdout, done.stderr) == (2, "", message)
    assert not (tmp_path / "data").exists()


def test_a_bad_variable_is_refused() -> None:
    done = kend("--check-config", env={"KEND_HTTP_LISTN": "127.0.0.1:1"})
    assert done.returncode == 2
    assert done.stderr == 'kend: environment: unknown option "KEND_HTTP_LISTN"; did you mean "KEND_HTTP_LISTEN"?\n'
    # What may be somebody else's, as Kubernetes' own, does not stop it.
    for variable, hint in (("KEND_HTP_LISTEN", '; did you mean "KEND_HTTP_LISTEN"?'), ("KEND_SERVICE_HOST", "")):
        done = kend("--check-config", env={variable: "x"})
        assert done.returncode == 0
        assert done.stderr == f'kend: warning: environment: unknown option "{variable}"{hint}; ignored\n'
    assert kend("--check-config", env={"KEND_DATA": "/elsewhere"}).stderr == ""


def test_a_kernel_the_machine_does_not_have_is_refused() -> None:
    foreign = "avx512" if platform.machine() == "aarch64" else "neon"
    done = kend("--set", f"prune.kernel={foreign}", "--check-config")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f'kend: there is no kernel "{foreign}" for this architecture: there are auto, scalar')


def test_version_and_help() -> None:
    version, usage = kend("--version"), kend("--help")
    assert version.returncode == usage.returncode == 0
    assert version.stdout.startswith("kend ")
    assert "--check-config" in usage.stdout
