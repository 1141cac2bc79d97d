# SPDX-License-Identifier: Apache-2.0
"""Who may do what: every call of the contract by every kind of token, owners, reloads, the first start, and secrets that stay secret."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Iterator

import pytest

import contract
import rawhttp
from daemon import BUILD, Kend, Response
from tokens import House, Tokens, no_secret_is_left

UNKNOWN = "job_01BX5ZZKBKACTAV9WEVGEMMVRZ"
PAGE = {"/", "/web/{name}"}
PUBLIC = {"/livez", "/readyz", "/version", "/openapi.json"}
FAILING = {"model": "https://192.0.2.1/m.safetensors", "base": "https://192.0.2.1/b.safetensors", "k": 1}
#: method, path, scope, whether auth.public can list it: of every call of the contract
CALLS = [
    (
        method.upper(),
        path,
        operation["security"][-1][next(iter(operation["security"][-1]))][0],
        {} in operation["security"],
    )
    for path, item in contract.DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method != "parameters"
]
INCLUDES = {"read": {"read"}, "submit": {"read", "submit"}, "admin": {"read", "submit", "admin"}}
BAD = ("none", "revoked", "expired", "unknown", "mixed")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("auth")
    made = House(folder)
    with made.kend:
        yield made
        made.kend.stop()
        no_secret_is_left(made.tokens.secrets(), made.kend)


# ---- every call by everybody


@pytest.mark.smoke
def test_every_call_has_a_scope() -> None:
    assert {scope for _, _, scope, _ in CALLS} == {"read", "submit"}
    assert {path for _, path, _, public in CALLS if public} == PUBLIC | PAGE | {"/metrics"}
    assert len(CALLS) >= 17


# What a call has to say to be answered well, and at once.
QUERIES = {
    "/v1/events": "?seconds=0",
    "/v1/jobs/{id}/heatmap.png": "?tensor=layer.0.weight",
    "/v1/jobs/{id}/layers.png": "?role=layer.*.weight",
    "/v1/jobs/{id}/row": "?tensor=layer.0.weight&row=0",
    "/v1/jobs/{id}/values": "?tensor=layer.0.weight",
}


def call(house: House, who: str, method: str, path: str, job: str) -> Response:
    target = path.replace("{id}", job).replace("{name}", "app.js" if path in PAGE else "report.json") + QUERIES.get(
        path, ""
    )
    body = house.pair if (method, path) == ("POST", "/v1/jobs") else None
    return house.ask(who, method, target, body)


@pytest.mark.parametrize("method, path, scope, public", CALLS, ids=[f"{method} {path}" for method, path, _, _ in CALLS])
def test_every_call_by_everybody(house: House, method: str, path: str, scope: str, public: bool) -> None:
    for who in BAD:
        response = call(house, who, method, path, UNKNOWN)
        if path in PUBLIC | PAGE:
            assert response.status == 200, who
            continue
        assert response.status == 401, who
        error = "" if who == "none" else ', error="invalid_token"'
        assert response.headers["www-authenticate"] == f'Bearer realm="kend"{error}'
        if method != "HEAD":
            assert response.json["code"] == "unauthorized"
    for who in ("read", "submit", "admin"):
        response = call(house, who, method, path, house.job())
        if scope in INCLUDES[who]:
            # a job that has ended cannot be cancelled; else all goes well
            assert response.status in ((409,) if path.endswith("/cancel") else (200, 202, 204)), (who, response.body)
            continue
        assert (response.status, response.json["code"]) == (403, "forbidden")
        assert response.json["detail"] == f"this needs a token with scope {scope}"
        assert response.headers["www-authenticate"].endswith(f'error="insufficient_scope", scope="{scope}"')
    if "{id}" not in path:
        return
    mine = house.job()
    foreign, unknown = (call(house, "foreign", method, path, job) for job in (mine, UNKNOWN))
    assert (foreign.status, foreign.body) == (unknown.status, unknown.body)
    assert foreign.status == 404
    assert set(foreign.headers) == set(unknown.headers)
    for name in set(foreign.headers) - {"x-request-id", "date"}:
        assert foreign.headers[name] == unknown.headers[name]
    assert house.ask("submit", "GET", f"/v1/jobs/{mine}").json["status"] == "succeeded"


def test_refusals_come_before_the_body(house: House) -> None:
    """What a stranger sends is neither kept nor judged."""
    for who, status in (("none", 401), ("read", 403)):
        response = house.ask(who, "POST", "/v1/jobs?nonsense=1", "{" * 100000, **{"Content-Type": "text/plain"})
        assert response.status == status
    assert house.ask("none", "GET", "/v1/nothing").status == 404
    assert house.ask("none", "PUT", "/v1/jobs").status == 405


def test_waiting_is_for_the_owner(house: House) -> None:
    job = house.job()
    assert house.ask("foreign", "GET", f"/v1/jobs/{job}?wait=30").status == 404
    assert house.ask("foreign", "POST", "/v1/jobs?dry_run=true", house.pair).status == 200


# ---- owners


def test_lists_show_what_one_may_see(house: House) -> None:
    mine, theirs, admins = house.job(), house.job("foreign"), house.job("admin")

    def listed(who: str, query: str = "limit=200") -> "list[str]":
        return [job["id"] for job in house.ask(who, "GET", f"/v1/jobs?{query}").json["data"]]

    assert mine in listed("read") and mine in listed("submit")
    assert not {theirs, admins} & set(listed("submit"))
    assert listed("foreign") == [theirs]
    assert {mine, theirs, admins} <= set(listed("admin"))
    assert listed("foreign", f"after={admins}") == [theirs]
    assert listed("foreign", f"after={theirs}") == []
    assert house.ask("admin", "DELETE", f"/v1/jobs/{theirs}").status == 204
    assert listed("foreign") == []


def await_line(house: House, *parts: str) -> str:
    """The line of the log with all of these parts: it may come after the answer that tells of the same."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for line in house.kend.log_text().splitlines():
            if all(part in line for part in parts):
                return line
        time.sleep(0.05)
    raise AssertionError(f"the log has no line with {parts}")


def test_admins_are_told_whose_a_job_is(house: House) -> None:
    mine, theirs, admins = house.job(), house.job("foreign"), house.job("admin")
    whose = {mine: "nlp", theirs: "other", admins: "root"}
    listed = {job["id"]: job["owner"] for job in house.ask("admin", "GET", "/v1/jobs?limit=200").json["data"]}
    assert whose.items() <= listed.items()
    for job, owner in whose.items():
        assert house.ask("admin", "GET", f"/v1/jobs/{job}").json["owner"] == owner
        await_line(house, "job claimed", f"job={job}", f" owner={owner}")
        await_line(house, "job ended", f"job={job}", f" owner={owner}")
    assert "owner" not in house.ask("submit", "GET", f"/v1/jobs/{mine}").json
    assert "owner" not in house.ask("submit", "POST", "/v1/jobs", house.pair).json
    assert not any("owner" in job for job in house.ask("read", "GET", "/v1/jobs").json["data"])


def test_admins_list_the_jobs_of_an_owner(house: House) -> None:
    mine, theirs = house.job(metadata={"team": "of an owner"}), house.job("foreign")

    def listed(query: str) -> "list[str]":
        return [job["id"] for job in house.ask("admin", "GET", f"/v1/jobs?{query}").json["data"]]

    assert mine in listed("owner=nlp&limit=200") and theirs not in listed("owner=nlp&limit=200")
    assert listed("owner=other&limit=1") == [theirs]
    assert listed(f"owner=other&after={theirs}&status=failed") == []
    assert listed("owner=nlp&metadata.team=of%20an%20owner") == [mine]
    assert listed("owner=other&metadata.team=of%20an%20owner") == listed("owner=nobody") == listed("owner=") == []
    assert house.ask("admin", "GET", "/v1/jobs?owner=a%20b").status == 400
    assert house.ask("admin", "GET", "/v1/jobs?owner=" + "a" * 65).status == 400
    for who, owner in (("read", "nlp"), ("read", "other"), ("submit", "")):
        refused = house.ask(who, "GET", f"/v1/jobs?owner={owner}")
        assert refused.status == 403 and "scope admin" in refused.json["detail"]


def test_kenctl_tells_admins_whose_a_job_is(house: House) -> None:
    mine, theirs = house.job(), house.job("foreign")

    def kenctl(who: str, *words: str) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "KENCTL_TOKEN": house.tokens.text[who]}
        command = [str(BUILD / "kenctl"), "--server", house.kend.url, *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    lines = kenctl("admin", "list", "--all").stdout.splitlines()
    assert lines[0].split() == ["ID", "KIND", "STATUS", "STAGE", "DONE", "CREATED", "OWNER", "NAME"]
    owners = {words[0]: words[6] for words in map(str.split, lines[1:])}
    assert (owners[mine], owners[theirs]) == ("nlp", "other")
    only = kenctl("admin", "list", "--all", "--owner", "other").stdout.splitlines()[1:]
    assert theirs in [line.split()[0] for line in only] and {line.split()[6] for line in only} == {"other"}
    assert ["owner", "nlp"] in [line.split() for line in kenctl("admin", "show", mine).stdout.splitlines()]
    assert "OWNER" not in kenctl("read", "list").stdout
    refused = kenctl("read", "list", "--owner", "nlp")
    assert refused.returncode == 1 and "scope admin" in refused.stderr


def test_metadata_of_others_is_not_found(house: House) -> None:
    job = house.job(metadata={"team": "hidden"})
    assert house.ask("foreign", "GET", "/v1/jobs?metadata.team=hidden").json["data"] == []
    assert [found["id"] for found in house.ask("admin", "GET", "/v1/jobs?metadata.team=hidden").json["data"]] == [job]


def test_a_key_is_its_owners(house: House) -> None:
    key = {"Idempotency-Key": "the same"}
    first = house.ask("submit", "POST", "/v1/jobs", house.pair, **key)
    foreign = house.ask("foreign", "POST", "/v1/jobs", {**house.pair, "keep": 0.25}, **key)
    admins = house.ask("admin", "POST", "/v1/jobs", house.pair, **key)
    again = house.ask("submit", "POST", "/v1/jobs", house.pair, **key)
    assert [answer.status for answer in (first, foreign, admins, again)] == [202, 202, 202, 200]
    assert len({answer.json["id"] for answer in (first, foreign, admins, again)}) == 3


def test_the_log_names_the_token_that_asked(house: House) -> None:
    house.ask("read", "GET", "/v1/jobs", **{"X-Request-Id": "whose-is-it"})
    house.kend.request("GET", "/livez")
    line = await_line(house, "request=whose-is-it")
    assert f"token={house.tokens.id('read')}" in line


def test_the_log_names_the_client_that_was_refused(house: House) -> None:
    assert house.ask("unknown", "GET", "/v1/jobs", **{"X-Request-Id": "from-where"}).status == 401
    line = await_line(house, "request=from-where")
    assert " client=127.0.0.1 " in line and " status=401 " in line


# ---- headers that are wrong


def test_malformed_authorization(house: House) -> None:
    token = house.tokens.text["read"]
    good = f"Authorization: Bearer {token}\r\n"
    cases = [
        ("Authorization: Basic a2VuZDprZW5k\r\n", 401, "Authorization must be: Bearer TOKEN"),
        (f"Authorization: {token}\r\n", 401, "Authorization must be: Bearer TOKEN"),
        (f"Authorization: Bearer{token}\r\n", 401, "Authorization must be: Bearer TOKEN"),
        ("Authorization: \r\n", 401, "Authorization must be: Bearer TOKEN"),
        ("Authorization: Bearer\r\n", 401, "unknown, revoked or over"),
        ("Authorization: Bearer \r\n", 401, "unknown, revoked or over"),
        (f"Authorization: Bearer {token}0\r\n", 401, "unknown, revoked or over"),
        (f"Authorization: Bearer {token[:-1]}\r\n", 401, "unknown, revoked or over"),
        (f"Authorization: Bearer {token},\r\n", 401, "unknown, revoked or over"),
        (f"Authorization: Bearer {token} x\r\n", 401, "unknown, revoked or over"),
        (f"Authorization: Bearer {token.upper()}\r\n", 401, "unknown, revoked or over"),
        ("Authorization: Bearer " + "a" * 20000 + "\r\n", 401, "unknown, revoked or over"),
        ("Authorization: Bearer " + "a" * 40000 + "\r\n", 431, "header fields"),
        ("Authorization: Bearer k\u00e9nd\r\n", 401, "unknown, revoked or over"),
        ("Authorization: Bearer a\tb\r\n", 401, "unknown, revoked or over"),
        ("Authorization: Bearer a\x01b\r\n", 400, "control character"),
        (good + good, 400, "more than one Authorization header"),
        (good + "Authorization: Basic eA==\r\n", 400, "more than one Authorization header"),
    ]
    for head, status, detail in cases:
        request = f"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}\r\n".encode()
        response = rawhttp.one(house.kend.url, request)
        assert (response.status, detail in response.json["detail"]) == (status, True), (head[:60], response.body)
        assert ("www-authenticate" in response.headers) == (status == 401)
    for head in (f"authorization: bearer {token}\r\n", f"Authorization:   BEARER   {token}\r\n"):
        request = f"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}\r\n".encode()
        assert rawhttp.one(house.kend.url, request).status == 200


# ---- options


def test_what_is_public_is_configured(tmp_path: Path) -> None:
    house = House(tmp_path, **{"auth.public": "metrics"})
    with house.kend:
        for path in sorted(PUBLIC):
            assert house.ask("none", "GET", path).status == 401
            assert house.ask("read", "GET", path).status == 200
        for path in ("/", "/web/app.js", "/metrics"):
            assert house.ask("none", "GET", path).status == 200


def test_nameless_ones_may_be_let_in_beside_tokens(tmp_path: Path) -> None:
    house = House(tmp_path, **{"auth.allow_anonymous": "true"})
    with house.kend:
        nameless = house.job("none")
        assert house.ask("none", "GET", "/v1/session").json == {
            "object": "session",
            "owner": None,
            "scopes": ["read", "submit"],
            "token_expires_at": None,
        }
        assert house.ask("submit", "GET", f"/v1/jobs/{nameless}").status == 404
        assert house.ask("none", "GET", f"/v1/jobs/{house.job()}").status == 404
        assert house.ask("admin", "GET", f"/v1/jobs/{nameless}").status == 200
        assert house.ask("unknown", "GET", "/v1/jobs").status == 401


def test_without_tokens_a_token_changes_nothing(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    tokens.make("x", "nlp", "read")
    with Kend(tmp_path) as kend:
        job = kend.submit(FAILING, headers=tokens.bearer("x"))
        assert kend.get(f"/v1/jobs/{job}").status == 200
        refused = kend.request("POST", "/v1/session", headers=tokens.bearer("x"))
        assert (refused.status, refused.json["code"]) == (422, "not_supported")
        assert kend.get("/v1/session").json["scopes"] == ["read", "submit"]
        assert "there are no tokens" in kend.reload()


def pages_of_others_are_refused(kend: Kend) -> None:
    """Where nobody needs a token: a page of another site can have a browser send a POST without a body, and its Origin with it."""
    job = kend.submit(FAILING)
    kend.wait(job)
    own = kend.url
    for origin in ("https://evil.example", "null", own + "1", own.replace("http:", "https:"), "http://localhost", ""):
        for method, path in (("POST", f"/v1/jobs/{job}/cancel"), ("DELETE", f"/v1/jobs/{job}"), ("POST", "/v1/jobs")):
            refused = kend.request(method, path, headers={"Origin": origin})
            assert (refused.status, refused.json["code"]) == (403, "forbidden"), (origin, method)
            assert "Origin must be this server's own" in refused.json["detail"]
        assert kend.get(f"/v1/jobs/{job}", headers={"Origin": origin}).status == 200
    assert kend.request("POST", f"/v1/jobs/{job}/cancel").status == 409
    for origin in (own, "https://kend.example"):
        assert kend.request("POST", f"/v1/jobs/{job}/cancel", headers={"Origin": origin}).status == 409
    assert kend.request("DELETE", f"/v1/jobs/{job}", headers={"Origin": own}).status == 204


def test_without_tokens_pages_of_others_are_refused(tmp_path: Path) -> None:
    with Kend(tmp_path, {"http.public_url": "https://kend.example/prune"}) as kend:
        pages_of_others_are_refused(kend)


def test_nameless_pages_of_others_are_refused(tmp_path: Path) -> None:
    house = House(tmp_path, **{"auth.allow_anonymous": "true", "http.public_url": "https://kend.example"})
    with house.kend as kend:
        pages_of_others_are_refused(kend)
        for who, status in (("submit", 409), ("unknown", 401)):  # no page can send one
            path = f"/v1/jobs/{house.job()}/cancel"
            assert house.ask(who, "POST", path, Origin="https://evil.example").status == status


def test_jobs_outlive_the_change_to_tokens(tmp_path: Path) -> None:
    """What was made before there were tokens is the nameless owner's: admins see it."""
    tokens = Tokens(tmp_path)
    tokens.make("read", "nlp", "read")
    tokens.make("admin", "root", "admin")
    kend = Kend(tmp_path)
    with kend:
        job = kend.submit(FAILING)
        kend.wait(job)
    kend.settings["auth.tokens_file"] = tokens.path
    with kend:
        assert kend.get(f"/v1/jobs/{job}", headers=tokens.bearer("read")).status == 404
        shown = kend.get(f"/v1/jobs/{job}", headers=tokens.bearer("admin"))
        assert shown.status == 200 and shown.json["owner"] is None
        listed = kend.get("/v1/jobs?owner=", headers=tokens.bearer("admin")).json["data"]
        assert [found["id"] for found in listed] == [job]


# ---- reload


@pytest.mark.smoke
def test_sighup_takes_over_the_file(tmp_path: Path) -> None:
    house = House(tmp_path)
    with house.kend as kend:
        house.tokens.make("late", "nlp", "read")
        assert house.ask("late", "GET", "/v1/jobs").status == 401
        kend.reload()
        assert house.ask("late", "GET", "/v1/jobs").status == 200
        good = house.tokens.path.read_text()

        for broken in (good + "broken\n", good.replace("read", "reed"), None):
            if broken is None:
                house.tokens.path.unlink()
            else:
                house.tokens.path.write_text(broken)
            said = kend.reload()
            assert "tokens not read: those from before hold" in said
            assert f"file={house.tokens.path}" in said and f"tokens={len(good.splitlines())}" in said
            told = house.ask("read", "GET", "/metrics").body.decode()
            assert 'kend_last_reload_successful{what="tokens"} 0\n' in told
            assert house.ask("late", "GET", "/v1/jobs").status == 200
        assert f"{house.tokens.path}:{len(good.splitlines()) + 1}: expected ID OWNER" in kend.log_text()

        house.tokens.path.write_text(good)
        house.tokens.path.chmod(0o644)
        assert "other users of this machine may read or write the tokens file" in kend.reload()
        told = house.ask("read", "GET", "/metrics").body.decode()
        assert 'kend_last_reload_successful{what="tokens"} 1\n' in told and 'what="certificate"' not in told
        house.tokens.revoke("late")
        kend.reload()
        assert house.ask("late", "GET", "/v1/jobs").status == 401
        assert house.ask("read", "GET", "/v1/jobs").status == 200
        house.tokens.path.write_text("")
        assert "there is no token" in kend.reload()
        assert house.ask("read", "GET", "/v1/jobs").status == 401
        assert house.ask("none", "GET", "/livez").status == 200
    no_secret_is_left(house.tokens.secrets(), house.kend)


def test_a_waiting_request_of_a_revoked_token_ends_in_its_time(tmp_path: Path) -> None:
    """It was let in, and a reload does not break it; but at the end it is told nothing any more."""
    house = House(tmp_path)
    with house.kend as kend:
        job = house.job()
        etag = house.ask("read", "GET", f"/v1/jobs/{job}").headers["etag"]
        answers: "list[Response]" = []
        path, known = f"/v1/jobs/{job}?wait=2", {"If-None-Match": etag}
        waiting = threading.Thread(target=lambda: answers.append(house.ask("read", "GET", path, **known)))
        waiting.start()
        time.sleep(0.5)
        house.tokens.revoke("read")
        kend.reload()
        assert house.ask("read", "GET", path, **known).status == 401
        waiting.join()
        assert answers[0].status == 401 and "while the request waited" in answers[0].json["detail"]
        assert 'error="invalid_token"' in answers[0].headers["www-authenticate"]
        waiting = threading.Thread(target=lambda: answers.append(house.ask("submit", "GET", path, **known)))
        waiting.start()
        time.sleep(0.5)
        kend.reload()
        waiting.join()
        assert answers[1].status == 304


# ---- the first start


def test_listening_elsewhere_makes_an_admin_token_first(tmp_path: Path) -> None:
    with Kend(tmp_path, {"http.listen": "0.0.0.0:0"}) as kend:
        made, listed = kend.data / "admin.token", kend.data / "tokens"
        assert [stat.S_IMODE(os.stat(path).st_mode) for path in (made, listed)] == [0o600, 0o600]
        token = made.read_text().strip()
        log = kend.log_text()
        assert str(made) in log and "an admin token was made" in log and "tokens come unencrypted" in log
        assert kend.get("/v1/jobs").status == 401
        assert kend.get("/livez").status == 200
        kend.headers = {"Authorization": f"Bearer {token}"}
        assert kend.get("/v1/session").json["scopes"] == ["read", "submit", "admin"]
        job = kend.submit(FAILING)
        kend.stop()
        made.unlink()  # taken away, as it should be
        kend.start()
        assert kend.job(job)["id"] == job
        assert not made.exists()
    no_secret_is_left([token.split("_")[2]], kend)


def test_an_unfinished_first_start_begins_anew(tmp_path: Path) -> None:
    """The token comes first: without the file it is worth nothing, and is made again."""
    with Kend(tmp_path, {"http.listen": "0.0.0.0:0"}) as kend:
        old = (kend.data / "admin.token").read_text()
        kend.kill()
        (kend.data / "tokens").unlink()
        kend.start()
        token = (kend.data / "admin.token").read_text()
        assert token != old
        assert kend.get("/v1/jobs", headers={"Authorization": f"Bearer {token.strip()}"}).status == 200
        assert kend.get("/v1/jobs", headers={"Authorization": f"Bearer {old.strip()}"}).status == 401


def test_anybody_where_told_so(tmp_path: Path) -> None:
    with Kend(tmp_path, {"http.listen": "0.0.0.0:0", "auth.allow_anonymous": "true"}) as kend:
        assert kend.get("/v1/jobs").status == 200
        assert not (kend.data / "tokens").exists()


# ---- the command


def test_kenctl_makes_lists_and_revokes(tmp_path: Path, kenctl: Any) -> None:
    file = tmp_path / "tokens"
    made = kenctl(
        "-o", "json", "token", "create", "--file", file, "--owner", "nlp", "--scope", "submit", "--expires", 90
    )
    assert made.returncode == 0 and made.stderr == ""
    token = json.loads(made.stdout)
    assert set(token) == {"id", "owner", "scopes", "expires_at", "token"}
    assert (token["owner"], token["scopes"]) == ("nlp", ["read", "submit"])
    assert token["token"].startswith(f"kend_{token['id']}_")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token["token"].split("_")[2] not in file.read_text()

    plain = kenctl("token", "create", "--file", file, "--owner", "a.b@c", "--scope", "read,admin")
    assert plain.returncode == 0 and len(plain.stdout.splitlines()) == 1
    assert "SIGHUP" in plain.stderr
    assert kenctl("token", "create", "--file", file, "--owner", "q", "--scope", "read", "-q").stderr == ""

    listed = json.loads(kenctl("-o", "json", "token", "list", "--file", file).stdout)
    assert [(item["owner"], item["scopes"][-1]) for item in sorted(listed, key=lambda item: item["owner"])] == [
        ("a.b@c", "admin"),
        ("nlp", "submit"),
        ("q", "read"),
    ]
    table = kenctl("token", "list", "--file", file).stdout.splitlines()
    assert table[0].split() == ["ID", "OWNER", "SCOPES", "EXPIRES", "STATE"]
    assert len(table) == 4

    revoked = kenctl("token", "revoke", token["id"], "--file", file)
    assert (revoked.returncode, revoked.stdout) == (0, "revoked\n")
    assert "SIGHUP" in revoked.stderr and "kenctl cancel --owner nlp" in revoked.stderr
    assert "other token" not in revoked.stderr  # that there is none left of this owner
    again = kenctl("token", "revoke", token["id"], "--file", file)
    assert again.returncode == 1 and "there is no token" in again.stderr
    assert len(json.loads(kenctl("-o", "json", "token", "list", "--file", file).stdout)) == 2


def test_kenctl_prints_the_line_where_there_is_no_file(tmp_path: Path, kenctl: Any) -> None:
    made = kenctl("-q", "token", "create", "--owner", "nlp", "--scope", "read")
    assert made.returncode == 0 and made.stdout.count("\n") == 1
    (tmp_path / "tokens").write_text(made.stderr.splitlines()[-1] + "\n")
    with Kend(tmp_path, {"auth.tokens_file": tmp_path / "tokens"}) as kend:
        kend.headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
        assert kend.get("/v1/session").json["owner"] == "nlp"
        (tmp_path / "token").write_text(made.stdout)
        assert kenctl("--server", kend.url, "--token-file", tmp_path / "token", "list").returncode == 0
        refused = kenctl("--server", kend.url, "--token-file", tmp_path / "token", "delete", UNKNOWN)
        assert refused.returncode == 1 and "this needs a token with scope submit" in refused.stderr
        without = kenctl("--server", kend.url, "list")
        assert without.returncode == 1 and "--token-file" in without.stderr


@pytest.mark.parametrize(
    "words, message",
    [
        (["create"], "needs --owner and --scope"),
        (["create", "--owner", "a b", "--scope", "read"], "an owner is"),
        (["create", "--owner", "", "--scope", "read"], "an owner is"),
        (["create", "--owner", "a", "--scope", "write"], "--scope is of"),
        (["create", "--owner", "a", "--scope", "read", "--expires", "0"], "--expires is"),
        (["create", "--owner", "a", "--scope", "read", "--expires", "-1"], "--expires is"),
        (["create", "--owner", "a", "--scope", "read", "--expires", "1d"], "--expires is"),
        (["create", "x", "--owner", "a", "--scope", "read"], "takes no argument"),
        (["list"], "needs --file"),
        (["revoke", "--file", "x"], "needs the token's ID"),
        (["remove", "x"], "create, list or revoke"),
        ([], "needs create|list|revoke"),
        (["list", "--file", "x", "--server", "http://x"], "unknown option"),
    ],
)
def test_kenctl_says_what_is_wrong(kenctl: Any, words: "list[str]", message: str) -> None:
    done = kenctl("token", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_kenctl_leaves_a_broken_file_alone(tmp_path: Path, kenctl: Any) -> None:
    file = tmp_path / "tokens"
    file.write_text("# mine\nbroken\n")
    for words in (["list"], ["revoke", "0123456789abcdef"], ["create", "--owner", "a", "--scope", "read"]):
        done = kenctl("token", *words, "--file", file)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"{file}:2: expected ID OWNER" in done.stderr
    assert file.read_text() == "# mine\nbroken\n"
    assert kenctl("token", "list", "--file", tmp_path / "nothing").returncode == 1
