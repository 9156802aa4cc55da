"""The simulated vendors and a piece of the bundled conversation, for the contract and provider suites."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demo.vendors.server import VendorServer
from demo.vendors.truth import Recording, Word, decode
from tests.support.sound import write_wav

RECORDINGS = Path(__file__).resolve().parents[2] / "demo" / "recordings"
LEAD_SECONDS = 2.0  # of silence before the talk: a result that counts from the first word shows
TALK_SECONDS = 15.1


@dataclass(frozen=True)
class Talk:
    """A WAV of 2 s of silence and the first two voices of the bundled conversation, with its true words."""

    path: Path
    seconds: float
    words: list[Word]
    recording: Recording


@pytest.fixture(scope="session")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Talk:
    truth = json.loads((RECORDINGS / "conversation.json").read_text())
    pcm, _ = decode(RECORDINGS / truth["audio"], 16_000)
    pcm = np.concatenate([np.zeros(int(LEAD_SECONDS * 16_000), np.int16), pcm[: int(TALK_SECONDS * 16_000)]])
    words = [
        Word(item["word"], item["start"] + LEAD_SECONDS, item["end"] + LEAD_SECONDS, item["speaker"])
        for item in truth["words"]
        if item["end"] <= TALK_SECONDS
    ]
    path = write_wav(tmp_path_factory.mktemp("talk") / "talk.wav", pcm.tobytes())
    return Talk(path, len(pcm) / 16_000, words, Recording("talk", pcm, 16_000, words))


@pytest.fixture(scope="session")
def vendor_server(talk: Talk) -> Iterator[VendorServer]:
    with VendorServer([talk.recording]) as server:
        yield server


@pytest.fixture
def vendors(vendor_server: VendorServer, settings: Any) -> Iterator[VendorServer]:
    """The simulators, empty, with the settings pointing at them and the keys they take."""
    vendor_server.reset()
    vendor_server.set(fal_seconds=0.0, soniox_seconds=0.0, openai_answer=None)
    for name, value in vendor_server.urls.items():
        if name != "SIM_URL":
            setattr(settings, name, value)
    yield vendor_server
    vendor_server.reset()


@pytest.fixture
def model(vendors: VendorServer, settings: Any) -> Callable[[Any], list[list[dict[str, str]]]]:
    """Asks the stand-in for OpenAI, over the wire and through the SDK; gives what it was asked."""

    def use(answer: Any) -> list[list[dict[str, str]]]:
        asked: list[list[dict[str, str]]] = []

        def chosen(schema: Any, messages: list[dict[str, str]]) -> Any:
            asked.append(messages)
            return answer

        vendors.set(openai_answer=chosen)
        backend = {"BACKEND": "memories.structuring.openai.OpenAIStructurer"}
        settings.PROVIDERS = {**settings.PROVIDERS, "structurer": backend}
        return asked

    return use


@pytest.fixture
def silence(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "silence.wav", bytes(16_000 * 2 * 3))
