"""What is small to send and large to take, over the real wire: the web process stays small, and answers at once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.servers import WebServer, web_server

pytestmark = pytest.mark.process
MB = 1024 * 1024
ANSWER = 16 * MB


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """Its own: what others have had it take once would hide what is taken here."""
    with web_server(tmp_path_factory.mktemp("bombs")) as running:
        yield running


@pytest.fixture(scope="module")
def alice(server: WebServer) -> Iterator[httpx.Client]:
    with server.app("alice") as client:
        client.timeout = httpx.Timeout(120)
        yield client


def body(segments: int, text: str) -> bytes:
    one = {"text": text, "speaker": "SPEAKER_00", "is_user": True, "start": 0, "end": 4}
    return json.dumps(
        {
            "started_at": "2026-11-20T10:00:00Z",
            "finished_at": "2026-11-20T10:01:00Z",
            "transcript_segments": [one] * segments,
        },
        separators=(",", ":"),
    ).encode()


def post(app: httpx.Client, content: bytes) -> httpx.Response:
    return app.post(
        "/v1/memories?trigger_integrations=false", content=content, headers={"Content-Type": "application/json"}
    )


def test_forged_callbacks_take_no_memory(server: WebServer) -> None:
    """Twelve bodies of 9 MB at the same time, with the headers of a signature that is none."""
    headers = {
        "Content-Type": "application/json",
        "X-Fal-Webhook-Request-Id": "r",
        "X-Fal-Webhook-User-Id": "u",
        "X-Fal-Webhook-Timestamp": str(int(time.time()) - 10_000),
        "X-Fal-Webhook-Signature": "00" * 64,
    }
    url, body = f"http://127.0.0.1:{server.port}/v1/vendors/fal/webhook", b" " * 9_000_000
    assert httpx.post(url, content=b"x", headers=headers, timeout=30).status_code == 401
    before = server.peak()
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: httpx.post(url, content=body, headers=headers, timeout=60), range(12)))
    assert {answer.status_code for answer in answers} == {401}
    assert server.peak() - before < 48 * 1024 * 1024


def test_two_hundred_thousand_segments_are_refused_at_once(server: WebServer, alice: httpx.Client) -> None:
    """They took 9.4 s and 744 MB."""
    content = b'{"transcript_segments":[' + b",".join([b'{"text":"a","speaker":"S_0","start":0}'] * 200_000) + b"]}"
    assert post(alice, body(1, "warm")).status_code == 200
    before, began = server.peak(), time.monotonic()
    answer = post(alice, content)
    assert answer.status_code == 422
    assert "too many" in answer.text
    assert time.monotonic() - began < 4
    assert server.peak() - before < 120 * MB


def test_more_segments_than_a_day_has_are_refused_by_their_number(alice: httpx.Client) -> None:
    answer = post(alice, body(20_001, "a"))
    assert (answer.status_code, answer.json()["detail"][0]["type"]) == (422, "too_long")
    assert answer.json()["detail"][0]["loc"] == ["body", "transcript_segments"]


def test_lists_of_long_memories_are_bounded_by_bytes_and_lose_none(server: WebServer, alice: httpx.Client) -> None:
    """Twelve of 9 MB were 108 MB in one answer, without a token as well."""
    ids = []
    for _ in range(12):
        answer = post(alice, body(18, "bread and milk " * 33_000))
        assert answer.status_code == 200, answer.text[:300]
        ids.append(answer.json()["memory"]["id"])
        assert alice.patch(f"/v1/memories/{ids[-1]}/visibility?value=public").status_code == 200
    before = server.peak()
    listed = alice.get("/v1/memories?limit=500")
    shown = listed.json()
    assert set(ids) <= {memory["id"] for memory in shown}
    assert len(listed.content) < ANSWER
    assert all(memory["segments_omitted"] for memory in shown if memory["id"] in ids)
    public = httpx.get(f"{alice.base_url}/v1/public-memories?limit=1000", timeout=120)
    assert {memory["id"] for memory in public.json()} == set(ids)
    assert len(public.content) < ANSWER
    assert server.peak() - before < 200 * MB
    whole = alice.get(f"/v1/memories/{ids[0]}").json()
    assert len(whole["transcript_segments"]) == 18


def test_memories_of_a_usual_size_come_whole_until_the_answer_is_full(server: WebServer) -> None:
    with server.app("bob") as bob:
        bob.timeout = httpx.Timeout(120)
        ids = [post(bob, body(40, f"number {n} " + "bread and milk " * 1000)).json()["memory"]["id"] for n in range(40)]
        listed = bob.get("/v1/memories")
        shown: list[dict[str, Any]] = listed.json()
        assert [memory["id"] for memory in shown] == ids[::-1]
        assert len(listed.content) < ANSWER
        whole = [memory for memory in shown if memory["transcript_segments"]]
        assert 20 <= len(whole) < 40
        assert all(memory["segments_omitted"] for memory in shown if not memory["transcript_segments"])
        assert shown[: len(whole)] == whole
