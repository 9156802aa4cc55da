"""The result becomes visible: the document in one transaction, then vector, emotions and event; each may be repeated.

Only the fields that the run owns are written, onto the document as it is now: edits that a person made meanwhile are
laid over, a deleted memory stays deleted, and a worker that lost the run is refused.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction

from memories.pipeline import made_with
from memories.pipeline.engine import fault_injection, lease, notifications
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.results import Done, RunCanceled
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.rules import changes, user_edits
from memories.pipeline.states import Kind, State
from memories.pipeline.steps import publish_new_memory, publish_side_effects
from memories.pipeline.steps.identify_speakers import versions
from memories.pipeline.steps.structure import result_segments
from memories.repository import memories as repository
from memories.repository import transcripts
from memories.repository.transcripts import content_hash
from memories.shapes import Memory, PostProcessingStatus, Structured
from memories.user_events import log
from omi.stores import audio
from transcription.segments import Segment

REUSE = False


def inputs(ctx: Context) -> dict[str, Any]:
    """Return the run itself, so that nothing of another run's publishing is reused."""
    return {"run": ctx.run.pk}


def run(ctx: Context) -> Done:
    """Write the memory's document, then vector, emotions, event and push; raises RunCanceled or LeaseLost before it."""
    ctx.user  # noqa: B018 - raises RunCanceled where the account is gone
    ctx.check()
    if ctx.run.kind == Kind.CAPTURE:
        memory, note = publish_new_memory.write(ctx), ""
    else:
        memory, note = _update(ctx)
    fault_injection.point("document-written")
    publish_side_effects.consent(ctx, memory)
    publish_side_effects.vector(ctx, memory)
    publish_side_effects.emotions(ctx, memory)
    _tell(ctx)
    publish_side_effects.push(ctx)
    return Done({"notified": True, "segments": len(memory.transcript_segments), "revision": memory.revision},
                note=note)  # fmt: skip


def stored(ctx: Context) -> None:
    """The memory has this recording's words: earlier uploads to it, and what was prepared from them, are not needed."""
    if ctx.run.kind != Kind.POSTPROCESS or not ctx.output("assess").get("accepted"):
        return
    kept = {ctx.run.audio, ctx.output("prepare_audio").get("audio")}
    kept |= set(
        PostProcessingRun.objects.filter(uid=ctx.uid, memory_id=ctx.memory_id)
        .exclude(state=State.FINISHED)
        .values_list("audio", flat=True)
    )
    for known in audio.for_memory(ctx.uid, ctx.memory_id, purpose="upload"):
        if known.name not in kept and known.created_at < ctx.run.created_at:
            audio.delete(known)


def _update(ctx: Context) -> tuple[Memory, str]:
    segments, model = result_segments(ctx), ctx.output("transcribe").get("model")
    accepted = bool(model) and bool(ctx.output("assess").get("accepted"))
    known = versions(ctx)
    try:
        version = _keep_versions(ctx, model, segments if accepted else None) if model else None
    except repository.MemoryNotFound as error:
        raise RunCanceled("memory_gone") from error
    recording = publish_side_effects.recording(ctx)
    judged, result = _judged_against(ctx), (model, content_hash(segments))
    note: list[str] = []

    def fields(memory: Memory) -> dict[str, Any]:
        note.clear()
        changed: dict[str, Any] = {}
        edited = memory.edits
        # What was judged is still shown (or the result is, where a worker died after this write). Its ids say nothing
        # of the words, and this worker's first look at the memory may be later than the judgement.
        same = (memory.active_transcript, content_hash(memory.heard())) in (judged, result)
        if accepted and same:
            labels = user_edits.manual_labels(segments, memory.edits, model=model, version=version, known=known)
            laid, edited = changes.lay(user_edits.apply(segments, labels), edited)
            changed |= {"transcript_segments": laid, "active_transcript": model, "active_version": version}
        elif accepted:
            note.append("the shown transcript was changed meanwhile; the new one is kept beside it")
        elif ctx.did("identify_speakers") and same:
            labels = user_edits.manual_labels(segments, memory.edits, model=memory.active_transcript,
                                         version=memory.active_version, known=known)  # fmt: skip
            changed["transcript_segments"], edited = changes.lay(user_edits.apply(segments, labels), edited)
        if ctx.did("structure"):
            made = Structured.model_validate(ctx.output("structure")["structured"])
            changed["structured"], edited = changes.lay_structure(memory, made, edited)
            changed["discarded"] = bool(ctx.output("structure").get("discarded"))
        if edited is not memory.edits:
            changed["edits"] = edited
        if memory.language is None and ctx.output("transcribe").get("language"):
            changed["language"] = ctx.output("transcribe")["language"]
        if recording:
            changed["recording"] = recording
        if ctx.run.kind == Kind.POSTPROCESS and not notifications.waits_for_newer(memory, ctx.run.pk):
            shown = memory.model_copy(update={"active_transcript": changed.get("active_transcript")
                                              or memory.active_transcript})  # fmt: skip
            changed["postprocessing"] = notifications.document(ctx.run, shown, PostProcessingStatus.COMPLETED)
        return changed

    try:
        memory = repository.mutate_memory(ctx.uid, ctx.memory_id, fields, fence=lambda: lease.write(ctx.lease))
        return memory, " ".join(note)
    except repository.MemoryNotFound as error:
        raise RunCanceled("memory_gone") from error


def _judged_against(ctx: Context) -> tuple[str | None, str]:
    """Which transcript the new one was judged against: its model, and the hash of its content."""
    decision = ctx.output("assess")
    if decision.get("shown"):
        return decision.get("against"), str(decision["shown"])
    return ctx.memory.active_transcript, content_hash(ctx.memory.heard())  # judged by an older version


def _keep_versions(ctx: Context, model: str, accepted: list[Segment] | None) -> str:
    """Both transcripts stay under their names, so that one can go back; a rejected one is kept beside. The new one's
    version."""

    def fence() -> None:
        lease.write(ctx.lease)

    fault_injection.point("transcripts-before")
    shown, shown_model = ctx.memory.heard(), ctx.memory.active_transcript or "live"
    if shown and shown_model not in ctx.transcripts and shown_model != model:
        transcripts.save_transcript(ctx.uid, ctx.memory_id, shown_model, shown, {"source": "shown before"}, fence=fence)
    segments = accepted or [Segment.model_validate(item) for item in ctx.artifact("transcribe", "segments")]
    return transcripts.save_transcript(
        ctx.uid, ctx.memory_id, model, segments,
        {
            "source": "prerecorded", "run_id": ctx.run.pk, "accepted": accepted is not None,
            "made_with": made_with.transcript(ctx),
            "reasons": ctx.output("assess").get("reasons", []), "figures": ctx.output("assess").get("figures", {}),
        },
        fence=fence,
    )  # fmt: skip


def _tell(ctx: Context) -> None:
    """Write what made what and the user's event, in the transaction that holds the run: an erased memory's is not
    written again.

    A memory is created once. An app of 2024 opens a new socket when it hears of one, which ends the session that is
    running: told again of the same memory, it would do so for ever."""
    payload: dict[str, Any] = {"memory_id": ctx.memory_id, "run_id": ctx.run.pk}
    with transaction.atomic():
        lease.hold(ctx.lease)
        made_with.keep(ctx)
        if ctx.run.kind != Kind.CAPTURE:
            log.append(ctx.uid, log.POST_PROCESSING_SUCCESS, payload, dedupe_key=f"run:{ctx.run.pk}:end")
            return
        payload["processing_memory_id"] = ctx.options.get("processing_memory_id")
        created = f"created:{ctx.memory_id}"
        told = log.payload(ctx.uid, created)
        if told is None:
            log.append(ctx.uid, log.MEMORY_CREATED, payload, dedupe_key=created)
        elif told.get("run_id") != ctx.run.pk:
            log.append(ctx.uid, log.MEMORY_UPDATED, payload, dedupe_key=f"run:{ctx.run.pk}:end")
