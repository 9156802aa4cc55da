"""The live path stores what is new: pieces of bounded size, which whoever reads a conversation sees put together."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from memories.capture.sink import CaptureSink
from memories.mirror import compare_parts
from memories.privacy import export, person_forgetting
from memories.repository import live_segments, processing
from omi.stores.documents import documents
from omi.stores.documents.base import NotFound, Unreadable
from omi.stores.models import LocalDocument
from speakers import people
from tests.capture.test_sink import session
from transcription.ports import Conversation, ConversationGone, VoiceLabel
from transcription.segments import Segment, Word, segment_id
from transcription.session.pieces import PIECE_CHARACTERS, PIECE_SEGMENTS
from transcription.session.segment_builder import SegmentBuilder

pytestmark = pytest.mark.django_db(transaction=True)
UID = "alice"
SENTENCE = "so they said that it would be ready by then"


class Talk:
    """A session that says a sentence every few seconds and stores what is new, as a live session does."""

    def __init__(self, name: str = "s-1", *, after: float = 0.0) -> None:
        self.sink = CaptureSink()
        self.info = session(name, after=after)
        self.builder = SegmentBuilder(name)
        self.conversation: Conversation | None = None
        self.seconds = 0.0

    async def opened(self) -> Conversation:
        self.conversation = self.conversation or await self.sink.open(self.info)
        return self.conversation

    def say(self, text: str, speaker: str = "a") -> None:
        words = text.split()
        self.builder.add(
            [Word(text=word, start=self.seconds + n * 0.2, end=self.seconds + n * 0.2 + 0.2, speaker=speaker)
             for n, word in enumerate(words)],
            "vendor",
        )  # fmt: skip
        self.seconds += 4.0

    async def store(self, **more: Any) -> None:
        await self.sink.store(
            self.info, await self.opened(), self.builder.pieces.take(), last_audio=self.seconds, **more
        )

    async def minute(self) -> None:
        for number in range(15):
            self.say(f"{SENTENCE} {number}", "ab"[len(self.builder.segments) % 2])
            await self.store()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every document that is written, with its size as it is stored."""
    found: list[tuple[str, int]] = []
    store = type(documents())
    apply = store._write  # type: ignore[attr-defined]

    def noted(self: Any, write: Any, *args: Any, **more: Any) -> Any:
        row = apply(self, write, *args, **more)
        if row is not None:
            found.append((write.path, len(row.body)))
        return row

    monkeypatch.setattr(store, "_write", noted)
    return found


def do(work: Callable[[], Any]) -> Any:
    return asyncio.run(work())


def stored(talk: Talk) -> list[str]:
    assert talk.conversation is not None
    return [item.text for item in processing.get(UID, talk.conversation.id).transcript_segments]


def pieces_of(talk: Talk) -> list[str]:
    assert talk.conversation is not None
    return documents().document_ids(f"{processing.processing_path(UID, talk.conversation.id)}/live_segments")


def test_a_minute_of_a_long_conversation_writes_what_the_first_one_wrote(written: list[tuple[str, int]]) -> None:
    talk = Talk()
    minutes: list[list[tuple[str, int]]] = []

    async def work() -> None:
        for _ in range(60):
            written.clear()
            await talk.minute()
            minutes.append(list(written))

    do(work)
    assert len(stored(talk)) == 60 * 15
    # The first store of a session also writes the conversation's own document.
    later = minutes[1:]
    assert {len(minute) for minute in later} <= {15, 16}  # a store that begins a piece may finish the one before
    sizes = [sum(size for _, size in minute) for minute in later]
    assert max(sizes[-10:]) <= 1.2 * max(sizes[:10])
    assert max(size for minute in later for _, size in minute) < 2 * PIECE_CHARACTERS + 400 * PIECE_SEGMENTS
    own = processing.processing_path(UID, talk.conversation.id)  # type: ignore[union-attr]
    assert all(path.startswith(f"{own}/live_segments/s-1-") for minute in later for path, _ in minute)


def test_a_correction_of_an_earlier_segment_rewrites_only_its_piece(written: list[tuple[str, int]]) -> None:
    talk = Talk()

    async def work() -> None:
        for _ in range(10):
            await talk.minute()
        written.clear()
        talk.builder.retext([talk.builder.segments[3].model_copy(update={"text": "what was really said"})])
        await talk.store()

    do(work)
    assert len(pieces_of(talk)) > 3
    assert [path.rsplit("/", 1)[1] for path, _ in written] == ["s-1-00000"]
    assert stored(talk)[3] == "what was really said"


def test_a_voice_that_is_named_late_reaches_all_that_it_has_said() -> None:
    talk = Talk()
    person = people.create_person(UID, "Anna")

    async def work() -> None:
        for _ in range(5):
            await talk.minute()
        talk.builder.name_voice("SPEAKER_00", VoiceLabel(person_id=person.id, score=0.9))
        await talk.store()

    do(work)
    found = processing.get(UID, talk.conversation.id).transcript_segments  # type: ignore[union-attr]
    assert {item.person_id for item in found if item.speaker == "SPEAKER_00"} == {person.id}
    assert {item.person_id for item in found if item.speaker == "SPEAKER_01"} == {None}


def test_who_comes_back_continues_behind_what_all_pieces_say() -> None:
    first, second = Talk(), Talk("s-2", after=70)

    async def work() -> None:
        await first.minute()
        await first.sink.close(first.info, await first.opened(), reason="disconnect")
        conversation = await second.opened()
        assert (conversation.resumed, conversation.offset, len(conversation.segments)) == (True, 70.0, 15)
        assert conversation.spoken_until > 55.0
        second.say("and here we are again")
        second.builder.segments[-1].start, second.builder.segments[-1].end = 71.0, 72.0
        await second.store()

    do(work)
    assert len(stored(first)) == 16
    assert stored(first)[-1] == "and here we are again"
    found = processing.get(UID, first.conversation.id)  # type: ignore[union-attr]
    assert found.last_audio == 60.0
    assert (found.audio["s-1"].until, found.audio["s-1"].over) == (60.0, True)


def test_a_conversation_of_an_older_server_goes_on_and_keeps_its_list() -> None:
    talk = Talk()

    conversation = do(talk.opened)
    old = {"text": "from before", "speaker": "SPEAKER_00", "is_user": False, "start": 0.5, "end": 1.5}
    where = processing.processing_path(UID, conversation.id)
    documents().update(where, {"transcript_segments": [old], "last_audio": 2.0})

    async def work() -> None:
        talk.seconds = 4.0
        talk.say("and from now")
        await talk.store()

    do(work)
    assert stored(talk) == ["from before", "and from now"]
    found = processing.get(UID, talk.conversation.id)  # type: ignore[union-attr]
    assert found.transcript_segments[0].id == segment_id(found.id, 0)


def test_what_is_made_good_later_takes_its_place_among_pieces(written: list[tuple[str, int]]) -> None:
    talk = Talk()

    async def work() -> None:
        for _ in range(10):
            await talk.minute()

    do(work)
    written.clear()
    made = Segment(id="made", text="made good", speaker="SPEAKER_00", start=601.0, end=602.0)
    gone = talk.builder.segments[0].id

    def change(current: Any) -> dict[str, Any]:
        kept = [item for item in current.transcript_segments if item.id != gone]
        return {"transcript_segments": [*kept, made], "accounting": {"s-1": {}}}

    changed = processing.mutate(UID, talk.conversation.id, change)  # type: ignore[union-attr]
    assert changed.transcript_segments == processing.get(UID, changed.id).transcript_segments
    assert stored(talk)[-1] == "made good"
    assert len(stored(talk)) == 150
    own = processing.processing_path(UID, changed.id)
    assert {path for path, _ in written} == {own, f"{own}/live_segments/s-1-00000"}


def test_a_piece_that_is_written_while_a_list_is_changed_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    talk = Talk()
    do(talk.minute)
    identity = talk.conversation.id  # type: ignore[union-attr]
    where = processing.processing_path(UID, identity)
    turns: list[int] = []

    def change(current: Any) -> dict[str, Any]:
        if not turns:  # another session writes between the read and the transaction
            [name] = documents().document_ids(f"{where}/live_segments")
            before = documents().get(f"{where}/live_segments/{name}")
            assert before is not None
            first, *rest = before.data["transcript_segments"]
            documents().update(before.path, {"transcript_segments": [{**first, "text": "corrected"}, *rest]})
        turns.append(len(current.transcript_segments))
        return {"transcript_segments": current.transcript_segments[:-1]}

    processing.mutate(UID, identity, change)
    assert turns == [15, 15]
    assert stored(talk)[0] == "corrected"
    assert len(stored(talk)) == 14


def test_a_damaged_piece_is_never_read_as_silence() -> None:
    talk = Talk()
    do(talk.minute)
    [name] = pieces_of(talk)
    where = processing.processing_path(UID, talk.conversation.id)  # type: ignore[union-attr]
    assert LocalDocument.objects.filter(path=f"{where}/live_segments/{name}").update(body="{not json") == 1
    with pytest.raises(Unreadable):
        processing.get(UID, talk.conversation.id)  # type: ignore[union-attr]


def test_nothing_is_written_below_a_conversation_that_was_erased() -> None:
    talk = Talk()

    do(talk.minute)
    where = processing.processing_path(UID, talk.conversation.id)  # type: ignore[union-attr]
    documents().delete(where, recursive=True)
    talk.say("and one more")
    with pytest.raises(ConversationGone):
        do(talk.store)
    assert documents().collections(where) == []
    with pytest.raises(NotFound):
        documents().update(where, {"finished": True})


def test_a_person_who_is_deleted_is_named_in_no_piece_any_more() -> None:
    talk = Talk()
    person = people.create_person(UID, "Anna")

    async def work() -> None:
        await talk.minute()
        talk.builder.name_voice("SPEAKER_00", VoiceLabel(person_id=person.id, score=0.9))
        await talk.store()

    do(work)
    people.delete_person(UID, person.id)
    found = processing.get(UID, talk.conversation.id).transcript_segments  # type: ignore[union-attr]
    assert {item.person_id for item in found} == {None}
    assert person_forgetting.forget(UID, person.id)
    where = processing.processing_path(UID, talk.conversation.id)  # type: ignore[union-attr]
    assert person.id not in json.dumps([piece.data for piece in live_segments.read(where)])
    talk.builder.pieces.all_changed()  # a session that still holds the id
    do(talk.store)
    assert person.id not in json.dumps([piece.data for piece in live_segments.read(where)])


def test_an_export_and_the_mirror_see_a_conversation_as_a_whole() -> None:
    talk = Talk()
    do(talk.minute)
    found = dict(export._json_files(UID))
    name = f"processing_memories/{talk.conversation.id}.json"  # type: ignore[union-attr]
    assert [item["text"] for item in found[name]["transcript_segments"]] == stored(talk)
    assert not [other for other in found if "live_segments" in other]
    assert list(compare_parts.check_processing(UID)) == []

    async def end() -> None:
        await talk.sink.finish(talk.info, await talk.opened(), reason="finish")

    do(end)
    assert list(compare_parts.check_processing(UID)) == []
