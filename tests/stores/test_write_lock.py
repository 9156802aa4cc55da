"""A long transcript is checked, packed and counted before its transaction: on SQLite every other writer waits for one.

Read, compute, then write if the document is still the one that was read: no change of anybody is lost by it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from django.db import connection, connections

from emotions.base import EmotionSpan, EmotionTimeline
from memories import editing, postprocessing
from memories.capture import create
from memories.mirror import rows
from memories.mirror.models import MemoryRow
from memories.pipeline.models import PostProcessingRun
from memories.posted_memory import CreateMemory
from memories.repository import emotions, large, memories, processing, stored, tombstones, transcripts
from memories.shapes import Memory, ProcessingMemory
from omi.core.errors import ProviderError
from omi.stores import audio
from omi.stores.documents import documents
from speakers import people
from transcription.segments import Segment

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 22, 15, 30, tzinfo=UTC)
PATIENCE = 60.0
"""Seconds that a thread waits for another at most."""


def segments(count: int, text: str = "some words") -> list[Segment]:
    return [Segment(id=f"s{n}", text=f"{text} {n}", start=float(n), end=n + 0.5) for n in range(count)]


def given(count: int) -> CreateMemory:
    said = [item.model_dump(exclude={"speaker_id"}) for item in segments(count)]
    return CreateMemory.model_validate({"started_at": NOW, "finished_at": NOW, "transcript_segments": said})


@pytest.fixture
def small_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transcript of a few segments is a long one."""
    monkeypatch.setattr(large, "INLINE_BYTES", 3000)


@pytest.fixture
def held(small_documents: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the functions that look at every segment and were called while a transaction was open."""
    found: list[str] = []

    def watch(module: Any, name: str) -> None:
        real: Callable[..., Any] = getattr(module, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            if connection.in_atomic_block:
                found.append(name)
            return real(*args, **kwargs)

        monkeypatch.setattr(module, name, watched)

    for module, name in (
        (large, "pack"), (large, "unpack"), (memories, "memory_from"), (memories, "dump"), (memories, "_changed"),
        (processing, "processing_from"), (processing, "dump"), (transcripts, "content_hash"), (tombstones, "cleared"),
        (rows, "_text_size"), (create, "content_key"),
    ):  # fmt: skip
        watch(module, name)
    return found


def _made(count: int = 40) -> Memory:
    return memories.create_memory("u", Memory(id="m", created_at=NOW, transcript_segments=segments(count)))


def _create() -> None:
    made = create.create_memory("u", given(40))
    assert PostProcessingRun.objects.filter(memory_id=made.id).exists()
    assert len(memories.get_memory("u", made.id).transcript_segments) == 40


def _update() -> None:
    _made()
    memories.update_memory("u", "m", {"transcript_segments": segments(60)})
    assert len(memories.get_memory("u", "m").transcript_segments) == 60


def _title() -> None:
    _made()
    editing.set_texts("u", "m", {"title": "Mine"})
    shown = memories.get_memory("u", "m")
    assert (shown.structured.title, len(shown.transcript_segments)) == ("Mine", 40)


def _assign() -> None:
    _made()
    editing.assign_segments("u", "m", ["s3"], editing.Decision(is_user=True), spread=False)
    assert memories.get_memory("u", "m").transcript_segments[3].is_user


def _conversation() -> None:
    processing.create("u", ProcessingMemory(id="p", created_at=NOW, transcript_segments=segments(40)))
    processing.mutate(
        "u", "p", lambda current: {"transcript_segments": [*current.transcript_segments, segments(41)[-1]]}
    )
    assert len(processing.get("u", "p").transcript_segments) == 41


def _transcript() -> None:
    _made()
    transcripts.save_transcript("u", "m", "model", segments(50), fence=lambda: None)
    assert len(transcripts.list_transcripts("u", "m")["model"].segments) == 50


def _emotions() -> None:
    _made()
    spans = [EmotionSpan(start=n, end=n + 1, emotions=[]) for n in range(200)]
    for _ in range(2):
        emotions.save_emotions("u", "m", EmotionTimeline(vendor="v", model="m", kind="expression", spans=spans))
    kept = emotions.load_emotions("u", "m")
    assert kept is not None
    assert len(kept.spans) == 200


def _upload() -> None:
    kept = audio.put("u", "upload", b"a recording", memory_id="m", keep_for=None)
    run = postprocessing._start("u", _made(), kept, True, None, "test")
    _is_marked(run)


def _is_marked(run: PostProcessingRun) -> None:
    shown, row = memories.get_memory("u", "m"), MemoryRow.objects.get(memory_id="m")
    assert shown.postprocessing is not None
    assert (shown.postprocessing.status, shown.postprocessing.run_id) == ("in_progress", str(run.pk))
    assert shown.emotional_feedback
    assert (row.postprocessing_status, row.segments, row.revision) == ("in_progress", 40, shown.revision)
    assert (row.seconds, row.text_size) == (39.5, sum(len(item.text) for item in segments(40)))
    assert shown.transcript_segments == segments(40)


@pytest.mark.parametrize("work", [_create, _update, _title, _assign, _conversation, _transcript, _emotions, _upload])
def test_nothing_that_grows_with_the_transcript_is_done_inside_of_a_transaction(
    work: Callable[[], None], held: list[str]
) -> None:
    work()
    assert held == []


@pytest.mark.parametrize("work", ["create", "update"])
def test_a_neighbour_writes_while_a_long_transcript_is_packed(
    work: str, small_documents: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The packer does not go on before the neighbour has written."""
    memories.create_memory("neighbour", Memory(id="n", created_at=NOW, transcript_segments=segments(1)))
    _made(1)
    real, packing, go_on = large.pack, threading.Event(), threading.Event()

    def slow(path: str, data: Any, field: str = large.FIELD) -> Any:
        if path.startswith("users/u/"):
            packing.set()
            assert go_on.wait(PATIENCE), "the neighbour has not written"
        return real(path, data, field)

    def long() -> None:
        if work == "create":
            create.create_memory("u", given(40))
        else:
            memories.update_memory("u", "m", {"transcript_segments": segments(40)})

    monkeypatch.setattr(large, "pack", slow)
    with _thread(long):
        assert packing.wait(PATIENCE)
        memories.update_memory("neighbour", "n", {"discarded": True})
        go_on.set()
    assert memories.get_memory("neighbour", "n").discarded


def test_a_change_that_was_overtaken_is_computed_again_from_what_is_there_now(small_documents: None) -> None:
    _made()
    seen: list[int] = []

    def shorter(memory: Memory) -> dict[str, Any]:
        seen.append(memory.revision)
        if len(seen) == 1:
            memories.update_memory("u", "m", {"discarded": True, "transcript_segments": segments(50)})
        return {"transcript_segments": memory.transcript_segments[:-1]}

    memories.mutate_memory("u", "m", shorter)
    after = memories.get_memory("u", "m")
    assert (seen, after.revision, after.discarded, len(after.transcript_segments)) == ([1, 2], 3, True, 49)
    assert MemoryRow.objects.get(memory_id="m").segments == 49


def test_an_upload_to_a_memory_that_changed_since_it_was_read_looks_again(small_documents: None) -> None:
    kept = audio.put("u", "upload", b"a recording", memory_id="m", keep_for=None)
    read = _made(30)
    memories.update_memory("u", "m", {"transcript_segments": segments(40), "discarded": True})
    _is_marked(postprocessing._start("u", read, kept, True, None, "test"))
    assert memories.get_memory("u", "m").discarded
    assert PostProcessingRun.objects.count() == 1


def test_writers_of_one_document_lose_nothing_of_each_other(small_documents: None) -> None:
    _made(30)

    def with_one(identity: str) -> Callable[[Memory], dict[str, Any]]:
        more = Segment(id=identity, text="more", start=100.0, end=101.0)
        return lambda memory: {"transcript_segments": [*memory.transcript_segments, more]}

    def add(number: int) -> None:
        for turn in range(4):
            memories.mutate_memory("u", "m", with_one(f"w{number}-{turn}"))

    threads = [_thread(partial(add, number)) for number in range(4)]
    for thread in threads:
        thread.__enter__()
    for thread in threads:
        thread.__exit__()
    found = {item.id for item in memories.get_memory("u", "m").transcript_segments}
    assert {f"w{number}-{turn}" for number in range(4) for turn in range(4)} <= found
    assert len(found) == 46


def test_a_writer_that_is_always_overtaken_gives_up_with_a_transient_error(monkeypatch: pytest.MonkeyPatch) -> None:
    _made(1)
    monkeypatch.setattr(stored, "pause", lambda attempt: None)
    tries: list[int] = []

    def beaten(memory: Memory) -> dict[str, Any]:
        tries.append(1)
        documents().update(memories.memory_path("u", "m"), {"revision": memory.revision + 1})
        return {"discarded": True}

    with pytest.raises(ProviderError) as caught:
        memories.mutate_memory("u", "m", beaten)
    assert (caught.value.code, caught.value.retryable, len(tries)) == ("contention", True, stored.WRITE_TRIES)
    assert not memories.get_memory("u", "m").discarded


@pytest.mark.parametrize("changes", [{"discarded": True}, {}])
def test_the_fence_is_asked_inside_of_the_transaction_and_refuses_the_write(changes: dict[str, Any]) -> None:
    class Refused(Exception):
        pass

    asked: list[bool] = []

    def fence() -> None:
        asked.append(connection.in_atomic_block)
        raise Refused

    _made(1)
    processing.create("u", ProcessingMemory(id="p", created_at=NOW))
    with pytest.raises(Refused):
        memories.mutate_memory("u", "m", lambda memory: changes, fence=fence)
    with pytest.raises(Refused):
        processing.mutate("u", "p", lambda current: {"finished": True} if changes else {}, fence=fence)
    assert asked == [True, True]
    assert memories.get_memory("u", "m").revision == 1
    assert not processing.get("u", "p").finished


@pytest.mark.parametrize("work", ["create", "update"])
def test_a_person_who_is_deleted_while_a_write_is_computed_is_not_named_by_it(
    work: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ben = people.create_person("u", "Ben").id
    named = [item.model_copy(update={"person_id": ben}) for item in segments(2)]
    if work == "update":
        _made(1)
    real = large.pack

    def meanwhile(path: str, data: Any, field: str = large.FIELD) -> Any:
        monkeypatch.setattr(large, "pack", real)
        packed = real(path, data, field)
        people.delete_person("u", ben)
        return packed

    monkeypatch.setattr(large, "pack", meanwhile)
    if work == "create":
        memories.create_memory("u", Memory(id="m", created_at=NOW, transcript_segments=named))
    else:
        memories.update_memory("u", "m", {"transcript_segments": named})
    kept = documents().get(memories.memory_path("u", "m"))
    assert kept is not None
    assert [item["person_id"] for item in kept.data["transcript_segments"]] == [None, None]


class _thread:
    """Runs ``function`` beside the test; what it raises is raised at the end of the block."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._errors: list[BaseException] = []
        self._function = function
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self._function()
        except BaseException as error:
            self._errors.append(error)
        finally:
            connections.close_all()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        if self._errors:
            raise self._errors[0]
