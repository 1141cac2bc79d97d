# SPDX-License-Identifier: Apache-2.0
"""kend seen from outside: its log, its metrics, and the alerts and the board that are made of them."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
import pytest
import yaml  # type: ignore[import]

import contract
from checkpoints import write_safetensors
from daemon import Kend
from exposition import FAMILIES, families_of, metrics
from origin import Behaviour, Origin

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
OPERATIONS = (contract.SOURCE / "docs" / "operations.md").read_text()
RULES = contract.SOURCE / "conf" / "prometheus" / "kend.rules.yml"
BOARD = contract.SOURCE / "conf" / "grafana" / "kend.json"


def lines(kend: Kend) -> List[Dict[str, Any]]:
    """The log in JSON; every line is an object without double keys."""

    def once(pairs: "list[tuple[str, Any]]") -> Dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    return [json.loads(line, object_pairs_hook=once) for line in kend.log.read_bytes().decode().splitlines()]


def await_line(kend: Kend, wanted: Callable[[Dict[str, Any]], bool]) -> Dict[str, Any]:
    """A request's line is written after its answer has gone."""
    end = time.monotonic() + 20
    while True:
        found = [line for line in lines(kend) if wanted(line)]
        if found:
            return found[0]
        assert time.monotonic() < end, kend.log_text()[-4000:]
        time.sleep(0.01)


def put_pair(folder: Path) -> Dict[str, Any]:
    """A small pair that can be pruned, as the document of a job."""
    random = np.random.default_rng(1)
    base = {"layer.weight": random.standard_normal((8, 32), np.float32)}
    model = {"layer.weight": base["layer.weight"] + 0.1 * random.standard_normal((8, 32), np.float32)}
    write_safetensors(folder / "base.safetensors", base)
    write_safetensors(folder / "model.safetensors", model)
    return {
        "model": f"file://{folder}/model.safetensors",
        "base": f"file://{folder}/base.safetensors",
        "k": 4,
    }


# ---- the log


@pytest.mark.smoke
def test_a_request_is_one_line(tmp_path: Path) -> None:
    with Kend(tmp_path, {"log.format": "json"}) as kend:
        listed = kend.get("/v1/jobs", headers={"X-Request-Id": "mine", **TRACEPARENT})
        line = await_line(kend, lambda line: line.get("request") == "mine")
        assert {key: line[key] for key in line if key not in ("time", "seconds")} == {
            "level": "info",
            "message": "request",
            "request": "mine",
            "trace": TRACE,
            "client": "127.0.0.1",
            "method": "GET",
            "route": "/v1/jobs",
            "status": 200,
            "bytes": len(listed.body),
            "waited_seconds": 0,
        }
        assert 0 <= line["seconds"] < 20
        job = "job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C"
        gone = kend.get(f"/v1/jobs/{job}", headers={"X-Request-Id": "gone"})
        line = await_line(kend, lambda line: line.get("request") == "gone")
        assert (line["job"], line["status"], line["bytes"]) == (job, 404, len(gone.body))
        assert "trace" not in line and line["route"] == "/v1/jobs/{id}"
        kend.request("HEAD", "/version", headers={"X-Request-Id": "head"})
        line = await_line(kend, lambda line: line.get("request") == "head")
        assert (line["method"], line["bytes"]) == ("HEAD", 0)


def test_probes_are_told_at_debug_only(tmp_path: Path) -> None:
    for level in ("info", "debug"):
        (tmp_path / level).mkdir()
        with Kend(tmp_path / level, {"log.format": "json", "log.level": level}) as kend:
            for path in ("/livez", "/readyz", "/metrics", "/version"):
                kend.get(path)
            await_line(kend, lambda line: line.get("route") == "/version")
            told = {line["route"]: line["level"] for line in lines(kend) if line["message"] == "request"}
        probes = {} if level == "info" else {path: "debug" for path in ("/livez", "/readyz", "/metrics")}
        assert told == {"/version": "info", **probes}


@pytest.mark.parametrize(
    "value",
    ["", "x", f"00-{TRACE}", f"00-{TRACE}-00f067aa0ba902b7-01-x", f"ff-{TRACE}-00f067aa0ba902b7-01", "00-" + "0" * 32],
)
def test_a_malformed_traceparent_is_ignored(tmp_path: Path, value: str) -> None:
    with Kend(tmp_path, {"log.format": "json"}) as kend:
        assert kend.get("/version", headers={"traceparent": value, "X-Request-Id": "a"}).status == 200
        assert "trace" not in await_line(kend, lambda line: line.get("request") == "a")


def test_a_job_tells_the_trace_that_submitted_it(tmp_path: Path) -> None:
    """Also in another process than that which took it."""
    with Origin(tmp_path) as origin:
        origin.put("/model.safetensors", b"x" * 100)
        origin.behave("/model.safetensors", Behaviour(stall_at=0))
        url = origin.url + "/model.safetensors"
        with Kend(tmp_path, {"log.format": "json", "jobs.drain_seconds": 0}) as kend:
            job = kend.submit({"model": url, "base": url, "k": 1}, headers=TRACEPARENT)
            line = await_line(kend, lambda line: line.get("method") == "POST")
            assert (line["job"], line["trace"]) == (job, TRACE)
            await_line(kend, lambda line: line["message"] == "stage")
            kend.kill()
            kend.start()
            await_line(kend, lambda line: line["message"] == "job claimed" and line["attempt"] == 2)
            other = {"traceparent": f"00-{'1' * 32}-00f067aa0ba902b7-01"}
            assert kend.request("POST", f"/v1/jobs/{job}/cancel", headers=other).status == 202
            await_line(kend, lambda line: line["message"] == "job ended")
            told = [line for line in lines(kend) if line.get("job") == job and line["message"] != "request"]
            assert {line["message"] for line in told} == {"job claimed", "stage", "job ended"}
            assert {line["trace"] for line in told} == {TRACE}
            assert await_line(kend, lambda line: "cancel" in line.get("route", ""))["trace"] == "1" * 32


def test_an_answer_that_nobody_took_is_told(tmp_path: Path) -> None:
    with Origin(tmp_path) as origin, Kend(tmp_path, {"log.format": "json", "jobs.drain_seconds": 0}) as kend:
        origin.put("/model.safetensors", b"x" * 100)
        origin.behave("/model.safetensors", Behaviour(stall_at=0))
        url = origin.url + "/model.safetensors"
        job = kend.submit({"model": url, "base": url, "k": 1})
        host, port = kend.url[len("http://") :].split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(f"GET /v1/jobs/{job}?wait=60 HTTP/1.1\r\nHost: {host}\r\nX-Request-Id: w\r\n\r\n".encode())
            time.sleep(0.3)
        line = await_line(kend, lambda line: line.get("request") == "w")
        assert (line["ended"], line["status"]) == ("early", 0)
        assert line["waited_seconds"] > 0.1 > line["seconds"]


def test_every_line_is_json_whatever_is_in_it(tmp_path: Path) -> None:
    with Kend(tmp_path, {"log.format": "json", "log.level": "debug"}) as kend:
        for url in (
            'https://[::1]/"\\',
            "https://[::1]/%0a%22",
            "https://[::1]/\u202e\u00e9",
            "https://[::1]/?" + "x" * 2000,
        ):
            response = kend.request("POST", "/v1/jobs", {"model": url, "base": url, "k": 1})
            if response.status == 202:
                kend.wait(response.json["id"])
        kend.get("/%22%0a?a=%22")
        assert kend.stop() == 0
        assert len([line for line in lines(kend) if line["message"] == "job ended"]) >= 2


# ---- metrics


@pytest.mark.smoke
def test_metrics_of_a_job(kend: Kend, tmp_path: Path) -> None:
    document = put_pair(tmp_path / "files")
    before = metrics(kend)
    assert before["kend_artifact_bytes"] == 0
    ended = kend.wait(kend.submit(document))
    assert ended["status"] == "succeeded", ended["error"]
    after = metrics(kend)
    assert after["kend_artifact_bytes"] == sum(artifact["size"] for artifact in ended["artifacts"]) > 0
    assert after['kend_jobs{status="succeeded"}'] == after['kend_jobs_total{status="succeeded"}'] == 1
    assert after['kend_pruned_parameters_total{method="ken"}'] == 256
    assert after['kend_fetch_bytes_total{source="file"}'] > 2048
    assert not [
        text
        for text in after
        if ended["id"] in text or "layer.0" in text or "file:" in text or "{id" in text.replace("{id}", "")
    ]
    assert kend.request("DELETE", f"/v1/jobs/{ended['id']}").status == 204
    assert metrics(kend)["kend_artifact_bytes"] == 0


def test_failures_are_counted_by_code(kend: Kend) -> None:
    for _ in range(2):
        kend.wait(kend.submit({"model": "https://192.0.2.1/a", "base": "https://192.0.2.1/b", "k": 1}))
    now = metrics(kend)
    assert now['kend_job_errors_total{error="address_forbidden"}'] == now['kend_jobs_total{status="failed"}'] == 2
    assert sum(value for text, value in now.items() if text.startswith("kend_job_errors_total")) == 2


def test_metrics_of_the_process(kend: Kend) -> None:
    now = metrics(kend)
    status = Path(f"/proc/{kend.pid}/status").read_text()
    resident = int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024  # type: ignore[union-attr]
    assert 0.5 * resident < now["process_resident_memory_bytes"] < 2 * resident
    assert now["process_virtual_memory_bytes"] > now["process_resident_memory_bytes"]
    files = len(list(Path(f"/proc/{kend.pid}/fd").iterdir()))
    assert abs(now["process_open_fds"] - files) <= 4
    limit = re.search(r"Max open files +(\d+)", Path(f"/proc/{kend.pid}/limits").read_text())
    assert limit and now["process_max_fds"] == int(limit[1])
    assert 0 <= time.time() - now["process_start_time_seconds"] < 120
    assert 0 < now["process_cpu_seconds_total"] < 120


def test_metrics_of_the_disk(kend: Kend) -> None:
    now = metrics(kend)
    assert now["kend_disk_reserve_bytes"] == 256 << 20
    for folder in ("data", "artifacts", "cache"):
        free = now[f'kend_disk_free_bytes{{folder="{folder}"}}']
        available = now[f'kend_disk_available_bytes{{folder="{folder}"}}']
        assert available == max(0, free - (256 << 20))


def test_metrics_tell_readiness_as_the_probe_does(tmp_path: Path) -> None:
    with Kend(tmp_path) as kend:
        now = metrics(kend)
        assert kend.get("/readyz").status == 200 and now["kend_ready"] == 1
        assert {text: value for text, value in now.items() if text.startswith("kend_not_ready")} == {
            'kend_not_ready{reason="draining"}': 0,
            'kend_not_ready{reason="store_unavailable"}': 0,
            'kend_not_ready{reason="no_space"}': 0,
        }
    with Kend(tmp_path, {"disk.reserve_bytes": "1000TiB"}) as kend:
        now = metrics(kend)
        assert kend.get("/readyz").json["code"] == "no_space" and now["kend_ready"] == 0
        assert now['kend_not_ready{reason="no_space"}'] == 1 and now['kend_not_ready{reason="draining"}'] == 0
        assert now['kend_disk_available_bytes{folder="data"}'] == 0


def test_a_store_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with Kend(tmp_path) as kend:
        holder = sqlite3.connect(kend.data / "kend.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        try:
            now = metrics(kend)
        finally:
            holder.close()
        assert now["kend_ready"] == 0 and now['kend_not_ready{reason="store_unavailable"}'] == 1
        assert metrics(kend)["kend_ready"] == 1


def test_the_documentation_lists_every_metric() -> None:
    listed = dict(re.findall(r"^\| `([a-z_]+)(?:\{[a-z,]+\})?` \| (\w+) \|", OPERATIONS, re.M))
    assert listed == FAMILIES


# ---- alerts


def rules() -> List[Dict[str, Any]]:
    document = yaml.safe_load(RULES.read_text())
    assert list(document) == ["groups"]
    return [rule for group in document["groups"] for rule in group["rules"]]


def test_alerts_are_whole() -> None:
    alerts = rules()
    assert len({rule["alert"] for rule in alerts}) == len(alerts) >= 10
    for rule in alerts:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"Kend[A-Za-z]+", rule["alert"])
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/operations.md" and anchor == rule["alert"].lower()
        assert f"\n### {rule['alert']}\n" in OPERATIONS, f"no runbook for {rule['alert']}"
    runbooks = re.findall(r"^### (Kend\w+)$", OPERATIONS, re.M)
    assert sorted(runbooks) == sorted(rule["alert"] for rule in alerts)


def test_alerts_are_about_metrics_that_there_are() -> None:
    for rule in rules():
        families = families_of(rule["expr"])
        assert families <= set(FAMILIES), rule["alert"]
        assert families or 'up{job="kend"}' in rule["expr"], rule["alert"]


def test_labels_in_alerts_are_those_of_the_metrics(kend: Kend) -> None:
    """A value that no series has would make an alert that never fires."""
    series = metrics(kend)
    for rule in rules():
        selectors = re.findall(r"\b((?:kend|process)_\w+)(\{[^}]*\})?", rule["expr"])
        for name, labels in selectors:
            pairs = re.findall(r'(\w+)="([^"]*)"', labels)
            assert pairs[0] == ("job", "kend"), f"{rule['alert']}: {name} of any job"  # which Prometheus adds
            for label, value in pairs[1:]:
                assert any(text.startswith(name) and f'{label}="{value}"' in text for text in series), f"{name} {value}"


# ---- the board


def panels() -> List[Dict[str, Any]]:
    return list(json.loads(BOARD.read_text())["panels"])


def test_the_board_is_sane() -> None:
    board = json.loads(BOARD.read_text())
    assert board["uid"] == "kend" and board["title"] == "kend" and board["schemaVersion"] >= 36 and "id" not in board
    variables = {variable["name"] for variable in board["templating"]["list"]}
    assert variables == {"datasource", "instance"}
    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids)
    cells: "set[tuple[int, int]]" = set()
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells, f"{panel['title']} lies over another"
        cells |= own
        if panel["type"] == "row":
            continue
        assert panel["title"] and panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["fieldConfig"]["defaults"]["unit"]
        references = [target["refId"] for target in panel["targets"]]
        assert references and len(set(references)) == len(references)
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"]
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= {"instance", "__rate_interval"}


def test_the_board_shows_metrics_that_there_are() -> None:
    shown = set()
    for panel in panels():
        for target in panel.get("targets", []):
            families = families_of(target["expr"])
            assert families and families <= set(FAMILIES), panel["title"]
            shown |= families
    assert set(FAMILIES) - shown == {"process_start_time_seconds", "process_virtual_memory_bytes"}
