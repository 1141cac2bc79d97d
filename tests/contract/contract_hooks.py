# SPDX-License-Identifier: Apache-2.0
"""For schemathesis: calls meet the jobs that are there, named in KEND_CONTRACT_JOBS, more often than chance would have it, and few of them wait.

No stream of all jobs goes on: each that is asked for ends at once."""

from __future__ import annotations

import os
import random
import re
from typing import Any

import schemathesis

ID = re.compile(r"job_[0-7][0-9A-HJKMNP-TV-Z]{25}")
PAGE_FILES = ("app.js", "style.css", "icon.svg", "views/jobs.js")
ARTIFACTS = ("delta.safetensors", "report.json", "model.safetensors", "half/delta.safetensors")
#: What libmicrohttpd answers by itself where it is no number, in its own words: docs/design/http.md.
FRAMING = ("content-length", "transfer-encoding")
jobs = os.environ.get("KEND_CONTRACT_JOBS", "").split(",")
chance = random.Random(int(os.environ.get("KEND_CONTRACT_SEED", "0")))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """A well-formed id becomes that of a job, a wait becomes short or none; no header is made up that says how long the body is; what is malformed stays so."""
    path, query = case.path_parameters or {}, case.query or {}
    for name in [name for name in case.headers or {} if name.lower() in FRAMING]:
        del case.headers[name]
    if ID.fullmatch(str(path.get("id"))) and case.method != "DELETE" and chance.random() < 0.7:
        path["id"] = chance.choice(jobs)
        if "name" in path and chance.random() < 0.7:
            path["name"] = chance.choice(ARTIFACTS)
    if "name" in path and "id" not in path and chance.random() < 0.7:
        path["name"] = chance.choice(PAGE_FILES)
    if case.path == "/v1/events" and re.fullmatch("[0-9]+", str(query.get("seconds", "0"))):
        case.query = {**query, "seconds": 0}
    if ID.fullmatch(str(query.get("with"))) and chance.random() < 0.7:
        query["with"] = chance.choice(jobs)
    wait = str(query.get("wait"))
    if re.fullmatch("[0-9]+", wait):
        query["wait"] = int(chance.random() < 0.02)
