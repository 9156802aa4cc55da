"""Answers over a real daphne wait for their reader instead of standing in memory."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.support.servers import WebServer, web_server

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    application = "tests.omi.flow_probe:application"
    with web_server(tmp_path_factory.mktemp("flow"), application=application, database=False) as found:
        yield found


def test_clients_that_read_nothing_cost_no_memory(probe: WebServer) -> None:
    assert len(httpx.get(f"{probe.url}/2", timeout=30).content) == 2_000_000
    before = probe.peak()
    held = []
    for _ in range(5):
        raw = socket.create_connection(("127.0.0.1", probe.port), 10)
        raw.sendall(b"GET /200 HTTP/1.1\r\nHost: x\r\n\r\n")
        held.append(raw)
    until = time.monotonic() + 3.0
    while time.monotonic() < until:
        assert httpx.get(f"{probe.url}/0", timeout=10).status_code == 200  # the others are served meanwhile
        time.sleep(0.1)
    assert probe.peak() - before < 60_000_000
    for raw in held:
        raw.close()


def test_a_slow_reader_gets_the_whole(probe: WebServer) -> None:
    total = 0
    with httpx.stream("GET", f"{probe.url}/30", timeout=30) as answer:
        for number, piece in enumerate(answer.iter_raw()):
            total += len(piece)
            if number % 100 == 0:
                time.sleep(0.01)
    assert total == 30_000_000
