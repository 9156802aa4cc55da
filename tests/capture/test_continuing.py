"""Which conversation a session belongs to, and from when on: by the wall clock of what was heard, never by guesses."""

from __future__ import annotations

import asyncio

import pytest

from memories.capture.sink import CaptureSink
from memories.ids import memory_id_for
from memories.pipeline.models import PostProcessingRun
from memories.repository import processing, transcripts
from tests.capture.test_sink import ALL_HEARD, BEGAN, said, session
from transcription.ports import Conversation, SessionInfo
from transcription.segments import Segment, segment_id
from transcription.session.pieces import divided

pytestmark = pytest.mark.django_db(transaction=True)


async def heard(
    sink: CaptureSink, info: SessionInfo, *segments: Segment, audio: float, at: float | None = None
) -> Conversation:
    """A session that goes on: its segments (conversation seconds), and how far its audio reaches."""
    conversation = await sink.open(info)
    wall = None if at is None else BEGAN.timestamp() + at
    await sink.store(info, conversation, divided(segments), last_audio=conversation.offset + audio, heard_at=wall)
    return conversation


async def ended(sink: CaptureSink, info: SessionInfo, conversation: Conversation, reason: str = "disconnect") -> None:
    await sink.close(info, conversation, reason=reason)
    await sink.finish(info, conversation, reason=reason, accounting=ALL_HEARD)


def test_lost_packets_and_pauses_do_not_split_a_conversation() -> None:
    """2 % of the packets of 100 minutes are lost: two minutes of audio time, which is the gap."""

    async def work() -> tuple[str, str]:
        sink, first = CaptureSink(), session("s-1")
        one = await heard(sink, first, said("a", "Words.", 0, 5870), audio=5880.0, at=6000.0)
        await ended(sink, first, one)
        return one.id, (await sink.open(session("s-2", after=6020))).id

    first, second = asyncio.run(work())
    assert first == second


@pytest.mark.parametrize(("before", "same"), [(0.3, True), (1.5, False), (30.0, False)])
def test_no_session_lies_before_the_beginning_of_its_conversation(before: float, same: bool) -> None:
    """Its process was killed before a word of it was stored, and the device came back on another host: half a second
    of what it had heard lay before the conversation's beginning, failed, and was never transcribed."""

    async def work() -> tuple[Conversation, Conversation]:
        sink = CaptureSink()
        one = await heard(sink, session("s-2"), said("a", "Words.", 0, 2), audio=5.0)
        return one, await sink.open(session("s-1", after=-before))

    one, recovered = asyncio.run(work())
    assert (recovered.id == one.id, recovered.offset) == (same, 0.0)


@pytest.mark.parametrize("reason", ["gap", "finish"])
def test_what_ended_by_gap_or_finish_is_not_resumed(reason: str) -> None:
    async def work() -> tuple[str, str]:
        sink, first = CaptureSink(), session("s-1")
        one = await heard(sink, first, said("a", "Before.", 0, 2), audio=10.0)
        await sink.close(first, one, reason=reason)  # the vendors still owe their last words
        second = await sink.open(session("s-2", after=11))
        await sink.store(first, one, divided([said("a", "Before. And a last word.", 0, 3)]), last_audio=10.0)
        await sink.finish(first, one, reason=reason, accounting=ALL_HEARD)
        return one.id, second.id

    first, second = asyncio.run(work())
    assert first != second
    assert [item.text for item in processing.get("alice", first).transcript_segments] == ["Before. And a last word."]


def test_sessions_that_overlap_keep_all_words_their_own_times_and_their_transcripts() -> None:
    """Two sockets of one user without a device id, as the app of 2024 opens them: 201 words became 108."""

    def own(name: str, index: int, text: str, start: float) -> Segment:
        return Segment(id=segment_id(name, index), text=text, speaker="SPEAKER_00", start=start, end=start + 2)

    def vendors(name: str, model: str, index: int, text: str, start: float) -> Segment:
        return own(f"{name}/{model}", index, text, start)

    async def work() -> str:
        sink, first, second = CaptureSink(), session("s-1"), session("s-2", after=3)
        one = await heard(sink, first, own("s-1", 0, "First one.", 0), audio=6.0, at=6.0)
        two = await heard(sink, second, own("s-2", 0, "Second one.", 4), audio=3.0, at=6.0)
        assert two.id == one.id
        assert two.offset == pytest.approx(3.0)  # not behind what the other one has heard
        await sink.store(
            first, one, divided([own("s-1", 0, "First one.", 0), own("s-1", 1, "First two.", 8)]), last_audio=12.0
        )
        await sink.store(
            second, two, divided([own("s-2", 0, "Second one.", 4), own("s-2", 1, "Second two.", 9)]), last_audio=12
        )
        for info, conversation, name, start in ((first, one, "s-1", 0.0), (second, two, "s-2", 4.0)):
            given = {
                "soniox_streaming": [vendors(name, "soniox_streaming", 0, f"Heard by {name}.", start)],
                "consensus": [own(name, 0, f"Voted in {name}.", start)],
            }
            for _ in range(2):  # again, as after a crash
                await sink.store_transcripts(info, conversation, given)
        await ended(sink, first, one)
        await ended(sink, second, two)
        return one.id

    found = asyncio.run(work())
    texts = [item.text for item in processing.get("alice", found).transcript_segments]
    assert texts == ["First one.", "Second one.", "First two.", "Second two."]
    stored = transcripts.list_transcripts("alice", memory_id_for(found))
    assert [item.text for item in stored["soniox_streaming"].segments] == ["Heard by s-1.", "Heard by s-2."]
    assert [item.text for item in stored["consensus"].segments] == ["Voted in s-1.", "Voted in s-2."]


def test_a_gap_of_one_socket_does_not_end_what_another_one_goes_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omi.core.clock.time", lambda: BEGAN.timestamp() + 20)

    async def work() -> tuple[str, str]:
        sink, first, second = CaptureSink(), session("s-1"), session("s-2", after=3)
        one = await heard(sink, first, said("a", "One.", 0, 2), audio=10.0, at=10.0)
        two = await heard(sink, second, said("b", "Two.", 4, 6), audio=12.0, at=15.0)
        await ended(sink, first, one, "gap")
        assert await asyncio.to_thread(PostProcessingRun.objects.count) == 0  # the other one asks for the memory
        third = await sink.open(session("s-3", after=18))
        await ended(sink, session("s-3", after=18), third)
        await ended(sink, second, two)
        return one.id, third.id

    first, third = asyncio.run(work())
    assert first == third
    assert PostProcessingRun.objects.count() == 1


def test_the_longer_vote_of_a_conversation_that_went_on_is_what_is_read() -> None:
    """The memory shows the vote of the first session; the one over both sessions must be found beside it."""
    from memories.repository import memories as repository
    from memories.shapes import Memory

    def vote(name: str, text: str, start: float) -> Segment:
        return Segment(id=segment_id(name, 0), text=text, speaker="SPEAKER_00", start=start, end=start + 2)

    async def work(last: bool) -> str:
        sink = CaptureSink()
        if not last:
            first = session("s-1")
            one = await heard(sink, first, vote("s-1", "shown", 0), audio=5.0)
            await sink.store_transcripts(first, one, {"consensus": [vote("s-1", "voted", 0)]})
            await ended(sink, first, one)
            return one.id
        found = ""
        for number, after in ((2, 60), (3, 90)):
            info = session(f"s-{number}", after=after)
            conversation = await heard(sink, info, vote(info.session_id, "shown", after), audio=5.0)
            voted = [vote(info.session_id, f"voted {number}", after)]
            await sink.store_transcripts(info, conversation, {"consensus": voted})
            await ended(sink, info, conversation)
            found = conversation.id
        return found

    conversation = asyncio.run(work(last=False))
    memory = memory_id_for(conversation)
    repository.create_memory(
        "alice",
        Memory(id=memory, created_at=BEGAN, started_at=BEGAN, active_transcript="consensus",
               transcript_segments=[vote("s-1", "voted", 0)]),
    )  # fmt: skip
    assert asyncio.run(work(last=True)) == conversation
    texts = [item.text for item in transcripts.newest_live("alice", memory, "consensus")]
    assert texts == ["voted", "voted 2", "voted 3"]


def test_what_is_said_after_a_deletion_is_a_new_conversation_and_loses_no_word() -> None:
    """The memory of a conversation is deleted while it goes on: the next ten seconds of talk went with it, unsaid."""
    from memories.repository import memories as repository
    from memories.shapes import Memory
    from tests.transcription.fakes import Script, spoken_pcm
    from tests.transcription.live_session import Run, words

    async def work() -> tuple[str, str]:
        sink = CaptureSink()
        it = Run(Script(), sink=sink)  # type: ignore[arg-type]
        it.session.start()
        await it.feed(spoken_pcm([1, 2, 3, 4]), pause=0.02)
        await it.session._store()
        assert it.session.conversation is not None
        first = it.session.conversation.id

        def made_and_deleted() -> None:
            memory = memory_id_for(first)
            repository.create_memory("u1", Memory(id=memory, created_at=BEGAN, processing_memory_id=first))
            processing.update("u1", first, {"memory_id": memory})
            repository.delete_memory("u1", memory)

        await asyncio.to_thread(made_and_deleted)
        await asyncio.sleep(0.05)
        await it.feed(spoken_pcm(list(range(5, 31))), pause=0.05)
        await it.session.finish("finish")
        assert it.session.conversation is not None
        assert it.shown == words(*range(1, 31))
        return first, it.session.conversation.id

    first, second = asyncio.run(work())
    assert first != second
    said = " ".join(item.text for item in processing.get("u1", second).transcript_segments).split()
    # Audio that is fed faster than it was spoken has no exact place on the wall clock.
    assert said[-22:] == words(*range(9, 31))
    assert "w1" not in said
    assert PostProcessingRun.objects.filter(memory_id=memory_id_for(second)).count() == 1
