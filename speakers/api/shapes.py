"""What the speech-profile and people routes take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel

UPLOAD = {
    "multipart/form-data": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}},
}
"""The schema of a request with one recording."""


class HasProfile(BaseModel):
    """Whether the user's own voice was enrolled."""

    has_profile: bool


class Url(BaseModel):
    """The signed address of a sample; null where there is none."""

    url: str | None


class Uploaded(BaseModel):
    """The answer to an enrolment; ``url`` is all that the 2024 app reads."""

    url: str | None
    sample_id: str
    profile_version: int
    quality: dict[str, Any]


class ProfileStatus(BaseModel):
    """The state of the user's speech profile. ``learned_count``: samples from assigned segments; ``candidates`` wait
    for a person's confirmation."""

    has_profile: bool
    duration_seconds: float
    sample_count: int
    url: str | None
    learned_count: int = 0
    candidates: int = 0
    profile_version: int | None = None
    engine: str | None = None
    engine_version: str | None = None
    updated_at: datetime | None = None
    consent_version: str | None = None
    consent_given_at: datetime | None = None


class Status(BaseModel):
    """The answer of a route that only does something."""

    status: str = "ok"


class Detail(BaseModel):
    """The body of an error: what is wrong, and its code."""

    detail: Any
    code: str | None = None


class PacketsBody(BaseModel):
    """A recording as packets, each a list of byte values, as the 2024 app sends it."""

    bytes: list[list[int]]
    duration: int


class PersonBody(BaseModel):
    """The name of a person."""

    name: str


class SampleInfo(BaseModel):
    """One voice sample with its state, its lengths in seconds, the signed address of its audio, and its quality."""

    id: str
    status: str
    source: str
    seconds: float
    voiced_seconds: float
    created_at: datetime
    url: str | None
    quality: dict[str, Any]
