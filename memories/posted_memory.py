"""What an app sends to have a memory made of words that it has: checked here, at the door."""

from __future__ import annotations

import uuid
from typing import Any

from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator

from memories.shapes import Geolocation, Photo
from omi.core.ids import checked
from omi.core.moments import Moment
from transcription.ids import LONGEST_LABEL, PersonId, SegmentId
from transcription.segments import Segment, is_speaker_label, speaker_label

MAX_GIVEN_SEGMENTS = 20_000
"""Segments that a client may bring at once: a talk of a day has about 14,000. One transaction stores them all, and on
SQLite nobody else writes meanwhile."""
LATEST_SECOND = 10_000_000.0
"""Of a posted segment: 115 days into its talk. A time that no clock can show makes no subtitle and no date."""


class GivenSegment(Segment):
    """A segment as a client sends it: checked here, because whatever is stored is sent to every app of this user.

    The app throws on a label that is not ``X_<int>`` and then shows no memory at all (docs/reference/app-protocol.md).
    """

    id: SegmentId = Field(default_factory=lambda: str(uuid.uuid4()))
    person_id: PersonId | None = None
    stt_provider: str | None = Field(default=None, max_length=100)

    @field_validator("id", "person_id", "stt_provider", mode="before")
    @classmethod
    def _nothing(cls, value: Any, info: ValidationInfo) -> Any:
        if value in (None, ""):
            return str(uuid.uuid4()) if info.field_name == "id" else None
        return value

    @field_validator("speaker", mode="before")
    @classmethod
    def _readable(cls, value: Any) -> Any:
        if value is None:
            return speaker_label(0)
        if isinstance(value, str) and (len(value) > LONGEST_LABEL or not is_speaker_label(value)):
            raise ValueError("speaker must be a label such as SPEAKER_00")
        return value

    @field_validator("id", "person_id")
    @classmethod
    def _an_id(cls, value: str | None) -> str | None:
        return value if value is None else checked(value)

    @model_validator(mode="after")
    def _forward(self) -> GivenSegment:
        if not 0 <= self.start <= self.end <= LATEST_SECOND:
            raise ValueError(f"a segment must have 0 <= start <= end <= {LATEST_SECOND:.0f}")
        return self


class CreateMemory(BaseModel):
    """Body of ``POST /v1/memories``."""

    started_at: Moment
    finished_at: Moment
    transcript_segments: list[GivenSegment] = Field(default_factory=list, max_length=MAX_GIVEN_SEGMENTS)
    geolocation: Geolocation | None = None
    photos: list[Photo] = Field(default_factory=list)
    source: str | None = Field(default="friend", max_length=64)
    language: str | None = Field(default=None, max_length=32)
    processing_memory_id: str | None = None

    @field_validator("processing_memory_id")
    @classmethod
    def _an_id(cls, value: str | None) -> str | None:
        return value if value is None else checked(value)
