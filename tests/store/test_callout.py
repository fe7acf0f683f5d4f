"""Which addresses may be called, and that the one that was checked is the one that is called."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from terrarium.store import callout
from terrarium.store.errors import InvalidInput
from terrarium.store.settings import settings

PRIVATE = [
    "127.0.0.1",
    "10.0.0.1",
    "172.16.9.9",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "2002:7f00:1::",
    "64:ff9b::10.0.0.1",
    "2001:db8::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses(address: str) -> None:
    assert not callout.is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_public_addresses(address: str) -> None:
    assert callout.is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://1.1.1.1/",
        "ftp://1.1.1.1/",
        "https://",
        "https://ada:secret@1.1.1.1/",
        "https://1.1.1.1:99999/",
        "https://[::1",
        "https://1.1.1.1/a b",
        "https://nowhere.invalid/",
        "https://localhost/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::ffff:127.0.0.1]/",
    ],
)
def test_what_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as e:
        callout.check(url)
    assert e.value.code == "webhook_refused" and repr(url) in e.value.message


class Names:
    """Resolves every name to the next of `answers`, and counts."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0

    def __call__(self, host: str, port: int, **_: Any) -> list[Any]:
        self.asked += 1
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]


def test_one_private_address_of_several_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names(["1.1.1.1", "10.0.0.1"]))
    with pytest.raises(InvalidInput, match=r"is 10\.0\.0\.1"):
        callout.check("https://both.example/")


def test_a_name_is_resolved_once_and_what_was_checked_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the second answer would be loopback."""
    names, called = Names(["1.1.1.1"], ["127.0.0.1"]), list[Any]()

    def connect(address: Any, timeout: float) -> socket.socket:
        called.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", names)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(ConnectionRefusedError):
        callout.post("https://rebound.example/", b"", {})
    assert called == [("1.1.1.1", 443)] and names.asked == 1


@pytest.fixture
def trickle(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a server whose answer never ends."""
    monkeypatch.setattr(settings(), "webhook_private", True)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                while not over.wait(0.01):
                    try:
                        client.sendall(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(server.getsockname()[1])
        over.set()
        thread.join(10)


def test_an_answer_that_trickles_is_cut_off(trickle: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callout, "OVER_AFTER_S", 0.2)
    with pytest.raises((OSError, http.client.HTTPException)):
        callout.post(f"http://127.0.0.1:{trickle}/", b"{}", {})
