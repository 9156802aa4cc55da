"""What stands before a deployment, in small: a door with TLS at the public name, and the exporter that knocks at it."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.processes import free_port, running

CONFIG = Path(__file__).resolve().parents[2] / "ops" / "prometheus" / "blackbox.yml"
HOST = "127.0.0.1"


def certificate(file: Path, days: float) -> Path:
    """Key and certificate of 127.0.0.1, signed by itself, that ends in so many days; negative: it has ended."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=90))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return file


class _Answer(BaseHTTPRequestHandler):
    """Says what ``/healthz`` says. The real proxy's own part is TLS and the name; a canned answer does here."""

    body = b'{"status": "ok"}'

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Door:
    """Answers at ``url`` while it is open. It can be opened again, at the same port."""

    pem: Path
    port: int = field(default_factory=free_port)
    body: bytes = _Answer.body
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}"

    def open(self) -> None:
        if self._server is not None:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pem)
        self._server = ThreadingHTTPServer((HOST, self.port), type("Answer", (_Answer,), {"body": self.body}))
        # A caller that says nothing keeps its own thread waiting, and nobody else.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@contextmanager
def door(folder: Path, days: float = 60, body: bytes = _Answer.body) -> Iterator[Door]:
    """An open door whose certificate ends in so many days."""
    made = Door(certificate(folder / f"door{days:g}.pem", days), body=body)
    made.open()
    try:
        yield made
    finally:
        made.close()


@contextmanager
def exporter(folder: Path, program: str, trusts: Path | None) -> Iterator[str]:
    """The address of the blackbox exporter with our configuration, which may trust one more certificate."""
    config = yaml.safe_load(CONFIG.read_text())
    if trusts:
        for module in config["modules"].values():
            module["http"]["tls_config"] = {"ca_file": str(trusts)}
    file = folder / "blackbox.yml"
    file.write_text(yaml.safe_dump(config))
    url = f"http://{HOST}:{free_port()}"
    with running(
        [program, f"--config.file={file}", f"--web.listen-address={url.removeprefix('http://')}"],
        ready=lambda: answers(f"{url}/-/healthy"), log=folder / "blackbox.log",
    ):  # fmt: skip
        yield url


def answers(url: str) -> bool:
    """Whether there is a 200."""
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
