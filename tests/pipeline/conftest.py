from __future__ import annotations

import hashlib
import shutil
import wave
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from memories.pipeline import runner, subprocess_runner
from memories.pipeline.models import PostProcessingRun
from memories.shapes import Memory, Structured
from tests.pipeline import fakes
from tests.support import sound
from transcription.audio import convert
from transcription.audio.convert import AudioInfo
from transcription.segments import Segment

UID = "user-1"
MEMORY = "5a3f2f5e-0000-4000-8000-000000000001"

Regions = list[list[float]]

DECODED: dict[tuple[str, Any], tuple[AudioInfo, bytes]] = {}
"""What recordings were decoded to: a pure function of the file and its limits. What is refused is not remembered."""


def wav(seconds: float = 12.0, *, seed: int = 1) -> bytes:
    """Noise: the speech regions of the tests are given, not detected (``heard``)."""
    samples = np.random.default_rng(seed).integers(-3000, 3000, int(16000 * seconds)).astype(np.int16)
    return sound.wav(samples.tobytes())


def copied(source: Path, target: Path, **_: Any) -> AudioInfo:
    """Instead of decoding a WAV that is as it should be: a child process takes time, and has tests of its own."""
    shutil.copy(source, target)
    return AudioInfo(12.0, 16000, 1, "wav", "pcm_s16le", 12.0)


def live_segments(text: str = fakes.TEXT) -> list[Segment]:
    model = "deepgram_streaming"
    return [Segment(id="live-1", text=text, speaker="SPEAKER_00", start=1.0, end=7.6, stt_provider=model)]


@pytest.fixture(autouse=True)
def _fakes(settings: Any) -> Iterator[None]:
    fakes.reset()
    settings.PROVIDERS = fakes.providers(settings.PROVIDERS)
    yield
    fakes.reset()


@pytest.fixture(autouse=True)
def _decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly every test decodes the same recording, by a child process: what came of it is remembered."""
    real = convert.decode_to_wav

    def decode(src: Path, dest: Path, *, limits: Any = None) -> AudioInfo:
        key = (hashlib.sha256(src.read_bytes()).hexdigest() if src.exists() else "", limits)
        if key not in DECODED:
            info = real(src, dest, limits=limits)
            if info.seconds < 60:
                DECODED[key] = info, dest.read_bytes()
            return info
        info, content = DECODED[key]
        dest.write_bytes(content)
        return info

    monkeypatch.setattr(convert, "decode_to_wav", decode)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Regions:
    """Speech regions that the prepared recording is said to have; change the list in place."""
    regions: Regions = [[0.9, 7.8]]
    real = subprocess_runner.call

    def call(function: str, arguments: dict[str, Any], *, timeout: float) -> Any:
        if not function.endswith(".speech"):
            return real(function, arguments, timeout=timeout)
        with wave.open(arguments["path"]) as file:
            data = file.readframes(file.getnframes())
        return {"seconds": len(data) / 32000, "regions": regions, "sha256": hashlib.sha256(data).hexdigest()}

    monkeypatch.setattr(subprocess_runner, "call", call)
    return regions


@pytest.fixture
def memory(db: None) -> Memory:
    from memories.repository import memories as repository

    return repository.create_memory(
        UID,
        Memory(
            id=MEMORY, created_at=datetime(2026, 11, 1, tzinfo=UTC), started_at=datetime(2026, 11, 1, tzinfo=UTC),
            language="en", structured=Structured(title="Live title", overview="Live overview"),
            transcript_segments=live_segments(), active_transcript="deepgram_streaming",
        ),
    )  # fmt: skip


@pytest.fixture
def upload(db: None) -> Callable[..., Any]:
    from datetime import timedelta

    from omi.stores import audio

    def store(content: bytes | None = None, *, memory_id: str = MEMORY, seed: int = 1) -> Any:
        body = wav(seed=seed) if content is None else content
        return audio.put(UID, "upload", body, memory_id=memory_id, keep_for=timedelta(hours=1))

    return store


@pytest.fixture
def drive(db: None) -> Callable[..., PostProcessingRun]:
    """Work on a run until it is finished, as workers would: what waits is made due at once."""

    def go(run: PostProcessingRun, *, times: int = 60) -> PostProcessingRun:
        for _ in range(times):
            runner.work(run.pk)
            run.refresh_from_db()
            if run.state == "finished":
                return run
            if run.state == "waiting":
                PostProcessingRun.objects.filter(pk=run.pk).update(due_at=timezone.now())
        raise AssertionError(f"{run} did not end; it is {run.state} at {run.current_step}")

    return go
