# SPDX-License-Identifier: Apache-2.0
"""The process: how it starts, refuses to start, and ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import stat
import subprocess
import time
from pathlib import Path
from typing import Iterator

import pytest

from daemon import BUILD, Kend
from origin import Behaviour, Origin
from running import poll
from sanitizers import SANITIZED


def refuses(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """Starts a kend that must not run."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KEND_")}
    return subprocess.run(
        [str(BUILD / "kend"), *map(str, arguments)],
        env=environment,
        timeout=30,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def stalled(tmp_path: Path) -> Iterator[str]:
    with Origin(tmp_path) as origin:
        origin.put("/model.safetensors", b"x" * 100)
        origin.behave("/model.safetensors", Behaviour(stall_at=0))
        yield origin.url + "/model.safetensors"


def run_one(kend: Kend, stalled: str) -> str:
    job = kend.submit({"model": stalled, "base": stalled, "k": 1})
    poll(lambda: kend.job(job)["status"] == "running")
    return job


def test_closed_standard_files_are_not_taken_by_others(tmp_path: Path) -> None:
    """Else the log would be written into the first file that kend opens."""
    command = f"exec '{BUILD}/kend' --data '{tmp_path}/data' --listen 127.0.0.1:0 <&- >&- 2>&-"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KEND_")}
    with subprocess.Popen(["/bin/sh", "-c", command], env=environment) as kend:
        try:
            poll((tmp_path / "data" / "kend.db").exists)
            assert [os.readlink(f"/proc/{kend.pid}/fd/{file}") for file in range(3)] == ["/dev/null"] * 3
        finally:
            kend.kill()


def test_any_address_answers_to_every_literal(tmp_path: Path) -> None:
    with Kend(tmp_path, {"auth.allow_anonymous": "true", "http.listen": "0.0.0.0:0"}) as kend:
        assert kend.url.startswith("http://0.0.0.0:")
        for host, status in (("10.1.2.3:80", 200), ("localhost", 200), ("[2001:db8::1]", 200), ("evil.example", 403)):
            assert kend.get("/livez", headers={"Host": host}).status == status


def test_addresses_that_cannot_be_had(tmp_path: Path, kend: Kend) -> None:
    port = kend.url.rpartition(":")[2]
    ended = refuses("--data", tmp_path / "other", "--listen", f"127.0.0.1:{port}")
    assert ended.returncode == 1
    assert "Address already in use" in ended.stderr
    ended = refuses("--data", tmp_path / "other", "--listen", "kend.example:80")
    assert ended.returncode == 2
    assert "kend.example:80" in ended.stderr


def test_a_data_folder_has_one_kend(kend: Kend) -> None:
    ended = refuses("--data", kend.data, "--listen", "127.0.0.1:0")
    assert ended.returncode == 1
    assert "in use by another kend" in ended.stderr
    assert kend.get("/readyz").status == 200


def test_the_data_folder_is_private_and_keeps_its_name(kend: Kend) -> None:
    assert stat.S_IMODE(kend.data.stat().st_mode) == 0o700
    name = (kend.data / "instance").read_text()
    assert re.fullmatch("[0-9a-f]{32}", name)
    assert kend.stop() == 0
    kend.start()
    assert (kend.data / "instance").read_text() == name


def test_it_listens_on_version_six(tmp_path: Path) -> None:
    if not Path("/proc/net/if_inet6").read_text():
        pytest.skip("no IPv6 here")
    with Kend(tmp_path, {"http.listen": "[::1]:0", "jobs.drain_seconds": 0}) as kend:
        assert kend.url.startswith("http://[::1]:")
        location = kend.request(
            "POST", "/v1/jobs", {"model": "https://[::1]/a", "base": "https://[::1]/b", "k": 1}
        ).headers["location"]
        assert location.startswith(kend.url + "/v1/jobs/")


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_signals_end_it(tmp_path: Path, name: str) -> None:
    with Kend(tmp_path) as kend:
        assert kend.process
        kend.process.send_signal(signal.SIGHUP)
        poll(lambda: "SIGHUP" in kend.log_text())
        kend.process.send_signal(getattr(signal, name))
        assert kend.process.wait(20) == 0
        kend.process = None


def test_draining(tmp_path: Path, stalled: str) -> None:
    """After SIGTERM everything is answered but new jobs; the running one is handed back at the end of the time."""
    with Kend(tmp_path, {"jobs.drain_seconds": 2}) as kend:
        job = run_one(kend, stalled)
        assert kend.process
        kend.process.send_signal(signal.SIGTERM)
        poll(lambda: kend.get("/readyz").status == 503)
        assert kend.get("/readyz").json["code"] == "draining"
        assert kend.get("/livez").status == 200
        assert kend.job(job)["status"] == "running"
        response = kend.request("POST", "/v1/jobs", {"model": stalled, "base": stalled, "k": 1})
        assert (response.status, response.json["code"]) == (503, "draining")
        assert kend.process.wait(20) == 0
        kend.process = None
        kend.start()
        assert kend.job(job)["status"] in ("queued", "running")
        poll(lambda: kend.job(job)["status"] == "running")
        assert kend.job(job)["attempt"] == 2
        assert kend.request("POST", f"/v1/jobs/{job}/cancel").status == 202


def test_a_second_signal_ends_it_now(tmp_path: Path, stalled: str) -> None:
    with Kend(tmp_path, {"jobs.drain_seconds": 3600}) as kend:
        job = run_one(kend, stalled)
        assert kend.process
        kend.process.send_signal(signal.SIGTERM)
        poll(lambda: kend.get("/readyz").status == 503)
        begin = time.monotonic()
        kend.process.send_signal(signal.SIGTERM)
        assert kend.process.wait(20) == 0
        assert time.monotonic() - begin < 5
        kend.process = None
        kend.start()
        poll(lambda: kend.job(job)["status"] == "running")
        kend.request("POST", f"/v1/jobs/{job}/cancel")
        assert kend.wait(job)["status"] == "cancelled"


def test_reloads_do_not_put_off_its_end(tmp_path: Path, stalled: str) -> None:
    """What would hand the job back waits for the database longer than the process may."""
    with Kend(tmp_path, {"jobs.drain_seconds": 3600}) as kend:
        job = run_one(kend, stalled)
        assert kend.process
        kend.process.send_signal(signal.SIGTERM)
        poll(lambda: kend.get("/readyz").status == 503)
        with contextlib.closing(sqlite3.connect(kend.data / "kend.db", isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            begin = time.monotonic()
            kend.process.send_signal(signal.SIGTERM)
            while kend.process.poll() is None:
                assert time.monotonic() - begin < 20
                kend.process.send_signal(signal.SIGHUP)
                time.sleep(0.2)
        assert kend.process.returncode == 0
        assert "ended without handing back" in kend.log_text()
        kend.process = None
        kend.start()
        poll(lambda: kend.job(job)["status"] == "running")
        kend.request("POST", f"/v1/jobs/{job}/cancel")


@pytest.mark.skipif(SANITIZED, reason="sanitizers are neither small nor soon")
def test_idle_it_is_small_and_soon_ready(tmp_path: Path) -> None:
    """Bounds with room for a busy machine."""
    begin = time.monotonic()
    with Kend(tmp_path) as kend:
        ready = time.monotonic() - begin
        status = Path(f"/proc/{kend.pid}/status").read_text()
        resident = int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024  # type: ignore[union-attr]
        assert resident < 30 << 20
        assert ready < 2
