"""Capture: sessions become processing memories; nothing is stored twice or overwritten by nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from memories.capture.sink import CaptureSink
from memories.ids import memory_id_for
from memories.pipeline.models import PostProcessingRun
from memories.repository import processing, transcripts
from memories.user_events import log
from transcription.ports import Accounting, Conversation, SessionInfo
from transcription.segments import Segment
from transcription.session.pieces import divided

pytestmark = pytest.mark.django_db(transaction=True)
BEGAN = datetime(2026, 11, 20, 10, tzinfo=UTC)


def session(name: str = "s-1", *, after: float = 0.0, device: str | None = None, uid: str = "alice") -> SessionInfo:
    return SessionInfo(uid, name, BEGAN + timedelta(seconds=after), "en", "opus", 16_000, device)


def said(identity: str, text: str, start: float, end: float) -> Segment:
    return Segment(id=identity, text=text, speaker="SPEAKER_00", start=start, end=end)


def do(work: Callable[[CaptureSink], Coroutine[Any, Any, Any]]) -> Any:
    return asyncio.run(work(CaptureSink()))


ALL_HEARD = Accounting(received=10.0, transcribed=8.0, silence=2.0, failed=0.0)


async def talk(sink: CaptureSink, info: SessionInfo, *segments: Segment, finish: bool = True) -> Conversation:
    conversation = await sink.open(info)
    await sink.store(info, conversation, divided(segments), last_audio=conversation.offset + 10.0)
    if finish:
        await sink.finish(info, conversation, reason="closed", accounting=ALL_HEARD)
    return conversation


def types(uid: str = "alice") -> list[str]:
    return [event["type"] for event in log.after(uid, 0)]


def test_a_session_becomes_a_processing_memory_and_asks_for_its_memory() -> None:
    conversation = do(lambda sink: talk(sink, session(), said("a", "Hello there.", 0, 2)))
    stored = processing.get("alice", conversation.id)
    assert (stored.finished, stored.session_ids, stored.timer_start) == (True, ["s-1"], BEGAN.timestamp())
    run = PostProcessingRun.objects.get()
    assert (run.kind, run.memory_id) == ("capture", memory_id_for(conversation.id))
    assert run.options["processing_memory_id"] == conversation.id
    assert types() == ["new_processing_memory_created", "new_memory_creating"]
    first = log.after("alice", 0)[0]
    assert first["event_type"] == first["type"]
    assert (first["processing_memory_id"], first["event_number"]) == (conversation.id, 1)


def test_doing_everything_again_after_a_crash_changes_nothing() -> None:
    async def again(sink: CaptureSink) -> None:
        for _ in range(2):
            await talk(CaptureSink(), session(), said("a", "Hello there.", 0, 2))

    do(again)
    assert PostProcessingRun.objects.count() == 1
    assert types() == ["new_processing_memory_created", "new_memory_creating"]
    [segment] = processing.latest_open("alice", None).transcript_segments  # type: ignore[union-attr]
    assert segment.text == "Hello there."


def test_a_client_that_comes_back_within_the_gap_continues() -> None:
    async def twice(sink: CaptureSink) -> tuple[Conversation, Conversation]:
        first = await talk(sink, session("s-1"), said("a", "Before.", 0, 2))
        return first, await talk(sink, session("s-2", after=100), said("b", "After.", 101, 103))

    first, second = do(twice)
    assert second.id == first.id
    assert (second.resumed, second.offset) == (True, 100.0)
    assert [segment.text for segment in second.segments] == ["Before."]
    stored = processing.get("alice", first.id)
    assert [segment.text for segment in stored.transcript_segments] == ["Before.", "After."]
    assert len(stored.timer_starts) == 2
    assert PostProcessingRun.objects.count() == 2  # what was said since is worked on, too


@pytest.mark.parametrize(("after", "same"), [(129.0, True), (131.0, False)])
def test_the_gap_is_counted_from_the_last_audio(after: float, same: bool) -> None:
    async def twice(sink: CaptureSink) -> bool:
        first = await talk(sink, session("s-1"), said("a", "Before.", 0, 2))  # last audio at 10 s, gap 120 s
        return (await sink.open(session("s-2", after=after))).id == first.id

    assert do(twice) is same


@pytest.mark.parametrize("after", [3.0, -60.0])
def test_a_clock_that_was_set_back_puts_no_word_among_earlier_ones(after: float) -> None:
    """The same where kept audio came faster than it was spoken."""

    async def twice(sink: CaptureSink) -> tuple[Conversation, Conversation]:
        first = await talk(sink, session("s-1"), said("a", "Before.", 0, 2))
        return first, await talk(sink, session("s-2", after=after), said("b", "After.", 11, 12))

    first, second = do(twice)
    assert second.id == first.id
    assert second.offset == 10.0
    assert processing.get("alice", first.id).timer_starts[1] == BEGAN.timestamp() + 10.0
    assert do(lambda sink: sink.open(session("s-2", after=after))).offset == 10.0


def test_hours_before_the_last_session_is_another_conversation() -> None:
    async def twice(sink: CaptureSink) -> tuple[str, str]:
        first = await talk(sink, session("s-1"), said("a", "Before.", 0, 2))
        return first.id, (await sink.open(session("s-2", after=-7200))).id

    first, second = do(twice)
    assert first != second


def test_two_devices_of_a_user_never_share_a_conversation() -> None:

    async def both(sink: CaptureSink) -> tuple[str, str, str]:
        necklace = await talk(sink, session("s-1", device="necklace"), said("a", "One.", 0, 2), finish=False)
        phone = await talk(sink, session("s-2", after=5, device="phone"), said("b", "Two.", 0, 2), finish=False)
        back = await sink.open(session("s-3", after=20, device="necklace"))
        return necklace.id, phone.id, back.id

    necklace, phone, back = do(both)
    assert necklace == back != phone
    assert [segment.text for segment in processing.get("alice", phone).transcript_segments] == ["Two."]


def test_text_is_never_overwritten_by_nothing() -> None:
    async def work(sink: CaptureSink) -> Conversation:
        conversation = await talk(sink, session(), said("a", "Keep me.", 0, 2), finish=False)
        await sink.store(session(), conversation, divided([]), last_audio=20.0)
        return conversation

    stored = processing.get("alice", do(work).id)
    assert [segment.text for segment in stored.transcript_segments] == ["Keep me."]
    assert stored.last_audio == 20.0


def test_two_sockets_of_one_conversation_keep_each_others_words() -> None:
    """A stale list was written back in full."""

    async def work(sink: CaptureSink) -> str:
        first, second = session("s-1"), session("s-2", after=1)
        one = await sink.open(first)
        two = await sink.open(second)
        assert one.id == two.id
        await sink.store(first, one, divided([said("a", "One.", 0, 1)]), last_audio=1)
        await sink.store(second, two, divided([said("b", "Two.", 2, 3)]), last_audio=3)
        await sink.store(first, one, divided([said("a", "One more.", 0, 1.5)]), last_audio=4)
        await sink.store(second, two, divided([said("c", "Two again.", 2, 3)]), last_audio=4)  # its own "b" is replaced
        return one.id

    stored = processing.get("alice", do(work))
    assert [segment.text for segment in stored.transcript_segments] == ["One more.", "Two again."]


def test_silence_asks_for_no_memory_but_lost_audio_does() -> None:
    async def silent(sink: CaptureSink) -> None:
        quiet = await sink.open(session("s-1"))
        await sink.finish(session("s-1"), quiet, reason="closed", accounting=Accounting(9.0, 0.0, 9.0, 0.0))

    do(silent)
    assert not PostProcessingRun.objects.exists()
    assert types() == []

    async def lost(sink: CaptureSink) -> None:
        failed = await sink.open(session("s-2", after=1000))
        await sink.finish(
            session("s-2"), failed, reason="closed", accounting=Accounting(9.0, 0.0, 0.0, 9.0, {"vendor": 9.0})
        )

    do(lost)
    assert PostProcessingRun.objects.get().kind == "capture"


def test_each_vendors_transcript_is_kept_and_a_resumed_one_grows() -> None:
    async def work(sink: CaptureSink) -> str:
        first = await talk(sink, session("s-1"), said("a", "Before.", 0, 2))
        await sink.store_transcripts(session("s-1"), first, {"soniox_streaming": [said("x", "Before.", 0, 2)]})
        back = session("s-2", after=60)
        second = await talk(sink, back, said("b", "After.", 61, 63))
        for _ in range(2):
            await sink.store_transcripts(back, second, {"soniox_streaming": [said("y", "After.", 61, 63)]})
        return first.id

    stored = transcripts.list_transcripts("alice", memory_id_for(do(work)))
    assert [segment.text for segment in stored["soniox_streaming"].segments] == ["Before.", "After."]


def test_vendors_labels_are_stored_as_the_app_reads_them_and_never_assumed_the_same_voice() -> None:
    """Anything but X_<int> throws in the app, and numbers belong to one connection."""

    def named(identity: str, start: float, label: str) -> Segment:
        return said(identity, "Words.", start, start + 2).model_copy(update={"speaker": label})

    async def work(sink: CaptureSink) -> str:
        first = await talk(sink, session("s-1"), said("a", "Words.", 0, 2))
        one = [named("x", 0, "deepgram/1/0"), named("y", 3, "deepgram/1/4"), named("z", 6, "deepgram/1/0")]
        await sink.store_transcripts(session("s-1"), first, {"deepgram_streaming": one})
        back = session("s-2", after=60)
        second = await talk(sink, back, said("b", "Words.", 61, 63))
        await sink.store_transcripts(back, second, {"deepgram_streaming": [named("v", 61, "deepgram/1/0")]})
        return first.id

    stored = transcripts.list_transcripts("alice", memory_id_for(do(work)))["deepgram_streaming"].segments
    assert [segment.speaker for segment in stored] == ["SPEAKER_00", "SPEAKER_01", "SPEAKER_00", "SPEAKER_02"]


def test_an_unwatched_session_leaves_nothing() -> None:
    async def work(sink: CaptureSink) -> None:
        conversation = await sink.open(session(), watch=False)
        await sink.store(session(), conversation, divided([said("a", "Only text.", 0, 1)]), last_audio=1)
        await sink.store_transcripts(session(), conversation, {"soniox_streaming": [said("a", "Only text.", 0, 1)]})
        await sink.finish(session(), conversation, reason="closed", accounting=ALL_HEARD)

    do(work)
    assert processing.latest_open("alice", None) is None
    assert not PostProcessingRun.objects.exists()
    assert types() == []
