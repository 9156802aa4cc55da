"""The shapes of an answer."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import BaseModel, Field


class Sentence(BaseModel):
    """A sentence of an answer. ``cites``: numbers of the passages that say so, at least one."""

    text: str
    cites: list[int] = Field(min_length=1)


class Cited(BaseModel):
    """A passage as it was said. ``at``: when the talk began; ``start`` and ``end``: seconds of its recording."""

    number: int
    memory_id: str
    title: str
    at: datetime
    start: float
    end: float
    speaker: str
    text: str


class Answer(BaseModel):
    """An answer from the user's memories. ``known`` false: the memories do not say it, and there are no sentences.
    ``method``: the model's name, or ``extractive``. ``start`` and ``end``: the days the question was understood to be
    about."""

    known: bool
    sentences: list[Sentence]
    passages: list[Cited]
    method: str
    start: date | None
    end: date | None
