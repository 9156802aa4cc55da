"""Long memories are read in turn, and strangers have a rate: eight readers of 9 MB kept everybody else waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from memories.api import long_memories
from memories.shapes import Memory
from omi.accounts.throttles import stranger
from tests.api.conftest import Caller
from transcription.segments import Segment

OWN = ("/v1/memories", "/v1/memories/{id}", "/v1/memories/{id}/transcripts", "/v1/memories/{id}/transcripts/versions",
       "/v1/memories/{id}/photos")  # fmt: skip


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(long_memories, "LONG", 5000)
    monkeypatch.setattr(long_memories, "PATIENCE_SECONDS", 0.0)
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def long(alice: Caller, make_memory: Callable[..., Memory]) -> Memory:
    memory = make_memory(transcript_segments=[Segment(id="s0", text="word " * 2000, start=0, end=900)])
    alice.send("PATCH", f"/v1/memories/{memory.id}/visibility?value=public")
    return memory


@pytest.mark.parametrize("path", OWN)
def test_one_user_reads_one_long_memory_at_a_time_and_nobody_else_waits_for_it(
    alice: Caller, bob: Caller, long: Memory, path: str
) -> None:
    with long_memories.READS.held("alice", per_user=1, in_all=2):
        refused = alice.get(path.format(id=long.id))
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")
        assert bob.get("/v1/memories").status_code == 200
    assert [alice.get(path.format(id=long.id)).status_code for _ in range(3)] == [200] * 3, "each turn has ended"


def test_an_edit_reads_it_too(alice: Caller, long: Memory) -> None:
    path = f"/v1/memories/{long.id}/visibility?value=private"
    with long_memories.READS.held("alice", per_user=1, in_all=2):
        assert alice.send("PATCH", path).status_code == 429
    assert alice.send("PATCH", path).status_code == 200


def test_an_ordinary_memory_is_read_at_once(alice: Caller, make_memory: Callable[..., Memory]) -> None:
    memory = make_memory()
    with long_memories.READS.held("alice", per_user=1, in_all=1):
        assert [alice.get(path.format(id=memory.id)).status_code for path in OWN] == [200] * len(OWN)


@pytest.mark.parametrize("path", ["/v1/memories/{id}/shared", "/v1/public-memories"])
def test_strangers_read_long_memories_in_turn_by_address(long: Memory, rf: Any, path: str) -> None:
    with long_memories.READS.held(stranger(rf.get("/")), per_user=1, in_all=2):
        assert Client().get(path.format(id=long.id)).status_code == 429
        assert Client(REMOTE_ADDR="198.51.100.7").get(path.format(id=long.id)).status_code == 200


@pytest.mark.parametrize("path", ["/v1/memories/{id}/shared", "/v1/public-memories"])
def test_strangers_have_a_rate_by_address(long: Memory, settings: Any, path: str) -> None:
    settings.OMI_STRANGERS_PER_MINUTE = 2
    asked = [Client(REMOTE_ADDR="2001:db8::1").get(path.format(id=long.id)) for _ in range(2)]
    refused = Client(REMOTE_ADDR="2001:db8::2").get(path.format(id=long.id))
    assert [answer.status_code for answer in (*asked, refused)] == [200, 200, 429], "one network is one stranger"
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert Client(REMOTE_ADDR="198.51.100.7").get(path.format(id=long.id)).status_code == 200


def test_a_failure_ends_the_turn(alice: Caller, long: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("memories.repository.memories.find_memory", lambda *_: 1 / 0)
        assert alice.get(f"/v1/memories/{long.id}").status_code == 500
    assert alice.get(f"/v1/memories/{long.id}").status_code == 200
