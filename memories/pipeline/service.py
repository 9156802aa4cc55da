"""What the rest of the project may ask of the pipeline: start, cancel, retry, forget, go back to a transcript."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import Any, Final

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from memories.pipeline import budgets
from memories.pipeline.engine import checkpoints, content_hash, fairness, notifications, plans, queue
from memories.pipeline.models import PostProcessingRun, RequestKey, RunStep, StepArtifact, VendorCall
from memories.pipeline.operations import metrics
from memories.pipeline.states import Kind, State
from memories.pipeline.vendor_calls import jobs
from omi.core.errors import Outcome, ProviderError
from omi.stores import audio as audio_store

log = structlog.get_logger(__name__)

KEY_LENGTH: Final = 255

IDLE: Final = (State.QUEUED, State.WAITING)
UNFINISHED: Final = (*IDLE, State.RUNNING)


class PipelineError(Exception):
    """Base of what the service refuses."""


class IdempotencyConflict(PipelineError):
    """The key was used before, for another request (409)."""


class NotRetryable(PipelineError):
    """The run has no end yet, or its recording is gone (409)."""


class TooManyRetries(PipelineError):
    """The user has had this memory done anew often enough for today (429). ``seconds`` until it may be again."""

    def __init__(self, seconds: float) -> None:
        super().__init__("this memory was processed again too often, please try again later")
        self.seconds = seconds


def start(
    kind: str,
    uid: str,
    memory_id: str,
    *,
    actor: str,
    reason: str = "",
    audio: Any = None,
    options: dict[str, Any] | None = None,
    from_step: str | None = None,
    follows: PostProcessingRun | None = None,
    idempotency_key: str | None = None,
) -> PostProcessingRun:
    """Begin a run, or return the one that is the same request.

    * The same key and request: the same run. The same key and another request: IdempotencyConflict.
    * The same recording for the same memory, unfinished or successful: the same run.
    * While another run of this memory is at work, the new one is queued behind it (``held``). One run of each kind is:
      a newer one takes the place of the older, which ends as ``canceled`` with message ``superseded``.

    ``audio`` is an ``omi.stores.audio`` object. Raises ValueError for an unknown step, IdempotencyConflict.
    """
    kind = Kind(kind).value
    first = plans.first_step(kind, from_step)
    key = idempotency_key or ""
    if len(key) > KEY_LENGTH:
        key = content_hash.of(key)
    options = options or {}
    audio_name = audio.name if audio is not None else (follows.audio if follows is not None else "")
    content = audio.sha256 if audio is not None else audio_name
    sha256 = audio.sha256 if audio is not None else (follows.audio_sha256 if follows is not None else "")
    request = content_hash.of([kind, memory_id, content, options, from_step or "", follows.pk if follows else None])
    for _ in range(5):
        found = _of_key(uid, key, request) if key else None
        if found is not None:
            return found
        found = _same(uid, memory_id, kind, request, options, audio, renewable=follows is None)
        try:
            with transaction.atomic():
                if found is not None:
                    _remember(found, key, request)
                    return found
                blocked = _make_room(uid, memory_id, kind, options)
                run = PostProcessingRun(
                    uid=uid, memory_id=memory_id, kind=kind, actor=actor[:150], reason=reason[:300], options=options,
                    plan=plans.plan_for(kind), from_step=from_step or "", follows=follows, request_hash=request,
                    audio=audio_name, audio_sha256=sha256, current_step=plans.plan_for(kind)[0], blocked=blocked,
                )  # fmt: skip
                run.save(force_insert=True)
                RunStep.objects.bulk_create(
                    RunStep(run=run, name=name, position=position) for position, name in enumerate(run.plan)
                )
                _remember(run, key, request)
                notifications.record(run.pk, "created", actor=actor, reason=reason[:300], from_step=first,
                                     follows=follows.pk if follows else None, blocked=blocked)  # fmt: skip
                if not blocked:
                    queue.wake_on_commit(run.pk)
        except IntegrityError:
            continue  # somebody was faster: look again at what there is now
        log.info("run_created", uid=uid, memory_id=memory_id, run_id=run.pk, kind=kind, blocked=blocked)
        return run
    raise PipelineError("the memory is too busy to take another run")


def _of_key(uid: str, key: str, request: str) -> PostProcessingRun | None:
    """The run that the user's earlier request with this key was given. Raises IdempotencyConflict."""
    found = RequestKey.objects.select_related("run").filter(uid=uid, key=key).first()
    if found is None:
        return None
    if found.request_hash != request:
        raise IdempotencyConflict("this idempotency key was used for another request")
    return found.run


def _remember(run: PostProcessingRun, key: str, request: str) -> None:
    """IntegrityError where another request came in with the same key at this moment."""
    if key:
        RequestKey.objects.create(uid=run.uid, key=key, request_hash=request, run=run)


def _same(
    uid: str, memory_id: str, kind: str, request: str, options: dict[str, Any], audio: Any, *, renewable: bool
) -> PostProcessingRun | None:
    """The run, at work or successful, that does the same; also a retry of one that was given the same recording."""
    runs = PostProcessingRun.objects.filter(uid=uid, memory_id=memory_id, kind=kind, cancel_requested=False)
    for run in runs.order_by("-id"):
        if run.request_hash != request and not _same_recording(run, options, audio):
            continue
        if run.state != State.FINISHED or (renewable and kind == Kind.POSTPROCESS and run.succeeded):
            return run
    return None


def _same_recording(run: PostProcessingRun, options: dict[str, Any], audio: Any) -> bool:
    """A retry is another request than the upload that it follows, and does its work."""
    return (
        audio is not None and run.follows_id is not None and (run.audio_sha256, run.options) == (audio.sha256, options)
    )


def _make_room(uid: str, memory_id: str, kind: str, options: dict[str, Any]) -> bool:
    """Whether the new run has to be queued behind another one. A run of the same kind that is queued there already is
    superseded by the new one."""
    before = list(PostProcessingRun.objects.filter(uid=uid, memory_id=memory_id, state__in=UNFINISHED))
    for older in before:
        if not older.blocked or older.kind != kind:
            continue
        if older.options.get("keep"):
            options["keep"] = True  # the user asked for this conversation to be kept, whichever run does it
        ended = checkpoints.finish_idle(older, Outcome.CANCELED, "superseded", when=Q(blocked=True), actor="pipeline")
        if ended and older.audio:
            transaction.on_commit(partial(_delete_superseded, older))
    return bool(before)


def _delete_superseded(run: PostProcessingRun) -> None:
    """The recording of a run whose place a newer one took, unless another run works on it. What cannot be deleted now
    goes when its time is over."""
    if PostProcessingRun.objects.filter(audio=run.audio).exclude(pk=run.pk).exists():
        return
    try:
        audio_store.delete(run.audio)
    except ProviderError as error:
        log.warning("upload_not_deleted", run_id=run.pk, code=error.code)


def cancel(
    run: PostProcessingRun, *, actor: str, reason: str = "", message_id: str = "canceled", at_once: bool = False
) -> bool:
    """Ask a run to stop: an idle one ends at once, a worker stops at its next write. False if it had ended.

    ``at_once``: it is taken from its worker, too, who finds its lease lost and stores nothing more of the run.
    """
    with transaction.atomic():
        unfinished = PostProcessingRun.objects.filter(pk=run.pk).exclude(state=State.FINISHED)
        if not unfinished.update(cancel_requested=True):
            return False
        notifications.record(
            run.pk, notifications.CANCEL_REQUESTED, actor=actor, reason=reason[:300], message_id=message_id
        )
    ended = checkpoints.finish_idle(
        run, Outcome.CANCELED, message_id, when=Q(state__in=IDLE if not at_once else UNFINISHED), actor=actor,
        detail=reason,
    )  # fmt: skip
    if ended:
        queue.send_on_commit(queue.STOP_JOBS, run.pk)  # nobody who cancels waits for a vendor
        notifications.end(run.pk)
    log.info("cancel_requested", run_id=run.pk, uid=run.uid, memory_id=run.memory_id, ended=ended)
    return True


def retry(
    run: PostProcessingRun, *, actor: str, reason: str = "", from_step: str | None = None, most: int | None = None
) -> PostProcessingRun:
    """A new run that follows an ended one, with its recording and options.

    Steps before ``from_step`` (or all) are taken from earlier runs where their inputs are the same. Pressing twice
    gives the same run. ``most``: as many retries of this memory in 24 hours. Raises NotRetryable while the run is
    unfinished, TooManyRetries.
    """
    run.refresh_from_db()
    if run.state != State.FINISHED:
        raise NotRetryable("the run has not ended yet")
    if most is not None:
        bounded(run.uid, run.memory_id, most)
    return start(
        run.kind, run.uid, run.memory_id, actor=actor, reason=reason or "retry", options=dict(run.options),
        from_step=from_step, follows=run,
    )  # fmt: skip


def bounded(uid: str, memory_id: str, most: int) -> None:
    """What is done anew may pay vendors each time: raise TooManyRetries where there were ``most`` retries, and runs
    that the user asked for without a recording, of this memory within a day."""
    since = timezone.now() - timedelta(days=1)
    anew = Q(follows__isnull=False) | Q(kind=Kind.REPROCESS, actor__startswith="user:")
    again = PostProcessingRun.objects.filter(anew, uid=uid, memory_id=memory_id, created_at__gt=since)
    times = list(again.order_by("-created_at").values_list("created_at", flat=True)[:most])
    if len(times) >= most:
        raise TooManyRetries((times[-1] - since).total_seconds() if times else 86400.0)


def cancel_for_memory(uid: str, memory_id: str, *, actor: str = "system", message_id: str = "memory_gone") -> int:
    """Stop everything that is under way for a memory (it was deleted)."""
    runs = PostProcessingRun.objects.filter(uid=uid, memory_id=memory_id).exclude(state=State.FINISHED)
    # Those that are queued behind another one first: an ending run admits the next one.
    return sum(cancel(run, actor=actor, message_id=message_id, at_once=True) for run in runs.order_by("-blocked", "id"))


def cancel_for_user(uid: str, *, actor: str = "system") -> int:
    """Cancel at once every unfinished run of the user, blocked ones first; returns how many were canceled."""
    runs = PostProcessingRun.objects.filter(uid=uid).exclude(state=State.FINISHED)
    return sum(
        cancel(run, actor=actor, message_id="account_gone", at_once=True) for run in runs.order_by("-blocked", "id")
    )


def forget_memory(uid: str, memory_id: str) -> dict[str, int]:
    """Erase what the pipeline's rows hold of a memory's content; ids, times and outcomes stay for support.

    The content goes first. Then vendors are asked to forget their jobs: where one is out of reach it raises
    ProviderError and keeps the tickets of those jobs, and only these, until it is called again. Returns ``{runs,
    vendor_copies}`` that were cleaned.
    """
    cancel_for_memory(uid, memory_id)
    runs = PostProcessingRun.objects.filter(uid=uid, memory_id=memory_id)
    cleaned = _forget_content(runs)
    copies = _forget_at_vendors(runs)
    RunStep.objects.filter(run__in=runs).update(checkpoint={})
    VendorCall.objects.filter(run__in=runs).update(reference="")
    return {"runs": cleaned, "vendor_copies": copies}


def _forget_content(runs: QuerySet[PostProcessingRun]) -> int:
    """Everything but what a vendor must be asked for. The runs have ended: no worker can write them any more."""
    with transaction.atomic():
        for run in runs:
            jobs.keep_tickets(run)
        StepArtifact.objects.filter(step__run__in=runs).delete()
        steps = RunStep.objects.filter(run__in=runs)
        steps.update(output={}, note="", input_hash="")
        steps.exclude(name="transcribe").update(checkpoint={})
        VendorCall.objects.filter(run__in=runs).update(request_key="", answer=None)
        RequestKey.objects.filter(run__in=runs).delete()
        return runs.update(options={}, audio="", audio_sha256="", request_hash="", reason="")


def forget_user(uid: str) -> dict[str, int]:
    """Erase every row about a user. A worker in the middle of a run finds its lease gone and writes nothing more.

    The content goes first; raises ProviderError, and returns, as ``forget_memory`` does.
    """
    cancel_for_user(uid)
    runs = PostProcessingRun.objects.filter(uid=uid)
    _forget_content(runs)
    copies = _forget_at_vendors(runs)
    with transaction.atomic():
        metrics.keep(runs, uid)
        deleted = runs.delete()[0] + VendorCall.objects.filter(run=None, uid=uid).delete()[0]
        budgets.forget_user(uid)
        fairness.forget_user(uid)
    return {"runs": deleted, "vendor_copies": copies}


def _forget_at_vendors(runs: Iterable[PostProcessingRun]) -> int:
    copies, later = 0, None
    for run in runs:
        try:
            copies += jobs.forget(run)
        except ProviderError as error:
            later = error
    if later is not None:
        raise later
    return copies
