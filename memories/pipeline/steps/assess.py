"""Is the new transcript better than the one that is shown? The decision and its figures are stored and shown."""

from __future__ import annotations

from typing import Any, Final

from memories.pipeline import child, missing
from memories.pipeline.context import Context
from memories.pipeline.outcomes import Done, Skip
from memories.pipeline.vocabulary import Kind
from memories.repository.transcripts import content_hash
from omi.errors import Outcome
from transcription.segments import Segment

VERSION = 2
COMPUTING: Final = 60.0
"""Seconds that comparing transcripts may take; a day-long one takes five on a free core."""


def inputs(ctx: Context) -> dict[str, Any]:
    if not ctx.did("transcribe"):
        return {}
    return {
        "new": ctx.output("transcribe").get("text_hash"),
        "recording": [ctx.output("prepare_audio").get(name) for name in ("seconds", "regions", "ended_early")],
        "shown": [_against(ctx), content_hash(shown(ctx))],
        "live": {model: content_hash(segments) for model, segments in sorted(_live(ctx).items())},
        "language": ctx.language, "heard": ctx.output("transcribe").get("heard"),
    }  # fmt: skip


def run(ctx: Context) -> Done | Skip:
    if not ctx.did("transcribe"):
        return Skip("there is no new transcript")
    made = ctx.output("transcribe")
    prepared = ctx.output("prepare_audio")
    arguments = {
        "new": _plain(missing.transcribed(ctx)), "shown": _plain(shown(ctx)),
        "live": {model: _plain(segments) for model, segments in _live(ctx).items()}, "regions": prepared["regions"],
        "language": ctx.language, "heard_language": made.get("heard"), "seconds": prepared.get("seconds"),
        "cut_off": bool(prepared.get("ended_early")),
    }  # fmt: skip
    decision = child.call("memories.pipeline.child_jobs.assess", arguments, timeout=COMPUTING)
    accepted, reasons = decision["accepted"], list(decision["reasons"])
    ctx.log.info("assessed", accepted=accepted, reasons=reasons, **decision["figures"])
    return Done(
        {
            "accepted": accepted, "reasons": reasons, "figures": decision["figures"], "against": _against(ctx),
            "shown": content_hash(shown(ctx)),
        },
        outcome=Outcome.EXPECTED_SILENCE if prepared["silence"] and not accepted else Outcome.SUCCESS,
        note="; ".join(reasons),
    )  # fmt: skip


def _plain(segments: list[Segment]) -> list[Any]:
    return [item.model_dump(mode="json") for item in segments]


def shown(ctx: Context) -> list[Segment]:
    """The segments that a new transcript has to beat."""
    if ctx.run.kind == Kind.CAPTURE:
        return [Segment.model_validate(item) for item in ctx.artifact("gather", "segments")]
    return list(ctx.memory.transcript_segments)


def _against(ctx: Context) -> str | None:
    return ctx.memory.active_transcript if ctx.run.kind != Kind.CAPTURE else "live"


def _live(ctx: Context) -> dict[str, list[Segment]]:
    """The memory's other transcripts. One that was rejected itself bears nothing out."""
    new = ctx.output("transcribe").get("model")
    return {
        model: item.segments
        for model, item in ctx.transcripts.items()
        if model != new and item.segments and item.meta.get("accepted") is not False
    }
