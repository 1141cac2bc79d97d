# SPDX-License-Identifier: Apache-2.0
"""Room on disk: what is refused without it, what gives way for it, and that kend goes on by itself once it is there again."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import subprocess
import time
import urllib.parse
from pathlib import Path
from typing import Any, Iterator

import pytest

from checkpoints import write_tiled
from daemon import Kend
from origin import Behaviour, Origin
from running import HUGE, cancel, edit, files, files_of, kend_of, large, messages, metric, of_files, poll, stalled
from running import until_stage


def test_a_full_disk_is_told_in_seconds(tmp_path: Path, files: Path, stalled: str) -> None:
    with kend_of(tmp_path, jobs__max_running=1) as kend:
        busy = kend.submit({"model": stalled, "base": stalled, "k": 1})
        job = kend.submit(of_files(files))
        assert kend.stop() == 0
        kend.settings["disk.reserve_bytes"] = HUGE
        kend.start()
        for _ in range(2):
            refused = kend.request("POST", "/v1/jobs", of_files(files))
            assert (refused.status, refused.json["code"]) == (503, "no_space")
            assert refused.headers["retry-after"]
            assert kend.log_text().count('level=warn message="no space: jobs are refused until there is"') == 1
        for _ in range(2):
            assert kend.get("/readyz").json["code"] == "no_space"
        assert kend.log_text().count('level=warn message="no space: jobs are refused until there is"') == 1
        assert cancel(kend, busy)["status"] == "cancelled"
        ended = kend.wait(job)
        assert (ended["error"]["code"], ended["error"]["stage"]) == ("no_space", "checking")
        assert "disk.reserve_bytes" in ended["error"]["message"]


def test_artifacts_have_a_limit(tmp_path: Path, files: Path) -> None:
    with kend_of(tmp_path) as kend:
        first = kend.submit(of_files(files))
        assert kend.wait(first)["status"] == "succeeded"
        plan = kend.request("POST", "/v1/jobs?dry_run=true", of_files(files)).json
        artifacts = kend.data / "artifacts"
        taken = sum(path.lstat().st_blocks * 512 for path in (artifacts, *artifacts.rglob("*")))
        assert kend.stop() == 0
        kend.settings["artifacts.max_bytes"] = taken + plan["disk_bytes"] - 1
        kend.start()
        ended = kend.wait(kend.submit(of_files(files)))
        assert (ended["error"]["code"], ended["error"]["stage"]) == ("no_space", "checking")
        assert "artifacts.max_bytes" in ended["error"]["message"]
        response = kend.request("POST", "/v1/jobs?dry_run=true", of_files(files))
        assert response.status == 422 and b"artifacts.max_bytes" in response.body
        assert kend.request("DELETE", f"/v1/jobs/{first}").status == 204
        assert kend.wait(kend.submit(of_files(files)))["status"] == "succeeded"


def test_the_cache_goes_first_when_the_disk_runs_full(tmp_path: Path, files: Path) -> None:
    with Origin(files) as origin, kend_of(tmp_path) as kend:
        urls = {side: f"{origin.url}/{side}.safetensors" for side in ("model", "base")}
        assert kend.wait(kend.submit({**urls, "k": 1}))["status"] == "succeeded"
        assert metric(kend, "kend_cache_bytes") > 0
        assert kend.stop() == 0
        kend.settings["disk.reserve_bytes"] = HUGE
        kend.start()
        poll(lambda: metric(kend, "kend_cache_bytes") == 0)


# ---- artifacts that give way


def taken_by(kend: Kend) -> int:
    """Disk of all artifacts."""
    artifacts = kend.data / "artifacts"
    return sum(path.lstat().st_blocks * 512 for path in (artifacts, *artifacts.rglob("*")))


def age(kend: Kend, job: str, hours: int) -> None:
    """Makes a job that has ended older than that by a second; kend does not run."""
    edit(kend, f"UPDATE job SET finished_at = finished_at - {hours * 3600000 + 1000} WHERE id = '{job}'")


def full_of(kend: Kend, files: Path, ages: "list[int]") -> "list[str]":
    """Jobs that have succeeded, so many hours ago, in a kend that is stopped then; another one just does not fit."""
    jobs = [kend.submit(of_files(files)) for _ in ages]
    assert all(kend.wait(job)["status"] == "succeeded" for job in jobs)
    plan = kend.request("POST", "/v1/jobs?dry_run=true", of_files(files)).json
    kend.settings["artifacts.max_bytes"] = taken_by(kend) + plan["disk_bytes"] - 1
    assert kend.stop() == 0
    for job, hours in zip(jobs, ages):
        age(kend, job, hours)
    return jobs


def test_the_oldest_artifacts_make_room(tmp_path: Path, files: Path) -> None:
    """As many as it takes, and no job is lost for it."""
    with kend_of(tmp_path) as kend:
        jobs = full_of(kend, files, [25, 26, 23])
        kend.start()
        assert kend.request("POST", "/v1/jobs?dry_run=true", of_files(files)).status == 200
        assert all(len(kend.job(job)["artifacts"]) == 3 for job in jobs)
        before = kend.job(jobs[1])
        assert kend.wait(kend.submit(of_files(files)))["status"] == "succeeded"
        shown = kend.job(jobs[1])
        assert (shown["status"], shown["artifacts"], shown["summary"]) == ("succeeded", [], before["summary"])
        assert shown["evicted_at"] > shown["finished_at"] and before["evicted_at"] is None
        assert messages(kend, jobs[1])[-1].startswith("the artifacts were deleted to make room")
        assert kend.get(f"/v1/jobs/{jobs[1]}/artifacts").json["data"] == []
        for path in ("artifacts/report.json", "tensors"):
            answer = kend.get(f"/v1/jobs/{jobs[1]}/{path}")
            assert answer.status == 404 and "artifacts.max_bytes" in answer.json["detail"]
        assert kend.get(f"/v1/jobs/{jobs[0]}/artifacts/none").json["detail"] == "the job has no such artifact"
        assert files_of(kend, jobs[1]) == []
        assert [len(kend.job(job)["artifacts"]) for job in (jobs[0], jobs[2])] == [3, 3]
        assert metric(kend, "kend_artifact_evicted_bytes_total") > 0
        assert f'message="artifacts evicted" job={jobs[1]}' in kend.log_text()
        assert kend.request("DELETE", f"/v1/jobs/{jobs[1]}").status == 204


@pytest.mark.parametrize("hours, ages", [(24, [23, 1]), (0, [9000, 9000])])
def test_what_is_not_old_enough_stays(tmp_path: Path, files: Path, hours: int, ages: "list[int]") -> None:
    with kend_of(tmp_path, artifacts__evict_hours=hours) as kend:
        jobs = full_of(kend, files, ages)
        kend.start()
        assert kend.wait(kend.submit(of_files(files)))["error"]["code"] == "no_space"
        assert all(len(kend.job(job)["artifacts"]) == 3 for job in jobs)


def test_nothing_gives_way_for_what_cannot_fit(tmp_path: Path, files: Path) -> None:
    with kend_of(tmp_path) as kend:
        jobs = full_of(kend, files, [100, 1])
        write_tiled(files / "large-base.safetensors", 1 << 20, 1)
        write_tiled(files / "large-model.safetensors", 1 << 20, 1, 0.02)
        kend.start()
        assert kend.wait(kend.submit(of_files(files, "large-")))["error"]["code"] == "no_space"
        assert all(len(kend.job(job)["artifacts"]) == 3 for job in jobs)


def test_nothing_gives_way_for_inputs_that_cannot_fit(tmp_path: Path, files: Path) -> None:
    """The cache is too small for the job, whatever is deleted for its outputs."""
    with Origin(files) as origin, kend_of(tmp_path, cache__max_bytes="1KiB") as kend:
        jobs = full_of(kend, files, [101, 100])
        kend.start()
        urls = {side: f"{origin.url}/{side}.safetensors" for side in ("model", "base")}
        ended = kend.wait(kend.submit({**of_files(files), **urls}))
        assert ended["error"]["code"] == "too_large" and "cache.max_bytes" in ended["error"]["message"]
        assert all(len(kend.job(job)["artifacts"]) == 3 for job in jobs)
        assert kend.wait(kend.submit(of_files(files)))["status"] == "succeeded"
        assert [len(kend.job(job)["artifacts"]) for job in jobs] == [0, 3]


def test_a_job_waits_for_what_others_may_still_write(tmp_path: Path, large: Path) -> None:
    """Two that do not fit together run one after the other, though neither has written anything when they begin."""
    with Origin(large, rate=1 << 20) as origin, kend_of(tmp_path) as kend:
        plan = kend.request("POST", "/v1/jobs?dry_run=true", of_files(large, "large-")).json
        assert kend.stop() == 0
        kend.settings["artifacts.max_bytes"] = plan["disk_bytes"] * 3 // 2
        kend.start()
        first = kend.submit({**of_files(large, "large-"), "model": f"{origin.url}/large-model.safetensors"})
        until_stage(kend, first, "fetching")
        second = kend.submit(of_files(large, "large-"))
        poll(lambda: any(text.startswith("waiting for room: beside what ") for text in messages(kend, second)))
        assert kend.request("POST", "/v1/jobs?dry_run=true", of_files(large, "large-")).status == 200
        time.sleep(1)
        assert kend.job(second)["stage"] == "checking"
        cancel(kend, first)
        assert kend.wait(second)["status"] == "succeeded"
        assert any(text.startswith("there is room now") for text in messages(kend, second))


def test_a_lowered_limit_holds_without_a_new_job(tmp_path: Path, files: Path) -> None:
    """More jobs than go in one round; and a download that has begun gets all of it."""
    with kend_of(tmp_path) as kend:
        jobs = full_of(kend, files, [25] * 12)
        kend.settings["artifacts.max_bytes"] = 1
        kend.start()
        poll(lambda: all(kend.job(job)["evicted_at"] for job in jobs))
        poll(lambda: not any(files_of(kend, job) for job in jobs))
        assert metric(kend, "kend_artifact_bytes") == 0


def test_a_download_that_has_begun_gets_all(tmp_path: Path, large: Path) -> None:
    with kend_of(tmp_path) as kend:
        job = kend.submit(of_files(large, "large-", outputs=["model"]))
        (artifact,) = kend.wait(job)["artifacts"]
        where = urllib.parse.urlsplit(kend.url)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
        connection.request("GET", urllib.parse.urlsplit(artifact["url"]).path)
        answer = connection.getresponse()
        digest = hashlib.sha256(answer.read(1000))
        assert kend.request("DELETE", f"/v1/jobs/{job}").status == 204
        poll(lambda: files_of(kend, job) == [])
        digest.update(answer.read())
        connection.close()
        assert digest.hexdigest() == artifact["sha256"]


def test_an_eviction_cut_short_is_finished_at_the_start(tmp_path: Path, files: Path) -> None:
    """The row comes first, so files may be left of it: they go, and nothing is shown of them meanwhile."""
    with kend_of(tmp_path) as kend:
        job = kend.submit(of_files(files))
        kend.wait(job)
        assert kend.stop() == 0
        edit(kend, f"DELETE FROM artifact WHERE id = '{job}'", f"UPDATE job SET evicted_at = 1000 WHERE id = '{job}'")
        assert files_of(kend, job) == [job]
        kend.start()
        assert files_of(kend, job) == []
        assert kend.job(job)["evicted_at"] == "1970-01-01T00:00:01.000Z"


def test_artifacts_that_vanished_are_an_error_of_the_server(tmp_path: Path, files: Path) -> None:
    """Not evicted, not deleted: somebody took them away below kend."""
    with kend_of(tmp_path) as kend:
        job = kend.submit(of_files(files))
        kend.wait(job)
        (kend.data / "artifacts" / job / "report.json").unlink()
        assert kend.get(f"/v1/jobs/{job}/artifacts/report.json").status == 500


# ---- the job store


def test_documents_have_a_limit_and_give_their_disk_back(tmp_path: Path, files: Path, stalled: str) -> None:
    """Waiting does not help whose documents are too many, deleting does; the file gets shorter for it beside the service."""
    rules = [{"match": f"{i:0250}", "action": "keep"} for i in range(250)]
    with kend_of(tmp_path, jobs__max_running=1, jobs__max_bytes_per_owner="4MiB") as kend:
        kend.submit({"model": stalled, "base": stalled, "k": 1})
        jobs = []
        while (answer := kend.request("POST", "/v1/jobs", of_files(files, rules=rules))).status == 202:
            jobs.append(answer.json["id"])
        assert (answer.status, answer.json["code"]) == (429, "queue_full") and answer.headers["retry-after"]
        assert "jobs.max_bytes_per_owner" in answer.json["detail"] and "delete" in answer.json["detail"]
        for job in jobs:
            cancel(kend, job)
        assert kend.request("POST", "/v1/jobs", of_files(files, rules=rules)).status == 429
        held = metric(kend, 'kend_store_bytes{state="used"}')
        assert held > 4 << 20
        assert kend.request("DELETE", f"/v1/jobs/{jobs.pop()}").status == 204
        again = kend.request("POST", "/v1/jobs", of_files(files, rules=rules))
        assert again.status == 202
        cancel(kend, again.json["id"])
        for job in (*jobs, again.json["id"]):
            assert kend.request("DELETE", f"/v1/jobs/{job}").status == 204
        poll(lambda: (kend.data / "kend.db").stat().st_size < 3 << 20)
        assert metric(kend, 'kend_store_bytes{state="used"}') < held / 4
        assert metric(kend, 'kend_store_bytes{state="free"}') < 3 << 20


# ---- disks that are full


class SmallDisk:
    """A file system of its own; `fill` takes all of it but some bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, leave: int = 0) -> None:
        with (self.path / "filler").open("ab", buffering=0) as filler:
            while True:
                system = os.statvfs(self.path)
                size = min(system.f_bavail * system.f_frsize - leave, 1 << 20)
                if size <= 0:
                    return
                filler.write(bytes(size))

    def free(self) -> None:
        (self.path / "filler").unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    path = tmp_path / "disk"
    path.mkdir()
    mount = shutil.which("mount")
    if (
        not mount
        or subprocess.run([mount, "-t", "tmpfs", "-o", "size=64m", "tmpfs", path], capture_output=True).returncode
    ):
        pytest.skip("needs to mount a file system")
    yield SmallDisk(path)
    subprocess.run(["umount", "--lazy", path], check=True)


def kend_on(disk: SmallDisk, tmp_path: Path, **settings: Any) -> Kend:
    """Its data lie on the small disk; its log and what it fetches do not."""
    names = {name.replace("__", "."): value for name, value in settings.items()}
    kend = Kend(disk.path, {"fetch.file_roots": tmp_path / "files", "cache.dir": tmp_path / "cache", **names})
    kend.log = tmp_path / "kend.log"
    return kend


def test_a_disk_that_others_fill(tmp_path: Path, files: Path, disk: SmallDisk) -> None:
    """Nothing is accepted while less than the reserve is free, and everything again as soon as it is, without anybody's help."""
    with kend_on(disk, tmp_path, disk__reserve_bytes="16MiB") as kend:
        assert kend.wait(kend.submit(of_files(files)))["status"] == "succeeded"
        for _ in range(2):
            disk.fill(8 << 20)
            assert (kend.get("/readyz").status, kend.get("/readyz").json["code"]) == (503, "no_space")
            refused = kend.request("POST", "/v1/jobs", of_files(files))
            assert (refused.status, refused.json["code"]) == (503, "no_space") and refused.headers["retry-after"]
            assert kend.get("/livez").status == kend.get("/v1/jobs").status == 200
            disk.free()
            assert kend.get("/readyz").status == 200
            assert kend.wait(kend.submit(of_files(files)))["status"] == "succeeded"
        told = kend.log_text()
        assert told.count("no space: jobs are refused") == told.count('level=info message="there is space again') == 2


def test_submissions_tell_that_the_disk_is_full(tmp_path: Path, files: Path, disk: SmallDisk) -> None:
    """Begin and end, once each, where nobody asks for /readyz or /metrics."""
    with kend_on(disk, tmp_path, disk__reserve_bytes="16MiB") as kend:
        for _ in range(2):
            disk.fill(8 << 20)
            for _ in range(2):
                assert kend.request("POST", "/v1/jobs", of_files(files)).status == 503
            disk.free()
            for _ in range(2):
                assert kend.wait(kend.submit(of_files(files)))["status"] == "succeeded"
        told = kend.log_text()
        assert told.count("no space: jobs are refused") == told.count('level=info message="there is space again') == 2


def test_what_the_cache_would_give_up_is_room(tmp_path: Path, files: Path, disk: SmallDisk) -> None:
    """A disk that is full but for what nobody needs of the cache refuses nothing, also in the moment before that goes."""
    settings = {"cache__dir": disk.path / "cache", "disk__reserve_bytes": "8MiB"}
    with Origin(files) as origin, kend_on(disk, tmp_path, **settings) as kend:
        write_tiled(files / "small-base.safetensors", 8 << 20, 1)
        write_tiled(files / "small-model.safetensors", 8 << 20, 1, 0.02)
        urls = {side: f"{origin.url}/small-{side}.safetensors" for side in ("model", "base")}
        assert kend.wait(kend.submit({**urls, "keep": 0.5, "outputs": ["report"]}))["status"] == "succeeded"
        held = metric(kend, "kend_cache_bytes")
        disk.fill(4 << 20)
        assert kend.request("POST", "/v1/jobs", of_files(files)).status == 202
        assert kend.get("/readyz").status == 200
        poll(lambda: metric(kend, "kend_cache_bytes") < held)
        assert "no space" not in kend.log_text()


def test_what_others_still_fetch_is_kept_free(tmp_path: Path, files: Path, disk: SmallDisk) -> None:
    """A job does not write where another one's input is to come, though nothing of that is there yet."""
    settings = {"cache__dir": disk.path / "cache", "disk__reserve_bytes": "8MiB"}
    with Origin(files, rate=1 << 19) as origin, kend_on(disk, tmp_path, **settings) as kend:
        write_tiled(files / "small-base.safetensors", 8 << 20, 1)
        write_tiled(files / "small-model.safetensors", 8 << 20, 1, 0.02)
        size = (files / "small-model.safetensors").stat().st_size
        plan = kend.request("POST", "/v1/jobs?dry_run=true", of_files(files, "small-")).json
        disk.fill((8 << 20) + size + 2 * plan["disk_bytes"] - (1 << 20))
        first = kend.submit({**of_files(files, "small-"), "model": f"{origin.url}/small-model.safetensors"})
        until_stage(kend, first, "fetching")
        second = kend.submit(of_files(files, "small-"))
        poll(lambda: any(text.startswith("waiting for room: beside what ") for text in messages(kend, second)))
        cancel(kend, first)
        assert kend.wait(second)["status"] == "succeeded"


def test_the_disk_runs_full_while_a_job_writes(tmp_path: Path, large: Path, disk: SmallDisk) -> None:
    """It fails with no_space; the room that it gave back is enough to say so, and the next job succeeds."""
    with Origin(large, rate=24 << 20) as origin, kend_on(disk, tmp_path, disk__reserve_bytes=0) as kend:
        write_tiled(large / "small-base.safetensors", 8 << 20, 1)
        write_tiled(large / "small-model.safetensors", 8 << 20, 1, 0.02)
        model = f"{origin.url}/large-model.safetensors"
        job = kend.submit({**of_files(large, "large-"), "model": model, "outputs": ["delta"], "keep": 0.1})
        poll(lambda: kend.job(job)["progress"]["rows_done"] > 0)
        disk.fill()
        ended = kend.wait(job)
        assert (ended["status"], ended["error"]["code"]) == ("failed", "no_space"), ended
        assert ended["attempt"] == 1 and files_of(kend, job) == []
        disk.free()
        poll(lambda: kend.get("/readyz").status == 200)
        assert kend.wait(kend.submit(of_files(large, "small-")))["status"] == "succeeded"


def test_the_store_has_no_room(tmp_path: Path, files: Path, stalled: str, disk: SmallDisk) -> None:
    """Not even for a row: what was answered with 202 is there, what was refused is not, and a job that ends meanwhile is told later."""
    settings = {"disk__reserve_bytes": 0, "artifacts__url": f"file:{tmp_path}/artifacts", "jobs__max_running": 1}
    rules = [{"match": f"{i:0250}", "action": "keep"} for i in range(250)]
    with kend_on(disk, tmp_path, **settings) as kend:
        running = kend.submit({"model": stalled, "base": stalled, "k": 1})
        until_stage(kend, running, "checking")
        disk.fill()
        accepted = [running]
        for _ in range(2000):
            answer = kend.request("POST", "/v1/jobs", of_files(files, rules=rules))
            if answer.status == 503:
                break
            accepted.append(answer.json["id"])
        assert (answer.status, answer.json["code"]) == (503, "no_space") and answer.headers["retry-after"]
        poll(lambda: kend.get("/readyz").status == 503)
        assert kend.get("/readyz").json["code"] == "no_space"
        assert kend.get("/livez").status == 200 and kend.job(running)["status"] == "running"
        disk.free()
        poll(lambda: kend.get("/readyz").status == 200)
        assert kend.request("POST", f"/v1/jobs/{running}/cancel").status == 202
        for job in accepted[1:]:
            assert kend.request("POST", f"/v1/jobs/{job}/cancel").status in (202, 409)
        assert kend.wait(running)["attempt"] == 1
        assert kend.wait(kend.submit(of_files(files)))["status"] == "succeeded"
