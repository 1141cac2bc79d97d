# SPDX-License-Identifier: Apache-2.0
"""What tests that go on for long share: jobs of every kind with what must come of them, and clients that ask again until they are answered."""

from __future__ import annotations

import dataclasses
import hashlib
import http.client
import itertools
import random
import threading
import time
from pathlib import Path
from typing import Callable, Optional

import numpy as np

from checkpoints import to_bf16, write_safetensors
from daemon import FINISHED, Kend, Response
from origin import Origin
from torch_files import make_torch

ANSWER_SECONDS = 120.0  # in which a kend that is killed again and again must have answered a request


# ---- jobs


@dataclasses.dataclass
class Kind:
    """A kind of job. What comes of it is learnt from a kend that is left alone."""

    name: str
    document: Callable[
        [int], dict
    ]  # of the job with this number: some are told apart by their URL, so that nothing is cached for them
    weight: int = 1  # how often it is submitted
    error: str = ""  # the code that it fails with
    digests: dict[str, str] = dataclasses.field(default_factory=dict)  # of its artifacts

    def check(self, job: dict) -> None:
        """Fails unless an ended job is as it must be; it may have been cancelled, or have met too many kills."""
        what = f"{self.name}: {job}"
        if job["status"] == "cancelled":
            assert job["cancel_requested_at"], what
        elif job["status"] == "failed":
            exhausted = job["error"]["code"] == "attempts_exhausted" and job["attempt"] >= 3
            assert exhausted or job["error"]["code"] == self.error, what
        else:
            assert job["status"] == "succeeded" and not self.error, what
            assert {one["name"]: one["sha256"] for one in job["artifacts"]} == self.digests, what
        assert job["status"] == "succeeded" or job["artifacts"] == [], what


def make_pairs(files: Path, served: Path) -> None:
    """A small pair and one of half a million parameters as files; to be fetched: a pair, the same model as a torch file, and a base of another model."""
    rng = np.random.default_rng(5)

    def pair(folder: Path, tensors: int, rows: int) -> "dict[str, np.ndarray]":
        folder.mkdir(parents=True)
        base = {f"layer.{i}.weight": rng.standard_normal((rows, 512), np.float32) for i in range(tensors)}
        model = {name: value + 0.02 * rng.standard_normal(value.shape, np.float32) for name, value in base.items()}
        write_safetensors(folder / "base.safetensors", base)
        write_safetensors(folder / "model.safetensors", model)
        return model

    pair(files / "small", tensors=2, rows=64)
    pair(files / "large", tensors=4, rows=256)
    model = pair(served, tensors=2, rows=128)
    (served / "pytorch_model.bin").write_bytes(
        make_torch({name: to_bf16(value) for name, value in model.items()}, dict.fromkeys(model, "BF16"))
    )
    write_safetensors(served / "other.safetensors", {"layer.0.weight": np.ones((3, 5), np.float32)})


def make_kinds(folder: Path, origin: Origin) -> list[Kind]:
    """All kinds, on pairs made below the folder: files/ for file URLs, and what the origin serves."""
    assert origin.root
    files, served = folder / "files", origin.root / "pair"
    make_pairs(files, served)
    numbers = itertools.count()

    def on_files(pair: str, **fields: object) -> Callable[[int], dict]:
        where = f"file://{files}/{pair}"
        return lambda _: {"model": f"{where}/model.safetensors", "base": f"{where}/base.safetensors", **fields}

    def fetched(model: str, base: str, cached: bool = False, **fields: object) -> Callable[[int], dict]:
        def document(_: int) -> dict:
            query = "" if cached else f"?copy={next(numbers)}"
            return {"model": f"{origin.url}/pair/{model}{query}", "base": f"{origin.url}/pair/{base}{query}", **fields}

        return document

    variants = [{"name": f"k{i}", "k": 4 * (i + 1)} for i in range(6)]
    delta = {"kind": "inject", "base": f"file://{files}/small/base.safetensors", "delta": f"file://{files}/delta"}
    return [
        Kind("file", on_files("small", keep=0.5), weight=3),
        Kind("cached", fetched("model.safetensors", "base.safetensors", cached=True, k=50), weight=2),
        Kind("fetched", fetched("model.safetensors", "base.safetensors", k=50, outputs=["delta"]), weight=4),
        Kind("torch", fetched("pytorch_model.bin", "base.safetensors", k=50, method="magnitude")),
        Kind("packed", on_files("small", keep=0.2, delta_encoding="packed", rescale="l1")),
        Kind("variants", on_files("large", variants=variants, outputs=["delta", "report"]), weight=3),
        Kind("inject", lambda _: delta),
        Kind("mismatch", fetched("model.safetensors", "other.safetensors", k=1), error="tensor_mismatch"),
        Kind("missing", fetched("none.safetensors", "base.safetensors", k=1), error="fetch_failed"),
    ]


def learn(kinds: list[Kind], kend: Kend, files: Path) -> None:
    """Has each kind done once, and keeps what came of it."""
    for kind in kinds:
        job = kend.wait(kend.submit(kind.document(0)))
        assert job["status"] == ("failed" if kind.error else "succeeded"), job
        kind.digests = {one["name"]: one["sha256"] for one in job["artifacts"]}
        kind.check(job)
        if kind.name == "file":
            (files / "delta").write_bytes(kend.download(job["id"], "delta.safetensors"))


# ---- clients


@dataclasses.dataclass
class Sent:
    """A job that a client has submitted, and what it has been told of it since."""

    key: str
    kind: Kind
    document: dict
    id: str = ""
    ended: str = ""  # the status that it was seen to have ended with
    error: str = ""  # and the code of its error
    cancelled: bool = False  # a cancel was answered with 202
    deleted: bool = False


class Client(threading.Thread):
    """Submits, cancels, deletes, downloads and lists until it is told to stop; what it is told must agree with what it was told before."""

    LIVE = 12  # jobs that it has at once, about

    def __init__(self, name: str, kend: Kend, up: threading.Event, kinds: list[Kind], seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.kend, self.up, self.kinds = kend, up, kinds
        self.random = random.Random(seed)
        self.headers: dict[str, str] = {}  #: sent with every request
        self.stopping = threading.Event()
        self.sent: list[Sent] = []
        self.requests = self.cut_off = 0
        self.failure: Optional[BaseException] = None

    def run(self) -> None:
        acts: list[Callable[[], None]] = [self.submit] * 4 + [self.look] * 3
        acts += [self.download, self.cancel, self.delete, self.list, self.events]
        try:
            while not self.stopping.is_set():
                self.random.choice(acts)()
        except BaseException as error:  # told by whoever joins it
            self.failure = error

    def finish(self) -> None:
        """Has it stop, and fails if it failed."""
        self.stopping.set()
        self.join(2 * ANSWER_SECONDS)
        assert not self.is_alive(), f"{self.name} hangs"
        if self.failure:
            raise self.failure

    def ask(self, method: str, path: str, body: Optional[dict] = None, **headers: str) -> "tuple[Response, bool]":
        """The answer, and whether kend may have done already what was asked, since an answer was cut off."""
        end = time.monotonic() + ANSWER_SECONDS
        again = False
        while True:
            self.up.wait(ANSWER_SECONDS)
            try:
                response = self.kend.request(method, path, body, {**self.headers, **headers})
            except (OSError, http.client.HTTPException):
                self.cut_off += 1
                again = True
                assert time.monotonic() < end, f"{method} {path}: no answer in {ANSWER_SECONDS} s"
                time.sleep(0.005)
                continue
            self.requests += 1
            return response, again

    def some(self, ended: Optional[bool] = None, status: str = "") -> Optional[Sent]:
        """One of its jobs that are there; of those that it knows to have ended or not, or with that status."""
        jobs = [one for one in self.sent if not one.deleted and (ended is None or bool(one.ended) == ended)]
        jobs = [one for one in jobs if not status or one.ended == status]
        return self.random.choice(jobs) if jobs else None

    # each of these is one thing that a client does

    def submit(self) -> None:
        """A new job, or one that was submitted before: then it must be the same."""
        live = sum(not one.deleted for one in self.sent)
        old = self.some()
        if old and (live >= self.LIVE or self.random.random() < 0.1):
            sent = old
        else:
            (kind,) = self.random.choices(self.kinds, [one.weight for one in self.kinds])
            key = f"{self.name}-{len(self.sent)}"
            document = {**kind.document(len(self.sent)), "metadata": {"client": self.name, "key": key}}
            sent = Sent(key, kind, document)
        response, again = self.ask("POST", "/v1/jobs", sent.document, **{"Idempotency-Key": sent.key})
        assert response.status in ((200,) if sent.id else (200, 202) if again else (202,)), response.body
        assert sent.id in ("", response.json["id"]), f"{sent.key} made {sent.id} and {response.json['id']}"
        if not sent.id:
            sent.id = response.json["id"]
            self.sent.append(sent)
        self.note(sent, response.json)

    def note(self, sent: Sent, job: dict) -> None:
        """What has ended stays as it is."""
        if sent.ended:
            assert job["status"] == sent.ended, f"was {sent.ended}: {job}"
        elif job["status"] in FINISHED:
            sent.kind.check(job)
            sent.ended, sent.error = job["status"], (job["error"] or {}).get("code", "")
        assert not sent.cancelled or job["cancel_requested_at"], job
        assert job["metadata"]["key"] == sent.key

    def look(self) -> None:
        sent = self.some(ended=False) or self.some()
        if sent:
            query = "?wait=1" if self.random.random() < 0.3 else ""
            response, _ = self.ask("GET", f"/v1/jobs/{sent.id}{query}")
            assert response.status == 200, response.body
            self.note(sent, response.json)

    def download(self) -> None:
        sent = self.some(status="succeeded")
        if sent:
            name = self.random.choice(sorted(sent.kind.digests))
            response, _ = self.ask("GET", f"/v1/jobs/{sent.id}/artifacts/{name}")
            assert response.status == 200, response.body
            assert hashlib.sha256(response.body).hexdigest() == sent.kind.digests[name]

    def cancel(self) -> None:
        sent = self.some(ended=False)
        if sent and self.random.random() < 0.3:
            response, _ = self.ask("POST", f"/v1/jobs/{sent.id}/cancel")
            assert response.status in (202, 409), response.body
            sent.cancelled = sent.cancelled or response.status == 202

    def delete(self) -> None:
        sent = self.some(ended=True)
        live = sum(not one.deleted for one in self.sent)
        if sent and live > self.LIVE / 2:
            response, again = self.ask("DELETE", f"/v1/jobs/{sent.id}")
            assert response.status == 204 or (again and response.status == 404), response.body
            sent.deleted = True

    def list(self) -> None:
        """Its newest jobs are those that it knows of, each once."""
        response, _ = self.ask("GET", f"/v1/jobs?metadata.client={self.name}&limit=5")
        assert response.status == 200, response.body
        there = [one.id for one in self.sent if not one.deleted]
        assert [job["id"] for job in response.json["data"]] == sorted(there, reverse=True)[:5]

    def events(self) -> None:
        """Without a hole; beginning with the status that the job was accepted with."""
        sent = self.some()
        if sent:
            response, _ = self.ask("GET", f"/v1/jobs/{sent.id}/events?limit=200", Accept="application/json")
            assert response.status == 200, response.body
            data = response.json["data"]
            assert [one["id"] for one in data] == list(range(1, len(data) + 1))
            assert data[0]["type"] == "status" and data[0]["data"]["status"] == "queued"


def wait_for_all(clients: "list[Client]", kend: Kend, seconds: float) -> None:
    """Until every job has ended, each as it must."""
    end = time.monotonic() + seconds
    for client in clients:
        for sent in client.sent:
            if not sent.deleted:
                client.note(sent, kend.wait(sent.id, max(1, end - time.monotonic())))
