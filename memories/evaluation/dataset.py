"""An evaluation dataset in memory: items with their audio and what is true of it. ``readers`` makes it from a folder.

Times are float seconds from the start of the item's audio (of its ``clip``, where it has one).
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator


class DatasetError(Exception):
    """The dataset cannot be used. The message names the file, the place in it, and what is wrong there."""

    def __init__(self, file: Path, problem: str, place: str = "") -> None:
        super().__init__(f"{file}{f', {place}' if place else ''}: {problem}")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Turn(_Strict):
    """What one speaker says without a break. ``text`` is empty where only the times are known."""

    speaker: str = Field(min_length=1)
    start: float = Field(ge=0, allow_inf_nan=False)
    end: float = Field(allow_inf_nan=False)
    text: str = ""

    @model_validator(mode="after")
    def _forward(self) -> Turn:
        if self.end < self.start:
            raise ValueError(f"the turn ends ({self.end:g} s) before it starts ({self.start:g} s)")
        return self


class Speaker(_Strict):
    """What the product is told of a speaker: the ``user`` and each ``person`` are enrolled, a ``stranger`` is not."""

    role: Literal["user", "person", "stranger"] = "stranger"
    enrolment: Path | None = None

    @model_validator(mode="after")
    def _enrolled(self) -> Speaker:
        if (self.enrolment is None) != (self.role == "stranger"):
            raise ValueError(f"a {self.role} has {'no' if self.role == 'stranger' else 'an'} enrolment recording")
        return self


class Expected(_Strict):
    """What a person would note of the conversation, and nothing else. Each entry lists words (or parts of words) that
    its description or title must hold. None: not known, so not measured."""

    action_items: list[str] | None = None
    events: list[str] | None = None
    discarded: bool | None = None


class Item(_Strict):
    """One recording, or (``audio`` None) one conversation that is known by its text alone.

    ``text`` is what is said, "" for a recording without speech; None where it is not known. ``partial``: the turns
    are only some of what is said, so that nothing is measured of what lies outside of them.
    """

    name: str
    audio: Path | None = None
    clip: tuple[float, float] | None = None
    language: str = "en"
    text: str | None = None
    turns: list[Turn] | None = None
    partial: bool = False
    speakers: dict[str, Speaker] = Field(default_factory=dict)
    vocabulary: list[str] = Field(default_factory=list)
    started_at: datetime = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
    time_zone: str = "UTC"
    expected: Expected = Field(default_factory=Expected)

    @model_validator(mode="after")
    def _measurable(self) -> Item:
        if self.audio is None and not any(turn.text for turn in self.turns or []):
            raise ValueError("an item has audio, or turns with text")
        users = [name for name, speaker in self.speakers.items() if speaker.role == "user"]
        if len(users) > 1:
            raise ValueError(f"one speaker at most is the user, not {' and '.join(sorted(users))}")
        strange = {turn.speaker for turn in self.turns or []} - set(self.speakers)
        if self.speakers and strange:
            raise ValueError(f"turns of {', '.join(sorted(strange))}, who is not one of the item's speakers")
        return self

    @property
    def reference(self) -> str | None:
        """What is said: ``text``, else that of the turns where every turn has one."""
        if self.text is not None:
            return self.text
        if self.turns is None or any(not turn.text for turn in self.turns):
            return None
        return " ".join(turn.text for turn in sorted(self.turns, key=lambda turn: turn.start))

    @property
    def user(self) -> str | None:
        return next((name for name, speaker in self.speakers.items() if speaker.role == "user"), None)


class Question(_Strict):
    """What a user asks the search, and the items whose memories answer it."""

    question: str = Field(min_length=1)
    items: list[str] = Field(min_length=1)


class Dataset(_Strict):
    """A name, items in a fixed order, and questions to search among their memories."""

    name: str
    items: list[Item]
    questions: list[Question] = Field(default_factory=list)


def parsed(model: type[BaseModel], given: Any, file: Path, place: str = "") -> Any:
    """Return ``given`` as ``model``. Raises DatasetError, which names the file and the field."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        problem = first["msg"].removeprefix("Value error, ")
        raise DatasetError(file, problem, ": ".join(filter(None, (place, where)))) from error
