# SPDX-License-Identifier: Apache-2.0
"""kenctl doctor: finds nothing where all is well, and each fault that it knows where that is made."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import platform
import re
import resource
import shutil
import sqlite3
import stat
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

import pytest

from daemon import BUILD, Kend
from fake_kend import Fake, Handler, fake  # noqa: F401  a fixture
from origin import Certificates
from test_tls import certificates  # noqa: F401  a fixture
from tokens import Tokens

#: What may be scarce on the machine that the tests run on.
SCARCE = {"disk", "server_disk", "file_system"}
Finding = Dict[str, str]
Answers = Mapping[str, Callable[[Handler], None]]


def doctor(*arguments: object, env: Optional[Mapping[str, str]] = None, **options: Any) -> Tuple[int, List[Finding]]:
    """Exit status and findings, which are held against what is printed for people."""
    clean = {k: v for k, v in os.environ.items() if not re.match("KEND_|KENCTL_|.*_proxy$", k, re.I)} | dict(env or {})
    command = [str(BUILD / "kenctl"), "doctor", *map(str, arguments)]

    def run(*more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*command, *more], env=clean, capture_output=True, text=True, timeout=60, check=False, **options
        )

    done = run("-o", "json")
    document = json.loads(done.stdout)
    checks: List[Finding] = document["checks"]
    worst = [word for word in ("fail", "warn", "ok") if word in [check["status"] for check in checks]][0]
    assert document["status"] == worst and done.returncode == (1 if worst == "fail" else 0)
    for check in checks:
        assert ("advice" in check) == (check["status"] != "ok"), check
    text = run()
    assert text.returncode == done.returncode
    said = re.findall(r"^(ok|warn|fail) +(\w+)", text.stdout, re.M)
    assert said == [(check["status"], check["check"]) for check in checks]
    assert re.findall(r"^      -> (.*)$", text.stdout, re.M) == [
        check["advice"] for check in checks if "advice" in check
    ]
    return done.returncode, checks


def found(checks: List[Finding], name: str) -> Finding:
    """The one finding of a check."""
    (finding,) = [check for check in checks if check["check"] == name]
    return finding


def wrong(checks: List[Finding]) -> "set[str]":
    return {check["check"] for check in checks if check["status"] != "ok"} - SCARCE


def names() -> List[str]:
    """All checks, as the help tells them."""
    text = subprocess.run(
        [str(BUILD / "kenctl"), "doctor", "--help"], capture_output=True, text=True, check=True
    ).stdout
    return re.findall(r"^  (\w+): ", text, re.M)


def private(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    return folder


# ---- nothing is wrong


@pytest.mark.smoke
def test_nothing_is_wrong(kend: Kend) -> None:
    status, checks = doctor("--data", kend.data, "--server", kend.url)
    assert status == 0 and wrong(checks) == set()
    assert [check["check"] for check in checks] == names()
    assert "a kend runs here" in found(checks, "work")["found"]


def test_what_is_looked_at(kend: Kend, tmp_path: Path) -> None:
    """A server only where one is named or nothing else is; this machine only where something of it is named."""
    local = [check["check"] for check in doctor("--data", kend.data)[1]]
    assert local == names()[: names().index("work") + 1]
    assert doctor("--server", kend.url)[1][0]["check"] == "server"
    assert doctor(env={"KENCTL_SERVER": kend.url})[1][0]["check"] == "server"
    both = doctor("--data", kend.data, env={"KENCTL_SERVER": kend.url})[1]
    assert [check["check"] for check in both] == names()
    quiet = subprocess.run(
        [str(BUILD / "kenctl"), "doctor", "-q", "--data", str(tmp_path / "none")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ok " not in quiet.stdout and "warn  data_folder" in quiet.stdout


# ---- this machine


CONFIGURATIONS = {
    "config": ("fail", "[jobs]\nmax_running = 0\n", "kend.conf:2: jobs.max_running"),
    "disk": ("fail", "[disk]\nreserve_bytes = 1000TiB\n", "less than disk.reserve_bytes (1.1 PB)"),
    "limits": ("warn", "[cache]\nmax_bytes = 1000TiB\n", "may take 1.1 PB"),
    "memory": ("fail", "[prune]\nmemory = 1000TiB\n", "prune.memory is 1.1 PB"),
    "threads": ("warn", "[prune]\nthreads = 1000\n", "prune.threads is 1000"),
    "kernel": ("warn", "[prune]\nkernel = scalar\n", "prune.kernel is scalar"),
    "files": ("fail", "[fetch]\nca_file = /nonexistent/ca.pem\n", "fetch.ca_file: /nonexistent/ca.pem: No such file"),
}


@pytest.mark.parametrize("name", list(CONFIGURATIONS))
def test_a_configuration_that_does_not_fit(tmp_path: Path, name: str) -> None:
    if name == "kernel" and platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip("there is but one kernel")
    status, text, message = CONFIGURATIONS[name]
    config = tmp_path / "kend.conf"
    config.write_text(text)
    _, checks = doctor("--config", config, "--data", private(tmp_path / "data"))
    finding = found(checks, name)
    assert finding["status"] == status and message in finding["found"]
    assert wrong(checks) <= {name, "limits"}  # what no disk has room for is over these, too


def test_hardly_any_room(tmp_path: Path) -> None:
    system = os.statvfs(tmp_path)
    reserve = system.f_bavail * system.f_frsize - (200 << 20)
    if reserve < 0:
        pytest.skip("there is none")
    config = tmp_path / "kend.conf"
    config.write_text(f"[disk]\nreserve_bytes = {reserve}\n")
    assert found(doctor("--config", config, "--data", tmp_path)[1], "disk")["status"] != "ok"


def test_files_that_are_named(tmp_path: Path) -> None:
    config, root, other = tmp_path / "kend.conf", tmp_path / "root", tmp_path / "other"
    config.write_text(f"[fetch]\nfile_roots = {root},{other}\nca_file = {config}\n")
    root.mkdir()
    data = private(tmp_path / "data")
    finding = found(doctor("--config", config, "--data", data)[1], "config")  # kend would not start
    assert finding["status"] == "fail"
    assert finding["found"] == f'fetch.file_roots: "{other}": No such file or directory'
    other.mkdir()
    assert found(doctor("--config", config, "--data", data)[1], "files")["found"] == "all 3 can be read"


def test_a_warning_of_kend_is_passed_on(tmp_path: Path) -> None:
    data = private(tmp_path / "data")
    finding = found(doctor("--data", data, env={"KEND_HTP_LISTEN": "x"})[1], "config")
    assert finding["status"] == "warn" and 'did you mean "KEND_HTTP_LISTEN"?' in finding["found"]


def test_without_a_kend_nothing_can_be_said(tmp_path: Path) -> None:
    alone = tmp_path / "kenctl"
    alone.write_bytes((BUILD / "kenctl").read_bytes())
    alone.chmod(0o755)
    done = subprocess.run(
        [str(alone), "doctor", "--data", str(tmp_path)],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.startswith("fail  config        there is no kend beside this kenctl, nor in PATH\n")
    # That of PATH is taken where there is none beside it.
    done = subprocess.run(
        [str(alone), "doctor", "--data", str(tmp_path)],
        env={"PATH": str(BUILD)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("ok    config ")


def test_data_folders(tmp_path: Path) -> None:
    open_folder, file = tmp_path / "open", tmp_path / "file"
    open_folder.mkdir()
    open_folder.chmod(0o755)
    file.write_text("")
    for path, status, message in (
        (open_folder, "warn", "is open to other users (mode 755)"),
        (tmp_path / "none" / "below", "warn", "is not there"),
        (file, "fail", "is not a folder"),
        (file / "below", "fail", "cannot make it"),
    ):
        finding = found(doctor("--data", path)[1], "data_folder")
        assert finding["status"] == status and message in finding["found"], finding
    assert not (tmp_path / "none").exists()


def test_a_store_that_cannot_be_opened(tmp_path: Path) -> None:
    """As kend would find at its start; nothing is changed by looking."""
    with Kend(tmp_path) as kend:
        for _ in range(50):
            kend.submit({"model": "https://192.0.2.1/m", "base": "https://192.0.2.1/b", "k": 1, "name": "x" * 100})
    database = kend.data / "kend.db"
    good = database.read_bytes()
    before = sorted(os.listdir(kend.data))
    assert found(doctor("--data", kend.data)[1], "store")["found"] == f"{database} is whole"
    middle = bytearray(good)
    middle[len(good) // 4 : len(good) // 4 * 3] = os.urandom(len(good) // 4 * 3 - len(good) // 4)
    foreign = tmp_path / "foreign.db"
    with contextlib.closing(sqlite3.connect(foreign)) as other:
        other.execute("CREATE TABLE t (x)")
    for content, message in (
        (os.urandom(9000), "file is not a database"),
        (bytes(middle), ""),
        (foreign.read_bytes(), "not one of kend"),
    ):
        database.write_bytes(content)
        status, checks = doctor("--data", kend.data)
        finding = found(checks, "store")
        assert status == 1 and finding["status"] == "fail" and message in finding["found"], finding
        assert str(database) in finding["found"] and database.read_bytes() == content
        assert sorted(os.listdir(kend.data)) == before
    database.unlink()
    assert found(doctor("--data", kend.data)[1], "store")["found"] == f"{database} is yet to be made"
    assert not database.exists()
    database.mkdir()
    assert "Is a directory" in found(doctor("--data", kend.data)[1], "store")["found"]


def test_the_store_of_a_kend_that_was_killed(tmp_path: Path) -> None:
    """What is still in the log only belongs to it, whatever the path is called."""
    folder = tmp_path / "100% #1?"
    folder.mkdir()
    with Kend(folder) as kend:
        job = kend.submit({"model": "https://192.0.2.1/m", "base": "https://192.0.2.1/b", "k": 1})
        kend.kill()
        database = kend.data / "kend.db"
        assert (kend.data / "kend.db-wal").stat().st_size > 0
        before = database.read_bytes()
        assert found(doctor("--data", kend.data)[1], "store")["status"] == "ok"
        assert database.read_bytes() == before and (kend.data / "kend.db-wal").stat().st_size > 0
        kend.start()
        assert kend.get(f"/v1/jobs/{job}").status == 200


@pytest.mark.parametrize("name, kind", [("artifacts", "folder"), ("cache", "folder"), ("lock", "file")])
def test_folders_that_are_none(tmp_path: Path, name: str, kind: str) -> None:
    data = private(tmp_path / "data")
    assert found(doctor("--data", data)[1], "folders")["status"] == "ok"
    if kind == "file":
        (data / name).mkdir()
    else:
        (data / name).write_text("")
    status, checks = doctor("--data", data)
    finding = found(checks, "folders")
    assert status == 1 and finding["status"] == "fail" and str(data / name) in finding["found"]


def test_all_faults_are_told(tmp_path: Path, certificates: Certificates) -> None:
    """One at a time would take as many goes as there are faults."""
    private(tmp_path / "data")
    key, file = tmp_path / "key.pem", tmp_path / "file"
    shutil.copyfile(certificates.good[1], key)
    key.chmod(0o644)
    file.write_text("")
    checks = configured(
        tmp_path,
        f"[fetch]\nfile_roots = {tmp_path}/none\nca_file = {tmp_path}/none.pem\n[cache]\ndir = {file}/cache\n"
        f"[auth]\ntokens_file = {tmp_path}/no.tokens\n[http]\ntls_cert = {certificates.good[0]}\ntls_key = {key}\n",
    )
    said = [f"{check['check']}: {check['found']}" for check in checks if check["status"] != "ok"]
    for fault in (
        f"config: auth.tokens_file: {tmp_path}/no.tokens does not exist",
        f'config: fetch.file_roots: "{tmp_path}/none": No such file',
        f"folders: cache.dir: {file}/cache is not there, and this user cannot make it",
        f"files: fetch.ca_file: {tmp_path}/none.pem: No such file",
        f"files: fetch.file_roots: {tmp_path}/none: No such file",
        f"secrets: {key} is open to other users (mode 644)",
    ):
        assert any(line.startswith(fault) for line in said), (fault, said)


def test_limits_that_are_none(tmp_path: Path) -> None:
    private(tmp_path / "data")
    for text, message in (
        ("", "cache and artifacts may fill the disk"),
        ("[cache]\nmax_bytes = 1MB\n", "artifacts may fill the disk"),
        ("[artifacts]\nmax_bytes = 1MB\n", "the cache may fill the disk"),
        ("[artifacts]\nmax_bytes = 1MB\n[cache]\nmax_bytes = 1MB\n", "at most 270 MB of"),
    ):
        finding = found(configured(tmp_path, text), "limits")
        assert finding["status"] == "ok" and finding["found"].startswith(message), finding


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_data_folder_of_others(tmp_path: Path) -> None:
    folder = private(tmp_path / "data")
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert found(doctor("--data", folder)[1], "data_folder")["status"] == "fail"


def test_a_store_in_memory(tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    kind = subprocess.run(["stat", "-f", "-c", "%T", str(memory)], capture_output=True, text=True, check=False).stdout
    if kind != "tmpfs\n":
        pytest.skip("no tmpfs here")
    config = tmp_path / "kend.conf"
    config.write_text("[store]\nurl = sqlite:/dev/shm/kend.db\n")
    finding = found(doctor("--config", config, "--data", private(tmp_path / "data"))[1], "file_system")
    assert finding["status"] == "warn" and "tmpfs" in finding["found"]


def test_too_few_files(tmp_path: Path) -> None:
    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))

    finding = found(doctor("--data", private(tmp_path / "data"), preexec_fn=lower)[1], "open_files")
    assert finding["status"] == "warn" and "256 files" in finding["found"]


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_that_kend_does_not_use(tmp_path: Path, variable: str) -> None:
    data = private(tmp_path / "data")
    env = {variable: "http://proxy.example:3128"}
    finding = found(doctor("--data", data, env=env)[1], "proxy")
    assert finding["status"] == "warn" and variable in finding["found"]
    config = tmp_path / "kend.conf"
    config.write_text("[fetch]\nproxy = http://proxy.example:3128\n")
    assert found(doctor("--config", config, "--data", data, env=env)[1], "proxy")["status"] == "ok"


def configured(tmp_path: Path, text: str) -> List[Finding]:
    config = tmp_path / "kend.conf"
    config.write_text(text)
    return doctor("--config", config, "--data", tmp_path / "data")[1]


@pytest.mark.parametrize(
    "text, status, message",
    [
        ("[http]\nlisten = 127.0.0.1:1\n", "ok", "127.0.0.1:1 is for users of this machine alone"),
        ("[http]\nlisten = 0.0.0.0:1\n", "ok", "tokens are required"),
        ("[http]\nlisten = [::]:1\n[auth]\nallow_anonymous = true\n", "warn", "whoever reaches [::]:1 may submit"),
        ("[http]\nlisten = [::1]:1\n[auth]\nallow_anonymous = true\n", "ok", "users of this machine alone"),
        ("[http]\npublic_url = https://kend.example\n", "warn", "whoever reaches https://kend.example may submit"),
    ],
)
def test_who_needs_no_token(tmp_path: Path, text: str, status: str, message: str) -> None:
    private(tmp_path / "data")
    finding = found(configured(tmp_path, text), "access")
    assert finding["status"] == status and message in finding["found"]


def test_secrets_that_are_open(tmp_path: Path, certificates: Certificates) -> None:
    data, tokens, key = private(tmp_path / "data"), Tokens(tmp_path), tmp_path / "key.pem"
    shutil.copyfile(certificates.good[1], key)
    text = f"[auth]\ntokens_file = {tokens.path}\n[http]\ntls_cert = {certificates.good[0]}\ntls_key = {key}\n"
    for mode, good in ((0o600, True), (0o640, True), (0o400, True), (0o644, False), (0o660, False), (0o602, False)):
        key.chmod(mode)
        finding = found(configured(tmp_path, text), "secrets")
        assert (finding["status"] == "ok") == good, oct(mode)
        assert good or f"{key} is open to other users (mode {mode:03o})" in finding["found"]
    key.chmod(0o600)
    tokens.path.chmod(0o644)
    assert str(tokens.path) in found(configured(tmp_path, text), "secrets")["found"]
    tokens.path.chmod(0o600)
    (data / "admin.token").touch(0o600)
    assert "admin.token is still there" in found(configured(tmp_path, text), "secrets")["found"]
    if os.geteuid() == 0:
        (data / "admin.token").unlink()
        os.chown(key, 12345, -1)
        assert f"{key} belongs to user 12345" in found(configured(tmp_path, text), "secrets")["found"]
        os.chown(data, 12345, -1)  # whom kend runs as
        assert found(configured(tmp_path, text), "secrets")["status"] == "ok"


def test_owners_without_limits(tmp_path: Path) -> None:
    private(tmp_path / "data")
    tokens = Tokens(tmp_path)
    text = f"[auth]\ntokens_file = {tokens.path}\n"
    for name, owner, scope in (
        ("a", "nlp", "submit"),
        ("b", "nlp", "submit"),
        ("c", "ops", "admin"),
        ("d", "eye", "read"),
    ):
        tokens.make(name, owner, scope)
    assert found(configured(tmp_path, text), "owners")["found"] == "not more than one"
    tokens.make("e", "vision", "submit")
    finding = found(configured(tmp_path, text + "[jobs]\nmax_queued_per_owner = 100\n"), "owners")
    assert finding["status"] == "warn"
    assert finding["found"] == "2 owners, and no jobs.max_running_per_owner, jobs.max_seconds"
    none = (
        "[jobs]\nmax_queued_per_owner = 100\nmax_running_per_owner = 1\nmax_bytes_per_owner = 0\nmax_seconds = 3600\n"
    )
    assert found(configured(tmp_path, text + none), "owners")["found"] == "2 owners, and no jobs.max_bytes_per_owner"
    limits = "[jobs]\nmax_queued_per_owner = 100\nmax_running_per_owner = 1\nmax_seconds = 3600\n"
    assert found(configured(tmp_path, text + limits), "owners")["found"] == "2, with limits of their own"
    tokens.expire("e")
    assert found(configured(tmp_path, text), "owners")["status"] == "ok"


def lasting(folder: Path, since: int, days: int) -> str:
    """Makes a certificate that is good since some days and for some more; the options that name it."""
    (folder / "ca.conf").write_text(
        "[ca]\ndefault_ca = d\n[d]\ndatabase = index\nnew_certs_dir = .\nrand_serial = yes\ndefault_md = sha256\npolicy = p\n"
        "copy_extensions = copy\nunique_subject = no\n[p]\ncommonName = supplied\n"
    )
    (folder / "index").touch()
    now = datetime.datetime.now(datetime.timezone.utc)
    begin, end = (f"{now + datetime.timedelta(days=day):%Y%m%d%H%M%SZ}" for day in (-since, days))
    for words in (
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=kend -addext subjectAltName=IP:127.0.0.1 "
        "-keyout key.pem -out request.pem",
        f"ca -batch -config ca.conf -selfsign -keyfile key.pem -in request.pem -out cert.pem -notext -startdate {begin} -enddate {end}",
    ):
        subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True, timeout=60)
    (folder / "key.pem").chmod(0o600)
    return f"tls_cert = {folder}/cert.pem\ntls_key = {folder}/key.pem\n"


CERTIFICATES = [
    (1, 90, "ok", "good until "),
    (80, 13, "warn", " is good for 13 more days, until "),
    (1, 2, "ok", "good until "),  # it is for three days in all
    (5, 1, "warn", " is good for 1 more day, until "),
]


@pytest.mark.parametrize(
    "since, days, status, message",
    [*CERTIFICATES, (9, -1, "fail", " is over since "), (-1, 9, "fail", " does not hold yet")],
)
def test_certificates_that_end(tmp_path: Path, since: int, days: int, status: str, message: str) -> None:
    private(tmp_path / "data")
    text = "[http]\nlisten = 0.0.0.0:1\n" + lasting(tmp_path, since, days)
    finding = found(configured(tmp_path, text), "certificate")
    assert finding["status"] == status and message in finding["found"]


def test_where_certificates_are_needed(tmp_path: Path) -> None:
    private(tmp_path / "data")
    plain = found(configured(tmp_path, "[http]\nlisten = 0.0.0.0:1\n"), "certificate")
    assert plain["status"] == "warn" and "can be overheard" in plain["found"]
    proxied = "[http]\nlisten = 0.0.0.0:1\npublic_url = https://kend.example\n"
    assert found(configured(tmp_path, proxied), "certificate")["status"] == "ok"


@pytest.mark.parametrize("since, days, status, message", CERTIFICATES)
def test_the_certificate_of_a_server(tmp_path: Path, since: int, days: int, status: str, message: str) -> None:
    text = lasting(tmp_path, since, days)
    settings = {f"http.{key}": value for key, value in (line.split(" = ") for line in text.splitlines())}
    with Kend(tmp_path, settings) as kend:
        finding = found(doctor("--server", kend.url, "--ca-file", tmp_path / "cert.pem")[1], "server_tls")
        assert finding["status"] == status and message in finding["found"]
        finding = found(doctor("--server", kend.url)[1], "server")
        assert finding["status"] == "fail" and "--ca-file FILE names the authority to trust" in finding["found"]


def test_work_that_was_left(tmp_path: Path) -> None:
    data = private(tmp_path / "data")
    (data / "artifacts" / ".work" / "job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C").mkdir(parents=True)
    finding = found(doctor("--data", data)[1], "work")
    assert finding["status"] == "warn" and "1 jobs are half done" in finding["found"]
    with (data / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert found(doctor("--data", data)[1], "work")["status"] == "ok"


# ---- a server


METRICS = """kend_queue_oldest_seconds 0.000
kend_jobs{status="succeeded"} 7
kend_jobs{status="failed"} 2
kend_disk_available_bytes{folder="data"} 20000000000
kend_disk_available_bytes{folder="artifacts"} 20000000000
kend_disk_available_bytes{folder="cache"} 20000000000
process_open_fds 80
process_max_fds 100
"""


def version() -> str:
    return subprocess.run(
        [str(BUILD / "kenctl"), "--version"], capture_output=True, text=True, check=True
    ).stdout.split()[1]


def with_metric(line: str) -> "Callable[[Handler], None]":
    """METRICS with one line in place of that of the same series."""
    series = line.split(" ")[0]
    text = "\n".join(line if old.startswith(series + " ") else old for old in METRICS.split("\n"))
    return lambda handler: handler.reply(200, text.encode(), Content_Type="text/plain")


def at(date: str) -> "Callable[[Handler], None]":
    def answer(handler: Handler) -> None:
        handler.date_time_string = lambda *_: date  # type: ignore[assignment]
        handler.json(200, {"status": "ok"})

    return answer


WELL: Answers = {
    "/livez": lambda handler: handler.json(200, {"status": "ok"}),
    "/version": lambda handler: handler.json(200, {"name": "kend", "version": version(), "kernel": "scalar"}),
    "/readyz": lambda handler: handler.json(200, {"status": "ok"}),
    "/v1/jobs?limit=1": lambda handler: handler.json(
        200, {"object": "list", "data": [], "has_more": False, "next": None}
    ),
    "/metrics": with_metric("none 0"),
}
SERVERS: Dict[str, List[Tuple[str, str, str, Callable[[Handler], None]]]] = {
    "server": [
        ("fail", "/livez", "Empty reply", lambda handler: handler.cut()),
        ("fail", "/livez", "not as a kend does", lambda handler: handler.reply(200, b"<html>")),
        ("fail", "/livez", "not as a kend does", lambda handler: handler.reply(404)),
        ("fail", "/livez", "Host", lambda handler: handler.problem(403, "forbidden", detail='Host "x" is not ours')),
    ],
    "clock": [
        ("warn", "/livez", "behind", at("Mon, 01 Jan 2001 00:00:00 GMT")),
        ("warn", "/livez", "ahead of", at("Fri, 01 Jan 2100 00:00:00 GMT")),
    ],
    "version": [
        ("warn", "/version", "kend 9.9.9", lambda handler: handler.json(200, {"name": "kend", "version": "9.9.9"})),
        ("fail", "/version", "", lambda handler: handler.cut()),
    ],
    "ready": [
        ("fail", "/readyz", "503 draining", lambda handler: handler.problem(503, "draining")),
        ("fail", "/readyz", "503 store_unavailable", lambda handler: handler.problem(503, "store_unavailable")),
        ("fail", "/readyz", "502", lambda handler: handler.reply(502, b"<html>")),
    ],
    "token": [
        ("fail", "/v1/jobs?limit=1", "wants a token", lambda handler: handler.problem(401, "unauthorized")),
        ("fail", "/v1/jobs?limit=1", "403 forbidden", lambda handler: handler.problem(403, "forbidden")),
    ],
    "metrics": [("warn", "/metrics", "status 401", lambda handler: handler.problem(401, "unauthorized"))],
    "queue": [("warn", "/metrics", "1:00:01", with_metric("kend_queue_oldest_seconds 3601.000"))],
    "failures": [("warn", "/metrics", "3 of 10", with_metric('kend_jobs{status="failed"} 3'))],
    "server_disk": [
        ("warn", "/metrics", "9.0 GB", with_metric('kend_disk_available_bytes{folder="cache"} 9000000000'))
    ],
    "server_files": [("warn", "/metrics", "81 of 100", with_metric("process_open_fds 81"))],
}


def answering(fake: Fake, answers: Answers) -> Fake:
    fake.answer = lambda handler, count: answers[handler.path](handler)
    return fake


def test_a_server_that_is_well(fake: Fake) -> None:
    status, checks = doctor("--server", answering(fake, WELL).url)
    assert status == 0 and [check["status"] for check in checks] == ["ok"] * 11
    assert found(checks, "token")["found"] == "not needed"
    assert found(doctor("--server", fake.url, env={"KENCTL_TOKEN": "t"})[1], "token")["found"] == "accepted"


@pytest.mark.parametrize(
    "name,place", [(name, place) for name, faults in SERVERS.items() for place in range(len(faults))]
)
def test_a_server_that_is_not(fake: Fake, name: str, place: int) -> None:
    status, path, message, answer = SERVERS[name][place]
    begin = time.monotonic()
    _, checks = doctor("--server", answering(fake, {**WELL, path: answer}).url)
    finding = found(checks, name)
    assert finding["status"] == status and message in finding["found"], finding
    assert {check["check"] for check in checks if check["status"] != "ok"} == {name}
    assert time.monotonic() - begin < 20  # nothing is tried again


def test_a_token_that_is_not_accepted(fake: Fake) -> None:
    refusing: Answers = {**WELL, "/v1/jobs?limit=1": lambda handler: handler.problem(401, "unauthorized")}
    finding = found(doctor("--server", answering(fake, refusing).url, env={"KENCTL_TOKEN": "t"})[1], "token")
    assert finding["found"] == "the server does not accept the token"


def test_there_is_no_server() -> None:
    status, checks = doctor("--server", "http://127.0.0.1:1")
    assert status == 1 and [check["check"] for check in checks] == ["server"]
    status, checks = doctor("--server", "kend.example")
    assert status == 1 and "not the URL" in found(checks, "server")["found"]


def test_a_real_kend_that_is_not_well(tmp_path: Path) -> None:
    """Its disk is full, its jobs fail, and it does not know the name that it is called by."""
    with Kend(tmp_path) as kend:
        for _ in range(3):
            kend.wait(kend.submit({"model": "https://192.0.2.1/a", "base": "https://192.0.2.1/b", "k": 1}))
        assert wrong(doctor("--server", kend.url)[1]) == {"failures"}
    with Kend(tmp_path, {"disk.reserve_bytes": "1000TiB"}) as kend:
        status, checks = doctor("--server", kend.url)
        assert status == 1 and wrong(checks) == {"ready", "failures"}
        assert found(checks, "ready")["found"].startswith("503 no_space: less disk is free")
        assert found(checks, "server_disk")["status"] == "warn"
        port = kend.url.rpartition(":")[2]
        _, checks = doctor("--server", f"http://127.0.0.2:{port}")
        assert found(checks, "server")["status"] == "fail"


def test_a_host_that_is_not_allowed(tmp_path: Path) -> None:
    with Kend(tmp_path, {"auth.allow_anonymous": "true", "http.listen": "0.0.0.0:0"}) as kend:
        port = kend.url.rpartition(":")[2]
        name = platform.node()
        if not re.fullmatch("[a-z0-9.-]+", name) or name == "localhost":
            pytest.skip("this machine has no name of its own")
        status, checks = doctor("--server", f"http://{name}:{port}")
        if "resolve" in checks[0]["found"] or "connect" in checks[0]["found"]:
            pytest.skip("this machine does not know its name")
        assert status == 1 and name in checks[0]["found"] and "http.allowed_hosts" in checks[0]["advice"]


def test_every_check_was_seen_to_fail() -> None:
    others = {
        "data_folder",
        "file_system",
        "open_files",
        "proxy",
        "work",
        "store",
        "folders",
    }  # by tests of their own above
    others |= {"access", "secrets", "owners", "certificate", "server_tls"}
    assert set(names()) == set(CONFIGURATIONS) | set(SERVERS) | others
