"""Storing a recording that a run has made, under the fence of its worker."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

from memories.pipeline.engine import lease
from memories.pipeline.engine.context import Context
from omi.stores import audio


def store(ctx: Context, purpose: str, wav: Path, keep_for: timedelta | None) -> str:
    """Keep a WAV of this memory and return its name; the object that an earlier try stored is taken where it is the
    same. Raises LeaseLost or RunCanceled."""
    with wav.open("rb") as file:
        sha = hashlib.file_digest(file, "sha256").hexdigest()
    ctx.check()
    for known in audio.for_memory(ctx.uid, ctx.memory_id, purpose=purpose):
        if known.sha256 == sha:
            audio.keep(known, keep_for)
            return str(known.name)
    with wav.open("rb") as file:
        made = audio.put(
            ctx.uid, purpose, file, memory_id=ctx.memory_id, suffix=".wav", keep_for=keep_for,
            fence=lambda: lease.write(ctx.lease),
        )  # fmt: skip
    return str(made.name)
