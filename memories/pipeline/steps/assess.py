"""Is the new transcript better than the one that is shown? The decision and its figures are stored and shown."""

from __future__ import annotations

from typing import Any, Final

from memories.pipeline import missing_audio, subprocess_runner
from memories.pipeline.counters import ASSESSED
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.results import Done, Skip, StepError
from memories.pipeline.states import Kind
from memories.repository.transcripts import content_hash
from omi.core import tuned
from omi.core.errors import Outcome
from transcription.segments import Segment

VERSION = 3
COMPUTING: Final = 60.0
"""Seconds that comparing transcripts may take; a day-long one takes five on a free core."""


def inputs(ctx: Context) -> dict[str, Any]:
    """Return what the decision depends on: the new, shown and live transcripts, the recording, language and bounds."""
    if not ctx.did("transcribe"):
        return {}
    return {
        "new": ctx.output("transcribe").get("text_hash"),
        "recording": [ctx.output("prepare_audio").get(name) for name in ("seconds", "regions", "ended_early")],
        "shown": [_against(ctx), content_hash(shown(ctx))],
        "live": {model: content_hash(segments) for model, segments in sorted(_live(ctx).items())},
        "language": ctx.language, "heard": ctx.output("transcribe").get("heard"), **_bounds(ctx),
    }  # fmt: skip


def run(ctx: Context) -> Done | Skip:
    """Decide in a child process whether the new transcript replaces the shown one, and keep the reasons and figures."""
    if not ctx.did("transcribe"):
        return Skip("there is no new transcript")
    made = ctx.output("transcribe")
    prepared = ctx.output("prepare_audio")
    arguments = {
        "new": _plain(missing_audio.transcribed(ctx)), "shown": _plain(shown(ctx)),
        "live": {model: _plain(segments) for model, segments in _live(ctx).items()}, "regions": prepared["regions"],
        "language": ctx.language, "heard_language": made.get("heard"), "seconds": prepared.get("seconds"),
        "cut_off": bool(prepared.get("ended_early")), **_bounds(ctx),
        "timed": _timed(ctx), "same_engine": _same_engine(ctx),
    }  # fmt: skip
    decision = subprocess_runner.call("memories.pipeline.audio_analysis.assess", arguments, timeout=COMPUTING)
    accepted, reasons = decision["accepted"], list(decision["reasons"])
    ASSESSED.inc(str(bool(accepted)).lower())
    ctx.log.info("assessed", accepted=accepted, reasons=reasons, **decision["figures"])
    return Done(
        {
            "accepted": accepted, "reasons": reasons, "figures": decision["figures"], "against": _against(ctx),
            "shown": content_hash(shown(ctx)),
        },
        outcome=Outcome.EXPECTED_SILENCE if prepared["silence"] and not accepted else Outcome.SUCCESS,
        note="; ".join(reasons),
    )  # fmt: skip


def _bounds(ctx: Context) -> dict[str, float]:
    """The bounds of never worse, where others than the shipped ones are in force."""
    return dict(tuned.value("never_worse", {}, uid=ctx.uid, memory_id=ctx.memory_id))


def _plain(segments: list[Segment]) -> list[Any]:
    return [item.model_dump(mode="json") for item in segments]


def shown(ctx: Context) -> list[Segment]:
    """The segments that a new transcript has to beat, with the machine's words: a person's are laid over the result."""
    if ctx.run.kind == Kind.CAPTURE:
        return [Segment.model_validate(item) for item in ctx.artifact("gather", "segments")]
    return ctx.memory.heard()


def _against(ctx: Context) -> str | None:
    return ctx.memory.active_transcript if ctx.run.kind != Kind.CAPTURE else "live"


def _timed(ctx: Context) -> list[tuple[str, float, float]] | None:
    """The new transcript's words; None of one that was paid for when no times of words were kept, and where only what
    live transcription missed was transcribed: what stands around it has no times of words."""
    if missing_audio.asked(ctx):
        return None
    try:
        return [(str(text), float(start), float(end)) for text, start, end in ctx.artifact("transcribe", "timed")]
    except StepError:
        return None


def _same_engine(ctx: Context) -> bool:
    """Whether the engine on this machine made the shown transcript, too. A vendor's live model and its other one are
    two. A capture asks again only where nobody heard, and there any hearing is new."""
    new, old = str(ctx.output("transcribe").get("model") or ""), _against(ctx) or ""
    own = new.startswith("local_") and ctx.run.kind != Kind.CAPTURE
    return own and old.removeprefix("local_").removesuffix("_streaming") == new.removeprefix("local_")


def _live(ctx: Context) -> dict[str, list[Segment]]:
    """The memory's other transcripts. One that was rejected itself bears nothing out."""
    new = ctx.output("transcribe").get("model")
    return {
        model: item.segments
        for model, item in ctx.transcripts.items()
        if model != new and item.segments and item.meta.get("accepted") is not False
    }
