#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Has schemathesis call a kend without tokens and one with tokens until both have answered half of the calls. Exits 1 at its first finding.

usage: fuzz_contract.py [--calls N] [--seed N] [--examples N]
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Mapping

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from daemon import Kend  # noqa: E402
from tokens import House  # noqa: E402

OPENAPI = HERE.parents[1] / "proto" / "openapi.json"
#: Nothing is fetched: the proxy is a port that nobody listens on, so that jobs on strangers' URLs fail at once.
SETTINGS = {"fetch.proxy": "http://127.0.0.1:9", "fetch.retries": 0, "http.idle_seconds": 5}
#: What cannot hold of a server that asks nobody for a token.
NEEDS_TOKENS = "ignored_auth,missing_required_header"


def make_jobs(house: House) -> "list[str]":
    """Ids of a plain job, of one with variants, of one that injects a delta, of one that fails, and of none."""
    files = Path(str(house.pair["base"])[len("file://") :]).parent
    pair = {name: house.pair[name] for name in ("model", "base")}
    plain = house.job(metadata={"team": "nlp"})
    (files / "delta.safetensors").write_bytes(
        house.ask("submit", "GET", f"/v1/jobs/{plain}/artifacts/delta.safetensors").body
    )
    documents: list[dict[str, object]] = [
        {**pair, "variants": [{"name": "half", "keep": 0.5}, {"name": "tenth", "k": 6}]},
        {"kind": "inject", "base": pair["base"], "delta": f"file://{files}/delta.safetensors"},
        {**pair, "base": f"file://{files}/none", "k": 1},
    ]
    ids = [house.ask("submit", "POST", "/v1/jobs", document).json["id"] for document in documents]
    return [plain, *ids, "job_01BX5ZZKBKACTAV9WEVGEMMVRZ"]


def answered(kend: Kend, headers: Mapping[str, str]) -> int:
    """How many requests kend has answered."""
    text = kend.get("/metrics", headers=headers).body.decode()
    return sum(int(float(value)) for value in re.findall(r"^kend_http_requests_total\{.*\} (\S+)$", text, re.M))


def call(kend: Kend, jobs: "list[str]", seed: int, examples: int, *options: str) -> None:
    """One run of schemathesis; what it says is shown if it has found something."""
    command = [os.environ["SCHEMATHESIS"], "--config-file", str(HERE / "schemathesis.toml"), "--no-color", "run"]
    command += [str(OPENAPI), "--url", kend.url, "--seed", str(seed), "--max-examples", str(examples), *options]
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE),
        "KEND_CONTRACT_JOBS": ",".join(jobs),
        "KEND_CONTRACT_SEED": str(seed),
    }
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    if done.returncode:
        sys.exit(f"{done.stdout}\nschemathesis ended with {done.returncode}, at seed {seed}")


def fuzz(
    name: str, kend: Kend, headers: "dict[str, str]", jobs: "list[str]", options: argparse.Namespace, *more: str
) -> int:
    """Runs with one seed after the other, until half of the calls have been made. How many there were."""
    begin = answered(kend, headers)
    for seed in itertools.count(options.seed):
        call(kend, jobs, seed, options.examples, *more)
        calls = answered(kend, headers) - begin
        print(f"{name}: seed {seed}, {calls} calls, nothing found", flush=True)
        if calls >= options.calls / 2:
            return calls
    raise AssertionError


def end(number: int, _: object) -> None:
    """Ends by an exception, so that what was started is ended too."""
    sys.exit(128 + number)


def main() -> int:
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)
    signal.signal(signal.SIGINT, end)  # ignored where a shell has started this in the background
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000, help="in all, at least")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument(
        "--examples", type=int, default=100, help="for each operation, in each of the runs that it takes"
    )
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    calls = 0
    for tokens in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            house = House(Path(folder), **SETTINGS)
            if not tokens:
                del house.kend.settings["auth.tokens_file"]
            with house.kend:
                jobs = make_jobs(house)
                if tokens:
                    token = ["--header", f"Authorization: {house.headers('submit')['Authorization']}"]
                    calls += fuzz(
                        "with a token", house.kend, house.headers("admin"), jobs, options, "--checks", "all", *token
                    )
                else:
                    checks = ["--checks", "all", "--exclude-checks", NEEDS_TOKENS]
                    calls += fuzz("without tokens", house.kend, {}, jobs, options, *checks)
    print(f"{calls} calls, nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
