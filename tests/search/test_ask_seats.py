"""Questions that wait for a model take no thread that others need, and one user has few of them at a time."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache

from demo.vendors.server import VendorServer
from memories.api import asking
from omi.accounts import tokens
from omi.core.slots import Kept, Slots
from tests.api.conftest import Caller, create
from tests.support.servers import WebServer, web_server

MANY = 40
"""More than an event loop has threads, on any machine."""


@pytest.fixture
def server(tmp_path: Path, vendor_server: VendorServer) -> Iterator[WebServer]:
    """A model that takes a question and never answers."""
    vendor_server.reset()
    vendor_server.faults("openai", {"kind": "hang", "times": -1})
    settings = {"OMI_STRUCTURER": "openai", "OMI_EMBEDDER": "local", "OMI_SEARCHES_PER_MINUTE": "0"}
    with web_server(tmp_path, **vendor_server.urls, **settings) as running:
        yield running
        running.process.kill()  # its threads wait for the model, and an orderly end would wait for them
    vendor_server.reset()


def asked(server: WebServer, uid: str) -> socket.socket:
    """A client that has asked, and waits."""
    body = json.dumps({"question": "Do we buy bread?", "stream": True}).encode()
    client = socket.create_connection(("127.0.0.1", server.port), 20)
    client.sendall(
        f"POST /v1/ask HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {tokens.mint(uid)}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    return client


@pytest.mark.process
def test_questions_of_one_user_that_wait_for_a_model_hold_up_nobody(
    server: WebServer, vendor_server: VendorServer
) -> None:
    """Six of them took every thread of the loop: uploads, tools and the closing of journals waited for the model."""
    with server.app("eager") as app, ExitStack() as clients:
        create(app)
        for _ in range(MANY):
            clients.enter_context(asked(server, "eager"))
        until = time.monotonic() + 40
        while len(vendor_server.log("openai")) < asking.PER_USER:
            assert time.monotonic() < until
            time.sleep(0.05)
        with server.app("neighbour") as other:  # a body of this size is not read before its token was looked at
            create(other)
            long = {"segment": [], "text": "bread " * 20_000}
            assert other.post("/v1/memories?trigger_integrations=false", json=long, timeout=30).status_code == 422
        assert len(vendor_server.log("openai")) == asking.PER_USER
        refused = app.post("/v1/ask", json={"question": "Do we buy milk?"}, timeout=30)
        assert (refused.status_code, refused.json()["code"]) == (429, "busy")


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Slots:
    cache.clear()
    monkeypatch.setattr(asking, "QUESTIONS", Slots("questions", seconds=300.0))
    monkeypatch.setattr(asking, "PATIENCE_SECONDS", 0.0)
    return asking.QUESTIONS


def held(places: Slots) -> int:
    return len(places._taken)


def test_a_place_is_kept_until_its_thread_comes_back_though_the_client_has_left(two: Slots) -> None:
    waits, comes, ended = threading.Event(), threading.Event(), threading.Event()

    def events() -> Iterator[tuple[str, dict[str, Any]]]:
        try:
            waits.set()
            comes.wait(20)
            yield "sentence", {}
            yield "answer", {}
        finally:
            ended.set()

    told = asking.Told(("passages", {}), events(), Kept(asking.in_turn("ana")))
    assert told.next() == ("passages", {})
    thread = threading.Thread(target=told.next)
    thread.start()
    assert waits.wait(20)
    told.close()
    assert held(two) == 1, "a thread still waits for the model"
    comes.set()
    thread.join(20)
    assert ended.is_set(), "and the model is let go"
    assert held(two) == 0
    assert told.next() is None


def test_every_end_of_a_stream_gives_its_place_back(alice: Caller, two: Slots, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        yield "passages", {}
        raise ZeroDivisionError

    ask = {"question": "Do we buy bread?", "stream": True}
    assert b"event: answer" in b"".join(alice.send("POST", "/v1/ask", ask))
    assert held(two) == 0
    for close in alice.send("POST", "/v1/ask", ask)._resource_closers:  # as Django does; it was never begun
        close()
    assert held(two) == 0
    with monkeypatch.context() as broken:
        broken.setattr(asking.service, "ask", failing)
        frames = b"".join(alice.send("POST", "/v1/ask", ask)).decode().strip().split("\n\n")
    assert frames[-1] == 'event: error\ndata: {"status": 500}'
    assert held(two) == 0
    assert alice.send("POST", "/v1/ask", {"question": "Do we buy bread?"}).status_code == 200
    assert held(two) == 0
    with ExitStack() as taken:
        for _ in range(asking.PER_USER):
            taken.enter_context(asking.in_turn("alice"))
        assert alice.send("POST", "/v1/ask", ask).status_code == 429


def test_a_place_names_nobody_else(bob: Caller, two: Slots) -> None:
    with ExitStack() as taken:
        for _ in range(asking.PER_USER):
            taken.enter_context(asking.in_turn("alice"))
        assert bob.send("POST", "/v1/ask", {"question": "Do we buy bread?"}).status_code == 200


def test_a_client_that_leaves_while_the_next_event_is_made_gives_its_place_back(two: Slots) -> None:
    waits, comes = threading.Event(), threading.Event()

    def events() -> Iterator[tuple[str, dict[str, Any]]]:
        waits.set()
        comes.wait(20)
        yield "answer", {}

    told = asking.Told(("passages", {}), events(), Kept(asking.in_turn("ana")))
    frames = asking.Frames(told)

    async def work() -> None:
        assert (await anext(frames)).startswith("event: passages")
        reading = asyncio.ensure_future(anext(frames))
        assert await asyncio.to_thread(waits.wait, 20)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert held(two) == 1, "its thread still waits"
        comes.set()

    asyncio.run(work())
    until = time.monotonic() + 20
    while held(two):
        assert time.monotonic() < until
        time.sleep(0.01)
