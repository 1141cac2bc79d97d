# SPDX-License-Identifier: Apache-2.0
"""Prometheus itself on kend's metrics and alerts: promtool is found by PROMTOOL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from daemon import Kend  # noqa: E402

HERE = Path(__file__).parent
RULES = HERE.parents[1] / "conf" / "prometheus" / "kend.rules.yml"


def promtool(*arguments: object, text: str = "") -> str:
    """Runs it; what it said, which must not be a complaint."""
    command = [os.environ["PROMTOOL"], *map(str, arguments)]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_rules_are_rules() -> None:
    assert "SUCCESS" in promtool("check", "rules", RULES)


def test_the_alerts_fire_when_they_should() -> None:
    assert "SUCCESS" in promtool("test", "rules", HERE / "kend.rules.test.yml")


def test_the_metrics_are_as_prometheus_wants_them(tmp_path: Path) -> None:
    with Kend(tmp_path) as kend:
        kend.get("/v1/jobs")
        kend.wait(kend.submit({"model": "https://192.0.2.1/a", "base": "https://192.0.2.1/b", "k": 1}))
        assert promtool("check", "metrics", text=kend.get("/metrics").body.decode()) == ""
