"""What the rest of the world is told of a run: its history, the memory's status, and the user's event log.

This is the only module that makes ``memory.postprocessing`` (``field``) and the rows of a run's history
(``record``). Each function may be repeated; a run whose end could not be notified stays ``notified=False``, and
``recovery`` notifies it. What a worker writes carries the fence like every other write, for a worker that was frozen
may go on after the end.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import structlog
from django.db import Error, transaction
from django.utils import timezone

from memories.pipeline import failure_catalogue
from memories.pipeline.engine import lease
from memories.pipeline.engine.context import Context
from memories.pipeline.models import PostProcessingRun, RunEvent
from memories.pipeline.states import Kind
from memories.repository import memories as repository
from memories.repository import seen as as_read
from memories.shapes import Memory, PostProcessing, PostProcessingStatus
from memories.user_events import log as events
from omi.core.errors import Outcome, ProviderError
from omi.stores.documents.base import DocumentError

log = structlog.get_logger(__name__)

CANCEL_REQUESTED = "cancel_requested"


def record(run_id: int, kind: str, *, actor: str = "", step: str = "", **data: Any) -> None:
    """Add to the run's history. ``data``: ids, counts, our own sentences."""
    RunEvent.objects.create(run_id=run_id, at=timezone.now(), type=kind, actor=actor, step=step, data=data)


def why_canceled(run_id: int) -> str:
    """The message with which somebody asked a run at work to stop: its memory was deleted, or just that."""
    asked = RunEvent.objects.filter(run=run_id, type=CANCEL_REQUESTED).order_by("-id").first()
    return str(asked.data.get("message_id", "canceled")) if asked is not None else "canceled"


def begun(ctx: Context) -> None:
    """The memory says that it is being processed, and the event log that it has begun, unless they say so already.

    Not essential: a store out of reach is only logged here. Raises LeaseLost or RunCanceled.
    """
    if ctx.run.kind != Kind.POSTPROCESS:
        return
    try:
        told = ctx.memory.postprocessing
        if not told or (told.run_id, told.status) != (str(ctx.run.pk), PostProcessingStatus.IN_PROGRESS):
            mark(ctx.run, PostProcessingStatus.IN_PROGRESS, held=ctx.lease)  # else whoever took the upload has told it
    except (ProviderError, DocumentError, Error) as error:
        ctx.log.warning("status_not_written", error=type(error).__name__)
    # The first worker tells it with its claim; where that could not be told, a later one does.
    if ctx.run.total_claims > 1 and not events.was_appended(ctx.uid, _started(ctx.run)):
        _event(ctx, events.POST_PROCESSING_STARTED, _started(ctx.run))


def claimed(run: PostProcessingRun) -> None:
    """The event log says that the run has begun. Call it inside the transaction of the run's first claim."""
    if run.kind != Kind.POSTPROCESS or run.total_claims != 1:
        return
    payload = {"memory_id": run.memory_id, "run_id": run.pk}
    try:
        with transaction.atomic():
            events.append(run.uid, events.POST_PROCESSING_STARTED, payload, dedupe_key=_started(run))
    except Error as error:
        log.warning("event_not_written", kind=events.POST_PROCESSING_STARTED, error=type(error).__name__)


def _started(run: PostProcessingRun) -> str:
    return f"run:{run.pk}:started"


def waits(ctx: Context, step: str) -> None:
    """The event log says, once for each step, that the run waits for a vendor or for another try. Not essential either.

    Call it inside the transaction that suspends the run: once that has committed, another worker may notify the end.
    """
    if ctx.run.kind == Kind.POSTPROCESS:
        _event(ctx, events.POST_PROCESSING_WAITING, f"run:{ctx.run.pk}:waits:{step}", fenced=True, step=step)


def _event(ctx: Context, kind: str, key: str, *, fenced: bool = False, **more: Any) -> None:
    """``fenced``: the caller's transaction has written the run as its holder."""
    payload = {"memory_id": ctx.memory_id, "run_id": ctx.run.pk, **more}
    try:
        with transaction.atomic():
            if not fenced:
                lease.write(ctx.lease)
            events.append(ctx.uid, kind, payload, dedupe_key=key)
    except Error as error:
        ctx.log.warning("event_not_written", kind=kind, error=type(error).__name__)


def end(run_id: int) -> bool:
    """Tell how a run ended, unless its publish step has. True when it is told."""
    run = PostProcessingRun.objects.filter(pk=run_id, notified=False).exclude(outcome="").first()
    if run is None:
        return True
    try:
        there = run.message_id != "account_gone" and (run.kind != Kind.POSTPROCESS or mark(run, status_of(run)))
        with transaction.atomic():
            # An UPDATE: the log of a user who is erased at this moment does not begin anew.
            unnotified = PostProcessingRun.objects.filter(pk=run_id, notified=False)
            if unnotified.update(notified=True) and there:  # else nobody is there to tell
                _tell(run)
    except (ProviderError, DocumentError, Error) as error:
        log.error("end_not_notified", run_id=run_id, error=type(error).__name__)
        return False
    return True


def _tell(run: PostProcessingRun) -> None:
    message = failure_catalogue.get(run.message_id)
    payload: dict[str, Any] = {
        "memory_id": run.memory_id, "run_id": run.pk, "outcome": run.outcome, "message_id": message.id,
    }  # fmt: skip
    if run.kind == Kind.CAPTURE:
        payload["processing_memory_id"] = run.options.get("processing_memory_id")
        if not run.succeeded:
            events.append(run.uid, events.MEMORY_CREATE_FAILED, payload, dedupe_key=f"run:{run.pk}:end")
        return
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
        ended = field(PostProcessingStatus.FAILED, before=told, message_id="worker_died")
        return {"postprocessing": ended.model_dump(mode="json")}

    repository.mutate_memory(uid, memory_id, fields)


def mark(
    run: PostProcessingRun,
    status: PostProcessingStatus,
    *,
    held: lease.Lease | None = None,
    seen: as_read.Seen | None = None,
) -> bool:
    """Write ``memory.postprocessing``; a newer run's status, and an end, are left alone. False: the memory is gone.

    ``held``: the lease of the worker that writes; raises LeaseLost or RunCanceled where it has the run no more.
    ``seen``: the memory, of a caller that is inside of a transaction; raises Overtaken where it is no longer so.
    """

    def fields(memory: Memory) -> dict[str, Any]:
        if newer(memory, run.pk) or (status == PostProcessingStatus.IN_PROGRESS and _ended(memory, run.pk)):
            return {}
        return {"postprocessing": document(run, memory, status)}

    try:
        if seen is None:
            fence = partial(lease.write, held) if held is not None else None
            repository.mutate_memory(run.uid, run.memory_id, fields, fence=fence)
        elif changed := fields(seen.memory):
            as_read.write(run.uid, seen, changed)
    except repository.MemoryNotFound:
        return False
    return True


def document(run: PostProcessingRun, memory: Memory, status: PostProcessingStatus) -> dict[str, Any]:
    """What the memory says of a run."""
    said = field(status, message_id=run.message_id, model=memory.active_transcript, run_id=str(run.pk))
    return said.model_dump(mode="json")


def set_status(uid: str, memory_id: str, status: PostProcessingStatus) -> None:
    """What staff says of a memory on which no run works. Raises MemoryNotFound."""

    def fields(memory: Memory) -> dict[str, Any]:
        return {"postprocessing": field(status, before=memory.postprocessing)}

    repository.mutate_memory(uid, memory_id, fields)


def field(
    status: PostProcessingStatus = PostProcessingStatus.NOT_STARTED, *, before: PostProcessing | None = None,
    message_id: str | None = None, **of_run: str | None,
) -> PostProcessing:  # fmt: skip
    """Return the value of ``memory.postprocessing``, wherever it is made: a sentence of the catalogue, never an
    exception's text.

    ``before``: what the memory says so far, of which the model and the run stay. Where that was a failure and is to
    be one again without another message, its reason stays, too.
    """
    update: dict[str, Any] = {"status": status, **of_run}
    if message_id is not None or status is not PostProcessingStatus.FAILED:
        failed = message_id is not None and status in (PostProcessingStatus.FAILED, PostProcessingStatus.CANCELED)
        update["message_id"] = message_id or None
        update["fail_reason"] = failure_catalogue.get(message_id or "").sentence if failed else None
    return (before or PostProcessing()).model_copy(update=update)


def newer(memory: Memory, run_id: int) -> bool:
    """Whether the document already speaks of a run that began after this one."""
    told = memory.postprocessing.run_id if memory.postprocessing else None
    return bool(told and told.isdigit() and int(told) > run_id)


def waits_for_newer(memory: Memory, run_id: int) -> bool:
    """Whether the document waits for a run that began after this one: that it is in progress stays said."""
    told = memory.postprocessing
    return newer(memory, run_id) and told is not None and told.status == PostProcessingStatus.IN_PROGRESS


def _ended(memory: Memory, run_id: int) -> bool:
    """Whether the document says that this run has ended: no late writer makes it begin again."""
    told = memory.postprocessing
    return told is not None and told.run_id == str(run_id) and told.status in _ENDS


_ENDS = (PostProcessingStatus.COMPLETED, PostProcessingStatus.FAILED, PostProcessingStatus.CANCELED)
