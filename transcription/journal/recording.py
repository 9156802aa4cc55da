"""The recording of a conversation out of the journal: no upload by the app is needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from transcription import journal
from transcription.audio.codecs import BYTES_PER_SECOND, RATE
from transcription.audio.wav import writing_wav
from transcription.journal.store import Entry


class ConversationLike(Protocol):
    """What of a processing memory is needed: its id, its sessions, and the wall clock of its time zero."""

    id: str
    session_ids: list[str]
    timer_start: float


@dataclass(frozen=True, slots=True)
class Placed:
    """A session and where it begins in the conversation (seconds)."""

    entry: Entry
    offset: float


def entries(uid: str, conversation: ConversationLike) -> dict[str, Entry]:
    """The sessions of a conversation whose journals lie on this host's disk, by id."""
    found_here = {entry.session_id: entry for entry in journal.for_conversation(uid, conversation.id)}
    for session_id in conversation.session_ids:
        if session_id not in found_here and (found := journal.find(session_id, uid)) is not None:
            found_here[session_id] = found
    return found_here


def placed_sessions(sessions: Iterable[Entry], conversation: ConversationLike) -> list[Placed]:
    """The sessions of a conversation that still have audio, in order. The offset that the session itself noted is
    taken; a session that died before it could is placed by its clock."""
    placed = []
    for entry in sessions:
        noted = entry.meta.conversation == conversation.id
        began = datetime.fromisoformat(entry.meta.started_at).timestamp()
        placed.append(Placed(entry, entry.meta.offset if noted else max(0.0, began - conversation.timer_start)))
    return sorted(placed, key=lambda item: item.offset)


def recording_for(uid: str, conversation: ConversationLike, dest: Path) -> Path | None:
    """Write ``dest``: 16 kHz mono WAV in conversation time, silence where no session was. None: there is no audio.

    Blocking; a minute of Opus takes about a second. Where two sessions overlap (a half-open socket and its
    successor), the later one is heard.
    """
    return recording_of(entries(uid, conversation).values(), conversation, dest)


def recording_of(journals: Iterable[Entry], conversation: ConversationLike, dest: Path) -> Path | None:
    """Return the recording as ``recording_for``, of these journals."""
    sessions = placed_sessions(journals, conversation)
    if not any(item.entry.audio.exists() and item.entry.audio.stat().st_size for item in sessions):
        return None
    with writing_wav(dest) as out:
        for piece in _timeline(sessions):
            out.writeframesraw(piece)
    return dest


def _timeline(sessions: Sequence[Placed]) -> Iterator[bytes]:
    position = 0  # bytes
    for index, item in enumerate(sessions):
        start = round(item.offset * RATE) * 2
        until = round(sessions[index + 1].offset * RATE) * 2 if index + 1 < len(sessions) else None
        while position < start:
            silence = min(start - position, BYTES_PER_SECOND)
            yield b"\0" * silence
            position += silence
        passed = max(0, -start)  # of a session that began before its conversation: that was deleted
        for whole in journal.read_pcm(item.entry):
            piece, passed = whole[passed:], max(0, passed - len(whole))
            cut = piece if until is None else piece[: max(0, until - position)]
            if cut:
                yield cut
                position += len(cut)
            if len(cut) < len(piece):
                break
