"""The bundled voices: Anna (user), David (person), Peter (stranger), cut from recordings with known turns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from rest_framework.test import APIClient

from omi.accounts.tokens import mint
from omi.core.providers import one
from speakers import enrolment, people
from speakers.engines.registry import ConfiguredVoices
from speakers.quality import Quality
from speakers.shapes import Person
from tests.support import sound
from transcription.segments import Segment, speaker_label

RECORDINGS = Path(__file__).resolve().parents[2] / "demo" / "recordings"
RATE = 16_000
UID = "ana-1"
LABELS = {"David": 0, "Anna": 1, "Peter": 2}

Pcm = NDArray[np.int16]
WriteWav = Callable[..., Path]


class Talk:
    def __init__(self) -> None:
        from bench.speakers_data import load

        script = json.loads((RECORDINGS / "conversation.json").read_text(encoding="utf-8"))
        self.pcm: Pcm = load(RECORDINGS / "conversation.flac")
        self.turns: list[dict] = script["turns"]
        self.words: list[dict] = script["words"]
        self.enrol_user: Pcm = load(RECORDINGS / "enrol_user.flac")
        self.enrol_person: Pcm = load(RECORDINGS / "enrol_person.flac")

    def segments(self, shift: float = 0.0) -> list[Segment]:
        return [
            Segment(
                id=f"s{index}",
                text=turn["text"],
                speaker=speaker_label(LABELS[turn["speaker"]]),
                start=turn["start"] + shift,
                end=turn["end"] + shift,
            )
            for index, turn in enumerate(self.turns)
        ]

    def of(self, name: str) -> Pcm:
        """Everything one of them says, in one piece."""
        pieces = [self.pcm[int(t["start"] * RATE) : int(t["end"] * RATE)] for t in self.turns if t["speaker"] == name]
        return np.concatenate(pieces)


@pytest.fixture(scope="session")
def talk() -> Talk:
    return Talk()


@pytest.fixture
def wav(tmp_path: Path) -> WriteWav:
    numbers = iter(range(1000))

    def write(pcm: Pcm, *, rate: int = RATE, channels: int = 1) -> Path:
        path = tmp_path / f"{next(numbers)}.wav"
        return sound.write_wav(path, pcm.astype("<i2").tobytes(), rate, channels)

    return write


@pytest.fixture(scope="session")
def analyses(talk: Talk) -> dict[bytes, enrolment.Analysis]:
    """What the real engine says of the two enrolment recordings, asked once for the whole session."""
    return {
        pcm.tobytes(): enrolment.analyse(pcm, one("voices"), lambda quality: None)
        for pcm in (talk.enrol_user, talk.enrol_person)
    }


@pytest.fixture
def remembered(analyses: dict[bytes, enrolment.Analysis], monkeypatch: pytest.MonkeyPatch) -> None:
    real = enrolment.analyse

    def analyse(pcm: Pcm, voices: ConfiguredVoices, fit: Callable[[Quality], None]) -> enrolment.Analysis:
        return analyses.get(pcm.tobytes()) or real(pcm, voices, fit)

    monkeypatch.setattr(enrolment, "analyse", analyse)


@pytest.fixture
def enrolled(db: None, remembered: None, talk: Talk, wav: WriteWav) -> str:
    """The user's uid, with Anna's voice enrolled."""
    enrolment.enrol_user(UID, wav(talk.enrol_user))
    return UID


@pytest.fixture
def api() -> Callable[[str], APIClient]:
    """A client with the token of a user."""

    def client(uid: str = UID) -> APIClient:
        signed_in = APIClient()
        signed_in.credentials(HTTP_AUTHORIZATION=f"Bearer {mint(uid)}")
        return signed_in

    return client


@pytest.fixture
def david(enrolled: str, talk: Talk, wav: WriteWav) -> Person:
    person = people.create_person(enrolled, "David")
    enrolment.add_sample(enrolled, person.id, wav(talk.enrol_person))
    return person


def noise(seconds: float, *, level: float = 1000.0, seed: int = 0) -> Pcm:
    return (np.random.default_rng(seed).normal(size=int(seconds * RATE)) * level).astype(np.int16)


def music(seconds: float) -> Pcm:
    """Three chords with a decay: nothing in it is speech."""
    at = np.arange(int(seconds * RATE)) / RATE
    chords = [(220, 277, 330), (196, 247, 294), (175, 220, 262)]
    sound = np.zeros(len(at))
    for number in range(int(seconds * 2)):
        inside = (at >= number / 2) & (at < (number + 1) / 2)
        for hertz in chords[number % 3]:
            for partial in (1, 2, 3):
                sound[inside] += (
                    np.sin(2 * np.pi * hertz * partial * at[inside]) / partial * np.exp(-4 * (at[inside] - number / 2))
                )
    return (sound / np.abs(sound).max() * 12_000).astype(np.int16)
