"""Tags, comments and the sections of a summary: parts of a memory's document (``memories.shapes``)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pydantic import BaseModel, Field

MOST_TAGS: Final = 20
"""Of one memory."""
MOST_COMMENTS: Final = 100
"""Of one memory."""
MOST_COMMENT_CHARACTERS: Final = 100_000
"""Characters in all comments of a memory together: they are part of its document."""


class Point(BaseModel):
    """One thing that a section says. ``start``: second of the memory at which it was said; None where that is not
    known."""

    text: str
    start: float | None = None


class Section(BaseModel):
    """A heading of a summary template and what of it was said; no points: nothing was."""

    heading: str
    points: list[Point] = Field(default_factory=list)


class AppliedTemplate(BaseModel):
    """The template that sections were made with, by the name that it had. ``method``: ``extractive``, a model, or
    ``nothing`` where neither answered."""

    id: str
    name: str
    method: str = ""


class Comment(BaseModel):
    """What a person noted about a memory. ``edited_at``: when its words were changed last; None: never."""

    id: str
    text: str
    at: datetime
    edited_at: datetime | None = None


def too_many(comments: Sequence[Comment]) -> bool:
    """Whether these are more comments, or more words in them, than one memory may have."""
    return len(comments) > MOST_COMMENTS or sum(len(item.text) for item in comments) > MOST_COMMENT_CHARACTERS
