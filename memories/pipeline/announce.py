"""Telling the memory document and the user's event log how a run began and ended.

Each function may be repeated; a run whose end could not be told stays ``announced=False`` and the reconciler tells it.
"""

from __future__ import annotations

from typing import Any

import structlog
from django.db import DatabaseError

from memories import events
from memories.pipeline import messages
from memories.pipeline.context import Context
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.vocabulary import Kind
from memories.repository import memories as repository
from memories.shapes import Memory, PostProcessing, PostProcessingStatus
from omi.errors import Outcome, ProviderError
from omi.stores.documents.base import DocumentError

log = structlog.get_logger(__name__)


def begun(ctx: Context) -> None:
    """The memory says that it is being processed. Not essential: a store out of reach is only logged here."""
    if ctx.run.kind != Kind.POSTPROCESS:
        return
    try:
        told = ctx.memory.postprocessing
        if not told or (told.run_id, told.status) != (str(ctx.run.pk), PostProcessingStatus.IN_PROGRESS):
            mark(ctx.run, PostProcessingStatus.IN_PROGRESS)  # else whoever took the upload has told it
    except (ProviderError, DocumentError, DatabaseError) as error:
        ctx.log.warning("status_not_written", error=type(error).__name__)
    _event(ctx, events.POST_PROCESSING_STARTED, "started")


def waits(ctx: Context, step: str) -> None:
    """The run was put down for a vendor, or for another try: told once for each step. Not essential either."""
    if ctx.run.kind == Kind.POSTPROCESS:
        _event(ctx, events.POST_PROCESSING_WAITING, f"waits:{step}", step=step)


def _event(ctx: Context, kind: str, once: str, **more: Any) -> None:
    payload = {"memory_id": ctx.memory_id, "run_id": ctx.run.pk, **more}
    try:
        events.append(ctx.uid, kind, payload, dedupe_key=f"run:{ctx.run.pk}:{once}")
    except DatabaseError as error:
        ctx.log.warning("event_not_told", kind=kind, error=type(error).__name__)


def end(run_id: int) -> bool:
    """Tell how a run ended, unless its publish step has. True when it is told."""
    run = PostProcessingRun.objects.filter(pk=run_id, announced=False).exclude(outcome="").first()
    if run is None:
        return True
    try:
        _tell(run)
    except (ProviderError, DocumentError, DatabaseError) as error:
        log.error("end_not_told", run_id=run_id, error=type(error).__name__)
        return False
    PostProcessingRun.objects.filter(pk=run_id).update(announced=True)
    return True


def _tell(run: PostProcessingRun) -> None:
    if run.message_id == "account_gone":
        return
    message = messages.get(run.message_id)
    payload: dict[str, Any] = {
        "memory_id": run.memory_id, "run_id": run.pk, "outcome": run.outcome, "message_id": message.id,
    }  # fmt: skip
    if run.kind == Kind.CAPTURE:
        payload["processing_memory_id"] = run.options.get("processing_memory_id")
        if not run.succeeded:
            events.append(run.uid, events.MEMORY_CREATE_FAILED, payload, dedupe_key=f"run:{run.pk}:end")
        return
    if run.kind == Kind.POSTPROCESS and not mark(run, status_of(run)):
        return  # the memory is gone: there is nobody to tell
    kind = events.POST_PROCESSING_SUCCESS if run.succeeded else events.POST_PROCESSING_FAILED
    events.append(run.uid, kind, payload, dedupe_key=f"run:{run.pk}:end")


def status_of(run: PostProcessingRun) -> PostProcessingStatus:
    """What the memory says of a run that has ended."""
    if run.succeeded:
        return PostProcessingStatus.COMPLETED
    return PostProcessingStatus.CANCELED if run.outcome == Outcome.CANCELED else PostProcessingStatus.FAILED


def interrupted(uid: str, memory_id: str) -> None:
    """A memory that waits for a run of which there is no row (they were lost): it is told that it failed."""

    def fields(memory: Memory) -> dict[str, Any]:
        told = memory.postprocessing
        if told is None or told.status != PostProcessingStatus.IN_PROGRESS:
            return {}
        message = messages.get("worker_died")
        ended = {"status": PostProcessingStatus.FAILED, "fail_reason": message.sentence, "message_id": message.id}
        return {"postprocessing": told.model_copy(update=ended).model_dump(mode="json")}

    repository.mutate_memory(uid, memory_id, fields)


def mark(run: PostProcessingRun, status: PostProcessingStatus) -> bool:
    """Write ``memory.postprocessing``; a newer run's status is left alone. False where the memory is gone."""

    def fields(memory: Memory) -> dict[str, Any]:
        if newer(memory, run.pk):
            return {}
        return {"postprocessing": document(run, memory, status)}

    try:
        repository.mutate_memory(run.uid, run.memory_id, fields)
    except repository.MemoryNotFound:
        return False
    return True


def document(run: PostProcessingRun, memory: Memory, status: PostProcessingStatus) -> dict[str, Any]:
    """The ``postprocessing`` field: a sentence of the catalogue, never an exception's text (4.3 no. 61)."""
    failed = status in (PostProcessingStatus.FAILED, PostProcessingStatus.CANCELED)
    return PostProcessing(
        status=status,
        model=memory.active_transcript,
        fail_reason=messages.get(run.message_id).sentence if failed else None,
        message_id=run.message_id or None,
        run_id=str(run.pk),
    ).model_dump(mode="json")


def newer(memory: Memory, run_id: int) -> bool:
    """Whether the document already speaks of a run that began after this one."""
    told = memory.postprocessing.run_id if memory.postprocessing else None
    return bool(told and told.isdigit() and int(told) > run_id)
