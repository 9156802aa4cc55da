"""Speakers for words of a provider that gives none, and one label for one voice across reconnects."""

from __future__ import annotations

import numpy as np
import pytest

from speakers.engines.scale import Scale
from speakers.turns import Heard, assign_speakers, connections, joined, relabelled, repair_labels
from transcription.segments import Segment, Word, speaker_number

from .conftest import LABELS, RATE, Talk, WriteWav


def words(talk: Talk) -> list[Word]:
    return [Word(text=item["word"], start=item["start"], end=item["end"]) for item in talk.words]


def truth(talk: Talk, word: Word) -> str:
    middle = (word.start + word.end) / 2
    return next((t["speaker"] for t in talk.turns if t["start"] <= middle <= t["end"]), "")


def test_words_get_the_voice_that_speaks_them(talk: Talk, wav: WriteWav) -> None:
    given = words(talk)
    labelled = assign_speakers(given, wav(talk.pcm))
    assert [word.text for word in labelled] == [word.text for word in given]
    assert [(word.start, word.end) for word in labelled] == [(word.start, word.end) for word in given]
    by_voice: dict[str, list[str | None]] = {}
    for word in labelled:
        by_voice.setdefault(truth(talk, word), []).append(word.speaker)
    main = {name: max(set(labels), key=labels.count) for name, labels in by_voice.items() if name}
    assert len(set(main.values())) == 3
    right = sum(word.speaker == main.get(truth(talk, word)) for word in labelled)
    assert right / len(labelled) > 0.95


def test_words_in_another_time_base_are_mapped_by_the_offset(talk: Talk, wav: WriteWav) -> None:
    pcm = talk.pcm[: 25 * RATE]
    given = [word for word in words(talk) if word.end < 25]
    shifted = [word.model_copy(update={"start": word.start + 100, "end": word.end + 100}) for word in given]
    plain = [word.speaker for word in assign_speakers(given, wav(pcm))]
    assert len(set(plain)) > 1
    assert [word.speaker for word in assign_speakers(shifted, wav(pcm), audio_offset=100.0)] == plain


def test_no_words_and_no_speech_are_legal(talk: Talk, wav: WriteWav) -> None:
    silence = wav(np.zeros(RATE * 3, np.int16))
    assert assign_speakers([], silence) == []
    assert [word.speaker for word in assign_speakers([Word(text="a", start=0, end=1)], silence)] == [None]


def test_a_voice_keeps_its_label_across_a_reconnect(talk: Talk, wav: WriteWav) -> None:
    """Two sockets count speakers independently, so labels swap after a switch."""
    cut = talk.turns[9]["start"] - 0.1
    swapped = {"SPEAKER_00": "SPEAKER_01", "SPEAKER_01": "SPEAKER_02", "SPEAKER_02": "SPEAKER_00"}
    segments = [
        item if item.start < cut else item.model_copy(update={"speaker": swapped[item.speaker]})
        for item in talk.segments()
    ]
    repaired = repair_labels(segments, wav(talk.pcm), starts=[0.0, cut])
    expected = [item.speaker for item in talk.segments()]
    assert [item.speaker for item in repaired] == expected
    assert [item.id for item in repaired] == [item.id for item in segments]


def test_voices_of_different_people_are_not_joined_across_a_reconnect(talk: Talk, wav: WriteWav) -> None:
    """The vendor calls David, before, and Peter, after the reconnect, SPEAKER_00."""
    cut = 40.0
    segments = [
        item.model_copy(update={"speaker": "SPEAKER_00"})
        for item, turn in zip(talk.segments(), talk.turns, strict=True)
        if (turn["speaker"] == "David" and turn["end"] < cut) or (turn["speaker"] == "Peter" and turn["start"] > cut)
    ]
    repaired = repair_labels(segments, wav(talk.pcm), starts=[0.0, cut])
    labels = {item.start < cut: item.speaker for item in repaired}
    assert labels[True] != labels[False]


def test_labels_of_one_connection_are_never_joined(talk: Talk, wav: WriteWav, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendor heard both at once and told them apart; nothing is embedded either."""
    monkeypatch.setattr("speakers.turns.one", lambda _: pytest.fail("the engine was asked"))
    segments = talk.segments()
    twin = [item.model_copy(update={"speaker": f"SPEAKER_{10 + i % 2}"}) for i, item in enumerate(segments)]
    assert repair_labels(twin, wav(talk.pcm)) == twin


def test_a_reconnect_that_nobody_noted_is_seen_by_its_labels(talk: Talk, wav: WriteWav) -> None:
    """After a vendor's reconnect inside a session all of its labels are new."""
    cut = talk.turns[9]["start"] - 0.1
    segments = [
        item if item.start < cut else item.model_copy(update={"speaker": f"SPEAKER_{item.speaker_id + 3:02d}"})
        for item in talk.segments()
    ]
    repaired = repair_labels(segments, wav(talk.pcm))
    assert [item.speaker for item in repaired] == [item.speaker for item in talk.segments()]


def said(speaker: str, start: float, end: float, provider: str = "a") -> Segment:
    return Segment(text="x", speaker=speaker, start=start, end=end, stt_provider=provider)


def test_a_connection_ends_with_its_session_its_provider_and_where_no_label_reaches_across() -> None:
    spoken = [
        said("SPEAKER_00", 0, 5), said("SPEAKER_01", 5, 9), said("SPEAKER_00", 9, 12),  # take turns: one connection
        said("SPEAKER_02", 13, 20),  # nobody from before is heard again
        said("SPEAKER_03", 14, 16, "b"),  # another provider
        said("SPEAKER_00", 30, 40),  # another session
    ]  # fmt: skip
    groups = [group for group, _ in connections(spoken, [0.0, 29.0])]
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups)) == 4


def test_two_voices_with_one_label_get_two_and_the_first_keeps_it() -> None:
    spoken = [said("SPEAKER_00", 0, 1), said("SPEAKER_01", 1, 2), said("SPEAKER_00", 9, 10), said("SPEAKER_01", 10, 11)]
    owner = [(0, "SPEAKER_00"), (0, "SPEAKER_01"), (1, "SPEAKER_00"), (1, "SPEAKER_01")]
    given = relabelled(spoken, owner, {(1, "SPEAKER_01"): (0, "SPEAKER_00")})
    assert [item.speaker for item in given] == ["SPEAKER_00", "SPEAKER_01", "SPEAKER_02", "SPEAKER_00"]


SCALE = Scale(window=0.4, cluster=0.6, part=0.5, label=0.7, sentence=0.45, utterance=0.45, margin=0.1)


def voice(*values: float, seconds: float, on: set[int]) -> Heard:
    row = np.array(values, np.float32)
    return Heard(row / np.float32(np.linalg.norm(row)), seconds, frozenset(on))


def test_a_sentence_after_a_drop_joins_the_voice_that_it_is_most_like_and_no_other_of_its_connection() -> None:
    heard = {
        "ana": voice(1, 0, 0, seconds=20, on={0}), "ben": voice(0, 1, 0, seconds=20, on={0}),
        "sentence": voice(0.6, 0.2, 0.75, seconds=2, on={1}),  # cosine 0.61 with Ana: enough for so little
        "guest": voice(0, 0.1, 1, seconds=20, on={2}),
        "long": voice(0.6, 0, -0.8, seconds=20, on={3}),  # cosine 0.6 with Ana: too little for so much
    }  # fmt: skip
    same = joined(heard, SCALE)
    assert same["sentence"] == same["guest"]  # 0.75: clearer than Ana
    assert same["long"] == "long"
    assert len({same["ana"], same["ben"], same["guest"]}) == 3
    del heard["guest"]
    assert joined(heard, SCALE)["sentence"] == "ana"
    heard["sentence"] = heard["sentence"]._replace(groups=frozenset({0}))  # the vendor heard both, and told them apart
    assert joined(heard, SCALE)["sentence"] == "sentence"


def test_voices_that_were_joined_are_compared_as_one_and_stay_apart_from_all_of_both_connections() -> None:
    heard = {
        "a0": voice(1, 0, seconds=10, on={0}), "b0": voice(0, 1, seconds=10, on={0}),
        "a1": voice(1, 0.05, seconds=10, on={1}), "x1": voice(1, 0.3, seconds=10, on={1}),
        "a2": voice(1, 0.02, seconds=1, on={2}),
    }  # fmt: skip
    same = joined(heard, SCALE)
    assert same["a0"] == same["a1"] == same["a2"]
    assert same["x1"] == "x1"
    assert same["b0"] == "b0"


@pytest.mark.parametrize(("beside", "joins"), [(0.05, True), (0.25, False)], ids=["clear", "like somebody else, too"])
def test_a_word_after_a_drop_is_rather_of_somebody_who_was_there_where_nobody_else_is_near(
    beside: float, joins: bool
) -> None:
    """Its cosine with Ana is 0.40: under the bound of 0.45, and over what two need that are clear of all others."""
    rest = float(np.sqrt(1 - 0.40**2 - beside**2))
    heard = {
        "ana": voice(1, 0, 0, seconds=20, on={0}), "ben": voice(0, 1, 0, seconds=20, on={0}),
        "word": voice(0.40, beside, rest, seconds=1, on={1}),
    }  # fmt: skip
    assert joined(heard, SCALE)["word"] == ("ana" if joins else "word")


def test_who_said_much_is_joined_by_their_voice_alone() -> None:
    """Strangers who are clear of all others were joined on ten seconds of each: 0.7 % of the seconds in noise."""
    heard = {
        "ana": voice(1, 0, 0, seconds=20, on={0}), "ben": voice(0, 1, 0, seconds=20, on={0}),
        "new": voice(0.65, 0, 0.76, seconds=12, on={1}),  # cosine 0.65 with Ana, of the 0.7 that are asked for
    }  # fmt: skip
    assert joined(heard, SCALE)["new"] == "new"


def test_what_another_vendor_knew_begins_as_one_voice(
    talk: Talk, wav: WriteWav, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the engine finds nothing in common: a voice that nothing can be said of keeps what is known."""
    monkeypatch.setattr("speakers.turns.LEAST", 1000.0)
    cut = talk.turns[9]["start"] - 0.1
    segments = [
        item if item.start < cut else item.model_copy(update={"speaker": f"SPEAKER_{item.speaker_id + 3:02d}"})
        for item in talk.segments()
    ]
    owner = connections(segments)
    known = {key: key[1] if key[0] == owner[0][0] else f"SPEAKER_{speaker_number(key[1]) - 3:02d}" for key in owner}
    repaired = repair_labels(segments, wav(talk.pcm), known=known)
    assert [item.speaker for item in repaired] == [item.speaker for item in talk.segments()]


@pytest.mark.parametrize("name", list(LABELS))
def test_one_voice_alone_is_one_label(talk: Talk, wav: WriteWav, name: str) -> None:
    pcm = talk.of(name)
    spoken = [Word(text=str(i), start=i * 1.0, end=i + 0.9) for i in range(int(len(pcm) / RATE))]
    assert len({word.speaker for word in assign_speakers(spoken, wav(pcm))}) == 1
