"""A request to an address that a user chose: only to the open internet, with an end in time and in bytes.

The name is resolved once, every answer of the resolver is checked, and the connection is made to the checked address
while TLS and ``Host`` carry the name: a name that points elsewhere a moment later (rebinding) changes nothing. No
redirect is followed, no proxy of the environment is asked.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

import httpcore
from django.conf import settings

CONNECT_SECONDS = 5.0
SECONDS = 10.0
"""Of a whole request, from the resolver to the answer's end."""
MAX_ANSWER = 4096
"""Bytes of an answer that are looked at; the connection is closed then."""
MAX_RECEIVED = 65_536
"""Bytes that are taken of a connection at all, headers included."""
MOST_ADDRESSES = 8

IPAddress = IPv4Address | IPv6Address
_INTERNET6 = IPv6Network("2000::/3")
_REFUSED = (
    IPv4Network("168.63.129.16/32"),  # Azure's metadata and DNS: a public address that only its machines reach
    IPv4Network("192.0.0.0/24"),  # protocols' own, Oracle's metadata among them
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
    IPv6Network("2001::/23"),  # Teredo, ORCHID and other protocols' own
    IPv6Network("2001:db8::/32"),
    IPv6Network("2002::/16"),  # 6to4: an IPv4 address inside
    IPv6Network("3fff::/20"),
)


class Refused(Exception):
    """The name leads where nothing of ours may go."""


class Unreachable(Exception):
    """No answer came; ``code`` says why in a word."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def literal(host: str) -> IPAddress | None:
    """The address that ``host`` is; None for a name."""
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def allowed(address: IPAddress) -> bool:
    """Whether a message may go to this address: the open internet, and loopback where the operator said so.

    Of IPv6 only the part that is given out as internet counts: addresses with an IPv4 address inside (mapped, NAT64,
    6to4, Teredo) lie outside of it or are listed.
    """
    if address.is_loopback and settings.OMI_WEBHOOK_LOOPBACK:
        return True
    if isinstance(address, IPv6Address) and (address not in _INTERNET6 or address.scope_id):
        return False
    if any(address.version == network.version and address in network for network in _REFUSED):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def resolve(host: str, port: int, seconds: float) -> list[str]:
    """The checked addresses of a name. Raises Refused where one of them is refused: a good name has no such."""
    found: list[str] = []

    def look() -> None:
        try:
            found.extend(str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError):
            return

    # The system's resolver has no limit of time of its own; a thread that is not waited for ends with it.
    thread = threading.Thread(target=look, name="webhook-name", daemon=True)
    thread.start()
    thread.join(seconds)
    addresses = list(dict.fromkeys(found))
    if not addresses or thread.is_alive():
        raise Unreachable("unknown_host")
    if not all(allowed(ip_address(address)) for address in addresses):
        raise Refused("the name leads into a private or reserved network")
    return addresses[:MOST_ADDRESSES]


def post(scheme: str, host: str, port: int, target: str, headers: Mapping[str, str], body: bytes) -> int:
    """Send ``body`` and give the status of the answer. Raises Refused and Unreachable."""
    deadline = time.monotonic() + SECONDS
    addresses = resolve(host, port, min(CONNECT_SECONDS, SECONDS))
    shown = f"[{host}]" if ":" in host else host
    named = shown if port == {"https": 443, "http": 80}[scheme] else f"{shown}:{port}"
    url = httpcore.URL(scheme=scheme.encode(), host=shown.encode(), port=port, target=target.encode())
    sent = [("Host", named), ("Content-Length", str(len(body))), ("Connection", "close"), *headers.items()]
    pool = httpcore.ConnectionPool(
        ssl_context=ssl.create_default_context(),
        max_connections=1,
        max_keepalive_connections=0,
        network_backend=_Checked(addresses, deadline),
    )
    limits = {"connect": CONNECT_SECONDS, "read": SECONDS, "write": SECONDS, "pool": SECONDS}
    try:
        with pool, pool.stream("POST", url, headers=sent, content=body, extensions={"timeout": limits}) as answer:
            status, size = answer.status, 0
            if 200 <= status < 300:
                for chunk in answer.iter_stream():
                    if (size := size + len(chunk)) >= MAX_ANSWER:
                        break
            return int(status)
    except httpcore.TimeoutException as error:
        raise Unreachable("too_slow") from error
    except httpcore.ConnectError as error:
        secure = isinstance(error.__cause__ or error.__context__, ssl.SSLError)
        raise Unreachable("bad_certificate" if secure else "no_connection") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise Unreachable("bad_answer") from error


class _Checked(httpcore.NetworkBackend):
    """Connects to the checked addresses, whatever name it is asked for."""

    def __init__(self, addresses: list[str], deadline: float) -> None:
        self._addresses, self._deadline = addresses, deadline
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Try one address after the other."""
        failed: Exception = httpcore.ConnectError("no address")
        for address in self._addresses:
            left = _left(self._deadline, timeout)
            try:
                return _Bounded(self._inner.connect_tcp(address, port, timeout=left), self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed


class _Bounded(httpcore.NetworkStream):
    """A connection whose reads and writes all end at one moment, and that takes only so many bytes: a byte a second,
    in headers too, would go on for ever under a limit for each read."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: float, received: int = 0) -> None:
        self._inner, self._deadline, self._received = inner, deadline, received

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read on, within what is left."""
        if self._received >= MAX_RECEIVED:
            raise httpcore.ReadError("the answer is too long")
        taken = min(max_bytes, MAX_RECEIVED - self._received)
        piece = self._inner.read(taken, timeout=_left(self._deadline, timeout))
        self._received += len(piece)
        return piece

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write, within the time that is left."""
        self._inner.write(buffer, timeout=_left(self._deadline, timeout))

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Speak TLS from here on; the name is the one that the user gave."""
        left = _left(self._deadline, timeout)
        return _Bounded(self._inner.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        """What the connection knows about itself."""
        return self._inner.get_extra_info(info)


def _left(deadline: float, timeout: float | None) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the request took too long")
    return left if timeout is None else min(left, timeout)
