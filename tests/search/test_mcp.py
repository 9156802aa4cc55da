"""The MCP server, asked by the official client through a real daphne."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from memories.api import long_memories
from memories.mcp_server import tools
from memories.repository import memories as repository
from memories.shapes import Memory
from omi.accounts import throttles, tokens
from omi.core.slots import Busy
from tests.support.servers import WebServer, web_server
from transcription.segments import Segment

pytestmark = pytest.mark.process
CALL = '{"jsonrpc": "2.0", "id": %s, "method": "tools/call", "params": {"name": "fetch", "arguments": {"id": "%s"}}}'
BROKEN = [
    b"{", b"\xff\xfe", b"[" * 200_000, (CALL % ("9" * 5000, "m")).encode(), (CALL % ("1e400", "m")).encode(),
    (CALL % ("1", "a\\u0000b")).encode(), (CALL % ("1", "\\ud800")).encode(),
]  # fmt: skip
"""No JSON, JSON that ends a parser in an error of its own, and texts that no database takes."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    folder: Path = tmp_path_factory.mktemp("mcp")
    with web_server(folder) as running:
        yield running


def asked(server: WebServer, uid: str, use: Callable[[Any], Any]) -> Any:
    """What ``use`` gives of an open session of the official client."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def run() -> Any:
        headers = {"Authorization": f"Bearer {tokens.mint(uid)}"}
        async with (
            streamablehttp_client(f"{server.url}/mcp", headers=headers) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await use(session)

    return asyncio.run(asyncio.wait_for(run(), 60))


def call(server: WebServer, uid: str, tool: str, **arguments: Any) -> Any:
    answer = asked(server, uid, lambda session: session.call_tool(tool, arguments))
    return answer.structuredContent if not answer.isError else answer.content[0].text


def test_the_official_client_searches_fetches_and_lists(server: WebServer) -> None:
    with server.app("alice") as app:
        began, ended = (datetime(2026, 11, 20, hour, tzinfo=UTC).isoformat() for hour in (9, 10))
        text = "I will send the contract to Kowalski on Friday. The giraffe is four metres tall."
        body = {
            "started_at": began, "finished_at": ended,
            "transcript_segments": [{"text": text, "speaker": "SPEAKER_00", "is_user": True, "start": 3, "end": 9}],
        }  # fmt: skip
        answer = app.post("/v1/memories?trigger_integrations=false", json=body)
        assert answer.status_code == 200, answer.text
        memory = answer.json()["memory"]
    listed = asked(server, "alice", lambda session: session.list_tools())
    assert [tool.name for tool in listed.tools] == ["search", "fetch", "list_action_items", "recap"]
    assert all(tool.description and tool.annotations.readOnlyHint for tool in listed.tools)
    [hit] = call(server, "alice", "search", query="giraffe", limit=3)["results"]
    assert (hit["id"], hit["start"], hit["end"]) == (memory["id"], 3.0, 9.0)
    fetched = call(server, "alice", "fetch", id=hit["id"])
    assert "giraffe is four metres" in fetched["text"]
    assert call(server, "alice", "list_action_items") == {"action_items": []}  # no worker runs here
    assert "no recap" in call(server, "alice", "recap", kind="day", day="2026-11-20")


def test_a_stranger_finds_nothing_and_bad_input_is_said(server: WebServer) -> None:
    mine = call(server, "alice", "search", query="giraffe")["results"][0]["id"]
    assert call(server, "bob", "search", query="giraffe") == {"results": []}
    assert call(server, "bob", "fetch", id=mine) == "There is no memory with this id."
    assert "greater than the maximum of 20" in call(server, "alice", "search", query="x", limit=1000)
    assert "no such tool" in call(server, "alice", "drop") or "Unknown" in call(server, "alice", "drop")


@pytest.mark.django_db
@pytest.mark.parametrize(("tool", "arguments"), [(tools.fetch, {"id": "m"}), (tools.list_action_items, {})])
def test_long_memories_are_read_in_turn(
    monkeypatch: pytest.MonkeyPatch, tool: Callable[..., Any], arguments: dict[str, Any]
) -> None:
    said = [Segment(id="s0", text="word " * 2000, start=0, end=900)]
    asked_for = {"action_items": [{"description": "Send the letter"}]}
    repository.create_memory(
        "ana", Memory(id="m", created_at=timezone.now(), structured=asked_for, transcript_segments=said)
    )
    monkeypatch.setattr(long_memories, "LONG", 5000)
    monkeypatch.setattr(long_memories, "PATIENCE_SECONDS", 0.0)
    shape = {tools.fetch: tools.Fetch, tools.list_action_items: tools.ListActionItems}[tool].model_validate(arguments)
    with long_memories.READS.held("ana", per_user=1, in_all=2), pytest.raises(Busy, match="long memories"):
        tool("ana", shape)
    for _ in range(2):
        assert "Send the letter" in str(tool("ana", shape))


@pytest.mark.django_db
def test_a_search_counts_to_the_rate_of_searches(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By this door a user searched as often as any request is allowed: twenty times as much."""
    settings.OMI_SEARCHES_PER_MINUTE = 2
    monkeypatch.setattr(throttles, "time", SimpleNamespace(time=lambda: 1_800_000_000.0))  # no minute ends meanwhile
    cache.clear()
    app = Client(headers={"Authorization": f"Bearer {tokens.mint('searcher')}"})
    assert app.get("/v1/search", {"q": "giraffe"}).status_code == 200
    tools.search("searcher", tools.Search(query="giraffe"))
    with pytest.raises(tools.Refused, match="Too many searches"):
        tools.search("searcher", tools.Search(query="giraffe"))
    assert app.get("/v1/search", {"q": "giraffe"}).status_code == 429, "one rate for all doors"
    tools.search("somebody-else", tools.Search(query="giraffe"))
    cache.clear()


@pytest.mark.django_db
def test_a_spent_budget_of_searches_is_said(settings: Any) -> None:
    settings.OMI_SEARCHES_PER_DAY = 1
    tools.search("spender", tools.Search(query="giraffe"))
    with pytest.raises(tools.Refused, match="searched as often today"):
        tools.search("spender", tools.Search(query="giraffe"))


@pytest.mark.parametrize("token", [None, "Bearer nonsense", "Basic abc"])
def test_without_a_token_it_is_401(server: WebServer, token: str | None) -> None:
    headers = {"Authorization": token} if token else {}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    answer = httpx.post(f"{server.url}/mcp", json=message, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_what_is_no_message_is_refused(server: WebServer) -> None:
    headers = {"Authorization": f"Bearer {tokens.mint('alice')}", "Accept": "application/json, text/event-stream"}
    with httpx.Client(base_url=server.url, headers=headers) as app:
        assert app.get("/mcp").status_code == app.delete("/mcp").status_code == 405
        for content in BROKEN:
            broken = app.post("/mcp", content=content, headers={"Content-Type": "application/json"})
            assert (broken.status_code, "detail" in broken.json()) == (400, True), content[:80]
        assert app.post("/mcp", content=json.dumps({"x": "y" * 300_000})).status_code == 413
