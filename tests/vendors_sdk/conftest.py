"""One server with one synthetic recording for all SDK tests; every test starts from a clean slate."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator

import pytest

from tests.vendors.server import VendorServer
from tests.vendors.synth import speech
from tests.vendors.truth import Recording

TEXT = "Hello there, my friend. | <B> We need to buy milk. | <A> Good idea, thanks."
WORDS = [w for w in TEXT.split() if w != "|" and not w.startswith("<")]


@pytest.fixture(scope="session")
def recording() -> Recording:
    return speech(TEXT, seed=3)


@pytest.fixture(scope="session")
def wav(recording: Recording) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(recording.rate)
        out.writeframes(recording.pcm.tobytes())
    return buffer.getvalue()


@pytest.fixture(scope="session")
def chunks(recording: Recording) -> list[bytes]:
    """100 ms of s16le each."""
    data = recording.pcm.tobytes()
    return [data[i : i + 3200] for i in range(0, len(data), 3200)]


@pytest.fixture(scope="session")
def running(recording: Recording) -> Iterator[VendorServer]:
    with VendorServer([recording]) as server:
        yield server


@pytest.fixture
def vendors(running: VendorServer) -> Iterator[VendorServer]:
    running.reset()
    running.set(fal_seconds=0.0, soniox_seconds=0.0, pinecone_delay=0.0, pinecone_dimension=None, openai_answer=None)
    yield running
    running.reset()
