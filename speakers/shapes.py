"""The person document, as the app knows it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class Person(BaseModel):
    """The document of a person whom a user knows, ``users/{uid}/people/{id}``. Samples and embeddings are rows of
    ``speakers``; the document names the person."""

    model_config = ConfigDict(extra="allow")

    id: str
    name: str
    created_at: datetime
    updated_at: datetime
    deleted: bool = False
    speech_samples: list[str] = Field(default_factory=list)
