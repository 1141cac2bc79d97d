# SPDX-License-Identifier: Apache-2.0
"""The command line itself: help, faults, progress."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from daemon import BUILD
from deltas import Run, make_pair, ok


LOCAL = ("prune", "inject", "verify", "inspect", "diff", "export")
COMMANDS = ("submit", "list", "show", "watch", "cancel", "delete", "download", *LOCAL)


def test_help_and_version(kenctl: Run) -> None:
    text = ok(kenctl("--help"))
    for command in COMMANDS:
        assert re.search(rf"^  {command} +\S", text, re.M)
        help_text = ok(kenctl(command, "--help"))
        assert help_text.startswith(f"Usage: kenctl {command} ")
        assert "Example" in help_text and f"  kenctl {command}" in help_text and "--quiet" in help_text
        assert max(len(line) for line in help_text.splitlines()) < 150
        assert ok(kenctl("help", command)) == help_text
        assert ("--server" in help_text) == (command not in LOCAL)
        assert "hf://" not in help_text and ("packed" in help_text) == (command in ("prune", "submit", *LOCAL[4:]))
        assert ("--metadata" in help_text) == (command in ("submit", "list"))
    assert re.search(r"--model MODEL +the pruned model$", ok(kenctl("verify", "--help")), re.M)
    assert ok(kenctl("help")) == text and "hf://" not in text
    assert re.fullmatch(r"kenctl \d+\.\d+\.\d+\n", ok(kenctl("--version")))


@pytest.mark.parametrize(
    ("arguments", "message"),
    (
        ((), "which command? See: kenctl --help"),
        (("prnue",), "unknown command 'prnue'\nDid you mean 'prune'? See: kenctl --help"),
        (("frobnicate",), "unknown command 'frobnicate'\nSee: kenctl --help"),
        (("inspect", "x", "--jsn"), "unknown option '--jsn'\nDid you mean '--json'? See: kenctl inspect --help"),
        (("help", "prnue"), "unknown command 'prnue'\nDid you mean 'prune'? See: kenctl --help"),
        (("inspect", "x", "--server", "http://a"), "unknown option '--server'"),
        (("--server", "http://a", "inspect", "x"), "'inspect' works on this machine: it takes no --server"),
        (("submit", "--k", "3", "--keep", "0.5"), "--k and --keep exclude each other"),
        (("submit", "--k", "3", "--base", "b"), "'submit' needs --model and --base where there is no job document"),
        (("prune", "--k", "3", "--model", "m"), "'prune' needs --model and --base where there is no job document"),
        (
            ("submit", "--model", "m", "--base", "b", "--metadata", "a=b", "--metadata", "a=c"),
            "--metadata has 'a' twice",
        ),
        (("inject", "--base", "b", "--delta", "d", "-o", "-"), "the model cannot go to standard output"),
        (("inspect", "x", "-z"), "unknown option '-z'\nSee: kenctl inspect --help"),
        (("--sever", "x", "list"), "unknown option '--sever'\nDid you mean '--server'? See: kenctl --help"),
        (("inspect",), "'inspect' needs FILE\nSee: kenctl inspect --help"),
        (("inspect", "a", "b"), "unexpected argument 'b'"),
        (("inspect", "a", "-o"), "option '-o' needs a value: -o FORMAT"),
        (("inspect", "a", "-o", "xml"), "-o is text or json, not 'xml'"),
        (("inspect", "a", "-qz"), "unknown option '-z'\nSee: kenctl inspect --help"),
        (("inspect", "a", "-qo"), "option '-o' needs a value: -o FORMAT"),
        (("submit", "--kind", "injct", "--base", "b"), "there is no kind 'injct' of job: there are prune inject\n"),
        (("submit", "--base", "b", "--delta", "d"), "--delta is of jobs that make a model back: --kind inject"),
        (("submit", "--kind", "inject", "--base", "b"), "'submit --kind inject' needs --base and --delta"),
        (("inspect", "a", "--json=yes"), "option '--json' takes no value"),
        (("inject", "--k", "3"), "unknown option '--k'"),
        (("--server", "ftp://x", "list"), "the server must be a URL as http://127.0.0.1:8377, not 'ftp://x'"),
    ),
)
def test_a_wrong_command_line_ends_with_2_and_a_hint(kenctl: Run, arguments: "tuple[str, ...]", message: str) -> None:
    result = kenctl(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr


def test_flags_in_a_row(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path)
    prune = ("prune", "--model", model, "--base", base, "--k", 5)
    for flags in (("-qo", "out"), ("-fqo", "out"), ("-qfoout",), ("-fqfqfqqqqqqqfo", "out"), ("-qo", "other")):
        result = kenctl(*prune, *flags)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", ""), flags
    assert kenctl("diff", "-aq", "out/model.safetensors", "other/model.safetensors").returncode == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base.safetensors", "model.safetensors", "other", "out"]


def test_no_colour_and_no_bar_in_a_pipe(tmp_path: Path, kenctl: Run) -> None:
    model, base = make_pair(tmp_path)
    result = kenctl("prune", "--model", model, "--base", base, "--k", 5, "-o", "out")
    assert "\033" not in result.stderr + result.stdout and "\r" not in result.stderr
    assert re.fullmatch(r"(warning: .*\n)*pruning, \d+ rows\npublishing\ndone after \d\.\d s\n", result.stderr)
    assert kenctl("prune", "--model", model, "--base", base, "--k", 5, "-o", "quiet", "-q").stderr == ""
    result = kenctl("inspect", "\033[31mnone")
    assert "\033" not in result.stderr


def test_a_bar_on_a_terminal(tmp_path: Path) -> None:
    model, base = make_pair(tmp_path)
    ours, theirs = os.openpty()
    command = [
        str(BUILD / "kenctl"),
        "prune",
        "--model",
        str(model),
        "--base",
        str(base),
        "--k",
        "5",
        "-o",
        str(tmp_path / "out"),
    ]
    process = subprocess.Popen(command, stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait(30) == 0
    assert b"\r\033[Kpruning    [" in shown
    assert shown.endswith(b"\r\033[K"), "the bar is removed"
