"""Scripted vendors for the pipeline's tests. In real worker processes their calls become lines of a file."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotions.base import EmotionRequest, EmotionScore, EmotionSpan, EmotionTimeline
from memories.document_parts import Point, Section
from memories.shapes import Structured
from memories.structuring.base import FillResult, StructureRequest, StructureResult, Wanted
from omi.core.errors import ErrorKind, Outcome, ProviderError, StoreError
from omi.stores.documents.base import Document
from omi.stores.documents.local import LocalDocuments
from tests.pipeline.fake_providers import providers
from transcription.segments import Word
from transcription.vendors.batch.base import Pending, PrerecordedCapabilities, PrerecordedRequest, Ticket, Transcript

__all__ = ["providers"]

TEXT = "we should book the table for friday evening and ask anna whether she can bring the slides"

SCRIPT: dict[str, list[Any]] = {}
"""Provider name to what its next calls do: an exception to raise, "pending", "empty", or words. Then it works."""

CALLS: list[tuple[str, str]] = []


def reset() -> None:
    SCRIPT.clear()
    CALLS.clear()


def called(name: str, operation: str) -> None:
    CALLS.append((name, operation))
    if file := os.environ.get("FAKES_LOG"):
        with Path(file).open("a") as log:
            log.write(json.dumps([name, operation, os.getpid()]) + "\n")


def count(name: str, operation: str) -> int:
    return CALLS.count((name, operation))


def words(text: str = TEXT, *, start: float = 1.0, speaker: str | None = "SPEAKER_00", step: float = 0.4) -> list[Word]:
    return [
        Word(text=word, start=start + index * step, end=start + index * step + 0.3, speaker=speaker)
        for index, word in enumerate(text.split())
    ]


def transient(vendor: str = "first", **more: Any) -> ProviderError:
    return ProviderError(vendor, "did not answer", kind=ErrorKind.TRANSIENT, code="503", **more)


def quota(vendor: str = "first") -> ProviderError:
    return ProviderError(vendor, "the account is empty", kind=ErrorKind.QUOTA, code="402")


def permanent(vendor: str = "first", outcome: Outcome | None = None) -> ProviderError:
    return ProviderError(vendor, "refused the file", kind=ErrorKind.PERMANENT, code="422", outcome=outcome)


def held(name: str) -> None:
    """In a real worker process: one call that finds ``<name>.slow`` waits for ``<name>.answer`` (``cluster.Held``)."""
    folder = os.environ.get("OMI_FAULTS_DIR")
    if folder is None:
        return
    try:
        (Path(folder) / f"{name}.slow").rename(Path(folder) / f"{name}.asked")
    except FileNotFoundError:
        return
    end = time.monotonic() + 60
    while not (Path(folder) / f"{name}.answer").exists() and time.monotonic() < end:
        time.sleep(0.02)


def _next(name: str) -> Any:
    held(name)
    script = SCRIPT.get(name)
    action = script.pop(0) if script else None
    if isinstance(action, Exception):
        raise action
    if callable(action):
        return action()
    return action


class FakePrerecorded:
    """A queueing vendor (``queue``: seconds until it is done) or one that answers at once. ``forgets``: whether
    it can be reached when it is asked to forget a recording."""

    def __init__(self, name: str = "first", *, languages: Sequence[str] | None = None, queue: float | None = None,
                 diarizes: bool = True, remote: bool = True, forgets: bool = True) -> None:  # fmt: skip
        self.name = name
        self.model_name = f"{name}_model"
        self.capabilities = PrerecordedCapabilities(
            frozenset(languages) if languages else None, diarization=diarizes, remote=remote, cost_per_minute=0.006
        )
        self._queue = queue
        self._forgets = forgets

    def submit(self, request: PrerecordedRequest) -> Pending | Transcript:
        called(self.name, "submit")
        if not request.path.exists():
            raise AssertionError("the provider was given no audio")
        action = _next(self.name)
        if action == "pending" or self._queue is not None:
            ticket = Ticket(vendor=self.name, id=f"job-{time.time_ns()}", state={"at": time.time()})
            return Pending(ticket=ticket, seconds=self._queue or 0.0, detail="queued")
        return self._transcript(action)

    def poll(self, ticket: Ticket) -> Pending | Transcript:
        called(self.name, "poll")
        action = _next(self.name)
        if action == "pending" or (self._queue and time.time() - ticket.state["at"] < self._queue):
            return Pending(ticket=ticket, seconds=self._queue or 0.0, detail="in progress")
        return self._transcript(action)

    def cancel(self, ticket: Ticket) -> None:
        called(self.name, "cancel")

    def forget(self, ticket: Ticket) -> None:
        called(self.name, "forget")
        if not self._forgets:
            raise ProviderError(self.name, "does not answer", kind=ErrorKind.TRANSIENT, code="503")

    def _transcript(self, action: Any) -> Transcript:
        made = action if isinstance(action, list) else words()
        if action == "empty":
            made = []
        return Transcript(
            vendor=self.name, model=self.model_name, words=made, language="en",
            diarized=self.capabilities.diarization, audio_seconds=12.0,
        )  # fmt: skip


class FakeStructurer:
    name, model_name, remote = "structurer", "fake-llm", True

    def structure(self, request: StructureRequest) -> StructureResult:
        called(self.name, "structure")
        action = _next(self.name)
        if isinstance(action, StructureResult):
            return action
        if isinstance(action, Structured):
            return StructureResult(action, method="fake-llm")
        title = f"About {len(request.segments)} segments"
        return StructureResult(
            Structured(title=title, overview="They talk.", category="work"), method="fake-llm", input_tokens=90,
            output_tokens=20, cost=0.001,
        )  # fmt: skip

    def fill(self, request: StructureRequest, wanted: Sequence[Wanted], made: Structured) -> FillResult:
        called(self.name, "fill")
        _next("fill")
        found = [Section(heading=item.heading, points=[Point(text="They talk.", start=1.0)]) for item in wanted]
        return FillResult(found, "fake-llm", 30, 10, 0.0005)


class FakeEmbedder:
    name, model_name, dimension, remote, price = "embedder", "fake-embedding", 8, True, 0.1

    def embed(self, texts: Sequence[str], *, query: bool = False) -> list[list[float]]:
        called(self.name, "embed")
        action = _next(self.name)
        return action if isinstance(action, list) else [[1.0, *[0.0] * 7] for _ in texts]


class FakeEmotions:
    name, model_name, remote = "emotions", "fake-emotions", True

    def measure(self, request: EmotionRequest) -> EmotionTimeline:
        called(self.name, "measure")
        _next(self.name)
        return EmotionTimeline(
            vendor=self.name, model=self.model_name, kind="expression",
            spans=[EmotionSpan(start=1.0, end=5.0, emotions=[EmotionScore(name="joy", score=0.9)])],
        )  # fmt: skip


class DeafVoices:
    """A voice engine that needs no process of its own and knows nobody."""

    name, version, dimension = "deaf", "1", 4

    def embed_segments(self, pcm: NDArray[np.int16], segments: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
        return np.zeros((len(segments), self.dimension), np.float32)

    def speech_regions(self, pcm: NDArray[np.int16]) -> list[tuple[float, float]]:
        return []


class SwitchedDocuments(LocalDocuments):
    """The local store. While there is a file ``documents.down`` in ``OMI_FAULTS_DIR`` it is out of reach, with
    ``documents.hang`` it answers nobody."""

    def __init__(self) -> None:
        super().__init__()
        folder = os.environ.get("OMI_FAULTS_DIR")
        self._switch = Path(folder) / "documents.down" if folder else None

    def _reach(self) -> None:
        if self._switch is None:
            return
        hang = self._switch.with_name("documents.hang")
        until = time.monotonic() + 100
        while hang.exists() and time.monotonic() < until:
            time.sleep(0.05)
        if self._switch.exists():
            raise StoreError("documents", "out of reach", kind=ErrorKind.TRANSIENT, code="UNAVAILABLE")

    def get(self, path: str) -> Document | None:
        self._reach()
        return super().get(path)

    def get_many(self, paths: Sequence[str]) -> dict[str, Document]:
        self._reach()
        return super().get_many(paths)

    def query(self, collection: str, **more: Any) -> list[Document]:
        self._reach()
        return super().query(collection, **more)

    def collections(self, path: str) -> list[str]:
        self._reach()
        return super().collections(path)

    def _atomic(self, function: Any) -> Any:
        self._reach()
        return super()._atomic(function)
