"""One server with one synthetic recording for all SDK tests; every test starts from a clean slate."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from demo.vendors.server import VendorServer
from demo.vendors.synth import speech
from demo.vendors.truth import Recording
from tests.support import sound

TEXT = "Hello there, my friend. | <B> We need to buy milk. | <A> Good idea, thanks."
WORDS = [w for w in TEXT.split() if w != "|" and not w.startswith("<")]


@pytest.fixture(scope="session")
def recording() -> Recording:
    return speech(TEXT, seed=3)


@pytest.fixture(scope="session")
def wav(recording: Recording) -> bytes:
    return sound.wav(recording.pcm.tobytes(), recording.rate)


@pytest.fixture(scope="session")
def chunks(recording: Recording) -> list[bytes]:
    """100 ms of s16le each."""
    data = recording.pcm.tobytes()
    return [data[i : i + 3200] for i in range(0, len(data), 3200)]


@pytest.fixture(scope="session")
def running(recording: Recording) -> Iterator[VendorServer]:
    with VendorServer([recording]) as server:
        yield server


@pytest.fixture
def vendors(running: VendorServer) -> Iterator[VendorServer]:
    running.reset()
    running.set(fal_seconds=0.0, soniox_seconds=0.0, pinecone_delay=0.0, pinecone_dimension=None, openai_answer=None)
    yield running
    running.reset()


@pytest.fixture
def hook() -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """A webhook receiver: its URL and what arrived."""
    got: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append(({k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook?run=1", got
    server.shutdown()
    server.server_close()
