# SPDX-License-Identifier: Apache-2.0
"""TLS, spoken with curl, kenctl and Python: certificates, their reload, those of clients."""

from __future__ import annotations

import http.client
import os
import shutil
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

import pytest

from daemon import BUILD, Kend
from exposition import metrics
from origin import Certificates, make_certificates
from tokens import House


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Those of another authority."""
    return make_certificates(tmp_path_factory.mktemp("others"))


class Secured:
    """A kend that speaks TLS with a copy of a certificate, which can be replaced."""

    def __init__(self, folder: Path, certificates: Certificates, **settings: Any) -> None:
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.put(certificates.good)
        self.authority = certificates.authority
        self.kend = Kend(folder, {"http.tls_cert": self.cert, "http.tls_key": self.key, **settings})
        self.kend.trust = ssl.create_default_context(cafile=certificates.authority)

    def put(self, pair: "tuple[str, str]") -> None:
        for source, target in zip(pair, (self.cert, self.key)):
            shutil.copyfile(source, target)
            os.chmod(target, 0o600)

    def curl(
        self, *words: str, path: str = "/livez", authority: Optional[str] = None
    ) -> "subprocess.CompletedProcess[str]":
        command = [
            "curl",
            "-sS",
            "--max-time",
            "30",
            "--cacert",
            authority or self.authority,
            *words,
            self.kend.url + path,
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture
def secured(tmp_path: Path, certificates: Certificates) -> Iterator[Secured]:
    made = Secured(tmp_path, certificates)
    with made.kend:
        yield made


@pytest.mark.smoke
def test_https_is_spoken(secured: Secured) -> None:
    assert secured.kend.url.startswith("https://127.0.0.1:")
    assert secured.curl().stdout == '{"status":"ok"}\n'
    assert "certificate read" in secured.kend.log_text() and "good_until=" in secured.kend.log_text()
    job = secured.kend.request(
        "POST", "/v1/jobs", {"model": "https://192.0.2.1/m", "base": "https://192.0.2.1/b", "k": 1}
    )
    assert job.headers["location"].startswith(secured.kend.url + "/v1/jobs/")
    assert "strict-transport-security" not in job.headers  # its name on this port says nothing of other ports
    assert secured.kend.wait(job.json["id"])["status"] == "failed"
    plain = secured.kend.url.replace("https:", "http:")
    assert subprocess.run(["curl", "-sS", "--max-time", "30", plain], capture_output=True, timeout=60).returncode != 0
    assert secured.curl().returncode == 0


def test_a_length_that_is_no_number(secured: Secured) -> None:
    """kend answers in place of libmicrohttpd, whose two heads would be one too many."""
    answer = secured.curl("-i", "--http1.1", "-H", "Content-Length: abc", "-w", "\n%{http_code}", path="/v1/jobs")
    assert answer.returncode == 0 and answer.stdout.count("HTTP/1.1 ") == 1
    assert answer.stdout.endswith("\n400")
    assert (
        '"code":"bad_request"' in answer.stdout or "X-Request-Id" not in answer.stdout
    )  # libmicrohttpd's own, from 1.0 on
    assert secured.curl().returncode == 0


def test_only_newer_versions(secured: Secured) -> None:
    for version, maximum, good in (("1.3", "1.3", True), ("1.2", "1.2", True), ("1.0", "1.1", False)):
        # at security level 0, the client's library would take part in the old ones
        words = [f"--tlsv{version}", "--tls-max", maximum, "--ciphers", "DEFAULT@SECLEVEL=0"]
        assert (secured.curl(*words).returncode == 0) == good, version


def test_a_whole_artifact_comes_through(tmp_path: Path, certificates: Certificates) -> None:
    """Files are sent another way with TLS than without; waiting suspends a connection that has it."""
    settings = {"http.tls_cert": certificates.good[0], "http.tls_key": certificates.good[1]}
    house = House(tmp_path, **settings)
    house.kend.trust = ssl.create_default_context(cafile=certificates.authority)
    with house.kend as kend:
        job = house.job(outputs=["delta", "model", "report"])
        kend.headers = house.headers("submit")
        shown = kend.job(job)
        for item in shown["artifacts"]:
            assert len(kend.download(job, item["name"])) == item["size"]
        name = f"/v1/jobs/{job}/artifacts/model.safetensors"
        part = kend.get(name, headers={"Range": "bytes=10-19"})
        assert (part.status, part.body) == (206, kend.download(job, "model.safetensors")[10:20])
        cookie = kend.request("POST", "/v1/session").headers["set-cookie"]
        assert cookie.startswith("__Host-kend_session=") and cookie.endswith(
            "; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure"
        )
        secret = cookie.partition(";")[0]
        kend.headers = {}
        for origin, status in ((kend.url, 202), (kend.url.replace("https:", "http:"), 403)):
            answer = kend.request("POST", "/v1/jobs", house.pair, {"Cookie": secret, "Origin": origin})
            assert answer.status == status


def test_strict_transport_where_the_name_is_ones_own(tmp_path: Path, certificates: Certificates) -> None:
    settings = {"http.public_url": "https://kend.example/prune", "http.allowed_hosts": "kend.example"}
    with Kend(tmp_path, settings) as kend:
        for path in ("/livez", "/nothing"):
            assert kend.get(path).headers["strict-transport-security"] == "max-age=31536000"
    for url in ("https://kend.example:8443", "http://kend.example"):
        with Kend(tmp_path, {"http.public_url": url}) as kend:
            assert "strict-transport-security" not in kend.get("/livez").headers


def test_sighup_takes_over_a_certificate(secured: Secured, certificates: Certificates, others: Certificates) -> None:
    secured.put(others.good)
    assert secured.curl().returncode == 0  # not before it is told
    assert "certificate read" in secured.kend.reload()
    assert secured.curl(authority=others.authority).returncode == 0
    assert secured.curl().returncode != 0

    broken: "list[Callable[[], Any]]" = [
        lambda: secured.key.write_text("no key\n"),
        lambda: shutil.copyfile(certificates.good[1], secured.key),  # another certificate's
        secured.key.unlink,
        lambda: (shutil.copyfile(others.good[1], secured.key), secured.cert.write_text("")),
    ]
    for act in broken:
        act()
        said = secured.kend.reload()
        assert "certificate not read: the one from before holds" in said and f"file={secured.cert}" in said
        assert f"{secured.key}" in said and "good_until=20" in said
        told = secured.curl(authority=others.authority, path="/metrics")
        assert 'kend_last_reload_successful{what="certificate"} 0\n' in told.stdout
    secured.put(certificates.good)
    secured.kend.reload()
    assert metrics(secured.kend)['kend_last_reload_successful{what="certificate"}'] == 1
    assert secured.curl().returncode == 0


def test_metrics_tell_when_the_certificate_ends(secured: Secured, certificates: Certificates) -> None:
    """Of the one that connections get, which need not be the file's; of the chain, the first to end."""

    def told() -> float:
        return metrics(secured.kend)["kend_tls_certificate_expiration_timestamp_seconds"]

    def end(pem: str) -> int:
        command = ["openssl", "x509", "-noout", "-enddate", "-in", pem]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        return int(ssl.cert_time_to_seconds(text.removeprefix("notAfter=")))

    good, past = end(certificates.good[0]), end(certificates.expired[0])
    assert told() == good > time.time() > past
    secured.put(certificates.expired)
    assert told() == good
    said = secured.kend.reload()
    assert "level=warn" in said and "certificate read" in said
    anyone = secured.kend.trust = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    assert told() == past
    secured.put(certificates.good)
    with secured.cert.open("a") as chain:
        chain.write(Path(certificates.authority).read_text())
    secured.kend.reload()
    assert told() == min(good, end(certificates.authority))


def test_connections_outlive_a_reload(secured: Secured, others: Certificates) -> None:
    host, _, port = secured.kend.url.removeprefix("https://").partition(":")
    connection = http.client.HTTPSConnection(host, int(port), timeout=30, context=secured.kend.trust)
    for _ in range(3):
        connection.request("GET", "/livez")
        assert connection.getresponse().read() == b'{"status":"ok"}\n'
        secured.put(others.good)
        secured.kend.reload()
    connection.close()


def test_clients_with_a_certificate_alone(
    tmp_path: Path, certificates: Certificates, others: Certificates, kenctl: Any
) -> None:
    authority = tmp_path / "clients.pem"
    shutil.copyfile(others.authority, authority)
    made = Secured(tmp_path, certificates, **{"http.tls_client_ca": authority})
    made.kend.trust.load_cert_chain(*others.good)  # type: ignore[union-attr]
    good, stranger, over = others.good, certificates.good, others.expired
    with made.kend:
        for version in ("1.2", "1.3"):
            words = [f"--tlsv{version}", "--tls-max", version]
            assert made.curl(*words).returncode != 0
            assert made.curl(*words, "--cert", good[0], "--key", good[1]).returncode == 0
            for cert, key in (stranger, over, others.self_signed):
                refused = made.curl(*words, "--cert", cert, "--key", key)
                assert (refused.returncode != 0, refused.stdout) == (True, "")
        base = ["--server", made.kend.url, "--ca-file", certificates.authority]
        assert kenctl(*base, "list").returncode == 1
        assert kenctl(*base, "--cert", good[0], "--key", good[1], "list").returncode == 0
        assert made.kend.get("/livez").status == 200

        shutil.copyfile(certificates.authority, authority)
        made.kend.reload()
        assert made.curl("--cert", good[0], "--key", good[1]).returncode != 0
        assert made.curl("--cert", stranger[0], "--key", stranger[1]).returncode == 0


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"http.tls_cert": "{good}"}, "one is of no use without the other"),
        ({"http.tls_key": "{good}"}, "one is of no use without the other"),
        ({"http.tls_client_ca": "{good}"}, "of no use without http.tls_cert"),
        ({"http.tls_cert": "/nonexistent", "http.tls_key": "{key}"}, "http.tls_cert: /nonexistent: No such file"),
        ({"http.tls_cert": "{good}", "http.tls_key": "/nonexistent"}, "http.tls_key: /nonexistent: No such file"),
        ({"http.tls_cert": "{good}", "http.tls_key": "{good}"}, "http.tls_cert, http.tls_key: "),
        ({"http.tls_cert": "{other}", "http.tls_key": "{key}"}, "http.tls_cert, http.tls_key: "),
        ({"http.tls_cert": "{good}", "http.tls_key": "{key}", "http.tls_client_ca": "{key}"}, "http.tls_client_ca: "),
        ({"auth.tokens_file": "/nonexistent"}, "kenctl token create --file /nonexistent"),
        ({"auth.tokens_file": "{good}"}, "good.pem:1: expected ID OWNER SCOPES"),
    ],
)
def test_a_bad_configuration_is_refused(
    tmp_path: Path, certificates: Certificates, settings: "dict[str, str]", message: str
) -> None:
    words = [str(BUILD / "kend"), "--data", str(tmp_path / "data")]
    for name, value in settings.items():
        given = value.format(good=certificates.good[0], key=certificates.good[1], other=certificates.other_name[0])
        words += ["--set", f"{name}={given}"]
    options: "list[list[str]]" = [[], ["--check-config"]]
    for more in options:
        done = subprocess.run([*words, *more], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (2, "")
        assert message in done.stderr
    assert not (tmp_path / "data").exists()


def test_kenctl_says_what_it_lacks(tmp_path: Path, certificates: Certificates, others: Certificates) -> None:
    """What OpenSSL and libcurl tell of a handshake, with the option that would help."""

    def said(secured: Secured, *words: str, url: str = "", env: "Optional[dict[str, str]]" = None) -> str:
        command = [str(BUILD / "kenctl"), "--server", url or secured.kend.url, "list", *words]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == (1 if done.stderr else 0)
        return done.stderr

    secured = Secured(tmp_path, certificates, **{"http.tls_client_ca": certificates.authority})
    trusting = ("--ca-file", certificates.authority)
    with secured.kend as kend:
        assert "; --ca-file FILE names the authority to trust\n" in said(secured)
        assert "; --ca-file FILE names the authority to trust\n" in said(secured, "--ca-file", others.authority)
        assert "--cert FILE and --key FILE give it\n" in said(secured, *trusting)
        shown = (*trusting, "--cert", others.good[0], "--key", others.good[1])
        assert "; does the server know the authority of --cert?\n" in said(secured, *shown)
        refused = [line for line in kend.log_text().splitlines() if "client certificate refused" in line]
        assert refused and "client=127.0.0.1" in refused[0] and "issuer is unknown" in refused[0]
        shown = (*trusting, "--cert", certificates.good[0], "--key", others.good[1])
        assert "; --cert and --key name PEM files that belong together\n" in said(secured, *shown)
        shown = (*trusting, "--cert", certificates.good[0], "--key", certificates.good[1])
        assert said(secured, *shown) == ""
        names = ("KENCTL_CA_FILE", "KENCTL_CERT", "KENCTL_KEY")
        environment = dict(zip(names, (certificates.authority, *certificates.good)))
        assert said(secured, env={**os.environ, **environment}) == ""
        assert "; does it speak https?\n" in said(secured, url=kend.url.replace("https:", "http:"))
        assert f'"authorities of clients read" file={certificates.authority} authorities=1\n' in kend.log_text()
        assert "authorities of clients read" in kend.reload()
    plain = tmp_path / "plain"
    plain.mkdir()
    with Kend(plain) as kend:
        assert "; does it speak http, without TLS?\n" in said(secured, url=kend.url.replace("http:", "https:"))
