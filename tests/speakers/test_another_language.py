"""A man who speaks Russian, recorded: no rule knows a language (issues #12899 and #7187 of the original)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.speakers_data import load
from speakers import enrolment, people
from speakers.identify import identify
from speakers.quality import RejectedAudio
from transcription.segments import Segment

from .conftest import RATE, UID, Pcm, Talk, WriteWav

pytestmark = pytest.mark.django_db
HERE = Path(__file__).resolve().parent / "recordings"


@pytest.fixture(scope="module")
def enrol() -> Pcm:
    return load(HERE / "russian_enrol.flac")


@pytest.fixture(scope="module")
def probe() -> Pcm:
    """Another sentence of his."""
    return load(HERE / "russian_probe.flac")


def mixed(probe: Pcm, talk: Talk) -> tuple[Pcm, list[Segment]]:
    """He says one half, Anna something in English, he the other half."""
    anna = talk.of("Anna")[: 10 * RATE]
    pieces = [probe[: len(probe) // 2], anna, probe[len(probe) // 2 :]]
    edges = np.cumsum([0, *map(len, pieces)]) / RATE
    return np.concatenate(pieces), [
        Segment(id=str(index), text="x", speaker=speaker, start=float(edges[index]), end=float(edges[index + 1]))
        for index, speaker in enumerate(("SPEAKER_00", "SPEAKER_01", "SPEAKER_00"))
    ]


def test_he_is_enrolled_and_recognised_and_nobody_else(enrol: Pcm, probe: Pcm, talk: Talk, wav: WriteWav) -> None:
    done = enrolment.enrol_user(UID, wav(enrol))
    assert done.quality.voiced_seconds > 10
    pcm, segments = mixed(probe, talk)
    result = identify(UID, wav(pcm), segments, language="ru")
    assert [segment.is_user for segment in result.segments] == [True, False, True]
    assert result.segments == identify(UID, wav(pcm), segments, language="en").segments
    assert not any(segment.is_user for segment in identify(UID, wav(talk.pcm), talk.segments()).segments)


def test_where_an_english_voice_is_enrolled_he_is_a_stranger(
    enrolled: str, probe: Pcm, talk: Talk, wav: WriteWav
) -> None:
    pcm, segments = mixed(probe, talk)
    labels = [segment.is_user for segment in identify(enrolled, wav(pcm), segments).segments]
    assert labels == [False, True, False]


def test_he_is_a_person_like_any_other(enrolled: str, enrol: Pcm, probe: Pcm, talk: Talk, wav: WriteWav) -> None:
    ivan = people.create_person(enrolled, "Иван")
    enrolment.add_sample(enrolled, ivan.id, wav(enrol))
    pcm, segments = mixed(probe, talk)
    result = identify(enrolled, wav(pcm), segments)
    assert [segment.person_id for segment in result.segments] == [ivan.id, None, ivan.id]
    assert result.segments[1].is_user


def test_two_voices_are_two_whatever_they_speak(enrol: Pcm, talk: Talk, wav: WriteWav) -> None:
    with pytest.raises(RejectedAudio, match="More than one voice"):
        enrolment.enrol_user(UID, wav(np.concatenate([enrol[: 8 * RATE], talk.enrol_person[: 8 * RATE]])))
