"""The vector of a memory: the run that publishes writes it, and a worker that wrote one too late repairs it."""

from __future__ import annotations

from typing import Any, Final

import structlog
from django.db.models import Q

from memories.pipeline.engine import content_hash
from memories.pipeline.models import PostProcessingRun, StepArtifact
from memories.pipeline.states import State, StepState
from memories.repository import memories as repository
from memories.shapes import Memory
from omi.core import providers
from omi.stores.vectors import namespace, vector_id
from omi.stores.vectors.base import Vector

log = structlog.get_logger(__name__)

TRIES: Final = 3
"""Somebody may publish while a vector is repaired; more often than this it is left to ``manage.py mirror --check``."""


def write(uid: str, memory: Memory, values: list[float] | None) -> None:
    """The vector of ``memory``; None takes it away."""
    if values is None:
        remove(uid, memory.id)
        return
    made = Vector(vector_id(uid, memory.id), values, metadata_of(uid, memory))
    providers.one("vectors").upsert([made], namespace=namespace())


def metadata_of(uid: str, memory: Memory) -> dict[str, Any]:
    """Return the metadata of a memory's vector; ``created_at`` is the memory's own time in seconds (the original
    backend: the time of the upsert divided by 1000)."""
    return {
        "uid": uid, "memory_id": memory.id, "created_at": int(memory.created_at.timestamp()),
        "category": memory.structured.category.value,
    }  # fmt: skip


def remove(uid: str, memory_id: str) -> None:
    """Delete the vector of a memory from the vector store. Raises ProviderError."""
    providers.one("vectors").delete([vector_id(uid, memory_id)], namespace=namespace())


def gone(uid: str, memory_id: str) -> bool:
    """Whether the memory is deleted, at this moment."""
    now = repository.glance(uid, memory_id)
    return now is None or now.deleted


def repair(uid: str, memory_id: str) -> None:
    """The vector as the newest run that has published made it, whatever was written since.

    Nothing is embedded anew. Where nobody has come that far, the run's new holder will.
    """
    log.warning("vector_written_late", uid=uid, memory_id=memory_id)
    for _ in range(TRIES):
        newest = _newest(uid, memory_id)
        if gone(uid, memory_id):
            remove(uid, memory_id)
        elif newest is not None:
            memory = repository.get_memory(uid, memory_id)
            write(uid, memory, None if memory.discarded else content_hash.unpack(bytes(newest.body)))
        if _newest(uid, memory_id) == newest:
            return


def _newest(uid: str, memory_id: str) -> StepArtifact | None:
    """Of the newest run that has published, or that may be publishing at this moment."""
    runs = PostProcessingRun.objects.filter(uid=uid, memory_id=memory_id)
    published = Q(steps__name="publish", steps__state=StepState.DONE)
    at_it = Q(state=State.RUNNING, current_step__in=["emotions", "publish"])
    vectors = StepArtifact.objects.filter(
        step__name="index", name="vector", step__run__in=runs.filter(published | at_it).values("pk")
    )
    return vectors.order_by("-step__run_id").first()
