# SPDX-License-Identifier: Apache-2.0
"""Sessions of browsers: the cookie, what may be done with it, whose page may do it, and how it ends."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Iterator

import pytest

import rawhttp
from daemon import Response
from tokens import House, no_secret_is_left


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("sessions"), **{"http.public_url": "https://kend.example/prune"})
    with made.kend:
        yield made


def sign_in(house: House, who: str = "submit") -> str:
    """The secret of a new session."""
    response = house.ask(who, "POST", "/v1/session")
    assert response.status == 200, response.body
    return response.headers["set-cookie"].partition(";")[0].partition("=")[2]


SECURE = "__Host-kend_session"
PLAIN = "kend_session"


def by_cookie(
    house: House, secret: str, method: str, path: str, body: object = None, name: str = SECURE, **headers: str
) -> Response:
    return house.kend.request(method, path, body, {"Cookie": f"{name}={secret}", **headers})  # type: ignore[arg-type]


@pytest.mark.smoke
def test_a_token_becomes_a_cookie(house: House) -> None:
    response = house.ask("submit", "POST", "/v1/session", {})
    assert re.fullmatch(
        r"__Host-kend_session=[0-9a-f]{64}; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure",
        response.headers["set-cookie"],
    )
    assert response.headers["cache-control"] == "no-store"
    who = {"object": "session", "owner": "nlp", "scopes": ["read", "submit"], "token_expires_at": None}
    assert response.json == who
    assert by_cookie(house, sign_in(house), "GET", "/v1/session").json == who
    assert house.ask("none", "POST", "/v1/session").status == 401
    assert house.ask("unknown", "POST", "/v1/session").status == 401
    again = by_cookie(house, sign_in(house), "POST", "/v1/session", Origin="https://kend.example")
    assert (again.status, again.json["code"]) == (400, "bad_request")  # a session does not beget another


def test_a_cookie_is_as_good_as_its_token(house: House) -> None:
    job = house.job()
    for who, status in (("read", 200), ("admin", 200), ("foreign", 404)):
        assert by_cookie(house, sign_in(house, who), "GET", f"/v1/jobs/{job}").status == status
    ours = {"Origin": "https://kend.example"}
    refused = by_cookie(house, sign_in(house, "read"), "DELETE", f"/v1/jobs/{job}", **ours)
    assert refused.json["detail"] == "this needs a token with scope submit"
    assert by_cookie(house, sign_in(house, "foreign"), "DELETE", f"/v1/jobs/{job}", **ours).status == 404
    assert by_cookie(house, sign_in(house, "submit"), "DELETE", f"/v1/jobs/{job}", **ours).status == 204


def test_unsafe_methods_are_for_ones_own_pages(house: House) -> None:
    secret, job = sign_in(house), house.job()
    own = house.kend.url
    origins = [
        (None, 403),
        ("null", 403),
        ("https://evil.example", 403),
        ("http://kend.example", 403),
        ("https://kend.example:8443", 403),
        ("https://kend.example.evil.example", 403),
        ("https://kend.example/", 403),
        (own.replace("http:", "https:"), 403),
        ("https://kend.example", 0),
        ("https://kend.example:443", 0),
        (own, 0),
    ]
    for method, path, good in (("POST", "/v1/jobs", 202), ("POST", f"/v1/jobs/{job}/cancel", 409)):
        for origin, status in origins:
            headers = {} if origin is None else {"Origin": origin}
            body = house.pair if path == "/v1/jobs" else None
            response = by_cookie(house, secret, method, path, body, **headers)
            assert response.status == (status or good), (origin, response.body)
            if status:
                assert response.json["code"] == "forbidden" and "Origin" in response.json["detail"]
    assert by_cookie(house, secret, "DELETE", "/v1/session").status == 403
    # to read needs none: SameSite keeps other sites' requests without the cookie, and no answer may be read by them
    assert by_cookie(house, secret, "GET", "/v1/jobs", Origin="https://evil.example").status == 200


def test_a_bearer_token_comes_first(house: House) -> None:
    secret = sign_in(house, "admin")
    job = house.job()
    assert by_cookie(house, secret, "GET", f"/v1/jobs/{job}", **house.headers("foreign")).status == 404
    assert by_cookie(house, secret, "GET", f"/v1/jobs/{job}", **house.headers("unknown")).status == 401
    # and is no browser's doing: it needs no Origin
    assert by_cookie(house, secret, "DELETE", f"/v1/jobs/{job}", **house.headers("submit")).status == 204


def test_signing_out_ends_it(house: House) -> None:
    secret, other = sign_in(house), sign_in(house)
    response = by_cookie(house, secret, "DELETE", "/v1/session", Origin="https://kend.example")
    assert (response.status, response.body) == (204, b"")
    assert (
        response.headers["set-cookie"] == "__Host-kend_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict; Secure"
    )
    assert by_cookie(house, secret, "GET", "/v1/jobs").status == 401
    assert by_cookie(house, other, "GET", "/v1/jobs").status == 200
    assert house.ask("read", "DELETE", "/v1/session").status == 204  # nothing to end


def test_cookies_that_are_none(house: House) -> None:
    secret = sign_in(house)
    cases = [
        ("", 401),
        ("__Host-kend_session=", 401),
        (f"__Host-kend_session={secret[:-1]}", 401),
        (f"__Host-kend_session={secret}0", 401),
        (f"__Host-kend_session={secret.upper()}", 401),
        (f"__host-kend_session={secret}", 401),
        (f"x__Host-kend_session={secret}", 401),
        (f"__Host-kend_session={secret}; __Host-kend_session={secret}", 401),
        (f"__Host-kend_session=; __Host-kend_session={secret}", 401),
        (f'__Host-kend_session="{secret}"', 401),
        ("__Host-kend_session=" + "0" * 64, 401),
        ("a=b; " * 400, 401),
        (f"kend_session={secret}", 401),  # which a sibling of the domain could plant
        (f"__Secure-kend_session={secret}", 401),
        (f"kend_session={'0' * 64}; __Host-kend_session={secret}", 200),
        (f"__Host-kend_session={secret}", 200),
        (f"a=b; __Host-kend_session={secret}; c=d", 200),
        (f"a=b;__Host-kend_session={secret};", 200),
        (f"a; ; =; __Host-kend_session={secret}", 200),
    ]
    for cookie, status in cases:
        response = house.kend.request("GET", "/v1/jobs", headers={"Cookie": cookie})
        assert response.status == status, cookie[:100]
    head = f"Host: localhost\r\nConnection: close\r\nCookie: __Host-kend_session={secret}\r\nCookie: a=b\r\n"
    two = rawhttp.one(house.kend.url, f"GET /v1/jobs HTTP/1.1\r\n{head}\r\n".encode())
    assert (two.status, "more than one Cookie header" in two.json["detail"]) == (400, True)


def test_sessions_end_with_time(tmp_path: Path) -> None:
    house = House(tmp_path, **{"auth.session_idle_seconds": 2, "auth.session_seconds": 4})
    with house.kend:
        response = house.ask("submit", "POST", "/v1/session")
        assert re.fullmatch(
            PLAIN + "=[0-9a-f]{64}; Path=/; Max-Age=4; HttpOnly; SameSite=Strict", response.headers["set-cookie"]
        )
        assert by_cookie(house, sign_in(house), "GET", "/v1/jobs", name=SECURE).status == 401
        idle, busy = sign_in(house), sign_in(house)
        begun = time.monotonic()
        while time.monotonic() < begun + 3:
            assert by_cookie(house, busy, "GET", "/v1/jobs", name=PLAIN).status == 200
            time.sleep(0.2)
        assert by_cookie(house, idle, "GET", "/v1/jobs", name=PLAIN).status == 401
        while time.monotonic() < begun + 4.1:
            time.sleep(0.1)
            by_cookie(house, busy, "GET", "/v1/jobs", name=PLAIN)
        assert by_cookie(house, busy, "GET", "/v1/jobs", name=PLAIN).status == 401


def test_sessions_end_with_their_token(tmp_path: Path) -> None:
    house = House(tmp_path)
    with house.kend as kend:
        secrets = {who: sign_in(house, who) for who in ("read", "submit", "admin")}
        house.tokens.revoke("read")
        house.tokens.expire("submit")
        kend.reload()
        statuses = {who: by_cookie(house, secrets[who], "GET", "/v1/jobs", name=PLAIN).status for who in secrets}
        assert statuses == {"read": 401, "submit": 401, "admin": 200}
        kend.stop()
        kend.start()
        assert by_cookie(house, secrets["admin"], "GET", "/v1/jobs", name=PLAIN).status == 401
    no_secret_is_left([*secrets.values(), *house.tokens.secrets()], house.kend)


def test_a_session_changes_with_its_token(tmp_path: Path) -> None:
    house = House(tmp_path)
    with house.kend as kend:
        secret = sign_in(house, "submit")
        house.tokens.path.write_text(house.tokens.path.read_text().replace(" nlp read,submit ", " moved read "))
        kend.reload()
        who = by_cookie(house, secret, "GET", "/v1/session", name=PLAIN).json
        assert (who["owner"], who["scopes"]) == ("moved", ["read"])
