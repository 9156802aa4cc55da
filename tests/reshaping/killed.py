"""Runs in an installation of its own: a worker that merges or undoes is killed at a point, and another one goes on."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import connections
from django.utils import timezone

from memories.passages import indexing
from memories.pipeline.engine import fault_injection
from memories.repository import memories as repository
from memories.reshaping import asking, working
from memories.reshaping.models import Reshaping
from memories.shapes import Memory
from transcription.segments import Segment

BEGAN = datetime(2026, 11, 20, 9, tzinfo=UTC)


def _values(uid: str, embedder: Any, texts: list[str]) -> list[list[float]]:
    return [[1.0, float(len(text)), *[0.0] * (embedder.dimension - 2)] for text in texts]


def told(folder: str, points: list[str], back: list[str]) -> list[dict[str, Any]]:
    """What is shown after each kill, and after the next worker has gone on. ``back``: points of an undoing."""
    indexing._values = _values
    return [_one(folder, name, undo=name in back) for name in (*points, *back)]


def _one(folder: str, name: str, *, undo: bool) -> dict[str, Any]:
    uid = f"user-{name}"
    for number, memory_id in enumerate(("one", "two")):
        said = [Segment(id=f"{memory_id}-s", text=f"Words of {memory_id}.", start=0.0, end=4.0)]
        began = BEGAN + timedelta(minutes=number)
        made = Memory(id=memory_id, created_at=began, started_at=began, time_zero=began, transcript_segments=said)
        repository.create_memory(uid, made)
    row = asking.merge(uid, ["one", "two"], fence=lambda: None)
    if undo:
        working.work(row.pk)
        asking.undo(uid, row.pk, fence=lambda: None)
    signal = _killed(folder, name, row.pk)
    after = _shown(uid)
    Reshaping.objects.filter(pk=row.pk).update(next_at=timezone.now())  # its worker's time is over
    working.due()
    row.refresh_from_db()
    return {
        "point": name, "signal": signal, "after": after, "end": _shown(uid), "state": row.state,
        "finished": row.finished,
    }  # fmt: skip


def _killed(folder: str, name: str, identity: str) -> int:
    """The signal that ended a process of its own, which did the work until the point."""
    (Path(folder) / f"reshaping-{name}.kill").touch()
    connections.close_all()
    pid = os.fork()
    if pid == 0:
        fault_injection._FOLDER = folder
        try:
            working.work(identity)
        finally:
            os._exit(0)
    status = os.waitpid(pid, 0)[1]
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def _shown(uid: str) -> list[str]:
    """What is shown: the words of every memory, sorted."""
    found = repository.list_memories(uid).memories
    return sorted(" ".join(item.text for item in memory.transcript_segments) for memory in found)
