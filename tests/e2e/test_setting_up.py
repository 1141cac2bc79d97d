# SPDX-License-Identifier: Apache-2.0
"""What docs/operations.md tells whoever sets kend up is done as it stands there, with other folders and another port."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import sqlite3
import ssl
import stat
import subprocess
from pathlib import Path
from typing import Any, Dict, List

from daemon import BUILD, Kend
from origin import Certificates
from running import files, kend_of, of_files  # noqa: F401  a fixture among them
from test_tls import certificates  # noqa: F401  a fixture

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


def blocks(language: str) -> List[str]:
    """The blocks of code of that language in the section."""
    section = PAGE.read_text().partition("## Setting up for several teams\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.M | re.S)


class Machine:
    """A folder in the place of the root folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = "https://kend.example:8377"

    def local(self, text: str) -> str:
        text = re.sub(r"/(etc|var/lib|var/backups)/kend", lambda match: f"{self.root}{match[0]}", text)
        return text.replace("https://kend.example:8377", self.url).replace("0.0.0.0:8377", "127.0.0.1:0")

    def path(self, name: str) -> Path:
        return self.root / name

    def run(self, script: str, **env: str) -> str:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("KEND_", "KENCTL_"))}
        done = subprocess.run(
            ["sh", "-eu", "-c", self.local(script)],
            cwd=self.root,
            env={**clean, "PATH": f"{BUILD}:{os.environ['PATH']}", **env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def settings_of(text: str) -> Dict[str, Any]:
    parser = configparser.ConfigParser()
    parser.read_string(text)
    return {f"{section}.{key}": value for section in parser.sections() for key, value in parser[section].items()}


def test_setting_up(tmp_path: Path, certificates: Certificates) -> None:  # noqa: F811
    machine = Machine(tmp_path)
    (configuration,) = blocks("ini")
    tokens, looking, using, _ = blocks("sh")
    machine.path("etc/kend").mkdir(parents=True)
    for source, name in zip(certificates.good, ("tls.crt", "tls.key")):
        shutil.copyfile(source, machine.path(f"etc/kend/{name}"))
    machine.path("etc/kend/tls.key").chmod(0o600)
    machine.path("etc/kend/kend.conf").write_text(machine.local(configuration))

    listed = machine.run(tokens)
    assert sorted(line.split()[1] for line in listed.splitlines()[1:]) == [
        "nlp",
        "ops",
        "prometheus",
        "speech",
        "vision",
    ]
    for name in ("nlp.token", "ops.token", "var/lib/kend/tokens", "var/lib/kend"):
        assert stat.S_IMODE(machine.path(name).stat().st_mode) & 0o077 == 0, name
    found = machine.run(looking)
    scarce = ("disk", "limits", "file_system", "open_files", "data_folder", "proxy")  # as the machine of the test is
    assert [line for line in found.splitlines() if re.match("warn|fail", line) and line.split()[1] not in scarce] == []

    kend = Kend(tmp_path, settings_of(machine.local(configuration)))
    kend.data = machine.path("var/lib/kend")
    kend.trust = ssl.create_default_context(cafile=certificates.authority)
    with kend:
        machine.url = kend.url
        said = machine.run(using, KENCTL_CA_FILE=certificates.authority)
        assert "ok    token         accepted" in said and "ok    metrics       shown" in said
        read = {"Authorization": "Bearer " + machine.path("prometheus.token").read_text().strip()}
        assert kend.request("GET", "/metrics", headers=read).status == 200
        assert kend.request("GET", "/metrics").status == 401
        kend.headers = {"Authorization": "Bearer " + machine.path("nlp.token").read_text().strip()}
        job = kend.submit({"model": "https://192.0.2.1:8443/m", "base": "https://192.0.2.1/b", "k": 1})
        assert "fetch.allow_ports" in kend.wait(job)["error"]["message"]


def test_a_backup_is_a_data_folder(tmp_path: Path, files: Path) -> None:
    """Of a kend that runs. What the line of sqlite3 does is done here by Python's."""
    machine = Machine(tmp_path)
    _, _, _, backup = blocks("sh")
    statement = re.search(r'^sqlite3 (\S+) "(.*)"$', machine.local(backup), re.M)
    assert statement
    folder = machine.path("var/backups/kend")
    folder.mkdir(parents=True, mode=0o700)
    kend = kend_of(tmp_path)
    kend.data = machine.path("var/lib/kend")
    kend.data.parent.mkdir(parents=True)
    with kend:
        job = kend.submit(of_files(files))
        assert kend.wait(job)["status"] == "succeeded"
        delta = kend.download(job, "delta.safetensors")
        machine.path("var/lib/kend/tokens").touch()
        with sqlite3.connect(statement[1]) as store:
            store.execute(statement[2])
        machine.run(backup.replace(backup.splitlines()[0], ""))
        later = kend.submit(of_files(files))
        assert kend.wait(later)["status"] == "succeeded"
    kend.data = folder
    with kend:
        assert [shown["id"] for shown in kend.get("/v1/jobs").json["data"]] == [job]
        assert kend.download(job, "delta.safetensors") == delta
