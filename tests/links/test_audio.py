"""A link with audio lets the owner's own voice be heard, and nobody else's."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.test import Client

from memories import editing
from memories.links import own_voice
from memories.reshaping import merging, splitting
from memories.shapes import Memory
from omi.stores import audio
from omi.stores.models import AudioObject
from tests.api.conftest import Caller, segment
from tests.support import sound

Make = Callable[..., Memory]
M = "/v1/memories/alice-memory-1"
RATE = 16_000
SPOKEN = [
    segment("s0", "I say this.", "SPEAKER_00", 1.0, 3.0, is_user=True),
    segment("s1", "And I this.", "SPEAKER_01", 2.5, 4.0),
    segment("s2", "Mine again.", "SPEAKER_00", 5.0, 6.0, is_user=True),
]


def samples() -> np.ndarray[Any, np.dtype[np.int16]]:
    """Nine seconds without a zero: each sample says which it is."""
    return (np.arange(9 * RATE) % 30_000 + 1).astype("<i2")


@pytest.fixture
def memory(make_memory: Make) -> Memory:
    made = make_memory(transcript_segments=SPOKEN)
    audio.put("alice", "recording", sound.wav(samples().tobytes()), memory_id=made.id, keep_for=None)
    return made


def link(app: Caller, **body: Any) -> dict[str, Any]:
    answer = app.send("POST", f"{M}/links", body)
    assert answer.status_code == 200, answer.content
    made: dict[str, Any] = answer.json()
    return made


def heard(url: str, **headers: str) -> bytes:
    answer = Client().get(f"{url}/audio", headers=headers)
    assert answer.status_code in (200, 206), answer.status_code
    return b"".join(answer)


def where_it_sounds(content: bytes) -> list[tuple[float, float]]:
    with wave.open(io.BytesIO(content)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        made = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert len(made) == 9 * RATE
    sounding = made != 0
    assert (made[sounding] == samples()[sounding]).all()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], sounding.astype(int), [0]])))
    return [(float(begin) / RATE, float(end) / RATE) for begin, end in edges.reshape(-1, 2)]


def test_only_the_owners_voice_is_heard_and_silence_where_another_speaks_along(memory: Memory, alice: Caller) -> None:
    made = link(alice, audio=True)
    assert made["audio"] is True
    assert Client().get(made["url"]).json()["audio"] is True
    assert where_it_sounds(heard(made["url"])) == [(1.0, 2.25), (5.0, 6.0)]
    head = Client().head(f"{made['url']}/audio")
    assert (head.headers["Content-Length"], head.headers["Cache-Control"]) == (str(44 + 18 * RATE), "no-store")
    assert [item["views"] for item in alice.get(f"{M}/links").json()] == [1]


def test_a_voice_that_turns_out_to_be_anothers_is_silent_from_then_on(memory: Memory, alice: Caller) -> None:
    url = link(alice, audio=True)["url"]
    before = Client().head(f"{url}/audio").headers["ETag"]
    editing.assign_segments("alice", memory.id, ["s2"], editing.Decision())
    assert where_it_sounds(heard(url)) == [(1.0, 2.25)]
    assert Client().head(f"{url}/audio").headers["ETag"] != before
    editing.assign_segments("alice", memory.id, ["s0"], editing.Decision())
    assert Client().get(f"{url}/audio").status_code == 404
    assert Client().get(url).json()["audio"] is False


def test_times_of_another_that_a_vendor_gave_the_wrong_way_round_are_silent_all_the_same() -> None:
    mine = segment("s0", "I say this.", "SPEAKER_00", 0.0, 9.0, is_user=True)
    turned = segment("s1", "Somebody else.", "SPEAKER_01", 6.0, 4.0)
    assert own_voice.audible([mine, turned]) == ((0.0, 3.75), (6.25, 9.0))


def test_what_a_split_left_in_the_other_memory_is_not_heard_either(make_memory: Make) -> None:
    """Somebody speaks along on both sides of the place at which a memory is split: each part has words of its own."""
    whole = make_memory(
        transcript_segments=[
            segment("s0", "I say this.", "SPEAKER_00", 0.0, 5.0, is_user=True),
            segment("s1", "A long answer of somebody else.", "SPEAKER_01", 2.0, 7.0),
            segment("s2", "Mine again.", "SPEAKER_00", 4.0, 9.0, is_user=True),
            segment("s3", "Somebody else.", "SPEAKER_01", 8.0, 9.0),
        ]
    )
    assert own_voice.audible(whole.transcript_segments) == ((0.0, 1.75), (7.25, 7.75))
    first, second = splitting.split(whole, "s2", ["a", "b"])
    assert own_voice.audible(second.transcript_segments, second.spoken_beside) == ((3.25, 3.75),)
    third, fourth = splitting.split(whole, "s1", ["a", "b"])
    assert own_voice.audible(third.transcript_segments, third.spoken_beside)[0] == (0.0, 1.75)
    again, _ = splitting.split(second, "s3", ["a", "b"])
    joined = merging.merged(merging.placed([first, again], "c"), "c")
    assert own_voice.audible(joined.transcript_segments, joined.spoken_beside) == ((0.0, 1.75), (7.25, 7.75))
    assert fourth.spoken_beside == [0.0, 3.0]


def test_every_stretch_is_that_of_the_whole(memory: Memory, alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_voice, "PIECE", 1000)
    url = link(alice, audio=True)["url"]
    whole = heard(url)
    for start, end in (
        (0, 0),
        (0, 43),
        (10, 60),
        (43, 45),
        (44, 47),
        (31_999, 36_045),
        (len(whole) - 3, len(whole) - 1),
    ):
        assert heard(url, Range=f"bytes={start}-{end}") == whole[start : end + 1], (start, end)
    assert heard(url, Range="bytes=-5") == whole[-5:]
    assert Client().get(f"{url}/audio", headers={"Range": f"bytes={len(whole)}-"}).status_code == 416


def test_without_being_asked_for_a_link_has_no_audio(memory: Memory, alice: Caller) -> None:
    made = link(alice, fields=["transcript"])
    assert made["audio"] is False
    assert Client().get(f"{made['url']}/audio").status_code == 404
    assert Client().get(made["url"]).json()["audio"] is False


@pytest.mark.parametrize("content", [b"ID3 no wave", sound.wav(b"\1\0" * 4, channels=2), b""])
def test_of_what_is_no_recording_of_ours_nothing_is_heard(make_memory: Make, alice: Caller, content: bytes) -> None:
    memory = make_memory(transcript_segments=SPOKEN)
    url = link(alice, audio=True)["url"]
    assert Client().get(f"{url}/audio").status_code == 404
    audio.put("alice", "recording", content, memory_id=memory.id, keep_for=None)
    assert Client().get(f"{url}/audio").status_code == 404
    assert Client().get(url).json()["audio"] is False


def test_it_ends_with_the_link_and_with_the_recording(memory: Memory, alice: Caller) -> None:
    first, second = link(alice, audio=True), link(alice, audio=True)
    alice.delete(f"{M}/links/{first['id']}")
    assert Client().get(f"{first['url']}/audio").status_code == 404
    assert heard(second["url"])
    audio.delete(AudioObject.objects.get(memory_id=memory.id))
    assert Client().get(f"{second['url']}/audio").status_code == 404
    assert Client().get("/v1/shared/never-was/audio").status_code == 404


def test_others_leave_no_sound_at_their_edges() -> None:
    mine = [segment("a", "x", "SPEAKER_00", 0, 10, is_user=True), segment("b", "x", "SPEAKER_00", 9, 12, is_user=True)]
    others = [segment("c", "x", "SPEAKER_01", 2, 3), segment("d", "x", "SPEAKER_02", 3.1, 4),
              segment("e", "x", "SPEAKER_01", 11.9, 15), segment("f", "x", "SPEAKER_01", 20, 20)]  # fmt: skip
    assert own_voice.audible([*mine, *others]) == ((0.0, 1.75), (4.25, 11.65))
    assert own_voice.audible(others) == ()
    assert own_voice.audible(mine) == ((0.0, 12.0),)
    assert own_voice.audible([mine[0], segment("g", "x", "SPEAKER_01", -1, 11)]) == ()
