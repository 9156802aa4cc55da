"""The bundled recordings, read once for the whole session."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.diarization import read_audio
from demo.measure import normalise, word_error_rate
from speakers.engines.campplus import CampplusEngine

RECORDINGS = Path(__file__).resolve().parents[2] / "demo" / "recordings"
RATE = 16_000


@dataclass(frozen=True)
class Conversation:
    pcm: NDArray[np.int16]
    turns: list[dict]
    words: list[dict]

    def cut(self, start: float, end: float) -> NDArray[np.int16]:
        return self.pcm[round(start * RATE) : round(end * RATE)]

    def text(self, start: float, end: float) -> str:
        return " ".join(w["word"] for w in self.words if start <= w["start"] and w["end"] <= end)


@pytest.fixture(scope="session")
def conversation() -> Conversation:
    script = json.loads((RECORDINGS / "conversation.json").read_text())
    return Conversation(read_audio(RECORDINGS / "conversation.flac"), script["turns"], script["words"])


@pytest.fixture(scope="session")
def user_enrolment() -> NDArray[np.int16]:
    return read_audio(RECORDINGS / "enrol_user.flac")


@pytest.fixture(scope="session")
def campplus_engine() -> CampplusEngine:
    return CampplusEngine()


def plain(words: list) -> str:
    """Words as the script has them: lower case, no punctuation."""
    return " ".join(word.text.lower().strip(".,?") for word in words)


def error_rate(reference: str, heard: str) -> float:
    rate = word_error_rate(normalise(reference), normalise(heard))
    assert rate is not None
    return rate
