#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long whole jobs take, beside what moves the same bytes without pruning them.

usage: bench_jobs.py BUILD [--quick] [--json FILE] [--folder DIR] [--only NAME]...

Prints a line for each figure with what is required of it, adds "jobs" to FILE (bench.json), and fails if a figure is not reached. What is
compared is run in turns, and medians are told. --quick leaves out what takes minutes and some 50 GB of disk.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e"), str(HERE.parent / "oracle")]
os.environ["KEND_BUILD"] = str(Path(sys.argv[1]).resolve()) if len(sys.argv) > 1 else ""

import ken_oracle  # noqa: E402
from daemon import BUILD, Kend  # noqa: E402
from figures import (  # noqa: E402
    MIB,
    Figures,
    arguments,
    bert_shapes,
    fresh,
    in_turns,
    measure,
    median_ratio,
    square_shapes,
    timed,
    write_pair,
)


# ---- running


def prune(pair: Path, out: Path, *options: str) -> float:
    """Seconds of `kenctl prune`; what it writes is removed."""
    shutil.rmtree(out, ignore_errors=True)
    files = ["--model", str(pair / "model.safetensors"), "--base", str(pair / "base.safetensors")]
    seconds = timed([str(BUILD / "kenctl"), "prune", *files, "--keep", "0.5", "-o", str(out), "-q", *options])
    shutil.rmtree(out)
    return seconds


class Origin:
    """A file origin in a process of its own."""

    def __init__(self, folder: Path, rate: float) -> None:
        self.command = [sys.executable, str(HERE / "file_origin.py"), str(folder), str(rate)]

    def __enter__(self) -> str:
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


# ---- figures


def bench_local(figures: Figures, work: Path) -> None:
    pair, out, copies = work / "bert", work / "out", work / "copies"
    parameters = write_pair(pair, bert_shapes())

    def copy() -> float:
        fresh(copies)
        return timed(["cp", str(pair / "base.safetensors"), str(pair / "model.safetensors"), str(copies)])

    ratio, note = median_ratio(7, lambda: prune(pair, out, "--threads", "2"), copy)
    figures.add("kenctl prune, 109 M parameters, against cp", ratio, 2.5, "x", note)
    one, two = in_turns(5, lambda: prune(pair, out, "--threads", "1"), lambda: prune(pair, out, "--threads", "2"))
    speedup = statistics.median(one) / statistics.median(two)
    figures.add("kenctl prune, two threads against one", speedup, 1.8, "x", least=True)
    figures.add("kenctl prune, two threads", parameters / statistics.median(two) / 1e6, None, "Mparam/s")
    shutil.rmtree(copies)


def run_job(kend: Kend, url: str) -> float:
    begin = time.monotonic()
    job = kend.wait(
        kend.submit({"model": f"{url}/model.safetensors", "base": f"{url}/base.safetensors", "keep": 0.5}), 600
    )
    assert job["status"] == "succeeded", job["error"]
    return time.monotonic() - begin


def bench_over_http(figures: Figures, work: Path) -> None:
    pair = work / "bert"
    if not pair.exists():
        write_pair(pair, bert_shapes())
    for name, rate, bound, times in (("125 MB/s in all", 125e6, 1.1, 3), ("an unlimited origin", 0, 3.0, 5)):
        with Origin(pair, rate) as url:

            def download() -> float:
                folder = fresh(work / "downloads")
                urls = [f"{url}/model.safetensors", f"{url}/base.safetensors"]
                return timed(
                    [
                        "curl",
                        "-sS",
                        "--no-progress-meter",
                        "--parallel",
                        "--remote-name-all",
                        "--output-dir",
                        str(folder),
                        *urls,
                    ]
                )

            def job() -> float:
                with Kend(fresh(work / "kend")) as kend:  # with an empty cache
                    return run_job(kend, url)

            ratio, note = median_ratio(times, job, download)
            figures.add(f"job over HTTP, {name}, against curl", ratio, bound, "x", note)
    shutil.rmtree(work / "downloads")
    shutil.rmtree(work / "kend")


def bench_sizes(figures: Figures, work: Path, quick: bool) -> None:
    per_parameter = []
    for parameters in [10**6, 10**7, 10**8] + ([] if quick else [10**9, 2 * 10**9]):
        count = write_pair(work / "sized", square_shapes(parameters))
        seconds = statistics.median(
            in_turns(3 if parameters < 10**9 else 1, lambda: prune(work / "sized", work / "out"))[0]
        )
        per_parameter.append(seconds / count)
        figures.add(
            f"kenctl prune, {parameters / 1e6:g} M parameters",
            1e9 * seconds / count,
            None,
            "ns/param",
            f"{seconds:.2f} s",
        )
        shutil.rmtree(work / "sized")
    figures.add("cost of a parameter, the largest against 10 M", per_parameter[-1] / per_parameter[1], 1.6, "x")


def bench_packed(figures: Figures, work: Path) -> None:
    """What packing adds to a job, how small the delta becomes, and how fast it is injected."""
    pair, out = work / "bert", work / "out"
    if not pair.exists():
        write_pair(pair, bert_shapes())
    size = (pair / "model.safetensors").stat().st_size
    threads = ("--threads", "2")
    ratio, note = median_ratio(
        5, lambda: prune(pair, out, *threads, "--delta-encoding", "packed"), lambda: prune(pair, out, *threads)
    )
    figures.add("kenctl prune, packed delta against plain", ratio, 1.3, "x", note)
    files = ["--model", str(pair / "model.safetensors"), "--base", str(pair / "base.safetensors"), "--outputs", "delta"]
    for encoding in ("plain", "packed"):
        shutil.rmtree(out, ignore_errors=True)
        timed(
            [
                str(BUILD / "kenctl"),
                "prune",
                *files,
                "--keep",
                "0.5",
                "--delta-encoding",
                encoding,
                "-o",
                str(out),
                "-q",
            ]
        )
        delta = out / "delta.safetensors"
        figures.add(f"{encoding} delta of F32 at keep 0.5, against the model", delta.stat().st_size / size, None, "x")
        base, new = str(pair / "base.safetensors"), str(work / "new.safetensors")
        command = [str(BUILD / "kenctl"), "inject", "--base", base, "--delta", str(delta), "-o", new, "--force", "-q"]
        runs = in_turns(5, lambda: timed([*command, "--threads", "1"]), lambda: timed([*command, "--threads", "2"]))
        one, two = (statistics.median(seconds) for seconds in runs)
        bound = 500 if encoding == "packed" else None
        figures.add(
            f"kenctl inject, {encoding}, one thread", size / one / 1e6, bound, "MB/s", least=encoding == "packed"
        )
        figures.add(f"kenctl inject, {encoding}, two threads against one", one / two, None, "x")
    shutil.rmtree(out)


def bench_memory(figures: Figures, work: Path, gib: int) -> None:
    write_pair(work / "large", square_shapes(gib * 1024 * MIB // 4))
    with Kend(fresh(work / "kend"), {"fetch.file_roots": work}) as kend:
        seconds = run_job(kend, f"file://{work}/large")
        figures.add(
            f"peak resident memory of kend, 2 x {gib} GiB", kend.peak_memory() / MIB, 256, "MiB", f"{seconds:.0f} s"
        )
    shutil.rmtree(work / "large")
    shutil.rmtree(work / "kend")


def bench_oracle(figures: Figures, build: Path) -> None:
    """A row by the NumPy oracle against one by the kernel in use, n = 768, k = 384."""
    rows = np.random.default_rng(2).standard_normal((20, 768)).astype(np.float32)
    begin = time.process_time()
    for row in rows:
        ken_oracle.select_ken(row, 384)
    seconds = (time.process_time() - begin) / len(rows)
    fast = [
        line
        for line in json.loads((build / "bench.json").read_text())["shapes"][:-1]
        if line["n"] == 768 and line["k"] == 384
    ]
    ours = [line for line in fast if line["dtype"] == "F32"][-1]["seconds_per_row"]
    figures.add("a row by the NumPy oracle against kend's kernel", seconds / ours, None, "x", f"{1e3 * seconds:.1f} ms")


def main() -> int:
    parser = arguments(__doc__ or "", "leave out what takes minutes and some 50 GB of disk")
    parser.add_argument("--only", action="append", choices=["local", "http", "packed", "sizes", "memory", "oracle"])
    options = parser.parse_args()

    def run(figures: Figures, work: Path) -> None:
        benches = {
            "local": lambda: bench_local(figures, work),
            "http": lambda: bench_over_http(figures, work),
            "packed": lambda: bench_packed(figures, work),
            "sizes": lambda: bench_sizes(figures, work, options.quick),
            "memory": lambda: bench_memory(figures, work, 1 if options.quick else 8),
            "oracle": lambda: bench_oracle(figures, options.build),
        }
        for name in options.only or benches:
            benches[name]()

    return measure(options, "jobs", run)


if __name__ == "__main__":
    sys.exit(main())
