# SPDX-License-Identifier: Apache-2.0
"""kenctl's commands over jobs: against the real kend, and against a fake one that breaks where a real one hardly can be made to."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from checkpoints import write_safetensors
from daemon import BUILD, Kend
from fake_kend import ID, Fake, Handler, Run, fake, job, log  # noqa: F401  a fixture

# ---- against the real kend


def write_pair(folder: Path) -> "tuple[str, str]":
    random = np.random.default_rng(3)
    base = {"layer.0.weight": random.normal(size=(30, 50)).astype(np.float32), "layer.0.bias": np.zeros(50, np.float32)}
    model = {name: values + random.normal(size=values.shape).astype(np.float32) for name, values in base.items()}
    write_safetensors(folder / "model.safetensors", model, {"format": "pt"})
    write_safetensors(folder / "base.safetensors", base)
    return f"file://{folder}/model.safetensors", f"file://{folder}/base.safetensors"


@pytest.mark.smoke
def test_the_whole_way(kend: Kend, kenctl: Run, tmp_path: Path) -> None:
    model, base = write_pair(tmp_path / "files")
    options = ("--server", kend.url)
    plan = kenctl(*options, "submit", "--model", model, "--base", base, "--k", 7, "--dry-run", "-o", "json")
    assert plan.returncode == 0, plan.stderr
    assert json.loads(plan.stdout)
    plan = kenctl(*options, "submit", "--model", model, "--base", base, "--k", 7, "--dry-run")
    same = kenctl("prune", "--model", model, "--base", base, "--k", 7, "--dry-run")
    numbers = [line.split() for line in plan.stdout.splitlines()]
    assert ["pruned_tensors", "2"] in numbers and [n for n in numbers if n[0] != "fetch_bytes"] == [
        line.split() for line in same.stdout.splitlines()
    ]
    missing = kenctl(*options, "submit", "--model", model, "--base", base + "x", "--k", 7, "--dry-run")
    assert missing.returncode == 1 and missing.stdout == ""
    assert missing.stderr.startswith(f"kenctl: the job would fail in its check: base: {base}x: ")
    assert missing.stderr.endswith(" (fetch_failed)\n")
    assert json.loads(kenctl(*options, "list", "-o", "json").stdout)["data"] == []

    done = kenctl(
        *options,
        "submit",
        "--model",
        model,
        "--base",
        base,
        "--k",
        7,
        "--name",
        "first",
        "--metadata",
        "team=nlp",
        "--wait",
    )
    assert done.returncode == 0, done.stderr
    (first,) = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("id ")]
    for text in (
        "status         succeeded",
        "name           first",
        "metadata       team=nlp",
        "ARTIFACT",
        "kept_percent",
    ):
        assert text in done.stdout

    warned = kenctl(
        *options,
        "submit",
        "-q",
        "--model",
        model,
        "--base",
        base,
        "--k",
        7,
        "--rule",
        "none=keep",
        "--wait",
        "-o",
        "json",
    )
    warning = 'warning: rule 1, "none", matches no tensor of the model\n'
    assert (warned.returncode, warned.stderr) == (0, warning)
    third = json.loads(warned.stdout)["id"]
    for command in ("show", "watch"):
        assert warning in kenctl(*options, command, third).stderr
    assert kenctl(*options, "delete", third).returncode == 0

    other = kenctl(*options, "submit", "-", input=json.dumps({"model": model, "base": base + "x", "k": 3}))
    assert other.returncode == 0, other.stderr
    second = other.stdout.strip()
    watched = kenctl(*options, "watch", second, "-q")
    assert watched.returncode == 1
    assert "error          fetch_failed: " in watched.stdout
    assert watched.stderr == ""

    lines = kenctl(*options, "list").stdout.splitlines()
    assert lines[0].split() == ["ID", "KIND", "STATUS", "STAGE", "DONE", "CREATED", "NAME"]
    assert [line.split()[:3] for line in lines[1:]] == [[second, "prune", "failed"], [first, "prune", "succeeded"]]
    for arguments, expected in (
        (("--status", "failed"), [second]),
        (("--metadata", "team=nlp"), [first]),
        (("--limit", "1"), [second]),
        (("--limit", "1", "--all"), [second, first]),
    ):
        answer = kenctl(*options, "list", *arguments, "-o", "json")
        assert [entry["id"] for entry in json.loads(answer.stdout)["data"]] == expected
    assert "There are more: --all lists them all." in kenctl(*options, "list", "--limit", "1").stderr

    shown = kenctl(*options, "show", first)
    document = json.loads(kenctl(*options, "show", first, "-o", "json").stdout)
    for artifact in document["artifacts"]:
        assert [artifact["name"], str(artifact["size"]), artifact["sha256"]] in [
            line.split() for line in shown.stdout.splitlines()
        ]
    assert ["kept", str(document["summary"]["kept"])] in [line.split() for line in shown.stdout.splitlines()]

    downloaded = kenctl(*options, "download", first, "-o", "got/here")
    assert downloaded.returncode == 0, downloaded.stderr
    assert sorted(p.name for p in (tmp_path / "got/here").iterdir()) == [
        "delta.safetensors",
        "model.safetensors",
        "report.json",
    ]
    for artifact in document["artifacts"]:
        assert hashlib.sha256((tmp_path / "got/here" / artifact["name"]).read_bytes()).hexdigest() == artifact["sha256"]
    local = kenctl("prune", "--model", model, "--base", base, "--k", 7, "-o", "local")
    assert local.returncode == 0, local.stderr
    for name in ("delta.safetensors", "model.safetensors", "report.json"):
        assert (tmp_path / "local" / name).read_bytes() == (tmp_path / "got/here" / name).read_bytes(), name

    assert kenctl(*options, "cancel", first).returncode == 1
    assert kenctl(*options, "delete", first).stdout == "deleted\n"
    gone = kenctl(*options, "show", first)
    assert (gone.returncode, "(404 not_found)" in gone.stderr, "`kenctl list` shows the jobs" in gone.stderr) == (
        1,
        True,
        True,
    )


def test_faults_of_a_document_are_all_told(kend: Kend, kenctl: Run) -> None:
    result = kenctl("--server", kend.url, "submit", "-", input=json.dumps({"model": 1, "k": 0, "metod": "ken"}))
    assert result.returncode == 1
    assert "(422 invalid_job)" in result.stderr
    for pointer in ("/model: ", "/base: ", "/k: ", "/metod: "):
        assert f"\n  {pointer}" in result.stderr
    assert "Correct the document" in result.stderr


def test_an_idempotency_key_gives_the_same_job(kend: Kend, kenctl: Run, tmp_path: Path) -> None:
    model, base = write_pair(tmp_path / "files")
    arguments = ("--server", kend.url, "submit", "--idempotency-key", "abc", "--model", model, "--base", base)
    first, again = kenctl(*arguments, "--k", 3), kenctl(*arguments, "--k", 3)
    assert first.returncode == again.returncode == 0
    assert first.stdout == again.stdout
    other = kenctl(*arguments, "--k", 4)
    assert (
        other.returncode,
        "(422 idempotency_mismatch)" in other.stderr,
        "Take another --idempotency-key" in other.stderr,
    ) == (1, True, True)


# ---- against the fake


def test_no_server(kenctl: Run, fake: Fake) -> None:
    fake.server_close()
    begin = time.monotonic()
    result = kenctl("--server", "http://127.0.0.1:1", "list")
    assert result.returncode == 1
    assert "http://127.0.0.1:1: Failed to connect" in result.stderr
    assert (
        "Is a kend running at http://127.0.0.1:1? Another one is named with --server URL or KENCTL_SERVER."
        in result.stderr
    )
    assert time.monotonic() - begin < 20


def test_another_kind_of_server(kenctl: Run, fake: Fake) -> None:
    fake.answer = lambda handler, count: handler.reply(200, b"<html>", Content_Type="text/html")
    result = kenctl("--server", fake.url, "show", ID)
    assert (result.returncode, "not as a kend does; is that the right server?" in result.stderr) == (1, True)


@pytest.mark.parametrize("body", [b"", b"[]", b"null"])
@pytest.mark.parametrize("words", [["cancel", ID], ["cancel", "--json", ID]])
def test_an_answer_without_its_document(kenctl: Run, fake: Fake, words: "list[str]", body: bytes) -> None:
    """Such as a proxy's of its own: nothing is told of a job that the answer does not tell of."""
    fake.answer = lambda handler, count: handler.reply(202, body, Content_Type="application/json")
    result = kenctl("--server", fake.url, *words)
    assert (result.returncode, result.stdout) == (1, "")
    assert "answered with status 202, and not as a kend does" in result.stderr


def test_server_and_token_from_everywhere(kenctl: Run, fake: Fake, tmp_path: Path) -> None:
    fake.answer = lambda handler, count: handler.json(200, job())
    environment = {**os.environ, "KENCTL_SERVER": fake.url + "/", "KENCTL_TOKEN": "from-environment"}
    (tmp_path / "token").write_text("from-file\n")
    assert kenctl("show", ID, env=environment).returncode == 0
    assert kenctl("--token-file", "token", "show", ID, env=environment).returncode == 0
    assert kenctl("show", ID, "--token-file", "token", "--server", fake.url).returncode == 0
    assert kenctl("show", ID, "--server", fake.url).returncode == 0
    del environment["KENCTL_TOKEN"]
    assert kenctl("show", ID, env={**environment, "KENCTL_TOKEN_FILE": "token"}).returncode == 0
    asked_for_job = [asked for asked in fake.asked if "/events" not in asked[1]]
    assert [asked[2].get("authorization") for asked in asked_for_job] == [
        "Bearer from-environment",
        "Bearer from-file",
        "Bearer from-file",
        None,
        "Bearer from-file",
    ]
    assert {asked[1] for asked in asked_for_job} == {f"/v1/jobs/{ID}"}
    for content, message in (
        ("", "the token file token is empty"),
        ("a b\n", "the token has characters that a token cannot have"),
    ):
        (tmp_path / "token").write_text(content)
        result = kenctl("--token-file", "token", "--server", fake.url, "show", ID)
        assert (result.returncode, message in result.stderr) == (1, True)
    assert "from-" not in kenctl("--token-file", "none", "show", ID, env=environment).stderr


def test_ids_cannot_leave_their_path(kenctl: Run, fake: Fake) -> None:
    kenctl("--server", fake.url, "show", "../x?y#z%")
    assert fake.asked[0][1] == "/v1/jobs/..%2Fx%3Fy%23z%25"


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    (
        (401, "unauthorized", "Give a token with --token-file FILE, KENCTL_TOKEN_FILE or KENCTL_TOKEN."),
        (403, "forbidden", "This token may not do that"),
        (409, "job_active", "cancel it"),
        (429, "queue_full", "Try again when some jobs have ended, or delete jobs"),
        (503, "draining", "The server is being restarted"),
    ),
)
def test_problems_say_what_to_do(kenctl: Run, fake: Fake, status: int, code: str, advice: str) -> None:
    fake.answer = lambda handler, count: handler.problem(status, code, detail="Because\x1b[31m.")
    environment = {**os.environ, "KENCTL_TOKEN": "some"}
    result = kenctl("--server", fake.url, "delete", ID, env=environment)
    assert result.returncode == 1
    assert f"kenctl: Title of {code}: Because\\x1b[31m. ({status} {code})\n" in result.stderr
    assert advice in result.stderr
    assert len(fake.asked) == 1, "only reading is tried again"
    nameless = kenctl("--server", fake.url, "delete", ID).stderr
    assert (advice in nameless) == (code != "forbidden")  # a server without tokens has none that may
    assert json.loads(kenctl("--server", fake.url, "delete", ID, "-o", "json").stdout)["code"] == code


def test_reading_is_tried_again(kenctl: Run, fake: Fake) -> None:
    def answer(handler: Handler, count: int) -> None:
        if count == 1:
            handler.cut()
        elif count == 2:
            handler.problem(503, "draining")
        else:
            handler.json(200, job())

    fake.answer = answer
    result = kenctl("--server", fake.url, "show", ID)
    assert result.returncode == 0, result.stderr
    assert [asked[1] for asked in fake.asked] == [f"/v1/jobs/{ID}"] * 3 + [f"/v1/jobs/{ID}/events?limit=200"]


def test_a_percent_is_not_rounded_up(kenctl: Run, fake: Fake) -> None:
    failed = job("failed", stage="pruning", progress={"percent": 99.97})
    fake.answer = lambda handler, count: handler.json(200, failed)
    assert "status         failed, pruning, 99 %\n" in kenctl("--server", fake.url, "show", ID).stdout
    fake.answer = lambda handler, count: handler.json(200, {"data": [failed], "has_more": False})
    assert " 99%  " in kenctl("--server", fake.url, "list").stdout


def test_submitting_is_safe_to_try_again(kenctl: Run, fake: Fake) -> None:
    fake.answer = (
        lambda handler, count: handler.cut() if count == 1 else handler.json(202, job(), Location=f"/v1/jobs/{ID}")
    )
    result = kenctl(
        "--server",
        fake.url,
        "submit",
        "--model",
        "https://a/m",
        "--base",
        "https://a/b",
        "--keep",
        "0.5",
        "--rules-layers",
    )
    assert (result.returncode, result.stdout) == (0, ID + "\n"), result.stderr
    (first, again) = fake.asked
    assert first[3] == again[3]
    assert json.loads(first[3]) == {"model": "https://a/m", "base": "https://a/b", "keep": 0.5, "rules": "layers"}
    assert first[2]["idempotency-key"] == again[2]["idempotency-key"] and len(first[2]["idempotency-key"]) == 32
    assert first[2]["content-type"] == "application/json"


def test_cancelling_and_deleting_are_not_tried_again(kenctl: Run, fake: Fake) -> None:
    fake.answer = lambda handler, count: handler.cut()
    for command in ("cancel", "delete"):
        assert kenctl("--server", fake.url, command, ID).returncode == 1
    assert [(asked[0], asked[1]) for asked in fake.asked] == [
        ("POST", f"/v1/jobs/{ID}/cancel"),
        ("DELETE", f"/v1/jobs/{ID}"),
    ]


@pytest.mark.parametrize(("status", "exit_status"), (("succeeded", 0), ("failed", 1), ("cancelled", 3)))
def test_waiting_is_by_long_polls_without_streams(kenctl: Run, fake: Fake, status: str, exit_status: int) -> None:
    """On an older server, or one that has no stream to spare."""
    states = [
        job(),
        job(
            "running",
            stage="fetching",
            progress={"percent": 10, "bytes_fetched": 10, "bytes_total": 100, "rows_done": 0, "rows_total": 5},
        ),
        None,
        job(
            "running",
            stage="pruning",
            progress={"percent": 60, "bytes_fetched": 100, "bytes_total": 100, "rows_done": 3, "rows_total": 5},
        ),
        job(
            status,
            error={"code": "fetch_failed", "message": "gone", "stage": "fetching"} if status == "failed" else None,
        ),
    ]

    pages = {
        "limit=200": {"data": [log(3, "warn", "one"), log(4, "info", "no")], "has_more": True, "next": "a+b"},
        "limit=200&after=a%2Bb": {"data": [log(5, "warn", "two\x1b")], "has_more": False, "next": None},
    }

    def jobs_asked() -> "list[tuple[str, str, dict[str, str], bytes]]":
        return [asked for asked in fake.asked if "/events" not in asked[1]]

    def answer(handler: Handler, _count: int) -> None:
        if handler.headers["Accept"] == "text/event-stream":
            return handler.problem(*((422, "not_supported") if status == "failed" else (429, "rate_limited")))
        if "/events" in handler.path:
            return handler.json(200, pages[handler.path.partition("?")[2]])
        count = len(jobs_asked())
        state = states[count - 1]
        if state is None:
            handler.reply(304, ETag=f'"{count - 1}"')
        else:
            handler.json(200, state, ETag=f'"{count}"')

    fake.answer = answer
    result = kenctl("--server", fake.url, "watch", ID)
    assert result.returncode == exit_status, result.stderr
    assert f"status         {status}" in result.stdout
    assert ("error          fetch_failed: gone (while fetching)" in result.stdout) == (status == "failed")
    assert [asked[1].partition("?")[2] for asked in jobs_asked()] == ["", "wait=20", "wait=20", "wait=20", "wait=20"]
    assert [asked[2].get("if-none-match") for asked in jobs_asked()] == [None, '"1"', '"2"', '"2"', '"4"']
    lines = result.stderr.splitlines()
    warnings = ["warning: one", "warning: two\\x1b"]
    assert lines[:-1] == ["queued", *warnings, "fetching, 100 B", "pruning, 5 rows"]
    assert re.fullmatch(rf"{status} after \d\.\d s", lines[-1])


def test_an_interrupted_wait_leaves_the_job_alone(fake: Fake) -> None:
    waiting = threading.Event()

    def answer(handler: Handler, count: int) -> None:
        if count == 1:
            handler.json(200, job("running", stage="fetching"), ETag='"1"')
        else:
            waiting.set()
            time.sleep(2)
            handler.reply(304)

    fake.answer = answer
    process = subprocess.Popen(
        [str(BUILD / "kenctl"), "--server", fake.url, "watch", ID], stderr=subprocess.PIPE, text=True
    )
    assert waiting.wait(20)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert f"The job goes on. `kenctl watch {ID}` waits again, `kenctl cancel {ID}` ends it." in errors
    assert all(asked[0] == "GET" for asked in fake.asked)


def test_a_list_is_a_table(kenctl: Run, fake: Fake) -> None:
    fake.answer = lambda handler, count: handler.json(
        200,
        {
            "object": "list",
            "data": [job("running", kind="inject", stage="injecting", progress={"percent": 41.6}, name="a\x1b[1mb é")],
            "has_more": False,
            "next": None,
        },
    )
    result = kenctl("--server", fake.url, "list", "--metadata", "team=a&b", "--status", "running", "--limit", 7)
    assert result.stdout.splitlines()[1].split(None, 6) == [
        ID,
        "inject",
        "running",
        "injecting",
        "41%",
        "2026-01-02T03:04:05.678Z",
        r"a\x1b[1mb é",
    ]
    assert fake.asked[0][1] == "/v1/jobs?status=running&limit=7&metadata.team=a%26b"


def test_a_job_is_shown_line_by_line_and_number_by_number(kenctl: Run, fake: Fake) -> None:
    shown = job(keep=0.3, metadata={"a": "x\ny\u202e"}, rules=[{"match": "emb\n*", "action": "prune", "keep": 0.1}])
    fake.answer = lambda handler, count: handler.json(200, shown)
    lines = kenctl("--server", fake.url, "show", ID).stdout.split("\n")
    assert r"metadata       a=x\x0ay\xe2\x80\xae" in lines
    assert r"rules          emb\x0a*: prune 0.1" in lines
    text = kenctl("--server", fake.url, "show", ID, "-o", "json").stdout
    assert '"keep": 0.3,' in text and '"keep": 0.1\n' in text
    assert json.loads(text) == shown


def test_a_full_disk_is_told(kenctl: Run, fake: Fake) -> None:
    fake.answer = lambda handler, count: handler.json(
        200, {"object": "list", "data": [job()] * 200, "has_more": False, "next": None}
    )
    for arguments in (("list",), ("list", "-o", "json")):
        with open("/dev/full", "w") as full:
            result = kenctl("--server", fake.url, *arguments, capture_output=False, stdout=full, stderr=subprocess.PIPE)
        assert (result.returncode, result.stderr) == (1, "kenctl: cannot write: No space left on device\n")
