# SPDX-License-Identifier: Apache-2.0
"""Reads /metrics as Prometheus does, and checks the format on the way."""

from __future__ import annotations

import re
from typing import Dict

from daemon import Kend

#: Every family, as docs/operations.md lists them.
FAMILIES = {
    "kend_artifact_bytes": "gauge",
    "kend_artifact_evicted_bytes_total": "counter",
    "kend_build_info": "gauge",
    "kend_cache_bytes": "gauge",
    "kend_disk_available_bytes": "gauge",
    "kend_disk_free_bytes": "gauge",
    "kend_disk_reserve_bytes": "gauge",
    "kend_fetch_bytes_total": "counter",
    "kend_http_connections": "gauge",
    "kend_http_refused_total": "counter",
    "kend_http_request_seconds": "histogram",
    "kend_http_requests_total": "counter",
    "kend_http_streams": "gauge",
    "kend_http_waiting": "gauge",
    "kend_job_errors_total": "counter",
    "kend_job_stage_seconds": "histogram",
    "kend_jobs": "gauge",
    "kend_jobs_total": "counter",
    "kend_last_reload_successful": "gauge",
    "kend_not_ready": "gauge",
    "kend_pruned_parameters_total": "counter",
    "kend_queue_oldest_seconds": "gauge",
    "kend_queue_owners": "gauge",
    "kend_ready": "gauge",
    "kend_store_bytes": "gauge",
    "kend_tls_certificate_expiration_timestamp_seconds": "gauge",
    "process_cpu_seconds_total": "counter",
    "process_max_fds": "gauge",
    "process_open_fds": "gauge",
    "process_resident_memory_bytes": "gauge",
    "process_start_time_seconds": "gauge",
    "process_virtual_memory_bytes": "gauge",
}
_LABELS = r'\{[a-z]+="[^"\\\n]*"(?:,[a-z]+="[^"\\\n]*")*\}'
_LINE = re.compile(rf"([a-z_]+)({_LABELS})? ([0-9][0-9.e+-]*)")


def _check_histogram(name: str, series: Dict[str, float]) -> None:
    """Buckets grow, the last is the count, and there is a sum."""
    before: Dict[str, float] = {}
    buckets = [text for text in series if text.startswith(name + "_bucket{")]
    assert buckets
    for text in buckets:
        labels = re.sub(r',?le="[^"]*"', "", text[len(name + "_bucket") :])
        assert series[text] >= before.get(labels, 0), text
        before[labels] = series[text]
        if 'le="+Inf"' in text:
            assert series[f"{name}_count{labels}"] == series[text]
            assert series[f"{name}_sum{labels}"] >= 0
            del before[labels]
    assert not before, "a histogram without +Inf"


def parse(text: str) -> Dict[str, float]:
    """Values by the text of their series."""
    series: Dict[str, float] = {}
    families: Dict[str, str] = {}
    name = told = ""
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            told = line.split(" ", 3)[2]
            assert line.split(" ", 3)[3]
        elif line.startswith("# TYPE "):
            name, kind = line.split(" ")[2:]
            assert name == told and name not in families, line
            families[name] = kind
        else:
            match = _LINE.fullmatch(line)
            assert match, line
            own = re.sub("_(bucket|sum|count)$", "", match[1]) if families[name] == "histogram" else match[1]
            assert own == name, f"{line} stands below {name}"
            key = match[1] + (match[2] or "")
            assert key not in series, line
            series[key] = float(match[3])
    for name, kind in families.items():
        assert (kind == "counter") == name.endswith("_total"), name
        if kind == "histogram":
            _check_histogram(name, series)
    assert families == FAMILIES
    return series


def metrics(kend: Kend) -> Dict[str, float]:
    """What a kend tells of itself."""
    response = kend.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parse(response.body.decode())


def families_of(expression: str) -> "set[str]":
    """The families that an expression of PromQL asks for."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    names = set(re.findall(r"\b(?:kend|process)_[a-z_]+\b", bare))
    found = set()
    for name in names:
        base = re.sub("_(bucket|sum|count)$", "", name)
        found.add(base if FAMILIES.get(base) == "histogram" else name)
    return found
