"""Long memories are read in turn, and strangers have a rate: eight readers of 9 MB kept everybody else waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from memories.api import long_memories
from memories.models import MemoryRow
from memories.pipeline.models import PostProcessingRun
from memories.repository import processing
from memories.shapes import Memory, Photo, ProcessingMemory
from omi.accounts.throttles import stranger
from omi.stores import audio
from tests.api.conftest import Caller
from tests.support.sound import tone
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


@pytest.mark.parametrize("path", ["/v1/memories/{id}", "/v1/memories/{id}/photos"])
def test_photos_are_length_too(alice: Caller, make_memory: Callable[..., Memory], path: str) -> None:
    memory = make_memory(photos=[Photo(base64="aGk=" * 1000, description="a boat")] * 2)
    with long_memories.READS.held("alice", per_user=1, in_all=2):
        assert alice.get(path.format(id=memory.id)).status_code == 429
        assert alice.get("/v1/memories").status_code == 200, "a list shows none"
    assert alice.get(path.format(id=memory.id)).status_code == 200
    alice.send("PATCH", f"/v1/memories/{memory.id}", {"title": "Another"})
    assert MemoryRow.objects.get(memory_id=memory.id).photo_size > 8000, "an edit forgets nothing"


def test_photos_are_counted_again_when_rows_are_made_anew(make_memory: Callable[..., Memory]) -> None:
    memory = make_memory(photos=[Photo(base64="aGk=" * 1000, description="a boat")])
    before = MemoryRow.objects.get(memory_id=memory.id).photo_size
    MemoryRow.objects.all().delete()
    call_command("mirror", "--rebuild", verbosity=0)
    assert MemoryRow.objects.get(memory_id=memory.id).photo_size == before > 4000


def test_the_answer_to_an_upload_waits_for_its_turn_and_nothing_has_begun(
    alice: Caller, long: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the upload is looked at, and again when its run is about to begin; in between others read."""
    path, content = f"/v1/memories/{long.id}/post-processing", tone(12.0)
    with long_memories.READS.held("alice", per_user=1, in_all=2):
        assert alice.upload(path, content).status_code == 429
    free: list[bool] = []

    def looked_at(*_: Any) -> None:
        slot = long_memories.READS.take("alice", per_user=1, in_all=1)
        free.append(slot is not None)  # it is kept: the answer finds no place

    with monkeypatch.context() as slow:
        slow.setattr("memories.postprocessing.check", looked_at)
        refused = alice.upload(path, content)
    long_memories.READS._taken.clear()
    assert (free, refused.status_code) == ([True], 429)
    assert not PostProcessingRun.objects.exists()
    assert not audio.for_memory("alice", long.id, "upload"), "what was refused is not kept"
    assert alice.upload(path, content).status_code == 200
    assert alice.get(path).status_code == 200
    assert long_memories.READS.take("alice", per_user=1, in_all=1), "each turn has ended"
    long_memories.READS._taken.clear()


def test_what_shows_no_word_waits_for_nobody(alice: Caller, long: Memory) -> None:
    with long_memories.READS.held("alice", per_user=1, in_all=1):
        assert alice.get(f"/v1/memories/{long.id}/recording").status_code == 200
        assert alice.get(f"/v1/memories/{long.id}/post-processing").json()["detail"].endswith("never post-processed")
        liked = {"memory_id": long.id, "part": "summary", "thumb": "up"}
        assert alice.send("POST", "/v1/feedback", liked).status_code == 200


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_a_conversation_of_hours_is_read_in_turn_while_it_goes_on(alice: Caller, method: str) -> None:
    """Its row lags behind: it says nothing of the segments that came since it began."""
    now = timezone.now()
    for name, age in (("long", timedelta(minutes=2)), ("young", timedelta(seconds=5))):
        processing.create("alice", ProcessingMemory(id=name, created_at=now - age))
    path, body = "/v1/processing-memories/{}", {} if method == "PATCH" else None
    with long_memories.READS.held("alice", per_user=1, in_all=2):
        assert alice.send(method, path.format("long"), body).status_code == 429
        assert alice.send(method, path.format("young"), body).status_code == 200
        assert alice.send(method, path.format("never-was"), body).status_code == 404
    assert alice.send(method, path.format("long"), body).status_code == 200
