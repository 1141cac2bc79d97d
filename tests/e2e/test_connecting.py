# SPDX-License-Identifier: Apache-2.0
"""Where kend connects to, and what it takes along: redirects, addresses, schemes, names that change, proxies."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checkpoints import make_safetensors
from daemon import Kend
from fetching import (  # certificates, fetch and origin are fixtures
    BODY,
    FIELDS,
    PATH,
    Prober,
    certificates,
    fetch,
    origin,
    sha256,
)
from origin import Behaviour, Certificates, Origin
from resolver import Resolver

# ---------------------------------------------------------------- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(status: int, origin: Origin, fetch: Prober) -> None:
    origin.behave(
        "/a/b", Behaviour(redirect="../model.safetensors?x=1", redirect_status=status, headers={"Set-Cookie": "a=b"})
    )
    got = fetch(origin.url + "/a/b")
    assert (got.code, got.seen) == ("KEN_OK", sha256(BODY))
    assert [one for one in origin.seen() if "cookie" in one.headers] == []
    assert origin.seen(PATH)[0].path == PATH + "?x=1"


@pytest.mark.parametrize("where", ["another host", "another port", "another scheme"])
def test_a_redirect_takes_nothing_along(where: str, certificates: Certificates, origin: Origin, fetch: Prober) -> None:
    address = "127.0.0.2" if where == "another host" else "127.0.0.1"
    with Origin(address=address, tls=certificates.good if where == "another scheme" else None) as other:
        other.put("/there", BODY)
        cookie = {"Set-Cookie": "session=secret; Domain=127.0.0.1"}
        origin.behave("/here", Behaviour(redirect=other.url + "/there", headers=cookie))
        for _ in range(2):  # the second time there is something in the cache to ask about
            got = fetch(origin.url + "/here?token=secret", ca=certificates.authority)
            assert got.seen == sha256(BODY), got.message
        assert len(other.seen()) >= 3
        for request in origin.seen() + other.seen():
            assert request.headers.keys() <= FIELDS
        for request in other.seen():
            assert "secret" not in request.path + str(request.headers)


def test_ten_redirects_and_no_more(origin: Origin, fetch: Prober) -> None:
    for i in range(12):
        origin.behave(f"/{i}", Behaviour(redirect=f"/{i + 1}"))
    origin.put("/12", BODY)
    assert fetch(origin.url + "/2").seen == sha256(BODY)
    got = fetch(origin.url + "/1")
    assert got.code == "KEN_EFETCH"
    assert got.message == f"{origin.url}/1: more than 10 redirects"


def test_a_loop_of_two(origin: Origin, fetch: Prober) -> None:
    origin.behave("/a", Behaviour(redirect="/b"))
    origin.behave("/b", Behaviour(redirect="/a"))
    got = fetch(origin.url + "/a")
    assert (got.code, got.message) == (
        "KEN_EFETCH",
        f"{origin.url}/b: it redirects in a loop, back to {origin.url}/a",
    )
    assert len(origin.seen()) == 2


def test_no_step_down_from_https(certificates: Certificates, origin: Origin, fetch: Prober) -> None:
    with Origin(tls=certificates.good) as serving:
        serving.behave("/x", Behaviour(redirect=origin.url + PATH))
        got = fetch(serving.url + "/x", ca=certificates.authority)
        assert got.code == "KEN_EADDRESS"
        assert got.message == f"{serving.url}/x redirects from https to http, which is refused"
        assert origin.seen() == []


# ---------------------------------------------------------------- ports


def port_of(origin: Origin) -> str:
    return origin.url.rpartition(":")[2]


def test_a_redirect_to_a_port_that_is_not_listed(origin: Origin, fetch: Prober) -> None:
    with Origin() as other:
        other.put("/there", BODY)
        origin.behave("/here", Behaviour(redirect=other.url + "/there"))
        got = fetch(origin.url + "/here", ports=port_of(origin))
        assert got.code == "KEN_EADDRESS"
        assert got.message.endswith(f"fetch.allow_ports does not list port {port_of(other)}")
        assert len(origin.seen()) == 1 and other.seen() == []
        assert fetch(origin.url + "/here", ports=f"{port_of(origin)},{port_of(other)}").seen == sha256(BODY)


def test_ports_of_names_and_of_schemes(origin: Origin, fetch: Prober) -> None:
    """Nothing is looked up or connected to for a port that is not listed; a URL without one has its scheme's."""
    for url, port in ((origin.url, port_of(origin)), ("http://nowhere.invalid", "80"), ("https://192.0.2.1", "443")):
        got = fetch(url + "/x", ports="8443")
        assert (got.code, got.message) == (
            "KEN_EADDRESS",
            f"{url}/x: fetch.allow_ports does not list port {port}",
        )
    assert origin.seen() == []


def test_the_port_of_a_proxy(origin: Origin, fetch: Prober) -> None:
    """A proxy's port is judged like any other, and so is the one that it would connect to."""
    for ports, port in (("80", port_of(origin)), (port_of(origin), "80")):
        got = fetch("http://origin.test/x", proxy=origin.url, ports=ports)
        assert got.code == "KEN_EADDRESS" and got.message.endswith(f"fetch.allow_ports does not list port {port}")
    assert origin.seen() == []


# ---------------------------------------------------------------- addresses, schemes, URLs


LOOPBACK = r"the address (127\.0\.0\.1|::1) is loopback"
#: How 127.0.0.1 and ::1 can be written as the host of a URL: (what a job is told, what is told of a redirect). All end where the addresses
#: are vetted, or are no host.
NO_HOST = "has a host that is not a name or address"
SPELLINGS = {
    "127.0.0.1": (LOOPBACK, LOOPBACK),
    "127.1": (LOOPBACK, LOOPBACK),
    "127.0.1": (LOOPBACK, LOOPBACK),
    "0x7f000001": (LOOPBACK, LOOPBACK),
    "0x7F.0.0.1": (LOOPBACK, LOOPBACK),
    "0177.0.0.01": (LOOPBACK, LOOPBACK),
    "017700000001": (LOOPBACK, LOOPBACK),
    "2130706433": (LOOPBACK, LOOPBACK),
    "127.0.0.1.": (LOOPBACK, LOOPBACK),
    "127.1.": (LOOPBACK, LOOPBACK),
    "localhost": (LOOPBACK, LOOPBACK),
    "localhost.": (LOOPBACK, LOOPBACK),
    "LocalHost": (LOOPBACK, LOOPBACK),
    "0": ("0.0.0.0 is unspecified",) * 2,
    "[::1]": ("::1 is loopback",) * 2,
    "[0:0:0:0:0:0:0:1]": ("::1 is loopback",) * 2,
    "[::]": (":: is unspecified",) * 2,
    "[::127.0.0.1]": ("is IPv4-compatible",) * 2,
    "[::ffff:127.0.0.1]": ("is IPv4-mapped",) * 2,
    "[::FFFF:7f00:1]": ("is IPv4-mapped",) * 2,
    "[64:ff9b::127.0.0.1]": ("is NAT64",) * 2,
    "[64:ff9b:1::127.0.0.1]": ("is local-use NAT64",) * 2,
    "[2002:7f00:1::]": ("is 6to4",) * 2,
    "[fe80::1%25lo]": ("is not an IPv6 address", "fe80::1 is link-local"),
    "[::1%25lo]": ("is not an IPv6 address", "::1 is loopback"),
    "%31%32%37.0.0.1": (NO_HOST, LOOPBACK),
    "127.0.0.1%2e": (NO_HOST, LOOPBACK),
    "127.0.0.1%00.test": ("must not hold %00", "(?i)malformed|bad|host"),
    "127.0.0.1%20": (NO_HOST, "(?i)malformed|bad|host"),
    "127.0.0.1%0a": (NO_HOST, "(?i)malformed|bad|host"),
    "\uff11\uff12\uff17.0.0.1": ("must be percent-encoded", "spaces, control characters"),
    "127\u30020\u30020\u30021": ("must be percent-encoded", "spaces, control characters"),
    "\u2460\u2461\u2466.0.0.1": ("must be percent-encoded", "spaces, control characters"),
    "user@127.0.0.1": ("must not hold a user name or password", "a user name or password in a URL is refused"),
    "127.0.0.1\\": ("must not hold a backslash", "spaces, control characters"),
}


@pytest.mark.parametrize("host", SPELLINGS)
def test_every_spelling_ends_in_the_same_place(host: str, origin: Origin, fetch: Prober, tmp_path: Path) -> None:
    resolver = Resolver(tmp_path)
    for name in ("127.0.0.1.", "127.1.", "localhost."):  # which some resolvers know, and others ask the network for
        resolver.name(name, "127.0.0.1")
    url = f"http://{host}:{origin.port}{PATH}"
    with Origin(address="127.0.0.2") as allowed:
        allowed.behave(PATH, Behaviour(redirect=url.encode().decode("latin-1")))
        for message, asked in zip(SPELLINGS[host], (url, allowed.url + PATH)):
            got = fetch(asked, networks="127.0.0.2", retries=0, env=resolver.env)
            assert got.code in ("KEN_EADDRESS", "KEN_EFETCH")
            assert re.search(message, got.message), got.message
            assert origin.seen() == []


def test_a_name_with_one_allowed_address(origin: Origin, fetch: Prober) -> None:
    """Of localhost's addresses the allowed one alone is connected to."""
    assert fetch(f"http://localhost:{origin.port}{PATH}").seen == sha256(BODY)


def test_ipv6(fetch: Prober) -> None:
    try:
        serving = Origin(address="::1")
    except OSError:
        pytest.skip("no IPv6 here")
    with serving:
        serving.put(PATH, BODY)
        assert fetch(serving.url + PATH).code == "KEN_EADDRESS"
        assert fetch(serving.url + PATH, networks="::1").seen == sha256(BODY)


@pytest.mark.parametrize(
    ("url", "code", "message"),
    [
        ("ftp://127.0.0.1/x", "KEN_EADDRESS", "fetch.allow_schemes does not list ftp$"),
        ("http://user@127.0.0.1/x", "KEN_EFETCH", "must not hold a user name or password"),
        ("http://127.0.0.1/a b", "KEN_EFETCH", "spaces or control characters"),
        ("http://127.0.0.1/a\nb", "KEN_EFETCH", "spaces or control characters"),
        ("http://127.0.0.1/#x", "KEN_EFETCH", "fragment"),
        ("http:///x", "KEN_EFETCH", "has no host"),
        ("http://127.0.0.1:99999/x", "KEN_EFETCH", "port"),
        ("/etc/passwd", "KEN_EFETCH", "absolute URL"),
        ("http://10.0.0.1/x", "KEN_EADDRESS", "10.0.0.1 is private; fetch.allow_networks does not list it$"),
        ("http://[fe80::1]/x", "KEN_EADDRESS", "fe80::1 is link-local"),
        ("http://169.254.169.254/", "KEN_EADDRESS", "metadata"),
    ],
)
def test_urls_that_are_refused_at_once(url: str, code: str, message: str, fetch: Prober) -> None:
    got = fetch(url)
    assert got.code == code
    assert re.search(message, got.message), got.message
    assert got.ms < 100


def test_schemes_by_allow_list(origin: Origin, fetch: Prober) -> None:
    got = fetch(origin.url + PATH, schemes="https")
    assert (got.code, got.message) == ("KEN_EADDRESS", f"{origin.url}{PATH}: fetch.allow_schemes does not list http")


def test_schemes_of_redirects_by_allow_list(certificates: Certificates, origin: Origin, fetch: Prober) -> None:
    with Origin(tls=certificates.good) as serving:
        origin.behave(PATH, Behaviour(redirect=serving.url + PATH))
        got = fetch(origin.url + PATH, schemes="http,file", ca=certificates.authority)
        assert (got.code, serving.seen()) == ("KEN_EADDRESS", [])
        assert got.message == f"{serving.url}{PATH}: fetch.allow_schemes does not list https"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"networks": "10.0.0.1/8"}, 'fetch.allow_networks: "10.0.0.1/8" has bits set beyond its prefix'),
        ({"networks": "everywhere"}, 'fetch.allow_networks: "everywhere" is no network'),
        ({"schemes": "https,gopher"}, 'fetch.allow_schemes: "gopher" is none of https, http, file'),
        ({"roots": "/nowhere/at/all"}, 'fetch.file_roots: "/nowhere/at/all": No such file or directory'),
    ],
)
def test_options_that_cannot_hold(options: dict[str, Any], message: str, fetch: Prober) -> None:
    got = fetch("http://x/", **options)
    assert got.code == "KEN_EINVALID"
    assert got.message.startswith(message), got.message


# ---------------------------------------------------------------- what the environment must not change


@pytest.mark.smoke
def test_environment_and_netrc_are_ignored(tmp_path: Path) -> None:
    """kend itself, with everything in its environment that makes libcurl go elsewhere or tell a password."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text("default login somebody password secret\n")
    (home / ".curlrc").write_text('proxy = "http://127.0.0.1:1"\nuser = "somebody:secret"\n')
    base = {"weight": np.arange(64, dtype=np.float32).reshape(1, 64)}
    with Origin() as serving, socket.create_server(("127.0.0.1", 0)) as trap:
        for name in ("model", "base"):
            serving.put(f"/{name}", make_safetensors({"weight": base["weight"] * (1 + (name == "model"))}))
        serving.behave("/closed", Behaviour(status=401, headers={"WWW-Authenticate": 'Basic realm="x", Negotiate'}))
        proxy = "http://somebody:secret@127.0.0.1:%d" % trap.getsockname()[1]
        names = [name + "_proxy" for name in ("http", "https", "all", "ftp", "ws", "socks")]
        env = {name: proxy for one in names for name in (one, one.upper())}
        env |= {
            "no_proxy": "",
            "NO_PROXY": "",
            "HOME": str(home),
            "CURL_HOME": str(home),
            "NETRC": str(home / ".netrc"),
        }
        with Kend(tmp_path, env=env) as kend:
            document = {"model": serving.url + "/model", "base": serving.url + "/base", "keep": 0.5}
            assert kend.wait(kend.submit(document))["status"] == "succeeded"
            failed = kend.wait(kend.submit({**document, "model": serving.url + "/closed"}))
            assert "the server answered 401: it wants other credentials" in failed["error"]["message"]
        trap.setblocking(False)
        with pytest.raises(BlockingIOError):
            trap.accept()
        assert all(one.headers.keys() <= FIELDS for one in serving.seen())


def test_the_configured_proxy_is_used_and_vetted(origin: Origin, fetch: Prober) -> None:
    got = fetch("http://models.example/x", proxy=origin.url)
    assert got.code == "KEN_EFETCH"
    assert [one.path for one in origin.seen()] == ["http://models.example/x"]
    got = fetch("http://models.example/x", proxy="http://10.255.255.1:1")
    assert got.code == "KEN_EADDRESS"
    assert "10.255.255.1 is private" in got.message
