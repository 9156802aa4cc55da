"""Pure rules of the live session: time lines, accounts, segments, pace, requests."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omi.core.websocket_masks import masked
from transcription.listen.daphne_socket import is_torn_audio, whole_audio_frames
from transcription.listen.pace import Pace
from transcription.listen.request import BadRequest, parse
from transcription.ports import VoiceLabel
from transcription.segments import Word, clean_text, joined, segment_id
from transcription.session.account import account
from transcription.session.segment_builder import SegmentBuilder
from transcription.session.timeline import Timeline


def test_a_time_line_maps_through_cuts_and_reconnects() -> None:
    line = Timeline()
    line.add(16000, 16000)
    line.add(80000, 32000)
    assert line.to_session(0.5) == pytest.approx(1.5)
    assert line.to_session(1.0, end=True) == pytest.approx(2.0)
    assert line.to_session(1.0) == pytest.approx(5.0)
    assert line.to_session(2.5) == pytest.approx(6.5)
    assert line.to_session(99.0) == pytest.approx(7.0)


@given(
    st.lists(st.tuples(st.integers(0, 16000), st.integers(1, 32000)), min_size=1, max_size=20),
    st.lists(st.floats(0, 50), min_size=2, max_size=20),
)
def test_session_times_never_run_backwards(pieces: list[tuple[int, int]], moments: list[float]) -> None:
    line, at = Timeline(), 0
    for gap, size in pieces:
        at += gap
        line.add(at, size)
        at += size
    mapped = [line.to_session(moment) for moment in sorted(moments)]
    assert mapped == sorted(mapped)
    assert 0 <= mapped[0] <= mapped[-1] <= at / 16000 + 1e-9


spans = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)).map(lambda pair: (min(pair), max(pair))), max_size=8)


@given(st.floats(0, 100), spans, spans, spans)
def test_every_second_is_exactly_one_of_three(
    received: float,
    covered: list[tuple[float, float]],
    speech: list[tuple[float, float]],
    said: list[tuple[float, float]],
) -> None:
    words = [Word(text="x", start=start, end=end) for start, end in said]
    result = account(received, covered, words, speech, "why")
    assert result.transcribed + result.silence + result.failed == pytest.approx(received, abs=1e-6)
    assert min(result.transcribed, result.silence, result.failed) >= 0
    assert sum(result.reasons.values()) == pytest.approx(result.failed)


words_strategy = st.lists(
    st.tuples(st.text(min_size=1, max_size=8), st.floats(0, 40), st.floats(0.01, 1), st.sampled_from([None, "a", "b"])),
    max_size=40,
)


@given(words_strategy, st.integers(1, 5))
def test_segments_conserve_every_word_and_deltas_add_up(
    raw: list[tuple[str, float, float, str | None]], batch: int
) -> None:
    at, words = 0.0, []
    for text, gap, length, speaker in raw:
        at += gap
        words.append(Word(text=text, start=at, end=at + length, speaker=speaker))
        at += length
    builder, shown = SegmentBuilder("s"), []
    for index in range(0, len(words), batch):
        shown += [delta.as_message() for delta in builder.add(words[index : index + batch], "m")]
    expected = "".join("".join(word.text.split()) for word in words)
    assert "".join("".join(item.text.split()) for item in builder.segments) == expected
    assert "".join("".join(str(item["text"]).split()) for item in shown) == expected
    assert len({item["id"] for item in shown}) == len(shown)
    assert len({item.id for item in builder.segments}) == len(builder.segments)
    starts = [item.start for item in builder.segments]
    assert starts == sorted(starts)
    assert all(0 <= item.start < item.end for item in builder.segments)
    assert all(isinstance(item["start"], float) for item in shown)


def test_labels_of_two_connections_are_never_assumed_equal() -> None:
    builder = SegmentBuilder("s")
    builder.add([Word(text="one", start=0, end=1, speaker="deepgram/1/0")], "m")
    builder.add([Word(text="two", start=2, end=3, speaker="deepgram/2/0")], "m")
    assert [item.speaker for item in builder.segments] == ["SPEAKER_00", "SPEAKER_01"]


def test_speakers_are_counted_on_from_an_earlier_sessions() -> None:
    builder = SegmentBuilder("s")
    builder.add([Word(text="one", start=0, end=1, speaker="a"), Word(text="two", start=2, end=3, speaker="b")], "m")
    builder.name_voice("SPEAKER_01", VoiceLabel(is_user=True))
    moved, changed = builder.renumber(3)
    assert moved == {"SPEAKER_00": "SPEAKER_03", "SPEAKER_01": "SPEAKER_04"}
    assert changed == builder.segments
    later = [Word(text="x", start=9, end=10, speaker=name) for name in ("b", "c")]
    builder.add([*later, Word(text="y", start=11, end=12)], "m")
    assert [item.speaker for item in builder.segments[:2]] == ["SPEAKER_03", "SPEAKER_04"]
    assert {(item.speaker, item.is_user) for item in builder.segments[1:]} == {
        ("SPEAKER_04", True), ("SPEAKER_05", False)
    }  # fmt: skip
    assert builder.renumber(3) == ({}, [])


def test_what_a_person_assigned_wins_over_what_is_heard_later() -> None:
    builder = SegmentBuilder("s")
    first = builder.add([Word(text="one", start=0, end=1, speaker="a")], "m")[0]
    builder.assign([first.segment.id], VoiceLabel(person_id="p1", score=1.0))
    builder.name_voice("SPEAKER_00", VoiceLabel(is_user=True, score=0.9))
    assert (builder.segments[0].person_id, builder.segments[0].is_user) == ("p1", False)
    later = builder.add([Word(text="two", start=50, end=51, speaker="a")], "m")[0]
    assert later.segment.is_user


def test_the_id_of_a_delta_stands_for_its_segment() -> None:
    builder = SegmentBuilder("s")
    builder.add([Word(text="one", start=0, end=1)], "m")
    delta = builder.add([Word(text="two", start=1, end=2)], "m")[0].as_message()
    assert delta["id"] != builder.segments[0].id
    assert builder.assign([str(delta["id"])], VoiceLabel(is_user=True))


def test_a_client_at_ten_times_the_limit_is_slowed_to_it() -> None:
    pace, now, waited = Pace(100.0, now=0.0), 0.0, 0.0
    for _ in range(2000):
        now += 0.001
        wait = pace.take(1.0, now + waited)
        waited += wait
    assert 2000 / (now + waited) == pytest.approx(100.0, rel=0.1)


def test_ten_thousand_frames_of_one_byte_a_second_are_abuse_and_opus_at_speed_is_not() -> None:
    tiny, opus = Pace(100.0), Pace(100.0)
    for index in range(5000):
        tiny.take(1 / 32000, index / 10_000)
        opus.take(0.01, index / 10_000)
    assert tiny.abusive
    assert not opus.abusive


def test_the_apps_own_query_is_understood() -> None:
    query = b"language=en&sample_rate=16000&codec=opus&uid=abc&include_speech_profile=true&new_memory_watch=true"
    request = parse(query + b"&stt_service=soniox")
    assert (request.codec.name, request.watch, request.preferred, request.updates) == ("opus", True, "soniox", False)
    assert parse(b"").codec.name == "pcm8"
    assert parse(b"language=auto").language == "multi"
    assert parse(b"", web=True).updates


@pytest.mark.parametrize(
    "query",
    [
        b"codec=mulaw8",
        b"codec=pcm16&sample_rate=44100",
        b"sample_rate=-1",
        b"sample_rate=99999999999999999999",
        b"stt_service=whisper",
        b"device_id=a%00b",
        b"language=%27%3B+drop",
        b"language=\xc3\xa9",
        b"new_memory_watch=maybe",
        b"channels=2",
        b"after=x",
        b"&".join(b"a%d=1" % n for n in range(80)),
    ],
)
def test_bad_parameters_are_refused(query: bytes) -> None:
    with pytest.raises(BadRequest):
        parse(query)


def _masked(payload: bytes, mask: bytes, opcode: int = 0x82) -> bytes:
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes([opcode]) + length + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


@given(
    st.lists(st.tuples(st.binary(max_size=400), st.binary(min_size=4, max_size=4)), max_size=6),
    st.integers(0, 30),
    st.sampled_from([b"", b"\x81\x85abcdhello", b"\x89\x80abcd", b"\x02\x81abcdx", b"\x82\x05hello", b"\xc2\x81abcdx"]),
)
def test_whole_audio_frames_are_taken_and_all_else_is_left_untouched(
    frames: list[tuple[bytes, bytes]], torn: int, other: bytes
) -> None:
    """``other``: text, a ping, a fragment, an unmasked and a compressed frame are autobahn's."""
    data = b"".join(_masked(payload, mask) for payload, mask in frames) + other
    assert whole_audio_frames(data) == ([payload for payload, _ in frames], other)
    last = _masked(b"x" * 200, b"abcd")[: -1 - torn]
    assert whole_audio_frames(data[: len(data) - len(other)] + last)[1] == last


@given(
    st.integers(1, 70000).map(lambda size: b"x" * size), st.integers(1, 8), st.sampled_from([b"\x81", b"\x02\x81ab"])
)
def test_the_beginning_of_an_audio_frame_waits_for_its_rest_and_nothing_else_does(
    payload: bytes, cut: int, other: bytes
) -> None:
    frame = masked(payload)
    whole = len(payload) < 65536  # longer ones are autobahn's
    assert all(is_torn_audio(frame[:stop]) for stop in (1, max(1, len(frame) - cut)) if whole or stop == 1)
    assert is_torn_audio(frame[:10]) is whole
    assert not is_torn_audio(b"")
    assert not is_torn_audio(other)
    if whole:
        assert whole_audio_frames(frame + frame) == ([payload, payload], b"")


@given(st.text(alphabet="ab ,.?\n", max_size=12), st.text(alphabet="ab ,.?\n", max_size=12))
@settings(max_examples=500)
def test_a_text_joined_to_a_clean_one_is_the_clean_text_of_both(left: str, right: str) -> None:
    assert joined(clean_text(left), right) == clean_text(f"{clean_text(left)} {right}")


@given(st.text(max_size=30), st.integers(0, 1000))
def test_a_segments_id_is_the_uuid_5_that_it_always_was(scope: str, index: int) -> None:
    """Ids of stored memories must come out the same."""
    namespace = uuid.UUID("6f9e9a0e-2f6b-4a0e-9f0a-7c1f0a3d5b21")
    assert segment_id(scope, index) == str(uuid.uuid5(namespace, f"{scope}/{index}"))
