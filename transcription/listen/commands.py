"""The text messages of a client: JSON commands, each checked in full before anything is done with it."""

from __future__ import annotations

import json
from typing import Any

import structlog
from pydantic import BaseModel, Field, ValidationError

from transcription.ids import PersonId, SegmentId
from transcription.ports import SessionSink, VoiceLabel

log = structlog.get_logger(__name__)

MAX_TEXT = 64 * 1024
USER = "user"


class Assignment(BaseModel):
    """The command ``speaker_assigned``, which says who spoke these segments. ``person_id``: one of the user's people,
    or ``user``."""

    segment_ids: list[SegmentId] = Field(min_length=1, max_length=1000)
    person_id: PersonId

    @property
    def voice(self) -> VoiceLabel:
        if self.person_id == USER:
            return VoiceLabel(is_user=True, score=1.0)
        return VoiceLabel(person_id=self.person_id, score=1.0)


def parse_command(text: str) -> dict[str, Any] | None:
    """A text message as a command; None where it is no JSON object, or longer than ``MAX_TEXT``."""
    if len(text) > MAX_TEXT:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def parse_assignment(command: dict[str, Any]) -> Assignment | None:
    """Return the command as an assignment of speakers; None where it is malformed."""
    try:
        return Assignment.model_validate(command)
    except ValidationError:
        return None


async def why_ignored(given: Assignment, uid: str, sink: SessionSink) -> str:
    """Return why an assignment is not taken: its person is not one of the user's, or the store cannot say so now;
    empty where it is."""
    if given.person_id == USER:
        return ""
    try:
        known = await sink.knows_person(uid, given.person_id)
    except Exception as error:  # whatever the store is: said again when it is back
        log.warning("person_unchecked", error=type(error).__name__)
        return "people_unavailable"
    return "" if known else "unknown_person"
