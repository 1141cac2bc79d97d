#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rebinding with nothing in kend's way: a network of its own, where a global address is at hand and a DNS server changes its answers.

The test runs this file as a program by unshare(1), and is skipped where that is not allowed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Iterator

import pytest

from fetching import BODY, PATH, Prober, sha256
from origin import Behaviour, Origin

GLOBAL = "198.41.0.4"  # any; in this network it is ours
ANSWERS = {  # the n-th time, the addresses
    "good.test": [[GLOBAL]],
    "rebind.test": [[GLOBAL], ["127.0.0.1"]],
    "metadata.test": [[GLOBAL], ["169.254.169.254"]],
    "mixed.test": [["127.0.0.1", GLOBAL]],
}


def test_a_dns_server_that_changes_its_answers() -> None:
    mine = [] if os.geteuid() == 0 else ["--map-root-user"]
    try:
        subprocess.run(["unshare", *mine, "--mount", "--net", "true"], check=True, capture_output=True, timeout=20)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no namespaces here")
    command = ["unshare", *mine, "--mount", "--net", sys.executable, __file__]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode == 77:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    good = ["KEN_OK", sha256(BODY)]
    assert results["good.test"][:2] == good
    assert results["mixed.test"][:2] == good
    assert results["rebind.test"][0] == "KEN_EADDRESS" and "127.0.0.1 is loopback" in results["rebind.test"][2]
    assert (
        results["metadata.test"][0] == "KEN_EADDRESS" and "169.254.169.254 is link-local" in results["metadata.test"][2]
    )
    assert results["untouched"] is True
    assert results["asked"]["rebind.test"] == 2


# ---- inside


def configure(request: int, name: bytes, address: str = "", flags: int = 0) -> None:
    """An ioctl of a network interface, by its struct ifreq."""
    value = struct.pack("H2x4s", socket.AF_INET, socket.inet_aton(address)) if address else struct.pack("h", flags)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, request, name.ljust(16, b"\0") + value.ljust(24, b"\0"))


def make_network() -> None:
    SIOCSIFFLAGS, SIOCSIFADDR, IFF_UP_RUNNING = 0x8914, 0x8916, 0x41
    configure(SIOCSIFFLAGS, b"lo", flags=IFF_UP_RUNNING)
    configure(SIOCSIFADDR, b"lo:1", GLOBAL)
    configure(SIOCSIFFLAGS, b"lo:1", flags=IFF_UP_RUNNING)


def make_resolver_use(folder: Path) -> None:
    """Names are asked of 127.0.0.1 alone."""
    for name, text in (("resolv.conf", "nameserver 127.0.0.1\n"), ("nsswitch.conf", "hosts: dns\n")):
        (folder / name).write_text(text)
        subprocess.run(["mount", "--bind", str(folder / name), f"/etc/{name}"], check=True, capture_output=True)


class Dns:
    """A DNS server of A records that live for no second."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        self.asked: dict[str, int] = {}
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            query, whom = self.socket.recvfrom(4096)
            self.socket.sendto(self.answer(query), whom)

    def answer(self, query: bytes) -> bytes:
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        name = ".".join(labels)
        question = query[12 : at + 5]
        addresses: list[str] = []
        if name in ANSWERS and question[-4:] == b"\0\1\0\1":
            turn = self.asked.get(name, 0)
            self.asked[name] = turn + 1
            addresses = ANSWERS[name][min(turn, len(ANSWERS[name]) - 1)]
        records = b"".join(b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(one) for one in addresses)
        head = query[:2] + struct.pack(">HHHHH", 0x8180 if name in ANSWERS else 0x8183, 1, len(addresses), 0, 0)
        return head + question + records


@contextlib.contextmanager
def trap(port: int) -> Iterator[socket.socket]:
    """A port of 127.0.0.1 that nobody must connect to."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        listening.setblocking(False)
        yield listening


def main() -> int:
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            make_network()
            make_resolver_use(Path(folder))
            dns = Dns()
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"no network can be made here: {error}", file=sys.stderr)
            return 77
        with Origin(address=GLOBAL) as origin, trap(origin.port) as trapped:
            origin.put(PATH, BODY)
            origin.behave(
                "*", Behaviour(headers={"Connection": "close"})
            )  # so that the next request looks the name up again
            for name in ANSWERS:
                got = Prober(Path(folder) / "cache")(f"http://{name}:{origin.port}{PATH}", networks="")
                results[name] = [got.code, got.seen, got.message]
            try:
                trapped.accept()
            except BlockingIOError:
                results["untouched"] = True
        results["asked"] = dns.asked
    json.dump(results, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
