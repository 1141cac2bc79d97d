# SPDX-License-Identifier: Apache-2.0
"""Jobs as the engine runs them: how they are stopped, handed back, taken up again, given up and tidied away."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from checkpoints import write_tiled
from daemon import BUILD, FINISHED, Kend
from origin import Behaviour, Origin
from running import (
    STOP_SECONDS,
    cancel,
    edit,
    files,
    files_of,
    kend_of,
    large,
    messages,
    metric,
    of_files,
    poll,
    stalled,
)
from running import until_stage

ORPHAN = "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"


# ---- stopping


@pytest.mark.parametrize(
    "stage, behaviour", [("checking", Behaviour(stall_at=0)), ("fetching", Behaviour(drip=300000))]
)
def test_cancel_while_the_origin_stalls(tmp_path: Path, large: Path, stage: str, behaviour: Behaviour) -> None:
    with Origin(large) as origin, kend_of(tmp_path) as kend:
        origin.behave("/large-model.safetensors", behaviour)
        job = kend.submit({**of_files(large, "large-"), "model": f"{origin.url}/large-model.safetensors"})
        until_stage(kend, job, stage)
        time.sleep(0.2)
        assert cancel(kend, job)["status"] == "cancelled"
        assert files_of(kend, job) == []
        assert metric(kend, 'kend_jobs_total{status="cancelled"}') == 1


def ended_lines(kend: Kend, job: str) -> list[str]:
    return [line for line in kend.log_text().splitlines() if 'message="job ended"' in line and f"job={job}" in line]


def test_the_log_tells_how_a_job_went(tmp_path: Path, files: Path, stalled: str) -> None:
    (files / "bad.safetensors").write_bytes(b'x"y')
    with kend_of(tmp_path) as kend:
        good = kend.wait(kend.submit(of_files(files)))
        bad = kend.wait(kend.submit({**of_files(files), "model": f"file://{files}/bad.safetensors"}))
        stopped = kend.submit({**of_files(files), "model": stalled})
        until_stage(kend, stopped, "checking")
        cancel(kend, stopped)
        size = sum(artifact["size"] for artifact in good["artifacts"])
        (line,) = ended_lines(kend, good["id"])
        assert re.search(
            rf" status=succeeded attempt=1 seconds=\d+\.\d+ bytes_fetched=\d+ rows=64 artifact_bytes={size}$", line
        )
        (line,) = ended_lines(kend, bad["id"])
        assert " level=warn " in line and ' status=failed error=bad_checkpoint reason="model: ' in line
        assert re.search(r" attempt=1 seconds=\d+\.\d+$", line)
        (line,) = ended_lines(kend, stopped)
        assert " status=cancelled attempt=1 seconds=" in line
        for stage in ("checking", "fetching", "pruning", "publishing"):
            assert f"message=stage job={good['id']} stage={stage}\n" in kend.log_text()


@pytest.mark.parametrize("stage", ["pruning", "publishing"])
def test_cancel_of_work(tmp_path: Path, large: Path, stage: str) -> None:
    """While it publishes, a job may be through before it hears of the cancel; then all of it is there."""
    with kend_of(tmp_path, prune__threads=2) as kend:
        job = kend.submit(of_files(large, "large-"))
        until_stage(kend, job, stage)
        ended = cancel(kend, job)
        if stage == "publishing" and ended["status"] == "succeeded":
            assert len(ended["artifacts"]) == 3
        else:
            assert (ended["status"], ended["artifacts"]) == ("cancelled", [])
            assert files_of(kend, job) == []


def test_one_slow_name_holds_nobody_up(tmp_path: Path, files: Path) -> None:
    """A resolver that does not answer: its job is cancelled at once, others go on fetching, kend ends."""
    if not shutil.which("cc") or b"__asan_init" in (BUILD / "kend").read_bytes():
        pytest.skip("needs a compiler, and a kend that something can be loaded before")
    (tmp_path / "slow.c").write_text(
        "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <netdb.h>\n#include <string.h>\n#include <unistd.h>\n"
        "int getaddrinfo(const char *n, const char *s, const struct addrinfo *h, struct addrinfo **r)\n"
        "{\n"
        "    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);\n"
        '    if (n && strcmp(n, "slow.example") == 0) { sleep(30); return EAI_AGAIN; }\n'
        '    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");\n'
        "    return real(n, s, h, r);\n"
        "}\n"
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "slow.so", tmp_path / "slow.c", "-ldl"], check=True)
    begin = time.monotonic()
    with Origin(files) as origin:
        kend = kend_of(tmp_path)
        address = os.environ["ASAN_OPTIONS"] + ":verify_asan_link_order=0"  # which wants to be the first library
        kend.env = {"LD_PRELOAD": str(tmp_path / "slow.so"), "ASAN_OPTIONS": address}
        with kend:
            slow = kend.submit({"model": "http://slow.example/m", "base": "http://slow.example/b", "k": 1})
            until_stage(kend, slow, "checking")
            time.sleep(0.3)
            assert cancel(kend, slow)["status"] == "cancelled"
            urls = {side: f"{origin.url}/{side}.safetensors" for side in ("model", "base")}
            assert kend.wait(kend.submit({**urls, "k": 1}))["status"] == "succeeded"
    assert time.monotonic() - begin < 20


@pytest.mark.parametrize("behaviour, stage", [(Behaviour(stall_at=0), "checking"), (Behaviour(drip=1000), "fetching")])
def test_timeout(tmp_path: Path, large: Path, behaviour: Behaviour, stage: str) -> None:
    with Origin(large) as origin, kend_of(tmp_path) as kend:
        origin.behave("/large-model.safetensors", Behaviour(times=1) if stage == "fetching" else behaviour, behaviour)
        url = f"{origin.url}/large-model.safetensors"
        begin = time.monotonic()
        ended = kend.wait(kend.submit({**of_files(large, "large-"), "model": url, "timeout_seconds": 2}))
        assert 2 <= time.monotonic() - begin < 4
        assert ended["status"] == "failed"
        assert (ended["error"]["code"], ended["error"]["stage"]) == ("timed_out", stage)
        assert "timeout_seconds" in ended["error"]["message"]
        assert files_of(kend, ended["id"]) == []


def test_timeout_counts_from_the_first_start(tmp_path: Path, stalled: str) -> None:
    with kend_of(tmp_path) as kend:
        job = kend.submit({"model": stalled, "base": stalled, "k": 1, "timeout_seconds": 3})
        until_stage(kend, job, "checking")
        assert kend.stop() == 0
        time.sleep(3)
        kend.start()
        begin = time.monotonic()
        assert kend.wait(job)["error"]["code"] == "timed_out"
        assert time.monotonic() - begin < STOP_SECONDS


@pytest.mark.parametrize(
    "own, most, named", [(0, 1, "jobs.max_seconds"), (60, 1, "jobs.max_seconds"), (1, 60, "timeout_seconds")]
)
def test_the_operators_bound(tmp_path: Path, stalled: str, own: int, most: int, named: str) -> None:
    """The shorter one of what a job and the operator allow ends it, and is named."""
    with kend_of(tmp_path, jobs__max_seconds=most) as kend:
        begin = time.monotonic()
        ended = kend.wait(kend.submit({"model": stalled, "base": stalled, "k": 1, "timeout_seconds": own}))
        assert 1 <= time.monotonic() - begin < 4
        assert (ended["status"], ended["error"]["code"], ended["timeout_seconds"]) == ("failed", "timed_out", own)
        assert named in ended["error"]["message"]


def test_warnings_are_told_before_the_work(tmp_path: Path, files: Path) -> None:
    rules = [{"match": f"none.{i}", "action": "keep"} for i in range(25)]
    with kend_of(tmp_path) as kend:
        job = kend.submit(of_files(files, rules=rules))
        assert kend.wait(job)["status"] == "succeeded"
        logs = [event["data"] for event in kend.events(job) if event["type"] == "log"]
        told = [log["message"] for log in logs if log["level"] == "warn"]
        assert told[0] == 'rule 1, "none.0", matches no tensor of the model'
        assert len(told) == 21 and told[20] == "5 more warnings are in the report"


# ---- deaths and hand-backs


def test_a_hand_back_is_no_death(tmp_path: Path, stalled: str) -> None:
    """Any number of them, and two deaths besides; the third death in a row ends the job."""
    with kend_of(tmp_path) as kend:
        job = kend.submit({"model": stalled, "base": stalled, "k": 1})
        for attempt in range(1, 5):
            until_stage(kend, job, "checking", attempt)
            assert kend.stop() == 0
            kend.start()
        for attempt in (5, 6, 7):
            until_stage(kend, job, "checking", attempt)
            kend.kill()
            kend.start()
        ended = kend.wait(job)
        assert (ended["status"], ended["attempt"]) == ("failed", 7)
        assert (ended["error"]["code"], ended["error"]["stage"]) == ("attempts_exhausted", "checking")
        assert files_of(kend, job) == []
        assert metric(kend, 'kend_jobs_total{status="failed"}') == 1
        (line,) = ended_lines(kend, job)
        assert " status=failed error=attempts_exhausted reason=" in line and " attempt=7 seconds=" in line


def test_work_goes_on_after_a_hand_back(tmp_path: Path, large: Path) -> None:
    """Bytes come slowly enough for rows to be pruned and become durable, which happens about once a second."""
    with Origin(large, rate=12 << 20) as origin, kend_of(tmp_path) as kend:
        url = f"{origin.url}/large-model.safetensors"
        job = kend.submit({**of_files(large, "large-"), "model": url})
        poll(lambda: kend.job(job)["progress"]["rows_done"] > 0)
        time.sleep(2)
        assert kend.job(job)["stage"] == "fetching"
        assert kend.stop() == 0
        origin.rate = 0
        kend.start()
        ended = kend.wait(job, 120)
        assert (ended["status"], ended["attempt"]) == ("succeeded", 2)
        note = next(text for text in messages(kend, job) if text.startswith("attempt 2 goes on"))
        assert ", 0 of " not in note and ": 0 of " not in note
        # Timings are over all attempts, the histogram has those of this process.
        assert metric(kend, 'kend_job_stage_seconds_sum{stage="fetching"}') < ended["timings"]["fetching"] - 1.5


def test_progress_does_not_run_backwards(tmp_path: Path, large: Path) -> None:
    """Not even after a death, which loses what was shown and not yet durable."""
    shown: list[tuple[float, int, int]] = []

    def look() -> dict[str, Any]:
        now = kend.job(job)
        progress = now["progress"]
        shown.append((progress["percent"], progress["bytes_fetched"], progress["rows_done"]))
        return now

    with Origin(large, rate=12 << 20) as origin, kend_of(tmp_path) as kend:
        job = kend.submit({**of_files(large, "large-"), "model": f"{origin.url}/large-model.safetensors"})
        poll(lambda: look()["progress"]["rows_done"] > 0)
        end = time.monotonic() + 1.7
        while time.monotonic() < end:
            assert look()["status"] == "running"
        kend.kill()
        origin.rate = 0
        kend.start()
        poll(lambda: look()["status"] in FINISHED, 120)
        assert kend.job(job)["status"] == "succeeded"
    for before, after in zip(shown, shown[1:]):
        assert all(one <= other for one, other in zip(before, after)), (before, after)


def test_messages_name_what_the_user_named(tmp_path: Path, files: Path) -> None:
    (files / "notes.txt").write_bytes(b"no checkpoint")
    (files / "empty").mkdir()
    base = f"file://{files}/base.safetensors"

    def message(**fields: Any) -> str:
        return str(kend.wait(kend.submit({**of_files(files), **fields}))["error"]["message"])

    with kend_of(tmp_path) as kend:
        assert message(model=f"file://{files}/notes.txt").startswith("model: notes.txt: neither ")
        assert message(base=f"file://{files}/empty").startswith(
            f"base: no checkpoint in file://{files}/empty/: neither "
        )
        wrong = message(base={"url": base, "sha256": "0" * 64})
        assert wrong.startswith(f"base: {base} has the SHA-256 ")


def test_a_drain_lets_what_runs_end(tmp_path: Path, large: Path) -> None:
    with kend_of(tmp_path, jobs__drain_seconds=60) as kend:
        job = kend.submit(of_files(large, "large-"))
        queued = [kend.submit(of_files(large, "large-")) for _ in range(2)]
        until_stage(kend, job, "pruning")
        assert kend.process
        kend.process.send_signal(signal.SIGTERM)
        assert kend.process.wait(90) == 0
        kend.process = None
        kend.start()
        assert kend.job(job)["status"] == "succeeded"
        assert kend.job(job)["attempt"] == 1
        for other in queued:
            assert kend.wait(other, 120)["status"] == "succeeded"


def test_a_job_that_waits_again_leaves_nothing_when_cancelled(tmp_path: Path, large: Path, stalled: str) -> None:
    """Handed back while it pruned, then cancelled in the queue."""
    with kend_of(tmp_path) as kend:
        first = kend.submit({"model": stalled, "base": stalled, "k": 1})
        until_stage(kend, first, "checking")
        job = kend.submit(of_files(large, "large-"))
        poll(lambda: kend.job(job)["progress"]["rows_done"] > 0)
        assert kend.stop() == 0
        kend.settings["jobs.max_running"] = 1
        kend.start()
        until_stage(kend, first, "checking", 2)
        assert kend.job(job)["status"] == "queued"
        assert files_of(kend, job) == [f".work/{job}"]
        assert kend.request("POST", f"/v1/jobs/{job}/cancel").json["status"] == "cancelled"
        assert files_of(kend, job) == []
        assert metric(kend, 'kend_jobs_total{status="cancelled"}') == 1


# ---- between the rename and the row


def forget_the_end(kend: Kend, job: str, more: str = "") -> None:
    """As if kend had died after publishing, before the row said so."""
    edit(
        kend,
        f"DELETE FROM artifact WHERE id = '{job}'",
        "UPDATE job SET status = 'running', stage = 'publishing', finished_at = 0, expires_at = 0, summary = NULL, holder = NULL,"
        f" token = ''{more} WHERE id = '{job}'",
    )


def test_published_without_a_row(tmp_path: Path, files: Path) -> None:
    with kend_of(tmp_path) as kend:
        job = kend.submit(of_files(files))
        before = kend.wait(job)
        assert kend.stop() == 0
        forget_the_end(kend, job)
        for path in files.iterdir():
            path.unlink()  # nothing is pruned again
        kend.start()
        after = kend.wait(job)
        assert after["status"] == "succeeded" and after["attempt"] == 2
        strip = ("name", "size", "sha256")
        assert [{k: a[k] for k in strip} for a in after["artifacts"]] == [
            {k: a[k] for k in strip} for a in before["artifacts"]
        ]
        assert after["summary"] == before["summary"]
        assert "the artifacts were published by an earlier attempt" in messages(kend, job)
        assert kend.get(f"/v1/jobs/{job}/tensors").json["data"]


def test_published_then_cancelled(tmp_path: Path, files: Path) -> None:
    with kend_of(tmp_path) as kend:
        job = kend.submit(of_files(files))
        assert kend.wait(job)["status"] == "succeeded"
        assert kend.stop() == 0
        forget_the_end(kend, job, ", cancel_requested_at = 1")
        kend.start()
        assert kend.wait(job)["status"] == "cancelled"
        assert files_of(kend, job) == []


def test_published_without_a_result(tmp_path: Path, files: Path) -> None:
    """A damaged disk: the job says so, and nothing of it stays."""
    with kend_of(tmp_path) as kend:
        job = kend.submit(of_files(files))
        kend.wait(job)
        assert kend.stop() == 0
        forget_the_end(kend, job)
        result = kend.data / "artifacts" / job / ".kend" / "result.json"
        result.write_bytes(result.read_bytes()[:-10])
        kend.start()
        ended = kend.wait(job)
        assert (ended["status"], ended["error"]["code"]) == ("failed", "internal")
        assert "result.json" in ended["error"]["message"]
        assert files_of(kend, job) == []


# ---- tidying up


def test_expired_jobs_go_with_their_artifacts(tmp_path: Path, files: Path) -> None:
    """More of them than are removed in one go."""
    with kend_of(tmp_path) as kend:
        jobs = [kend.submit(of_files(files)) for _ in range(25)]
        for job in jobs:
            ended = kend.wait(job)
            assert ended["status"] == "succeeded" and ended["expires_at"]
        kept = jobs.pop()
        assert kend.stop() == 0
        edit(kend, f"UPDATE job SET expires_at = 1 WHERE id <> '{kept}'")
        kend.start()
        poll(lambda: [item["id"] for item in kend.get("/v1/jobs?limit=200").json["data"]] == [kept])
        poll(lambda: not any(files_of(kend, job) for job in jobs))
        assert files_of(kend, kept) == [kept]
        assert kend.get(f"/v1/jobs/{jobs[0]}").status == 404


def test_without_keep_days_nothing_expires(tmp_path: Path, files: Path) -> None:
    with kend_of(tmp_path, jobs__keep_days=0) as kend:
        assert kend.wait(kend.submit(of_files(files)))["expires_at"] is None


def test_files_that_no_job_will_ask_for_are_swept_at_the_start(tmp_path: Path, files: Path) -> None:
    with kend_of(tmp_path) as kend:
        good, failed = kend.submit(of_files(files)), kend.submit(of_files(files, "missing-"))
        assert [kend.wait(job)["status"] for job in (good, failed)] == ["succeeded", "failed"]
        assert kend.stop() == 0
        artifacts = kend.data / "artifacts"
        for place in (ORPHAN, f".work/{ORPHAN}", failed, f".work/{failed}", f".work/{good}", ".trash/old"):
            (artifacts / place / "out").mkdir(parents=True)
            (artifacts / place / "out" / "file").write_text("left")
        kend.start()
        assert files_of(kend, ORPHAN) == files_of(kend, failed) == []
        assert files_of(kend, good) == [good]
        assert not list((artifacts / ".trash").iterdir())
        assert f"job={ORPHAN}" in kend.log_text()


# ---- the cache


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Two pairs of 4 MiB files."""
    folder = tmp_path / "files"
    folder.mkdir()
    for seed in (1, 2):
        write_tiled(folder / f"base{seed}.safetensors", 4 << 20, seed)
        write_tiled(folder / f"model{seed}.safetensors", 4 << 20, seed, 0.02)
    return folder


def of_pair(origin: Origin, number: int) -> dict[str, Any]:
    sides = {side: f"{origin.url}/{side}{number}.safetensors" for side in ("model", "base")}
    return {**sides, "keep": 0.5}


def size_of(pairs: Path, number: int) -> int:
    return sum((pairs / f"{side}{number}.safetensors").stat().st_size for side in ("model", "base"))


def test_a_wrong_digest_belongs_to_fetching(tmp_path: Path, pairs: Path) -> None:
    with Origin(pairs) as origin, kend_of(tmp_path) as kend:
        model = {"url": f"{origin.url}/model1.safetensors", "sha256": "0" * 64}
        error = kend.wait(kend.submit({**of_pair(origin, 1), "model": model}))["error"]
        assert (error["code"], error["stage"]) == ("digest_mismatch", "fetching")


def test_files_are_read_once(tmp_path: Path, pairs: Path) -> None:
    """Their digests are made of what is read to be pruned."""
    size = size_of(pairs, 1)
    document = {"model": f"file://{pairs}/model1.safetensors", "base": f"file://{pairs}/base1.safetensors", "keep": 0.5}
    with kend_of(tmp_path, fetch__file_roots=pairs) as kend:
        job = kend.submit(document)
        assert kend.wait(job)["status"] == "succeeded"
        assert (
            size <= metric(kend, 'kend_fetch_bytes_total{source="file"}') < size * 1.1 + 65536
        )  # headers are read before
        report = json.loads(kend.download(job, "report.json"))
        for side in ("model", "base"):
            content = (pairs / f"{side}1.safetensors").read_bytes()
            assert report["inputs"][side]["files"][0]["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_pair_larger_than_the_cache_fails_in_the_check(tmp_path: Path, pairs: Path) -> None:
    size = size_of(pairs, 1)
    with Origin(pairs) as origin, kend_of(tmp_path, cache__max_bytes=size - 1) as kend:
        ended = kend.wait(kend.submit(of_pair(origin, 1)))
        assert (ended["error"]["code"], ended["error"]["stage"]) == ("too_large", "checking")
        reason = f"{size} bytes are more than cache.max_bytes ({size - 1})"
        assert reason in ended["error"]["message"]
        answer = kend.request("POST", "/v1/jobs?dry_run=true", of_pair(origin, 1))
        assert answer.status == 422 and reason in answer.body.decode()
        assert metric(kend, 'kend_fetch_bytes_total{source="http"}') < 1 << 20
        # One file that is both takes its room once.
        same = {**of_pair(origin, 1), "base": f"{origin.url}/model1.safetensors"}
        assert kend.wait(kend.submit(same))["status"] == "succeeded"


def test_two_pairs_that_do_not_fit_together_run_one_after_the_other(tmp_path: Path, pairs: Path) -> None:
    """Whoever waits holds nothing of the cache, so neither can keep the other from its second half."""
    room = size_of(pairs, 1) * 3 // 2
    with Origin(pairs) as origin, kend_of(tmp_path, cache__max_bytes=room) as kend:
        for side in ("model1", "base1", "model2", "base2"):
            origin.behave(f"/{side}.safetensors", Behaviour(drip=4 << 20))
        jobs = [kend.submit(of_pair(origin, number)) for number in (1, 2)]
        ended = [kend.wait(job) for job in jobs]
        assert [job["status"] for job in ended] == ["succeeded", "succeeded"]
        waits = [sum("waiting for room" in text for text in messages(kend, job)) for job in jobs]
        assert sum(waits) >= 1 and max(waits) == 1
        later = jobs[waits.index(1)] if sum(waits) == 1 else max(ended, key=lambda job: job["finished_at"])["id"]
        assert sum("there is room now" in text for text in messages(kend, later)) == 1
        held = metric(kend, "kend_cache_bytes")
        assert 0 < held <= room


def test_a_drain_hands_back_at_once_who_waits_for_room(tmp_path: Path, pairs: Path) -> None:
    def waits(job: str) -> bool:
        return any("waiting for room" in text for text in messages(kend, job))

    with Origin(pairs) as origin, kend_of(
        tmp_path, cache__max_bytes=size_of(pairs, 1) * 3 // 2, jobs__drain_seconds=60
    ) as kend:
        origin.behave("/model1.safetensors", Behaviour(drip=300000))
        first = kend.submit(of_pair(origin, 1))
        until_stage(kend, first, "fetching")
        cancelled = kend.submit(of_pair(origin, 2))
        poll(lambda: waits(cancelled))
        assert cancel(kend, cancelled)["status"] == "cancelled"
        waiting = kend.submit(of_pair(origin, 2))
        poll(lambda: waits(waiting))
        assert kend.process
        kend.process.send_signal(signal.SIGTERM)
        poll(lambda: f'message="job handed back" job={waiting}' in kend.log_text(), STOP_SECONDS)
        assert kend.process.poll() is None and first not in kend.log_text().partition("job handed back")[2]
        assert kend.stop() == 0
        origin.behave("/model1.safetensors", Behaviour())
        kend.start()
        assert kend.wait(first)["status"] == kend.wait(waiting)["status"] == "succeeded"


def test_a_shared_base_is_fetched_once(tmp_path: Path, files: Path) -> None:
    """By two jobs at once, and not again by a third, which asks whether it is still the same."""
    size = (files / "base.safetensors").stat().st_size
    with Origin(files) as origin, kend_of(tmp_path) as kend:
        origin.put("/other.safetensors", (files / "model.safetensors").read_bytes())

        def submit(model: str) -> str:
            return kend.submit(
                {"model": f"{origin.url}/{model}.safetensors", "base": f"{origin.url}/base.safetensors", "keep": 0.5}
            )

        for job in [submit("model"), submit("other")]:
            assert kend.wait(job)["status"] == "succeeded"
        assert origin.stats("/base.safetensors").sent <= size + (64 << 10)
        time.sleep(2.1)  # an answer of the origin holds for two seconds
        origin.forget()
        ended = kend.wait(submit("model"))
        assert ended["status"] == "succeeded"
        assert origin.stats("/base.safetensors").statuses == {304: 1}
        assert origin.stats("/base.safetensors").sent == 0


def test_secrets_of_queries_are_nowhere(tmp_path: Path, files: Path) -> None:
    """Neither in answers nor in the log, whatever becomes of the job; on disk in the job's document alone."""
    secret = "SECRETSIGNATURE"
    with Origin(files) as origin, kend_of(tmp_path, log__level="debug") as kend:
        origin.behave("/gone.safetensors", Behaviour(status=404))
        origin.behave("/denied.safetensors", Behaviour(status=403))
        origin.behave(
            "/flaky.safetensors", Behaviour(status=503, times=1), Behaviour(redirect="/model.safetensors?x=" + secret)
        )
        origin.behave("/loop.safetensors", Behaviour(redirect=f"/loop.safetensors?sig={secret}"))
        origin.behave("/bad.safetensors", Behaviour(redirect=f"/login?sig={secret}&next=https://x/ y"))
        origin.behave("/out.safetensors", Behaviour(redirect=f"http://10.1.2.3/x?sig={secret}"))
        ended = []
        for model in ("model", "gone", "denied", "flaky", "loop", "bad", "out"):
            document = {
                side: f"{origin.url}/{name}.safetensors?sig={secret}"
                for side, name in (("model", model), ("base", "base"))
            }
            dry = kend.request("POST", "/v1/jobs?dry_run=true", {**document, "k": 1})
            created = kend.request("POST", "/v1/jobs", {**document, "k": 1}, headers={"Idempotency-Key": model})
            assert secret.encode() not in dry.body + created.body
            ended.append(kend.wait(created.json["id"]))
        assert [job["status"] for job in ended] == [
            "succeeded",
            "failed",
            "failed",
            "succeeded",
            "failed",
            "failed",
            "failed",
        ]
        assert any("?sig=" in request.path for request in origin.seen())
        shown = kend.get("/v1/jobs").body + kend.get("/metrics").body + kend.log.read_bytes()
        for job in ended:
            shown += kend.get(f"/v1/jobs/{job['id']}").body
            shown += kend.get(f"/v1/jobs/{job['id']}/events?limit=200", headers={"Accept": "application/json"}).body
            for artifact in job["artifacts"]:
                shown += kend.download(job["id"], artifact["name"])
        assert secret.encode() not in shown
        assert b"?..." in shown
        for path in kend.data.rglob("*"):
            if path.is_file() and not path.name.startswith("kend.db"):
                assert secret.encode() not in path.read_bytes(), path


# ---- two at once


def test_jobs_take_turns(tmp_path: Path, large: Path) -> None:
    """Of two that prune, neither waits for the other's end."""
    with kend_of(tmp_path, prune__threads=1) as kend:
        jobs = [kend.submit(of_files(large, "large-")) for _ in range(2)]
        poll(lambda: all(0 < kend.job(job)["progress"]["rows_done"] for job in jobs))
        assert all(kend.job(job)["status"] == "running" for job in jobs)
        ended = [kend.wait(job, 120) for job in jobs]
        assert [job["status"] for job in ended] == ["succeeded", "succeeded"]
        assert [a["sha256"] for a in ended[0]["artifacts"]] == [a["sha256"] for a in ended[1]["artifacts"]]
