#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How kend answers while it works: start, memory at rest, an open loop of requests beside two pruning threads, a long queue.

usage: bench_service.py BUILD [--quick] [--json FILE] [--folder DIR]

Prints a line for each figure with what is required of it, adds "service" to FILE (bench.json), and fails if a figure is not reached.
--quick loads for 10 s instead of 60, and queues 10,000 jobs instead of 100,000.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e")]
os.environ["KEND_BUILD"] = str(Path(sys.argv[1]).resolve()) if len(sys.argv) > 1 else ""

from daemon import Kend  # noqa: E402
from figures import Figures, arguments, bert_shapes, fresh, measure, write_pair  # noqa: E402

CONNECTIONS = 200
GETS, POSTS = 1000, 50  # a second


def load(build: Path, kend: Kend, work: Path, seconds: float, gets: float, posts: float, connections: int) -> Any:
    """What came of so many requests a second: see load.c."""
    command = [str(build / "tests/bench/load"), kend.url.rsplit(":", 1)[1], str(seconds), str(connections)]
    command += [str(work / "ids"), str(gets), str(work / "body"), str(posts)]
    answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    for kind in answer.values():
        good = sum(count for status, count in kind["statuses"].items() if status in ("200", "202"))
        assert good == kind["sent"], kind
    return answer


def bench_start(figures: Figures, work: Path) -> None:
    seconds = []
    for _ in range(11):
        begin = time.monotonic()
        with Kend(fresh(work / "start")) as kend:
            seconds.append(time.monotonic() - begin)
            status = Path(f"/proc/{kend.pid}/status").read_text()
    figures.add("from start to ready, a new data folder", 1000 * statistics.median(seconds), 200, "ms")
    resident = int(status.split("VmRSS:")[1].split()[0]) / 1024
    figures.add("resident memory at rest", resident, 30, "MiB")


def write_requests(work: Path, kend: Kend) -> None:
    """The body of the POSTs, and ids of jobs that wait behind those that run."""
    document = {"model": f"file://{work}/bert", "base": f"file://{work}/bert/base.safetensors", "keep": 0.5}
    (work / "body").write_text(json.dumps(document))
    (work / "ids").write_text("\n".join(kend.submit(document) for _ in range(20)) + "\n")


def keep_busy(work: Path, kend: Kend) -> None:
    """Jobs of some minutes on both pruning threads."""
    variants = [{"name": f"v{i}", "keep": (i + 1) / 17, "method": "density"} for i in range(16)]
    pair = {"model": f"file://{work}/bert", "base": f"file://{work}/bert/base.safetensors"}
    for _ in range(8):
        kend.submit({**pair, "variants": variants, "outputs": ["report"]})
    end = time.monotonic() + 60
    while kend.get("/v1/jobs?status=running").json["data"][:1] == [] and time.monotonic() < end:
        time.sleep(0.1)


def bench_load(figures: Figures, work: Path, build: Path, seconds: float) -> None:
    write_pair(work / "bert", bert_shapes())
    with Kend(fresh(work / "load"), {"fetch.file_roots": work, "prune.threads": 2, "jobs.drain_seconds": 0}) as kend:
        keep_busy(work, kend)
        write_requests(work, kend)
        before = cpu_seconds(kend)
        answer = load(build, kend, work, seconds, GETS, POSTS, CONNECTIONS)
        busy = (cpu_seconds(kend) - before) / seconds
    note = f"{answer['get']['p50']:.1f} ms at the median, kend used {busy:.2f} cores"
    figures.add(f"GET of a job, {GETS} a second, 99 of 100 within", answer["get"]["p99"], 20, "ms", note)
    note = f"{answer['post']['p50']:.1f} ms at the median"
    figures.add(f"POST of a job, {POSTS} a second, 99 of 100 within", answer["post"]["p99"], 50, "ms", note)


def cpu_seconds(kend: Kend) -> float:
    fields = Path(f"/proc/{kend.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def queued_jobs(kend: Kend) -> int:
    text = kend.get("/metrics").body.decode()
    return int(float(text.split('kend_jobs{status="queued"} ')[1].split()[0]))


def bench_queue(figures: Figures, work: Path, build: Path, jobs: int) -> None:
    """How long a submission takes behind many, against behind few."""
    settings = {"fetch.file_roots": work, "jobs.max_queued": 10 * jobs, "jobs.max_running": 1, "jobs.drain_seconds": 0}
    with Kend(fresh(work / "queue"), settings) as kend:
        keep_busy(work, kend)
        write_requests(work, kend)
        few = load(build, kend, work, 5, 0, POSTS, 8)["post"]["p50"]
        begin = time.monotonic()
        rate = 500
        while (queued := queued_jobs(kend)) < jobs:
            load(build, kend, work, min(20, max(1, (jobs - queued) / rate)), 0, rate, 8)
        filled = time.monotonic() - begin
        many = load(build, kend, work, 5, 0, POSTS, 8)["post"]["p50"]
    note = f"{few:.2f} ms, {many:.2f} ms; {filled:.0f} s to queue them"
    figures.add(f"POST of a job behind {jobs} queued ones, against none", many / few, 2.0, "x", note)


def main() -> int:
    options = arguments(__doc__ or "", "load for 10 s, queue 10,000 jobs").parse_args()

    def benches(figures: Figures, work: Path) -> None:
        bench_start(figures, work)
        bench_load(figures, work, options.build, 10 if options.quick else 60)
        bench_queue(figures, work, options.build, 10_000 if options.quick else 100_000)

    return measure(options, "service", benches)


if __name__ == "__main__":
    sys.exit(main())
