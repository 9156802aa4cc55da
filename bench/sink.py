from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from transcription.ports import Conversation, Piece, SessionInfo


class NullSink:
    """A SessionSink that keeps nothing."""

    async def open(self, session: SessionInfo, *, watch: bool = True) -> Conversation:
        return Conversation(session.session_id, session.started_at)

    async def resume(self, session: SessionInfo) -> Conversation | None:
        return None

    async def close(self, *_: Any, **__: Any) -> None:
        return None

    async def store(self, session: SessionInfo, conversation: Conversation, pieces: Sequence[Piece], **_: Any) -> None:
        return None

    async def store_transcripts(self, *_: Any) -> None:
        return None

    async def finish(self, *_: Any, **__: Any) -> None:
        return None

    async def events_after(self, uid: str, number: int, limit: int = 100, **_: Any) -> list[dict[str, Any]]:
        return []

    async def latest_events(self, uids: Collection[str]) -> dict[str, int]:
        return {}

    async def knows_person(self, uid: str, person_id: str) -> bool:
        return True

    def events_group(self, uid: str) -> str:
        return "events.bench"
