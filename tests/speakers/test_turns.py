"""Speakers for words of a provider that gives none, and one label for one voice across reconnects."""

from __future__ import annotations

import numpy as np
import pytest

from speakers.turns import assign_speakers, repair_labels
from transcription.segments import Word

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
    shifted = [word.model_copy(update={"start": word.start + 100, "end": word.end + 100}) for word in words(talk)]
    plain = [word.speaker for word in assign_speakers(words(talk), wav(talk.pcm))]
    assert [word.speaker for word in assign_speakers(shifted, wav(talk.pcm), audio_offset=100.0)] == plain


def test_no_words_and_no_speech_are_legal(talk: Talk, wav: WriteWav) -> None:
    silence = wav(np.zeros(RATE * 3, np.int16))
    assert assign_speakers([], silence) == []
    assert [word.speaker for word in assign_speakers([Word(text="a", start=0, end=1)], silence)] == [None]


def test_a_voice_keeps_its_label_across_a_reconnect(talk: Talk, wav: WriteWav) -> None:
    """omi-protocol 4.3 no. 18: two sockets count speakers independently, so labels swap after a switch."""
    cut = talk.turns[9]["start"] - 0.1
    swapped = {"SPEAKER_00": "SPEAKER_01", "SPEAKER_01": "SPEAKER_02", "SPEAKER_02": "SPEAKER_00"}
    segments = [
        item if item.start < cut else item.model_copy(update={"speaker": swapped[item.speaker]})
        for item in talk.segments()
    ]
    repaired = repair_labels(segments, wav(talk.pcm), groups=[(0.0, cut), (cut, 1000.0)])
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
    repaired = repair_labels(segments, wav(talk.pcm), groups=[(0.0, cut), (cut, 1000.0)])
    labels = {item.start < cut: item.speaker for item in repaired}
    assert labels[True] != labels[False]


def test_labels_of_one_connection_are_never_joined(talk: Talk, wav: WriteWav) -> None:
    segments = talk.segments()
    twin = [item.model_copy(update={"speaker": f"SPEAKER_{10 + i % 2}"}) for i, item in enumerate(segments)]
    assert len({item.speaker for item in repair_labels(twin, wav(talk.pcm))}) == 2


@pytest.mark.parametrize("name", list(LABELS))
def test_one_voice_alone_is_one_label(talk: Talk, wav: WriteWav, name: str) -> None:
    pcm = talk.of(name)
    spoken = [Word(text=str(i), start=i * 1.0, end=i + 0.9) for i in range(int(len(pcm) / RATE))]
    assert len({word.speaker for word in assign_speakers(spoken, wav(pcm))}) == 1
