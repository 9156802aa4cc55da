"""Whose voices they are where the recording is gone: as an earlier run heard it, with what a person set since.

A transcript that was paid for outlives its audio (``prepare_audio.still_there``); nobody can be listened to any more.
"""

from __future__ import annotations

from memories.pipeline import missing_audio
from memories.pipeline.engine import content_hash
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.results import Done, Skip
from memories.pipeline.models import RunStep, StepArtifact
from memories.pipeline.rules import user_edits
from memories.pipeline.states import StepState
from memories.pipeline.steps.assess import shown
from memories.shapes import UserEdits
from transcription.segments import Segment

GONE = "the recording is no longer stored"


def run(
    ctx: Context, accepted: bool, edited: UserEdits, stored: dict[str | None, list[Segment]], active: str | None
) -> Done | Skip:
    """Label the speakers as an earlier run heard them, or as they stand, and apply what the user set."""
    note = f"{GONE}: the names stay as they were"
    if not accepted:
        segments, model = shown(ctx), active
    else:
        segments, note = _heard_before(ctx)
        model = str(ctx.output("transcribe")["model"])
    if not segments:
        return Skip("nobody speaks")
    if accepted:
        segments = user_edits.kept_whole(segments, edited, stored)
    segments = user_edits.apply(segments, user_edits.manual_labels(segments, edited, known=stored, model=model))
    body = [segment.model_dump(mode="json") for segment in segments]
    known = sum(1 for item in segments if item.is_user or item.person_id)
    return Done(
        {"segments": len(segments), "labelled": known, "voices": 0, "hash": content_hash.of(body)}, {"segments": body},
        note=note,
    )  # fmt: skip


def _heard_before(ctx: Context) -> tuple[list[Segment], str]:
    """The new transcript as an earlier run labelled it, else as the vendor told its voices apart."""
    text = ctx.output("transcribe").get("text_hash")
    of_memory = RunStep.objects.filter(run__uid=ctx.uid, run__memory_id=ctx.memory_id, state=StepState.DONE)
    for step in of_memory.filter(name="identify_speakers").exclude(run=ctx.run).order_by("-id"):
        beside = dict(step.run.steps.values_list("name", "output"))
        if beside["transcribe"].get("text_hash") != text or not beside["assess"].get("accepted"):
            continue
        kept = StepArtifact.objects.filter(step=step, name="segments").first()
        if kept is not None:
            found = [Segment.model_validate(item) for item in content_hash.unpack(bytes(kept.body))]
            return found, f"{GONE}: names are those that run {step.run_id} found"
    found = missing_audio.transcribed(ctx)
    return found, f"{GONE}: nobody was recognised"
