"""Taking a recording for post-processing: check it, keep it, start the run. A refusal leaves the memory unharmed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from memories.capture import conversations
from memories.pipeline import queries, service
from memories.pipeline.engine import notifications
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.states import State
from memories.repository import memories as repository
from memories.repository import seen as as_read
from memories.repository import stored
from memories.shapes import Memory, PostProcessingStatus
from omi.accounts.erased import Fence
from omi.core import workspace
from omi.core.decoders import decoding
from omi.stores import audio
from omi.stores.models import AudioObject
from transcription.audio.convert import AudioError, AudioLimits, decode_to_wav


class Discarded(Exception):
    """The memory was too little to keep, and nothing more comes of its conversation (400)."""


class ConversationGoesOn(Exception):
    """What was heard so far was too little to keep; what is said since may be enough (409)."""


def require_kept(uid: str, memory: Memory) -> None:
    """Make sure that a recording of the memory may be taken; raises Discarded, or ConversationGoesOn (not yet)."""
    if not memory.discarded:
        return
    being_made = queries.runs_of(uid, memory.id).exclude(state=State.FINISHED).exists()
    raise ConversationGoesOn if being_made or conversations.may_go_on(uid, memory) else Discarded


def begin(
    uid: str,
    memory: Memory,
    upload: Any,
    *,
    emotional_feedback: bool,
    idempotency_key: str | None,
    actor: str,
    fence: Fence = lambda: None,
    before_start: Callable[[], None] = lambda: None,
) -> PostProcessingRun:
    """Start post-processing of ``memory`` with ``upload`` (a Django ``UploadedFile``), or join the run it already has.

    Raises transcription.audio.convert.AudioError (not audio, empty, too short, broken) with the memory unharmed, and
    ``service.IdempotencyConflict`` where the key belongs to another recording. MemoryNotFound, or what ``fence``
    raises, where the memory or the account was erased meanwhile. ``before_start`` is called when the recording is
    checked and kept; what it raises refuses the start, and the recording is not kept.
    """

    def alive() -> None:
        fence()
        repository.require(uid, memory.id)

    with decoding(uid), workspace.temporary("upload-") as folder:
        check(_on_disk(upload, Path(folder)), Path(folder))
    upload.seek(0)
    kept = audio.put(
        uid, "upload", upload, memory_id=memory.id, suffix=_suffix(upload.name), keep_for=settings.OMI_AUDIO_KEEP,
        fence=alive,
    )  # fmt: skip
    joined = True
    try:
        before_start()
        run = _start(uid, memory, kept, emotional_feedback, idempotency_key, actor, alive)
        joined = run.audio != kept.name
    finally:
        if joined:
            audio.delete(kept)  # refused, or the same recording was here before and its run has its own copy
    return run


def check(path: Path, folder: Path) -> None:
    """Refuse what is no recording of ``OMI_MIN_RECORDING_SECONDS``. Decodes no more than that, in a child process.

    Raises AudioError. Whether it is too long is seen by the run, which decodes all of it.
    """
    least = settings.OMI_MIN_RECORDING_SECONDS
    limits = AudioLimits(min_seconds=least, max_seconds=least + 1.0, cpu_seconds=20)
    try:
        decode_to_wav(path, folder / "head.wav", limits=limits)
    except AudioError as error:
        if error.code != "too_long":
            raise


def _start(
    uid: str,
    memory: Memory,
    kept: AudioObject,
    emotional_feedback: bool,
    key: str | None,
    actor: str,
    alive: Callable[[], None] = lambda: None,
) -> PostProcessingRun:
    """The run and the memory's ``in_progress`` become visible together; a worker is woken after both.

    The transcript, however long, is read and counted before the transaction.
    """
    for attempt in range(1, stored.WRITE_TRIES + 1):
        seen = as_read.seen(memory)
        try:
            with transaction.atomic():
                alive()
                run = service.start(
                    "postprocess",
                    uid,
                    memory.id,
                    actor=actor,
                    reason="recording uploaded",
                    audio=kept,
                    options={"emotional_feedback": emotional_feedback or memory.emotional_feedback},
                    idempotency_key=f"user:{key}" if key else None,
                )
                if emotional_feedback and not memory.emotional_feedback:
                    seen = as_read.write(uid, seen, {"emotional_feedback": True})  # it was asked for
                if run.audio == kept.name:
                    notifications.mark(run, PostProcessingStatus.IN_PROGRESS, seen=seen)
        except stored.Overtaken:
            stored.pause(attempt)
            memory = repository.get_memory(uid, memory.id)
            continue
        return run
    raise stored.contention()


def _on_disk(upload: Any, folder: Path) -> Path:
    """Where the upload lies; a small one that Django kept in memory is written down first."""
    if hasattr(upload, "temporary_file_path"):
        upload.flush()
        return Path(upload.temporary_file_path())
    path = folder / "upload"
    with path.open("wb") as file:
        for chunk in upload.chunks():
            file.write(chunk)
    return path


def _suffix(name: str | None) -> str:
    """The end of the client's file name where it is one of the usual; the name itself is never used for a path."""
    suffix = Path(name or "").suffix.lower()
    return suffix if suffix in {".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".webm", ".aac"} else ".bin"
