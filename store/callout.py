"""Requests to addresses that clients have named: never to a private network, never by a detour.

A name is resolved once, every address that it has is checked, and the connection goes to one of those: a name that
resolves to something else a moment later (DNS rebinding) changes nothing. Redirects are not followed.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from terrarium.store.errors import InvalidInput
from terrarium.store.settings import settings

TIMEOUT_S = 10.0  # for the connection, and for each part of an answer
OVER_AFTER_S = 20.0  # for the whole of it
NAT64 = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))


def check(url: str) -> tuple[SplitResult, str]:
    """The parts of `url`, and an address of its host that may be called. InvalidInput says what is wrong with it."""
    private = settings().webhook_private
    try:
        parts, port = urlsplit(url), urlsplit(url).port
    except ValueError as e:
        raise _refused(url, str(e)) from None
    schemes = ("https", "http") if private else ("https",)
    if parts.scheme not in schemes:
        raise _refused(url, f"scheme {parts.scheme!r}, expected {' or '.join(schemes)}")
    if not parts.hostname or parts.username is not None or not url.isprintable() or " " in url:
        raise _refused(url, "expected https://host/path, without a user")
    try:
        found = socket.getaddrinfo(parts.hostname, port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as e:
        raise _refused(url, f"{parts.hostname} does not resolve: {e}") from None
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not private and not is_public(address):
            reason = f"{parts.hostname} is {address}, no public address (TERRARIUM_WEBHOOK_PRIVATE allows it)"
            raise _refused(url, reason)
    return parts, addresses[0]


def is_public(address: str) -> bool:
    """Whether packets to it leave for the internet. What IPv6 wraps is looked at too."""
    ip: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if any(ip in network for network in NAT64):
            inner = IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """The status of the answer, whose body is not read. InvalidInput where the address may not be called, OSError or
    http.client.HTTPException where it does not answer properly."""
    parts, address = check(url)
    connection = (_Https if parts.scheme == "https" else _Http)(parts, address)
    over = threading.Timer(OVER_AFTER_S, connection.cut)
    over.start()
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body, dict(headers))
        return connection.getresponse().status
    finally:
        over.cancel()
        connection.close()


class _Http(http.client.HTTPConnection):
    """To an address that is known already; `Host` is the name."""

    def __init__(self, parts: SplitResult, address: str) -> None:
        assert parts.hostname is not None
        super().__init__(parts.hostname, parts.port, timeout=TIMEOUT_S)
        self.address = address

    def connect(self) -> None:
        self.sock = socket.create_connection((self.address, self.port), TIMEOUT_S)

    def cut(self) -> None:
        """From another thread: what it waits for fails."""
        if self.sock is not None:
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it is over by itself


class _Https(_Http):
    default_port = http.client.HTTPS_PORT

    def connect(self) -> None:
        super().connect()
        self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)


def _refused(url: str, reason: str) -> InvalidInput:
    return InvalidInput(f"url {url[:200]!r}: {reason}", code="webhook_refused")
