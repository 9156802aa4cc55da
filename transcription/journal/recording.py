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
from transcription.journal.reader import seconds_of
from transcription.journal.store import Entry
from transcription.spans import Span, merge, subtract


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
    return sorted(placed, key=lambda item: (item.offset, item.entry.meta.started_at))


def recording_for(uid: str, conversation: ConversationLike, dest: Path) -> Path | None:
    """Write ``dest``: 16 kHz mono WAV in conversation time, silence where no session was. None: there is no audio.

    Blocking; a minute of Opus takes about a second. Where two sessions overlap (a half-open socket and its
    successor), the one that began later is heard.
    """
    return recording_of(entries(uid, conversation).values(), conversation, dest)


def recording_of(journals: Iterable[Entry], conversation: ConversationLike, dest: Path) -> Path | None:
    """Return the recording as ``recording_for``, of these journals; raises FileNotFoundError where the audio of one
    went meanwhile."""
    sessions = placed_sessions(journals, conversation)
    if not any(item.entry.audio.exists() and item.entry.audio.stat().st_size for item in sessions):
        return None
    with writing_wav(dest) as out:
        for piece in _timeline(sessions):
            out.writeframesraw(piece)
    return dest


def _timeline(sessions: Sequence[Placed]) -> Iterator[bytes]:
    readers = [_Forwards(journal.read_pcm(item.entry)) for item in sessions]
    position = 0  # bytes
    for start, end, index in _heard(sessions):
        while position < start:
            silence = min(start - position, BYTES_PER_SECOND)
            yield b"\0" * silence
            position += silence
        begin = _bytes(sessions[index].offset)
        for piece in readers[index].between(start - begin, end - begin):
            yield piece
            position += len(piece)


def _heard(sessions: Sequence[Placed]) -> list[tuple[int, int, int]]:
    """From when to when (bytes of the recording) which session is heard: of two at once the one that began later. What
    lies before the conversation's beginning was deleted."""
    found: list[tuple[int, int, int]] = []
    later: list[Span] = []
    for index, item in reversed(list(enumerate(sessions))):
        own = (max(0.0, item.offset), item.offset + seconds_of(item.entry))
        found += [(_bytes(start), _bytes(end), index) for start, end in subtract(merge([own]), merge(later))]
        later.append(own)
    return sorted(found)


def _bytes(seconds: float) -> int:
    return round(seconds * RATE) * 2


class _Forwards:
    """Reads PCM once, from its beginning to its end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest, self._at = pieces, b"", 0

    def between(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from ``start`` to ``end``; calls come in order."""
        while self._at < end:
            self._rest = self._rest or next(self._pieces, b"")
            if not self._rest:
                return
            passed = min(len(self._rest), max(0, start - self._at))
            piece = self._rest[passed : max(passed, end - self._at)]
            used = passed + len(piece)
            self._at, self._rest = self._at + used, self._rest[used:]
            if piece:
                yield piece
