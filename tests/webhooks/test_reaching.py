"""A request goes to the open internet only, to the address that was checked, and it ends."""

from __future__ import annotations

import ipaddress
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from memories.webhooks import reaching, rules
from tests.webhooks.conftest import Receiver, Resolver

Names = Callable[..., Resolver]

INSIDE = """
127.0.0.1 127.8.8.8 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 100.100.100.200 0.0.0.0
224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 192.0.0.192 198.18.0.1 192.0.2.1 203.0.113.5 168.63.129.16
192.88.99.1 ::1 :: fe80::1 fc00::1 fd00:ec2::254 ff02::1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::127.0.0.1
64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::1 2002:7f00:1::1 2001::1 2001:db8::1 3fff::1 fec0::1 100::1
5f00::1
""".split()


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_no_open_internet_is_refused(address: str) -> None:
    assert not reaching.allowed(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450:4001::1"])
def test_the_open_internet_is_allowed(address: str) -> None:
    assert reaching.allowed(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "ftp://example.com/", "//example.com/", "https://", "https:///x", "https://u:p@example.com/",
        "https://u@example.com/", "https://example.com:22/", "https://example.com:99999/", "https://example.com/#x",
        "https://example.com\\@127.0.0.1/", "https://exa mple.com/", "https://exämple.com/", "https://example.com/\n",
        "https://127.0.0.1/", "https://[::1]/", "https://[::ffff:10.0.0.1]/", "https://169.254.169.254/latest",
        "http://localhost/", "http://127.0.0.1:8000/", "https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/", "https://a..b/",
        "https://localhost/", "https://LOCALHOST./", "https://a.localhost/", "https://printer/", "https://nas.local/",
        "https://db.corp.internal/", "https://router.lan/", "https://box.home.arpa/", "https://127.1/", "https://2130706433/",
        "https://0x7f000001/", "https://10.0x1/",
        "https://example.com/" + "x" * 1100, "https://" + "a" * 300 + "!/", "",
    ],
)  # fmt: skip
def test_such_an_address_is_not_taken(url: str) -> None:
    with pytest.raises(rules.BadAddress):
        rules.address_of(url)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://Example.com", ("https", "example.com", 443, "/")),
        ("https://example.com:8443/a/b?c=d&e", ("https", "example.com", 8443, "/a/b?c=d&e")),
        ("https://[2606:4700::1111]/", ("https", "2606:4700::1111", 443, "/")),
        ("https://local.example.com/internal", ("https", "local.example.com", 443, "/internal")),
    ],
)
def test_such_an_address_is_taken_apart(url: str, parts: tuple[Any, ...]) -> None:
    found = rules.address_of(url)
    assert (found.scheme, found.host, found.port, found.target) == parts


@pytest.mark.parametrize("host", ["hook.example", "127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1"])
def test_a_name_that_leads_inside_is_refused_before_anything_is_sent(
    receiver: Receiver, names: Names, settings: Any, host: str
) -> None:
    settings.OMI_WEBHOOK_LOOPBACK = False
    names(["127.0.0.1"])
    with pytest.raises(reaching.Refused):
        reaching.post("http", host, receiver.port, "/", {}, b"{}")
    assert receiver.got == []


def test_one_bad_address_among_good_ones_is_enough(names: Names) -> None:
    names(["8.8.8.8", "10.0.0.1"])
    with pytest.raises(reaching.Refused):
        reaching.resolve("hook.example", 443, 5)


def test_a_name_that_points_elsewhere_a_moment_later_changes_nothing(receiver: Receiver, names: Names) -> None:
    """Rebinding: the connection goes to the address that was checked, and the name is asked once."""
    resolver = names(["127.0.0.1"], ["169.254.169.254"])
    assert reaching.post("http", "hook.example", receiver.port, "/x", {"a": "b"}, b"{}") == 204
    assert resolver.asked == 1
    headers, body = receiver.got[0]
    assert (headers["host"], headers["a"], body) == (f"hook.example:{receiver.port}", "b", b"{}")


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.status, receiver.location = 302, f"http://127.0.0.1:{receiver.port}/second"
    assert reaching.post("http", "127.0.0.1", receiver.port, "/", {}, b"{}") == 302
    assert len(receiver.got) == 1


def test_of_a_long_answer_little_is_read(receiver: Receiver) -> None:
    written = []

    def long(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            handler.wfile.write(b"x" * 65536)  # ends when the client hangs up
            written.append(65536)

    receiver.answer = long
    assert reaching.post("http", "127.0.0.1", receiver.port, "/", {}, b"{}") == 200
    assert sum(written) < 100_000_000


def test_endless_headers_end(receiver: Receiver) -> None:
    def headers(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            handler.wfile.write(b"x: " + b"y" * 1000 + b"\r\n")

    receiver.answer = headers
    with pytest.raises(reaching.Unreachable, match="bad_answer"):
        reaching.post("http", "127.0.0.1", receiver.port, "/", {}, b"{}")


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"])
def test_an_answer_that_comes_drop_by_drop_ends_in_time(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, begin: bytes
) -> None:
    """Each read is quick, their sum is not: in the headers as in the body."""
    monkeypatch.setattr(reaching, "SECONDS", 0.5)

    def drops(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(begin)
        while True:
            handler.wfile.write(b"x")
            time.sleep(0.02)

    receiver.answer = drops
    with pytest.raises(reaching.Unreachable, match="too_slow"):
        reaching.post("http", "127.0.0.1", receiver.port, "/", {}, b"{}")


def test_what_does_not_answer_is_named(receiver: Receiver, names: Names) -> None:
    names([])
    with pytest.raises(reaching.Unreachable, match="unknown_host"):
        reaching.post("https", "hook.example", 443, "/", {}, b"{}")
    receiver.server.shutdown()
    receiver.server.server_close()
    with pytest.raises(reaching.Unreachable, match="no_connection"):
        reaching.post("http", "127.0.0.1", receiver.port, "/", {}, b"{}")


def certificate(folder: Path, name: str) -> Path:
    """A certificate for ``name`` that vouches for itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file = folder / f"{name}.pem"
    file.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return file


def test_the_certificate_is_asked_for_the_name(
    receiver: Receiver, names: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connected by address, TLS and Host say the name; a certificate for another name, or of nobody, is refused."""
    names(["127.0.0.1"])
    file = certificate(tmp_path, "hook.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    heard: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: heard.append(name)
    receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
    with pytest.raises(reaching.Unreachable, match="bad_certificate"):
        reaching.post("https", "hook.example", receiver.port, "/", {}, b"{}")
    trusting = ssl.create_default_context(cafile=str(file))
    monkeypatch.setattr(reaching.ssl, "create_default_context", lambda: trusting)
    assert reaching.post("https", "hook.example", receiver.port, "/", {}, b"{}") == 204
    with pytest.raises(reaching.Unreachable, match="bad_certificate"):
        reaching.post("https", "localhost", receiver.port, "/", {}, b"{}")
    assert heard == ["hook.example", "hook.example", "localhost"]
    assert [headers["host"] for headers, _ in receiver.got] == [f"hook.example:{receiver.port}"]
