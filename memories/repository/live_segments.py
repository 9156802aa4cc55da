"""The segments of a conversation that goes on: documents of bounded size below it, each the work of one session.

``users/{uid}/processing_memories/{id}/live_segments/{session}-{number}``. A session writes only the pieces that are new
or changed, so a minute costs the same whether it is the first of a conversation or its sixtieth. The conversation's own
document holds what changes rarely; its list holds what no session wrote live (conversations of older servers, audio
that was transcribed later). Whoever reads a conversation sees both put together, and nobody else knows of pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from memories.repository.large import FIELD, Unreadable
from memories.repository.parsing import with_ids
from omi.stores import damaged
from omi.stores.documents import documents
from omi.stores.documents.base import Data, Document

COLLECTION = "live_segments"


@dataclass(frozen=True, slots=True)
class LivePiece:
    """What a session writes at a time. ``until``: how far its audio reaches (conversation seconds), ``at``: the wall
    clock (Unix seconds) when the last of it came, ``written_at``: of this write."""

    session_id: str
    number: int
    segments: Sequence[Data]
    until: float
    at: float
    written_at: float

    def path(self, conversation: str) -> str:
        """Return the path of the piece's document below the conversation's."""
        return f"{conversation}/{COLLECTION}/{self.session_id}-{self.number:05d}"

    def data(self) -> Data:
        """Return the data of the piece's document."""
        return {
            "session_id": self.session_id,
            "number": self.number,
            "until": self.until,
            "at": self.at,
            "written_at": self.written_at,
            FIELD: list(self.segments),
        }


def is_conversation(path: str) -> bool:
    """Whether a path is that of a conversation, which may have pieces."""
    parts = path.split("/")
    return len(parts) == 4 and parts[0] == "users" and parts[2] == "processing_memories"


def read(conversation: str) -> list[Document]:
    """The pieces of a conversation, those that were written last at the end. Raises Unreadable, which is reported: a
    conversation with a hole must not pass for a whole one."""
    found = documents().query(f"{conversation}/{COLLECTION}")
    for piece in found:
        if piece.damaged:
            error = Unreadable(f"{piece.path} is damaged")
            damaged.report(piece.path, error)
            raise error
    return sorted(found, key=lambda piece: (piece.data.get("written_at", 0.0), piece.path))


def whole(found: Document) -> Document:
    """A conversation's document with its pieces put in; any other document as it is. Raises Unreadable."""
    if not is_conversation(found.path):
        return found
    return replace(found, data=put_together(found.id, found.data, read(found.path)))


def put_together(identity: str, data: Data, pieces: Sequence[Document]) -> Data:
    """The conversation's fields with the segments of all pieces, in order of time, and with how far each session's
    audio reaches. Of two segments with one id the one that was written last counts."""
    if not pieces:
        return data
    segments = {item["id"]: item for item in with_ids(identity, data.get(FIELD) or [])}
    audio: dict[str, Any] = dict(data.get("audio") or {})
    last_audio = float(data.get("last_audio") or 0.0)
    for piece in pieces:
        segments.update({item["id"]: item for item in piece.data[FIELD]})
        session, until, at = piece.data["session_id"], float(piece.data["until"]), float(piece.data["at"])
        known = audio.get(session) or {}
        audio[session] = {
            **known,
            "until": max(until, float(known.get("until") or 0.0)),
            "at": max(at, float(known.get("at") or 0.0)),
        }
        last_audio = max(last_audio, until)
    ordered = sorted(segments.values(), key=lambda item: (item["start"], item["end"]))
    return {**data, FIELD: ordered, "audio": audio, "last_audio": last_audio}


def taken_apart(segments: Sequence[Data], pieces: Sequence[Document]) -> tuple[list[Data], dict[str, Data]]:
    """A changed list as it is stored: what belongs into the conversation's own document, and the pieces that change, by
    path. The other pieces stay as they are."""
    given = {item["id"]: item for item in segments}
    changed: dict[str, Data] = {}
    in_pieces: set[str] = set()
    for piece in pieces:
        before = piece.data[FIELD]
        in_pieces.update(item["id"] for item in before)
        after = [given[item["id"]] for item in before if item["id"] in given]
        if after != before:
            changed[piece.path] = {**piece.data, FIELD: after}
    return [item for item in segments if item["id"] not in in_pieces], changed
