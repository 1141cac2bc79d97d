# SPDX-License-Identifier: Apache-2.0
"""Names that answer differently the second time, or with several addresses: what counts is the address that is connected to."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Iterator

import numpy as np
import pytest

from checkpoints import make_safetensors
from daemon import Kend
from fetching import BODY, PATH, Prober, fetch, sha256  # fetch is a fixture
from origin import Behaviour, Origin
from resolver import Resolver

ALLOWED = "127.0.0.2/32,127.0.0.3/32"  # an origin listens at the first one, nobody at the other
CLOSE = Behaviour(
    headers={"Connection": "close"}, conditional=False
)  # so that the next request looks the name up again


class Trap:
    """A port of 127.0.0.1 that nobody must connect to, and an origin at the same port of 127.0.0.2."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        self.origin = Origin(address="127.0.0.2", port=self.port)
        self.origin.put(PATH, BODY)
        self.origin.behave("*", CLOSE)

    def url(self, name: str) -> str:
        return f"http://{name}:{self.port}{PATH}"

    def is_untouched(self) -> bool:
        try:
            self.socket.accept()[0].close()
        except BlockingIOError:
            return True
        return False


@pytest.fixture
def trap() -> Iterator[Trap]:
    trap = Trap()
    with trap.socket, trap.origin:
        yield trap
        assert trap.is_untouched()


@pytest.fixture
def resolver(tmp_path: Path) -> Resolver:
    return Resolver(tmp_path)


def has_ipv6() -> bool:
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    except OSError:
        return False
    return True


FORBIDDEN = {
    "127.0.0.1": "loopback",
    "169.254.169.254": "link-local (a cloud's metadata service)",
    "100.100.100.200": "shared (carrier-grade NAT)",
    "10.0.0.1": "private",
    "0.0.0.0": "unspecified",
    "::1": "loopback",
    "::ffff:127.0.0.1": "IPv4-mapped",
    "64:ff9b::7f00:1": "NAT64",
    "fd00:ec2::254": "unique local (a cloud's metadata service)",
    "fe80::1%1": "link-local",
}


def skip_without(address: str) -> None:
    if ":" in address and not has_ipv6():
        pytest.skip("no IPv6 here")


@pytest.mark.parametrize("address", FORBIDDEN)
def test_the_second_answer_is_vetted_as_the_first(address: str, trap: Trap, resolver: Resolver, fetch: Prober) -> None:
    skip_without(address)
    resolver.name("rebind.test", "127.0.0.2", address)
    got = fetch(trap.url("rebind.test"), networks=ALLOWED, env=resolver.env)
    shown = address.partition("%")[0]
    assert (got.code, got.message) == (
        "KEN_EADDRESS",
        f"{trap.url('rebind.test')}: the address {shown} is {FORBIDDEN[address]}; fetch.allow_networks does not list it",
    )
    assert resolver.asked() == ["rebind.test 127.0.0.2", f"rebind.test {address}"]
    assert len(trap.origin.seen()) == 1


def test_a_forbidden_first_answer_is_not_tried_again(trap: Trap, resolver: Resolver, fetch: Prober) -> None:
    resolver.name("rebind.test", "127.0.0.1", "127.0.0.2")
    got = fetch(trap.url("rebind.test"), networks=ALLOWED, env=resolver.env)
    assert (got.code, got.notes) == ("KEN_EADDRESS", [])
    assert resolver.asked() == ["rebind.test 127.0.0.1"]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_of_mixed_answers_the_allowed_one_alone(address: str, trap: Trap, resolver: Resolver, fetch: Prober) -> None:
    skip_without(address)
    resolver.name("mixed.test", f"{address},127.0.0.2,127.0.0.1")
    got = fetch(trap.url("mixed.test"), networks=ALLOWED, env=resolver.env)
    assert (got.code, got.seen) == ("KEN_OK", sha256(BODY))


def test_an_allowed_one_that_does_not_answer_opens_no_other(trap: Trap, resolver: Resolver, fetch: Prober) -> None:
    resolver.name("mixed.test", "127.0.0.3,127.0.0.1")
    got = fetch(trap.url("mixed.test"), networks=ALLOWED, env=resolver.env)
    assert (got.code, len(got.notes)) == ("KEN_EFETCH", 1)
    assert len(resolver.asked()) == 2


def test_a_name_behind_a_redirect(trap: Trap, resolver: Resolver, fetch: Prober) -> None:
    resolver.name("models.test", "127.0.0.2")
    resolver.name("inner.test", "127.0.0.1")
    trap.origin.behave("/to", Behaviour(redirect=trap.url("inner.test")))
    got = fetch(trap.url("models.test").replace(PATH, "/to"), networks=ALLOWED, env=resolver.env)
    assert got.code == "KEN_EADDRESS"
    assert got.message.startswith(f"{trap.url('inner.test')}: the address 127.0.0.1 is loopback")


def test_a_retry_goes_to_where_the_name_is_now(trap: Trap, resolver: Resolver, fetch: Prober) -> None:
    """libcurl would have kept the dead address for a minute."""
    resolver.name("moves.test", "127.0.0.3", "127.0.0.2")
    got = fetch(trap.url("moves.test"), networks=ALLOWED, env=resolver.env)
    assert (got.code, got.seen, len(got.notes)) == ("KEN_OK", sha256(BODY), 1)


@pytest.mark.smoke
def test_what_the_check_stage_was_answered_is_not_built_on(tmp_path: Path, trap: Trap, resolver: Resolver) -> None:
    """A dry run and the check stage see the allowed address, whoever comes later the other."""
    random = np.random.default_rng(1)
    base = {"weight": random.standard_normal((1000, 64), np.float32)}
    (tmp_path / "base.safetensors").write_bytes(make_safetensors(base))
    trap.origin.put(PATH, make_safetensors({"weight": base["weight"] + np.float32(1)}))
    resolver.name("rebind.test", "127.0.0.2", "127.0.0.2", "127.0.0.1")
    settings = {"fetch.file_roots": tmp_path, "fetch.allow_networks": ALLOWED}
    with Kend(tmp_path, settings, resolver.env) as kend:
        document = {"model": trap.url("rebind.test"), "base": f"file://{tmp_path}/base.safetensors", "keep": 0.5}
        dry = kend.request("POST", "/v1/jobs?dry_run=true", document)
        assert dry.status == 200, dry.body
        job = kend.wait(kend.submit(document))
        assert (job["status"], job["error"]["code"], job["error"]["stage"]) == (
            "failed",
            "address_forbidden",
            "fetching",
        )
        assert "the address 127.0.0.1 is loopback" in job["error"]["message"]
        assert resolver.asked() == ["rebind.test 127.0.0.2"] * 2 + ["rebind.test 127.0.0.1"]
        again = kend.wait(kend.submit(document))
        assert (again["error"]["code"], again["error"]["stage"]) == ("address_forbidden", "checking")
