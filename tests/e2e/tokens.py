# SPDX-License-Identifier: Apache-2.0
"""Tokens for tests, made by kenctl in a file of their own, and a kend that has some."""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path
from typing import Any, Optional

import numpy as np

from checkpoints import write_safetensors
from daemon import BUILD, Kend, Response


class Tokens:
    """A tokens file, and the tokens that are in it by the names that a test gives them."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tokens"
        self.text: dict[str, str] = {}
        self.path.touch(0o600)

    def make(self, name: str, owner: str, scope: str, expires: Optional[int] = None) -> str:
        """Adds a token; its text."""
        words = ["token", "create", "--file", str(self.path), "--owner", owner, "--scope", scope]
        words += ["--expires", str(expires)] if expires else []
        done = subprocess.run([str(BUILD / "kenctl"), *words], capture_output=True, text=True, timeout=60, check=True)
        self.text[name] = done.stdout.strip()
        return self.text[name]

    def id(self, name: str) -> str:
        return self.text[name].split("_")[1]

    def bearer(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.text[name]}"}

    def revoke(self, name: str) -> None:
        words = ["-o", "json", "token", "revoke", self.id(name), "--file", str(self.path)]
        done = subprocess.run([str(BUILD / "kenctl"), *words], capture_output=True, text=True, timeout=60, check=True)
        assert json.loads(done.stdout) == {"id": self.id(name), "revoked": True}

    def expire(self, name: str) -> None:
        """Puts the end of a token into the past."""
        lines = self.path.read_text().splitlines()
        for i, line in enumerate(lines):
            words = line.split()
            if words and words[0] == self.id(name):
                lines[i] = " ".join([*words[:3], "2020-01-01T00:00:00Z", *words[4:]])
        self.path.write_text("\n".join(lines) + "\n")

    def secrets(self) -> list[str]:
        """What must never be seen anywhere."""
        return [text.split("_")[2] for text in self.text.values()]


class House:
    """A kend with tokens of two owners, and jobs of one of them that have succeeded."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.tokens = Tokens(folder)
        for name, owner, scope in (
            ("read", "nlp", "read"),
            ("submit", "nlp", "submit"),
            ("admin", "root", "admin"),
            ("foreign", "other", "submit"),
            ("revoked", "nlp", "admin"),
            ("expired", "nlp", "admin"),
        ):
            self.tokens.make(name, owner, scope, expires=1 if name == "expired" else None)
        self.tokens.revoke("revoked")
        self.tokens.expire("expired")
        head, _, secret = self.tokens.text["submit"].rpartition("_")
        self.tokens.text["unknown"] = "kend_0123456789abcdef_" + secret
        self.tokens.text["mixed"] = head + "_" + self.tokens.text["read"].rpartition("_")[2]
        files = folder / "files"
        files.mkdir()
        rng = np.random.default_rng(7)
        base = rng.standard_normal((4, 64)).astype(np.float32)
        write_safetensors(files / "base.safetensors", {"layer.0.weight": base})
        write_safetensors(files / "model.safetensors", {"layer.0.weight": base + np.float32(0.1) * base**2})
        self.pair = {
            "model": f"file://{files}/model.safetensors",
            "base": f"file://{files}/base.safetensors",
            "keep": 0.5,
        }
        self.kend = Kend(
            folder,
            {
                "auth.tokens_file": self.tokens.path,
                "fetch.file_roots": files,
                "disk.reserve_bytes": 0,
                "log.level": "debug",
                **settings,
            },
        )

    def headers(self, who: str) -> dict[str, str]:
        return {} if who == "none" else self.tokens.bearer(who)

    def ask(self, who: str, method: str, path: str, body: Any = None, **headers: str) -> Response:
        return self.kend.request(method, path, body, {**self.headers(who), **headers})

    def job(self, who: str = "submit", **fields: Any) -> str:
        """The id of a job that has succeeded."""
        response = self.ask(who, "POST", "/v1/jobs", {**self.pair, **fields})
        assert response.status == 202, response.body
        shown = self.ask(who, "GET", f"/v1/jobs/{response.json['id']}?wait=60").json
        assert shown["status"] == "succeeded", shown
        return str(shown["id"])


def no_secret_is_left(secrets: "list[str]", kend: Kend) -> None:
    """Neither the log nor any file of the data folder holds a secret."""
    files = [kend.log] + [path for path in kend.data.rglob("*") if path.is_file() and path.name != "admin.token"]
    assert len(files) > 3
    for path, secret in itertools.product(files, secrets):
        assert secret.encode() not in path.read_bytes(), path
