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
    has_profile: bool


class Url(BaseModel):
    url: str | None


class Uploaded(BaseModel):
    """``url`` is all that the 2024 app reads."""

    url: str | None
    sample_id: str
    profile_version: int
    quality: dict[str, Any]


class ProfileStatus(BaseModel):
    """``learned_count``: samples from assigned segments; ``candidates`` wait for a person's confirmation."""

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
    status: str = "ok"


class Detail(BaseModel):
    detail: Any
    code: str | None = None


class PacketsBody(BaseModel):
    bytes: list[list[int]]
    duration: int


class PersonBody(BaseModel):
    name: str


class SampleInfo(BaseModel):
    id: str
    status: str
    source: str
    seconds: float
    voiced_seconds: float
    created_at: datetime
    url: str | None
    quality: dict[str, Any]
