"""Conversations of one day, and a worker that does what is due."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from memories.passages import indexing
from memories.pipeline import service
from memories.repository import memories as repository
from memories.reshaping import asking, working
from memories.reshaping.models import Reshaping
from memories.shapes import Memory, Structured
from tests.api.conftest import alice, bob, segment
from transcription.segments import Segment

__all__ = ["alice", "bob"]

BEGAN = datetime(2026, 11, 20, 9, tzinfo=UTC)
Make = Callable[..., Memory]


def said(prefix: str, *texts: str, speakers: tuple[str, ...] = ("SPEAKER_00", "SPEAKER_01")) -> list[Segment]:
    """Sentences of five seconds each, by two voices in turn."""
    return [
        segment(f"{prefix}{number}", text, speakers[number % len(speakers)], 5.0 * number, 5.0 * number + 4)
        for number, text in enumerate(texts)
    ]


@pytest.fixture(autouse=True)
def _quick_embedding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Embedding starts a process, which has tests of its own: a vector that says how long the text is."""

    def values(uid: str, embedder: Any, texts: list[str]) -> list[list[float]]:
        return [[1.0, float(len(text)), *[0.0] * (embedder.dimension - 2)] for text in texts]

    monkeypatch.setattr(indexing, "_values", values)


@pytest.fixture
def make(db: None) -> Make:
    """A memory that begins ``minutes`` after nine."""

    def made(identity: str, minutes: float, segments: list[Segment], **fields: Any) -> Memory:
        began = BEGAN + timedelta(minutes=minutes)
        given: dict[str, Any] = {
            "id": identity, "created_at": began + timedelta(seconds=1), "started_at": began, "time_zero": began,
            "finished_at": began + timedelta(seconds=5 * len(segments)), "language": "en",
            "structured": Structured(title=f"Talk {identity}", overview=f"About {identity}."),
            "transcript_segments": segments,
        }  # fmt: skip
        return repository.create_memory("alice", Memory(**{**given, **fields}))

    return made


@pytest.fixture
def pair(make: Make) -> list[Memory]:
    """Two conversations ten minutes apart; the voices of both have the same labels."""
    return [
        make("one", 0, said("a", "We take the boat on Sunday.", "Bring the yellow jackets.", "I buy bread.")),
        make("two", 10, said("b", "The roof needs new tiles.", "Call the roofer on Monday.")),
    ]


def nothing() -> None:
    """The fence of a user whose account is there."""


def worked(row: Reshaping) -> Reshaping:
    """What a worker makes of it."""
    working.work(row.pk)
    row.refresh_from_db()
    return row


def merged(*names: str) -> Reshaping:
    """These memories of Alice's made one, by a worker."""
    row = worked(asking.merge("alice", list(names), fence=nothing))
    assert (row.state, row.finished) == ("done", True), row.code
    return row


def split(memory_id: str, segment_id: str) -> Reshaping:
    """A memory of Alice's made two, by a worker."""
    row = worked(asking.split("alice", memory_id, segment_id, fence=nothing))
    assert (row.state, row.finished) == ("done", True), row.code
    return row


def undone(row: Reshaping) -> Reshaping:
    """Taken back, by a worker."""
    worked(asking.undo("alice", row.pk, fence=nothing))
    row.refresh_from_db()
    assert row.state == "undone", row.code
    return row


def made_of(row: Reshaping) -> list[Memory]:
    """The memories that took the originals' place."""
    return [repository.get_memory("alice", item.memory_id) for item in row.memories.filter(made=True)]


def runs_end(*memories: Memory) -> None:
    """As if the runs that make their summaries were over."""
    for memory in memories:
        service.cancel_for_memory("alice", memory.id)


def later(row: Reshaping) -> None:
    """As if the time for which a worker had it was over."""
    Reshaping.objects.filter(pk=row.pk).update(next_at=timezone.now())
