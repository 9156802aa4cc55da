"""A user with some talks that are indexed as the worker does it, without weights."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from memories.passages import indexing, whole
from memories.repository import memories as repository
from memories.search import word_index
from memories.shapes import Memory, Structured
from tests.api.conftest import Caller, alice, bob  # noqa: F401
from tests.support.vendor_fixtures import model, talk, vendor_server, vendors  # noqa: F401
from transcription.segments import Segment

Said = tuple[str | None, str]
DAY = datetime(2026, 11, 20, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def lexical(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors of words: no weights, and no child process."""
    settings.PROVIDERS = {
        **settings.PROVIDERS,
        "embedder": {"BACKEND": "memories.structuring.lexical_embedder.LexicalEmbedder"},
    }
    monkeypatch.setattr(indexing.subprocess_runner, "call", _here)


def _here(_: str, arguments: dict[str, Any], timeout: float) -> list[list[float]]:
    from memories.structuring.lexical_embedder import LexicalEmbedder

    return LexicalEmbedder().embed(arguments["texts"])


def spoken(*said: tuple[str | None, str], seconds: float = 20.0) -> list[Segment]:
    """Segments of (who, text): "" is the user, None nobody who is named."""
    return [
        Segment(
            id=f"s{n}", text=text, speaker=f"SPEAKER_{hash_of(who):02d}", is_user=who == "", person_id=who or None,
            start=n * seconds, end=n * seconds + seconds - 1,
        )
        for n, (who, text) in enumerate(said)
    ]  # fmt: skip


def hash_of(who: str | None) -> int:
    return sum(map(ord, who)) % 90 if who else 98 if who is None else 99


@pytest.fixture
def remember(db: None) -> Callable[..., Memory]:
    """Store a memory and have a worker index it."""
    count = 0

    def make(
        title: str, *said: tuple[str | None, str], uid: str = "alice", index: bool = True, **fields: Any
    ) -> Memory:
        nonlocal count
        count += 1
        made = fields.pop("structured", Structured(title=title, overview=title))
        fields.setdefault("created_at", DAY + timedelta(hours=count))
        fields.setdefault("started_at", fields["created_at"])
        seconds = fields.pop("seconds", 20.0)
        memory = repository.create_memory(
            uid, Memory(id=fields.pop("id", f"m{count}"), structured=made,
                        transcript_segments=spoken(*said, seconds=seconds), **fields)
        )  # fmt: skip
        if index:
            work(uid, memory)
        return memory

    return make


def work(uid: str, *memories: Memory) -> None:
    """What the schedule does."""
    whole.write(uid, list(memories))
    word_index.refresh(uid)
    indexing.index_due(100)
