"""A receiver on loopback that says what it is told to say, and a resolver that says what the test wants."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass
class Receiver:
    """What arrived, and what is answered: a status, headers and a body, or whatever ``answer`` writes."""

    port: int = 0
    status: int = 204
    location: str = ""
    answer: Callable[[BaseHTTPRequestHandler], None] | None = None
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    server: Any = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?a=1"


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    """A receiver that the settings allow."""
    settings.OMI_WEBHOOK_LOOPBACK = True
    told = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.got.append(
                ({**{name.lower(): value for name, value in self.headers.items()}, ":path": self.path}, body)
            )
            if told.answer is not None:
                told.answer(self)
                return
            self.send_response(told.status)
            if told.location:
                self.send_header("Location", told.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that hangs up is what the tests ask for."""

    told.server = Quiet(("127.0.0.1", 0), Handler)
    told.port = told.server.server_address[1]
    thread = threading.Thread(target=told.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield told
    told.server.shutdown()
    told.server.server_close()


@dataclass
class Resolver:
    """Answers of one name, one after the other; the last one stays. ``asked``: how often."""

    answers: list[list[str]]
    asked: int = 0


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Resolver]:
    """Let ``hook.example`` resolve to what the test says, each look-up to the next answer."""
    real = socket.getaddrinfo

    def give(*answers: list[str]) -> Resolver:
        resolver = Resolver(list(answers))

        def look(host: Any, port: Any, *more: Any, **named: Any) -> Any:
            if host != "hook.example":
                return real(host, port, *more, **named)
            found = resolver.answers[min(resolver.asked, len(resolver.answers) - 1)]
            resolver.asked += 1
            return [(socket.AF_INET6 if ":" in it else socket.AF_INET, 1, 6, "", (it, port)) for it in found]

        monkeypatch.setattr(socket, "getaddrinfo", look)
        return resolver

    return give
