"""How it was said, if it was asked for. Optional: its failure is recorded and shown, and fails nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from memories.pipeline import ledger
from memories.pipeline.context import Context
from memories.pipeline.kept_parts import KeptParts
from memories.pipeline.outcomes import Done, Skip
from memories.pipeline.steps.structure import result_segments
from omi.errors import Outcome

LIMIT = 900.0


def inputs(ctx: Context) -> dict[str, Any]:
    return {
        "wav": ctx.output("prepare_audio").get("sha256"), "segments": ctx.output("identify_speakers").get("hash"),
        "model": ctx.provider("emotions").model_name, "asked": _asked(ctx),
    }  # fmt: skip


def run(ctx: Context) -> Done | Skip:
    from emotions.base import EmotionRequest

    if not _asked(ctx):
        return Skip("not asked for")
    if ctx.output("prepare_audio").get("silence"):
        return Skip("nobody speaks")
    provider = ctx.provider("emotions")
    prepared = ctx.output("prepare_audio")
    request = EmotionRequest(
        path=ctx.wav(), seconds=float(prepared["seconds"]), segments=result_segments(ctx), language=ctx.language
    )
    what = [prepared["sha256"], provider.model_name]
    with ledger.call(ctx, provider.name, "emotions", remote=provider.remote, request=what) as entry:
        if not provider.remote:
            entry.audio_seconds = request.seconds  # what is paid for is told part by part
        timeline = provider.measure(replace(request, parts=KeptParts(ctx, entry)))
    return Done(
        {"vendor": timeline.vendor, "model": timeline.model, "kind": timeline.kind, "spans": len(timeline.spans)},
        {"timeline": timeline.model_dump(mode="json")},
        outcome=Outcome.SUCCESS if timeline.spans else Outcome.EMPTY_UNEXPECTED,
        note=timeline.note,
    )


def _asked(ctx: Context) -> bool:
    return bool(ctx.options.get("emotional_feedback") or ctx.memory.emotional_feedback)
