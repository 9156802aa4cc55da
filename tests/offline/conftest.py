"""The scripted vendors of the pipeline's tests, and recordings in which noise is speech and nothing else is heard."""

from __future__ import annotations

import hashlib
import json
import wave
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.test import Client

from memories.mirror.models import MemoryRow
from memories.pipeline import subprocess_runner
from memories.pipeline.models import PostProcessingRun
from memories.repository import memories as repository
from memories.shapes import Memory
from omi.accounts import tokens
from tests.pipeline import fakes
from tests.pipeline.conftest import _decoded_once, _fakes, drive  # noqa: F401
from transcription import journal

Make = Callable[[], Sequence[PostProcessingRun]]
UID = "alice"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
RATE = 16_000
TALK = [("quiet", 2.0), ("talk", 6.0), ("quiet", 2.0)]
"""A recording of ten seconds, for ``pcm``."""


class Killed(BaseException):
    """A worker's death: nothing in the product catches it."""


def at(seconds: float) -> datetime:
    """A moment, in seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def pcm(*parts: tuple[str, float], seed: int = 1) -> bytes:
    """``("talk", 4.0)`` is four seconds of noise, ``("quiet", 2.0)`` two of nothing: 16 kHz, 16 bits."""
    random = np.random.default_rng(seed)
    made = [
        random.integers(-3000, 3000, int(RATE * seconds)) if kind == "talk" else np.zeros(int(RATE * seconds))
        for kind, seconds in parts
    ]
    return np.concatenate(made).astype("<i2").tobytes()


def told(content: bytes, captured: float, codec: str = "pcm16", **more: Any) -> dict[str, Any]:
    """How a file is announced."""
    return {
        "captured_at": at(captured).isoformat(), "codec": codec, "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(), **more,
    }  # fmt: skip


class App:
    """The app of one user that sends what was captured offline."""

    def __init__(self, uid: str = UID) -> None:
        self.client = Client(headers={"Authorization": f"Bearer {tokens.mint(uid)}"})

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.client.post(path, json.dumps(body or {}), "application/json", headers=headers)

    def announce(self, *files: dict[str, Any], device: str | None = "pendant", **headers: str) -> Any:
        body = {"device_id": device, "files": list(files)}
        answer = self.post("/v1/sync", body, **headers)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def piece(self, upload: str, data: bytes, offset: int = 0, **headers: str) -> Any:
        kind = "application/offset+octet-stream"
        return self.client.generic("PATCH", upload, data, kind, headers={"Upload-Offset": str(offset), **headers})

    def send(self, *files: tuple[bytes, float, str], device: str | None = "pendant") -> str:
        """Announce files (bytes, captured at, codec) and send each in one piece; the batch's id."""
        batch = self.announce(*(told(content, captured, codec) for content, captured, codec in files), device=device)
        for shown, (content, _, _) in zip(batch["files"], files, strict=True):
            if shown["state"] == "waiting":
                assert self.piece(shown["upload"], content).status_code == 204
        return str(batch["id"])

    def shown(self, batch: str) -> Any:
        answer = self.client.get(f"/v1/sync/{batch}")
        assert answer.status_code == 200, answer.content
        return answer.json()

    def states(self, batch: str) -> list[str]:
        return [item["state"] for item in self.shown(batch)["files"]]


@pytest.fixture
def app(db: None) -> App:
    return App()


@pytest.fixture(autouse=True)
def _no_session_is_left() -> Iterator[None]:
    """A journal that stayed would be recovered by the housekeeping of some other test of this process."""
    yield
    journal.forget_user(UID)


@pytest.fixture(autouse=True)
def _noise_is_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the recording is not quiet somebody speaks: the detector and its child have tests of their own."""
    real = subprocess_runner.call

    def call(function: str, arguments: dict[str, Any], *, timeout: float) -> Any:
        if not function.endswith(".speech"):
            return real(function, arguments, timeout=timeout)
        with wave.open(arguments["path"]) as file:
            data = file.readframes(file.getnframes())
        return {"seconds": len(data) / 32000, "regions": loud(data), "sha256": hashlib.sha256(data).hexdigest()}

    monkeypatch.setattr(subprocess_runner, "call", call)


def loud(data: bytes) -> list[list[float]]:
    """Where samples are not quiet, to a tenth of a second."""
    samples = np.frombuffer(data, "<i2").astype(np.int32)
    frames = [bool(np.abs(samples[n : n + 1600]).max() > 500) for n in range(0, len(samples), 1600)]
    regions: list[list[float]] = []
    for number, is_loud in enumerate(frames):
        if is_loud and regions and abs(regions[-1][1] - number / 10) < 0.01:
            regions[-1][1] = round((number + 1) / 10, 1)
        elif is_loud:
            regions.append([number / 10, round((number + 1) / 10, 1)])
    return regions


@pytest.fixture
def make(drive: Callable[..., PostProcessingRun]) -> Make:  # noqa: F811
    """Do all runs that were asked for, as workers would."""

    def go() -> Sequence[PostProcessingRun]:
        runs = PostProcessingRun.objects.exclude(state="finished").order_by("id")
        return [drive(run) for run in runs]

    return go


def script(*texts: str) -> None:
    """What the vendor hears in the recordings that it is sent, one after another."""
    fakes.SCRIPT["first"] = [fakes.words(text, start=1.2, step=0.4) for text in texts]


def memories() -> list[Memory]:
    """The user's memories, oldest first."""
    rows = MemoryRow.objects.filter(uid=UID, deleted=False).order_by("created_at")
    return [repository.get_memory(UID, name) for name in rows.values_list("memory_id", flat=True)]


def texts(memory: Memory) -> list[str]:
    return [item.text for item in memory.transcript_segments]
