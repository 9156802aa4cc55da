"""Memories through the repository, on the local twin: what must hold whatever two writers do."""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memories.models import MemoryRow
from memories.repository import emotions, large, memories, processing, transcripts
from memories.repository.large import Unreadable
from memories.shapes import Memory, Photo, ProcessingMemory, Visibility
from omi.stores.documents import documents, path
from omi.stores.documents.base import AlreadyExists, InvalidPath
from transcription.segments import Segment

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 15, 30, tzinfo=UTC)


def memory(identity: str | None = None, **fields: Any) -> Memory:
    return Memory(id=identity or str(uuid.uuid4()), **{"created_at": NOW, **fields})


def segments(count: int, text: str = "some words") -> list[Segment]:
    return [Segment(id=f"s{number}", text=text, start=number, end=number + 1) for number in range(count)]


def test_a_memory_comes_back_as_it_was() -> None:
    made = memory(
        structured={"title": "T", "category": "romantic", "events": [{"title": "E", "start": NOW}]},
        transcript_segments=segments(2),
        geolocation={"latitude": 1.0, "longitude": 2.0},
        photos=[Photo(base64="aGk=", description="one"), Photo(base64="aG8=", description="two")],
        unknown_field={"kept": [1, NOW]},
    )
    memories.create_memory("u", made)
    found = memories.get_memory("u", made.id)
    assert found == made.model_copy(update={"revision": 1, "photo_count": 2, "photo_size": 214}, deep=True)
    stored = documents().get(path("users", "u", "memories", made.id))
    assert stored is not None
    assert stored.data["photos"] == []
    assert stored.data["created_at"] == NOW
    assert isinstance(stored.data["structured"]["events"][0]["start"], datetime)
    assert stored.data["transcript_segments"][0]["speaker_id"] == 0


@pytest.mark.parametrize(
    "identity", ["a/b", "..", ".", "", "a\x00b", "x" * 2048, "__all__", "\ud800", "../other/memories/x"]
)
def test_an_id_that_cannot_be_one_is_not_found_on_every_verb(identity: str) -> None:
    verbs: list[Callable[[], Any]] = [
        lambda: memories.get_memory("u", identity),
        lambda: memories.update_memory("u", identity, {"discarded": True}),
        lambda: memories.delete_memory("u", identity),
    ]
    for verb in verbs:
        with pytest.raises(memories.MemoryNotFound):
            verb()
    with pytest.raises(processing.ProcessingMemoryNotFound):
        processing.get("u", identity)
    with pytest.raises(processing.ProcessingMemoryNotFound):
        processing.update("u", identity, {"finished": True})
    assert transcripts.list_transcripts("u", identity) == {}
    assert emotions.load_emotions("u", identity) is None


def test_a_stranger_reads_and_changes_nothing() -> None:
    made = memories.create_memory("owner", memory())
    with pytest.raises(memories.MemoryNotFound):
        memories.get_memory("stranger", made.id)
    with pytest.raises(memories.MemoryNotFound):
        memories.update_memory("stranger", made.id, {"visibility": "public"})
    with pytest.raises(memories.MemoryNotFound):
        memories.delete_memory("stranger", made.id)
    assert memories.list_memories("stranger").memories == []
    assert memories.get_memory("owner", made.id).visibility == Visibility.PRIVATE


def test_only_the_named_fields_are_written() -> None:
    """A fault of the original: a stale object written back whole undid what others had done meanwhile."""
    made = memories.create_memory("u", memory(structured={"title": "old"}))
    stale = memories.get_memory("u", made.id)
    memories.update_memory("u", made.id, {"visibility": Visibility.SHARED, "structured.overview": "by another"})
    memories.update_memory("u", made.id, {"structured.title": f"{stale.structured.title} and new"})
    found = memories.get_memory("u", made.id)
    assert found.visibility == Visibility.SHARED
    assert (found.structured.title, found.structured.overview) == ("old and new", "by another")
    assert found.revision == 3


def test_a_deleted_memory_is_not_brought_back_by_a_late_writer() -> None:
    """A fault of the original: ``set`` resurrected memories that were deleted meanwhile."""
    made = memories.create_memory("u", memory())
    memories.delete_memory("u", made.id)
    with pytest.raises(memories.MemoryNotFound):
        memories.update_memory("u", made.id, {"structured.title": "late"})
    with pytest.raises(AlreadyExists):
        memories.create_memory("u", made)
    with pytest.raises(memories.MemoryNotFound):
        memories.get_memory("u", made.id)
    assert memories.list_memories("u").memories == []


def test_a_writer_that_is_late_by_revision_is_refused() -> None:
    made = memories.create_memory("u", memory())
    memories.update_memory("u", made.id, {"discarded": True}, if_revision=1)
    with pytest.raises(memories.RevisionConflict):
        memories.update_memory("u", made.id, {"discarded": False}, if_revision=1)
    assert memories.get_memory("u", made.id).discarded


def test_no_change_is_no_write() -> None:
    made = memories.create_memory("u", memory())
    before = documents().get(path("users", "u", "memories", made.id))
    assert memories.mutate_memory("u", made.id, lambda current: {}).revision == 1
    after = documents().get(path("users", "u", "memories", made.id))
    assert before is not None
    assert after is not None
    assert before.version == after.version


def test_pages_by_cursor_miss_and_repeat_nothing_when_memories_come_and_go() -> None:
    for number in range(25):
        memories.create_memory("u", memory(f"m{number:02d}", created_at=NOW + timedelta(seconds=number // 2)))
    seen: list[str] = []
    cursor = None
    for turn in range(10):
        page = memories.list_memories("u", limit=10, cursor=cursor)
        seen += [item.id for item in page.memories]
        memories.create_memory("u", memory(f"new{turn}", created_at=NOW + timedelta(days=1, seconds=turn)))
        if turn == 0:
            memories.delete_memory("u", page.memories[-1].id)
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [f"m{number:02d}" for number in reversed(range(25))]


def test_offset_pages_as_the_original_has_them() -> None:
    for number in range(7):
        memories.create_memory(
            "u", memory(f"m{number}", created_at=NOW + timedelta(seconds=number), discarded=number == 3)
        )
    assert [item.id for item in memories.list_memories("u", limit=3, offset=2).memories] == ["m4", "m3", "m2"]
    kept = memories.list_memories("u", limit=3, offset=2, include_discarded=False)
    assert [item.id for item in kept.memories] == ["m4", "m2", "m1"]
    late = memories.list_memories("u", since=NOW + timedelta(seconds=2), until=NOW + timedelta(seconds=5))
    assert [item.id for item in late.memories] == ["m4", "m3", "m2"]


@pytest.mark.parametrize("cursor", ["x", "ä", "W10", "e30", "WyIxIiwyXQ", "WyIyMDI2LTAxLTAxIiwgImEvYiJd", "A" * 5000])
def test_a_cursor_that_is_not_ours_is_refused(cursor: str) -> None:
    with pytest.raises(memories.InvalidCursor):
        memories.list_memories("u", cursor=cursor)


@pytest.mark.parametrize("size", [1, 50])
def test_a_list_costs_the_same_number_of_reads_whatever_its_size(size: int, django_assert_num_queries: Any) -> None:
    for number in range(size):
        memories.create_memory("u", memory(f"m{number}"))
    with django_assert_num_queries(2):
        assert len(memories.list_memories("u", limit=50).memories) == size


def test_one_broken_document_hides_no_other(caplog: pytest.LogCaptureFixture) -> None:
    memories.create_memory("u", memory("good"))
    documents().create(path("users", "u", "memories", "bad"), {"created_at": NOW, "deleted": False, "structured": 7})
    encrypted = {"created_at": NOW, "deleted": False, "transcript_segments": "encrypted!"}
    documents().create(path("users", "u", "memories", "secret"), encrypted)
    assert [item.id for item in memories.list_memories("u").memories] == ["good"]
    for identity in ("bad", "secret"):
        with pytest.raises(Unreadable):
            memories.get_memory("u", identity)


# --- long transcripts


def test_a_long_transcript_moves_out_of_the_document_and_the_reader_does_not_notice() -> None:
    """A fault of the original: a document over 1 MiB could not be written."""
    import random

    words = random.Random(1)
    long = [
        Segment(id=f"s{n}", text="".join(words.choices("abcdefgh ", k=500)), start=n, end=n + 1) for n in range(6000)
    ]
    made = memories.create_memory("u", memory(transcript_segments=long[:10]))
    memories.update_memory("u", made.id, {"transcript_segments": long})
    stored = documents().get(path("users", "u", "memories", made.id))
    assert stored is not None
    assert stored.data["transcript_segments"] == []
    assert stored.data[large.CHUNKS]["parts"] > 1
    assert memories.get_memory("u", made.id).transcript_segments == long
    assert memories.list_memories("u").memories[0].transcript_segments == long
    # A write of another field leaves the chunks alone; a small list takes them away.
    memories.update_memory("u", made.id, {"structured.title": "T"})
    assert len(memories.get_memory("u", made.id).transcript_segments) == 6000
    memories.update_memory("u", made.id, {"transcript_segments": long[:3]})
    assert memories.get_memory("u", made.id).transcript_segments == long[:3]
    assert documents().collections(path("users", "u", "memories", made.id)) == []


def test_damaged_chunks_are_never_an_empty_transcript() -> None:
    long = segments(9000, "x" * 100)
    made = memories.create_memory("u", memory(transcript_segments=long))
    where = path("users", "u", "memories", made.id)
    documents().update(f"{where}/{large.CHUNKS}/000", {"data": b"damaged"})
    with pytest.raises(Unreadable):
        memories.get_memory("u", made.id)
    documents().delete(f"{where}/{large.CHUNKS}/000")
    with pytest.raises(Unreadable):
        memories.get_memory("u", made.id)


@pytest.mark.parametrize("encoding", ["list", "bytes", "hex"])
def test_encodings_of_other_years_are_read(encoding: str) -> None:
    import json

    plain = [{"text": "Hello", "speaker": "SPEAKER_1", "is_user": True, "start": 0, "end": 2}]
    packed = zlib.compress(json.dumps(plain).encode())
    value = {"list": plain, "bytes": packed, "hex": packed.hex()}[encoding]
    documents().create(
        path("users", "u", "memories", "old"),
        {"created_at": NOW, "deleted": False, "transcript_segments": value, "transcript_segments_compressed": True},
    )
    (segment,) = memories.get_memory("u", "old").transcript_segments
    assert (segment.text, segment.speaker_id, segment.is_user, segment.end) == ("Hello", 1, True, 2.0)
    assert segment.id == memories.get_memory("u", "old").transcript_segments[0].id
    memories.update_memory("u", "old", {"transcript_segments": [segment]})
    assert memories.get_memory("u", "old").transcript_segments == [segment]


def test_a_bomb_is_not_unpacked() -> None:
    bomb = zlib.compress(b"[" + b" " * (large.MAX_DECODED_BYTES + 10) + b"]", 9)
    data = {"created_at": NOW, "deleted": False, "transcript_segments": bomb}
    documents().create(path("users", "u", "memories", "bomb"), data)
    with pytest.raises(Unreadable):
        memories.get_memory("u", "bomb")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ITEMS = st.one_of(TEXTS, st.integers(-9, 9), st.booleans(), st.none())


@given(st.lists(st.dictionaries(st.sampled_from("abc"), ITEMS), max_size=20))
def test_packing_and_unpacking_is_the_identity(values: list[Any]) -> None:
    before = large.INLINE_BYTES
    for limit in (before, 0):
        large.INLINE_BYTES = limit
        try:
            data, chunks = large.pack("users/u/memories/m", {"transcript_segments": values, "other": 1})
        finally:
            large.INLINE_BYTES = before
        found = {name: _Chunk(chunk) for name, chunk in chunks.items()}
        assert bool(chunks) is (limit == 0 and bool(values))
        back = large.unpack("users/u/memories/m", data, found)  # type: ignore[arg-type]
        assert back == {"transcript_segments": values, "other": 1}


class _Chunk:
    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data


# --- transcripts


def test_the_same_transcript_twice_is_kept_once_and_another_beside_it() -> None:
    """A fault of the original: each run doubled the rows."""
    first, second = segments(3), segments(4, "other words")
    for _ in range(3):
        transcripts.save_transcript("u", "m", "fal_whisperx", first, {"n": 1})
    assert len(transcripts.list_versions("u", "m", "fal_whisperx")) == 1
    transcripts.save_transcript("u", "m", "fal_whisperx", second, {"n": 2})
    versions = transcripts.list_versions("u", "m", "fal_whisperx")
    assert [version.segments for version in versions] == [second, first]
    assert transcripts.list_transcripts("u", "m")["fal_whisperx"].meta == {"n": 2}
    transcripts.save_transcript("u", "m", "fal_whisperx", first, {"n": 3})
    assert transcripts.list_transcripts("u", "m")["fal_whisperx"].segments == first


def test_transcripts_wait_for_their_memory_and_say_which_is_shown() -> None:
    transcripts.save_transcript("u", "m", "deepgram_streaming", segments(1))
    assert not any(version.active for version in transcripts.list_transcripts("u", "m").values())
    memories.create_memory("u", memory("m", active_transcript="deepgram_streaming"))
    transcripts.save_transcript("u", "m", "fal_whisperx", segments(2))
    found = transcripts.list_transcripts("u", "m")
    assert {model: version.active for model, version in found.items()} == {
        "deepgram_streaming": True, "fal_whisperx": False,
    }  # fmt: skip


def test_the_originals_rows_are_read_without_their_doubles() -> None:
    where = f"{path('users', 'u', 'memories', 'm')}/soniox_streaming"
    for run in range(2):
        for number, text in ((1, "there"), (0, "Hello")):
            row = {"text": text, "speaker": "SPEAKER_0", "is_user": False, "start": number * 1.0, "end": number + 1.0}
            documents().create(f"{where}/{run}-{number}", row)
    found = transcripts.list_transcripts("u", "m")["soniox_streaming"]
    assert [segment.text for segment in found.segments] == ["Hello", "there"]
    assert found.version == "original"


@pytest.mark.parametrize("model", ["", "photos", "hume", "a/b", "..", "x" * 200, "Ä", "__x__"])
def test_a_model_that_cannot_name_a_collection_is_refused(model: str) -> None:
    with pytest.raises(InvalidPath):
        transcripts.save_transcript("u", "m", model, segments(1))
    assert transcripts.list_versions("u", "m", model) == []


def test_the_originals_emotions_are_read() -> None:
    import json

    row = {"start": 1.0, "end": 2.5, "emotions": json.dumps([{"name": "Joy", "score": 0.75}]), "created_at": NOW}
    documents().create(f"{path('users', 'u', 'memories', 'm')}/hume/1", row)
    timeline = emotions.load_emotions("u", "m")
    assert timeline is not None
    assert [(span.start, span.end, span.emotions[0].name) for span in timeline.spans] == [(1.0, 2.5, "joy")]


def test_emotions_come_back_and_replace_those_of_the_same_model() -> None:
    from emotions.base import EmotionScore, EmotionSpan, EmotionTimeline

    for count in (5000, 2):
        spans = [EmotionSpan(start=n, end=n + 1, emotions=[EmotionScore(name=f"e{k}", score=0.5) for k in range(10)])
                 for n in range(count)]  # fmt: skip
        timeline = EmotionTimeline(vendor="hume", model="v1/expression", kind="expression", spans=spans)
        emotions.save_emotions("u", "m", timeline)
        assert emotions.load_emotions("u", "m") == timeline


# --- processing memories


def test_two_devices_never_share_a_conversation() -> None:
    """A fault of the original: "the latest processing memory" of the user was resumed by any device."""
    for number, device in enumerate(["phone", "necklace", "phone", None]):
        processing.create(
            "u", ProcessingMemory(id=f"p{number}", device_id=device, created_at=NOW + timedelta(seconds=number))
        )
    found = {device: processing.latest_open("u", device) for device in ("phone", "necklace", None, "watch")}
    assert {device: item.id if item else None for device, item in found.items()} == {
        "phone": "p2", "necklace": "p1", None: "p3", "watch": None,
    }  # fmt: skip


def test_a_processing_memory_made_twice_is_the_first() -> None:
    first = processing.create("u", ProcessingMemory(id="p", created_at=NOW, session_ids=["a"]))
    again = processing.create("u", ProcessingMemory(id="p", created_at=NOW, session_ids=["b"]))
    assert first.session_ids == again.session_ids == ["a"]
    with pytest.raises(processing.ProcessingMemoryNotFound):
        processing.get("stranger", "p")


# --- the mirror row


def test_the_row_shows_the_newest_revision_whatever_the_order_of_arrival() -> None:
    from memories.mirror import rows

    made = memories.create_memory("u", memory("m"))
    newer = memories.update_memory("u", "m", {"discarded": True, "visibility": "public"})
    rows.record_memory("u", made)
    row = MemoryRow.objects.get(uid="u", memory_id="m")
    assert (row.revision, row.discarded, row.visibility) == (newer.revision, True, "public")


def test_a_documents_odd_texts_fit_into_the_columns_of_its_row() -> None:
    """What others wrote into the project's Firestore: NUL, which PostgreSQL refuses, and texts of any length."""
    odd = "a\0" + "x" * 5000
    memories.create_memory("u", memory("m").model_copy(update={"language": odd, "active_transcript": odd}))
    row = MemoryRow.objects.get(uid="u", memory_id="m")
    assert (row.language, len(row.active_transcript)) == ("a" + "x" * 31, 100)
    processing.create("u", ProcessingMemory(id="p", created_at=NOW, device_id=odd))
    from memories.mirror import compare

    assert not [item for item in compare.check_user("u") if item.kind == "row_stale"]
