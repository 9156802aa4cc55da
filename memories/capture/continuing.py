"""Whether a conversation goes on, until when it was heard, and where the next session of it belongs. Pure.

Times are conversation seconds or Unix seconds, as named. ``ProcessingMemory.audio`` says of each session how far its
audio reaches; documents of older servers have none, and ``last_audio`` must do.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings

from memories.shapes import ProcessingMemory, SessionAudio
from omi.core import clock
from transcription.ports import FINAL
from transcription.segments import end_of

AT_ONCE = 0.5
"""Seconds by which a session may begin before the conversation that it joins: two sockets that were opened at once."""
AHEAD = 2.0
"""Seconds that a session's audio may be ahead of the wall clock: more was sent faster than it was spoken."""


def last_heard(found: ProcessingMemory) -> float:
    """Unix seconds of the last audio or word, whichever is later."""
    spoken = end_of(found.transcript_segments)
    until = found.timer_start + max(found.last_audio, spoken)
    return max([until, *(audio.at for audio in found.audio.values())])


def free_from(found: ProcessingMemory) -> float:
    """Unix seconds from which another session has its place.

    Never before what an ended session has heard: the clock may have been set back, and kept audio comes faster than it
    was spoken. Sessions that hear at the same time (two devices without an id) keep their own times.
    """
    if not found.audio:
        spoken = end_of(found.transcript_segments)
        return found.timer_start + max(found.last_audio, spoken)
    taken = [
        found.timer_start + audio.until
        for audio in found.audio.values()
        if audio.over or found.timer_start + audio.until > audio.at + AHEAD
    ]
    return max(taken, default=0.0)


def heard(found: ProcessingMemory, session_id: str, until: float, at: float) -> dict[str, dict[str, Any]]:
    """The field ``audio`` when this session's audio has come as far as ``until`` (conversation seconds)."""
    known = found.audio.get(session_id, SessionAudio())
    grown = SessionAudio(until=max(known.until, float(until)), at=max(known.at, float(at)), over=known.over)
    return _with(found, session_id, grown)


def closed(found: ProcessingMemory, session_id: str, reason: str) -> dict[str, Any]:
    """The fields that say that a session is over. By ``finish`` its conversation has ended, by gap where nobody else
    is heard in it."""
    known = found.audio.get(session_id, SessionAudio(until=found.last_audio))
    fields: dict[str, Any] = {"audio": _with(found, session_id, known.model_copy(update={"over": True}))}
    if reason in FINAL and not found.ended and (reason == "finish" or not going_on(found, session_id)):
        fields["ended"] = reason
    return fields


def going_on(found: ProcessingMemory, without: str) -> list[str]:
    """The other sessions that hear the conversation now. One that was not heard for the gap is not alive: a living one
    would have ended."""
    since = clock.time() - settings.OMI_GAP_SECONDS
    return [name for name, audio in found.audio.items() if name != without and not audio.over and audio.at >= since]


def _with(found: ProcessingMemory, session_id: str, audio: SessionAudio) -> dict[str, dict[str, Any]]:
    return {name: item.model_dump() for name, item in {**found.audio, session_id: audio}.items()}
