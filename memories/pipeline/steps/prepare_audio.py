"""Any recording becomes a 16 kHz mono WAV in memory time, with its length, content hash and speech regions.

Nothing is trimmed: the regions are about the recording.
"""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any

from django.conf import settings

from memories.pipeline import missing_audio, subprocess_runner
from memories.pipeline.engine import content_hash, recordings
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.results import Done, Skip, StepError
from memories.pipeline.models import RunStep
from memories.pipeline.states import Kind
from memories.pipeline.steps import transcribe
from omi.core.errors import Outcome
from omi.stores import audio
from omi.stores.models import AudioObject
from transcription.audio import convert
from transcription.spans import intersect, length, merge

VERSION = 2
LIMIT = 3600.0
SPEECH_LIMIT = 2400.0  # six hours at 28 x real time take 13 minutes on a free core

_MESSAGES = {
    "not_audio": "audio_not_audio", "empty": "audio_empty", "too_short": "audio_too_short",
    "too_long": "audio_too_long", "broken": "audio_broken",
    "unknown_codec": "audio_unknown_codec",
}  # fmt: skip

MIN_SPEECH = 0.3
"""Seconds of speech below which a recording counts as silence: a click or a cough can pass the detector."""


def inputs(ctx: Context) -> dict[str, Any]:
    """Return what the WAV depends on: the recording, the lengths that are taken, and the spans that were asked for."""
    name = source(ctx)
    return {
        "audio": _sha256(ctx, name) or name,
        "min": _shortest(ctx),
        "max": settings.OMI_MAX_RECORDING_SECONDS,
        **({"missing": wanted} if (wanted := missing_audio.asked(ctx)) else {}),  # none: hashed as before
    }


def _sha256(ctx: Context, name: str) -> str:
    if name and name == ctx.run.audio and ctx.run.audio_sha256:
        return ctx.run.audio_sha256  # known also when nothing is left of the object
    found = AudioObject.objects.filter(name=name).values_list("sha256", flat=True).first() if name else None
    return found or ""


def still_there(ctx: Context, earlier: RunStep) -> bool:
    """Whether the prepared recording of an earlier run is still stored (it is kept on then), or not needed any more.

    Where only the recording itself is there (it was sent again), it is prepared anew.
    """
    try:
        audio.keep(audio.get(str(earlier.output.get("audio", ""))), settings.OMI_AUDIO_KEEP)
        return True
    except LookupError:
        pass
    try:
        audio.get(source(ctx))
        return False
    except LookupError:
        return _heard(ctx, earlier)


def _heard(ctx: Context, earlier: RunStep) -> bool:
    """Whether the recording's words are there, to be reused: what was paid for outlives the audio."""
    if "transcribe" not in ctx.steps or ctx.anew("transcribe"):
        return False
    as_if_prepared = copy.copy(ctx)
    as_if_prepared.steps = {**ctx.steps, "prepare_audio": earlier}
    return ("transcribe", content_hash.of_step("transcribe", transcribe, as_if_prepared)) in ctx.earlier


def source(ctx: Context) -> str:
    """Return the name of the stored recording, which ``gather`` fetched or the user uploaded; empty without either."""
    return str(ctx.output("gather").get("audio") or ctx.run.audio)


def run(ctx: Context) -> Done | Skip:
    """Decode the recording to WAV, find its speech regions and store it; raises StepError for an unusable recording."""
    name = source(ctx)
    if ctx.run.kind == Kind.CAPTURE and not ctx.output("gather").get("transcribe"):
        return Skip("the live transcript is there")
    if not name:
        raise StepError("audio_missing")
    original = ctx.local_copy(name)
    target = ctx.folder / "prepared.wav"
    limits = convert.AudioLimits(min_seconds=_shortest(ctx), max_seconds=settings.OMI_MAX_RECORDING_SECONDS)
    try:
        info = convert.decode_to_wav(original, target, limits=limits)
    except convert.AudioError as error:
        raise StepError(_MESSAGES[error.code], error.sentence) from error
    heard = subprocess_runner.call(
        "memories.pipeline.audio_analysis.speech", {"path": str(target)}, timeout=SPEECH_LIMIT
    )
    spoken = sum(end - start for start, end in heard["regions"])
    stored = recordings.store(ctx, "upload", target, settings.OMI_AUDIO_KEEP)
    ctx.prepared_here(target)
    pieces = _pieces(ctx, target)
    if pieces:
        spoken = length(intersect(merge(missing_audio.asked(ctx)), [(start, end) for start, end in heard["regions"]]))
    silence = spoken < MIN_SPEECH
    return Done(
        {
            **pieces,
            "audio": stored, "seconds": heard["seconds"], "sha256": heard["sha256"], "speech_seconds": spoken,
            "regions": heard["regions"], "silence": silence,
            "declared_seconds": info.declared, "ended_early": info.ended_early,
        },
        outcome=Outcome.EXPECTED_SILENCE if silence else Outcome.SUCCESS,
        note=f"{heard['seconds']:.1f} s, {spoken:.1f} s of speech"
        + (f"; the file was cut off: it says that it is {info.declared:.1f} s long" if info.ended_early else ""),
    )  # fmt: skip


def _pieces(ctx: Context, wav: Path) -> dict[str, Any]:
    """What live transcription failed to hear, as a recording of its own: only that is sent to a vendor."""
    wanted = missing_audio.asked(ctx)
    if not wanted:
        return {}
    target = ctx.folder / "missing.wav"
    pieces = missing_audio.cut(wav, wanted, target)
    with target.open("rb") as file:
        sha = hashlib.file_digest(file, "sha256").hexdigest()
    stored = recordings.store(ctx, "upload", target, settings.OMI_AUDIO_KEEP)
    seconds = sum(piece["seconds"] for piece in pieces)
    return {"pieces": pieces, "pieces_audio": stored, "pieces_sha256": sha, "pieces_seconds": seconds}


def _shortest(ctx: Context) -> float:
    # What a live session left may be short; an upload that short is a mistake (the original's 10 s).
    return 0.5 if ctx.run.kind == Kind.CAPTURE else float(settings.OMI_MIN_RECORDING_SECONDS)
