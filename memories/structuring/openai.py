"""Structuring by a language model: OpenAI's structured outputs, or any server that speaks the same API."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from memories.shapes import ActionItem, Category, Event, Structured
from memories.structuring import openai_sections, prompts
from memories.structuring.base import FillResult, StructureRequest, StructureResult, Wanted
from memories.structuring.category import EMOJI
from memories.structuring.discard import must_keep
from memories.structuring.local import local_time
from memories.structuring.openai_client import VENDOR, about, client, cost, refused
from memories.structuring.parts import groups, pieces, token_estimate
from omi.core.partial_results import part_id
from omi.core.vendor_errors import broken_answer, unreadable
from omi.core.vendor_fields import Losses, fields, first, items, number, text
from transcription.segments import plain_text, render

if TYPE_CHECKING:
    from openai.types import CompletionUsage

CONTEXT_TOKENS = 90_000
"""Tokens of transcript in one question: gpt-4o reads 128,000, and rules, answer and a safe margin need room."""

MAX_PARTS = 40  # about a week of talk: beyond it something is wrong
HORIZON = timedelta(days=2 * 366)
MAX_ITEMS = 20
MAX_NAME = 60
"""Characters of an owner's name."""


def _required(schema: dict[str, Any]) -> None:
    """Strict schemas know no defaults: every field is asked for, and one that a kept answer lacks is empty."""
    schema.pop("default", None)


class _Item(BaseModel):
    model_config = ConfigDict(extra="ignore")
    description: str
    owner: str = Field(default="", json_schema_extra=_required)
    due: str = Field(default="", json_schema_extra=_required)

    @field_validator("owner", "due")
    @classmethod
    def _short(cls, value: str) -> str:
        """A name or a date; a model that writes a sentence there says nothing, and makes the notes of a part long."""
        return value if len(value) <= MAX_NAME else ""


class _Event(BaseModel):
    model_config = ConfigDict(extra="ignore")
    title: str
    description: str
    start: str
    duration_minutes: int


class _Answer(BaseModel):
    """The schema that is sent. ``category`` is an enum there and free here: a 24th category reads as ``other``."""

    model_config = ConfigDict(extra="ignore", title="memory")
    title: str
    overview: str
    emoji: str
    category: str = Field(json_schema_extra={"enum": [category.value for category in Category]})
    action_items: list[_Item]
    events: list[_Event]
    discard: bool
    discard_reason: str

    @model_validator(mode="before")
    @classmethod
    def _field_by_field(cls, given: object) -> object:
        """Take what can be read: an item or a field that cannot be costs itself. An object without a readable title,
        overview or decision to discard is no answer."""
        if not isinstance(given, dict):
            return given
        losses = Losses(VENDOR)
        read: dict[str, Any] = {
            name: losses.field(given.get(name), text(given.get(name)))
            for name in ("title", "overview", "emoji", "category", "discard_reason")
        }
        read["discard"] = given.get("discard") is True
        if read["title"] is None and read["overview"] is None and not read["discard"]:
            raise ValueError("nothing of the answer can be read")
        read["action_items"] = _readable(given.get("action_items"), losses, "description")
        read["events"] = _readable(given.get("events"), losses, "title", "start")
        losses.report()
        return {name: "" if value is None else value for name, value in read.items()}


def _readable(listed: object, losses: Losses, *needed: str) -> list[dict[str, Any]]:
    """The items that have what they are about, with what else they have."""
    found = []
    for item in items(listed, losses):
        said = {name: text(item.get(name)) for name in (*needed, "description", "owner", "due")}
        if any(said[name] is None for name in needed):
            losses.part()
            continue
        minutes = number(item.get("duration_minutes")) or 0
        found.append({**{name: value or "" for name, value in said.items()}, "duration_minutes": int(minutes)})
    return found


class OpenAIStructurer:
    """Makes the summary by a language model, asked as OpenAI's are. ``prices``: US dollars per million tokens read and
    written, where they are not the list price that ``openai_client`` knows."""

    name = VENDOR
    remote = True

    def __init__(
        self, context_tokens: int = CONTEXT_TOKENS, prices: tuple[float, float] | None = None, model: str = ""
    ) -> None:
        self._model = model
        self.context_tokens = context_tokens
        self._prices = prices

    @property
    def model_name(self) -> str:
        return self._model or str(settings.OMI_OPENAI_MODEL)

    def about(self) -> str:
        """Return what the server says of the model, for ``doctor``; raises ProviderError where it cannot be used."""
        return about(self.model_name, "OMI_OPENAI_MODEL")

    def structure(self, request: StructureRequest) -> StructureResult:
        if not plain_text(request.segments).strip() and not request.force:
            return StructureResult(
                Structured(), discarded=True, discard_reason="nothing was said", method=self.model_name
            )
        moment = local_time(request.started_at, request.time_zone)
        run = _Run(self, request, moment)
        text = render(request.segments, names=request.names, user_name=request.user_name)
        answer = run.whole(text)
        wanted = answer.discard and not answer.action_items and not answer.events and not must_keep(request)
        return StructureResult(
            structured=Structured() if wanted else to_structured(answer, moment, text),
            discarded=wanted,
            discard_reason=(prompts.one_line(answer.discard_reason) or "not worth keeping") if wanted else "",
            method=self.model_name,
            input_tokens=run.tokens[0],
            output_tokens=run.tokens[1],
            cost=self.cost(*run.tokens),
        )

    def fill(self, request: StructureRequest, wanted: Sequence[Wanted], made: Structured) -> FillResult:
        asking = openai_sections.Asking(self.model_name, self.context_tokens, request, wanted, self.cost)
        found = openai_sections.sections(asking.answers(), wanted, request)
        tokens = (asking.input_tokens, asking.output_tokens)
        return FillResult(found, self.model_name, *tokens, self.cost(*tokens))

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        return cost(self.model_name, input_tokens, output_tokens, self._prices)


class _Run:
    """The calls of one request: one, or one per part and one for the whole. ``timeout`` bounds each call.

    The answer about a part is kept as soon as it is there: a later call that fails does not make it paid again.
    """

    def __init__(self, structurer: OpenAIStructurer, request: StructureRequest, moment: datetime) -> None:
        self._structurer, self._request, self._moment = structurer, request, moment
        self.tokens = (0, 0)

    def whole(self, text: str) -> _Answer:
        budget = self._structurer.context_tokens
        if token_estimate(text) <= budget:
            return self._ask(prompts.structure(self._request, self._moment, text))
        parts = list(pieces(text, budget))
        if len(parts) > MAX_PARTS:
            raise refused("length", "the conversation is too long for the model")
        count = len(parts)
        answers = [
            self._once(part, prompts.structure(self._request, self._moment, part, part=(number, count)), number, count)
            for number, part in enumerate(parts, 1)
        ]
        return self._merged([_note(answer) for answer in answers], budget)

    def _merged(self, notes: list[str], budget: int) -> _Answer:
        """One answer of many: in one question, or group by group until one question holds them."""
        while True:
            together = list(groups(notes, budget))
            if len(together) >= len(notes) or len(together) > MAX_PARTS:
                raise refused("length", "the conversation is too long for the model")
            answers = [
                self._once(text, prompts.merge(self._request, self._moment, text, len(group)), "merge", len(group))
                for group in together
                for text in ["\n\n".join(group)]
            ]
            if len(answers) == 1:
                return answers[0]
            notes = [_note(answer) for answer in answers]

    def _once(self, text: str, messages: list[dict[str, str]], *place: Any) -> _Answer:
        """The answer about a part, from before where it was kept. (``messages`` hold a new marker each time.)"""
        request = self._request
        asked = [request.answer_language, request.user_name, request.language, self._moment.isoformat()]
        part = part_id(self._structurer.model_name, asked, place, text)
        kept = request.parts.get(part)
        if kept is not None:
            return _Answer.model_validate(kept)
        answer = self._ask(messages)
        request.parts.keep(part, answer.model_dump(mode="json"))
        return answer

    def _ask(self, messages: list[dict[str, str]]) -> _Answer:
        from openai import LengthFinishReasonError

        with client(self._request.timeout) as openai:
            asked: Any = messages
            raw = openai.chat.completions.with_raw_response.parse(
                model=self._structurer.model_name, messages=asked, response_format=_Answer
            )
            try:
                completion = raw.parse()
            except LengthFinishReasonError as error:
                self._billed(error.completion.usage)
                raise
            except ValidationError:  # what the model wrote is no JSON to the SDK; it was paid for, so it is read
                return self._salvaged(raw.http_response.content)
            self._billed(completion.usage)
            message = completion.choices[0].message
            parsed, refusal = message.parsed, message.refusal
        if refusal:
            raise refused("refusal", "the model refused to answer")
        if not isinstance(parsed, _Answer):
            raise broken_answer(VENDOR, "gave an empty answer", code="empty_answer")
        if not (parsed.title.strip() or parsed.overview.strip() or parsed.discard):
            raise broken_answer(VENDOR, "gave an answer without title and overview", code="empty_title")
        return parsed

    def _salvaged(self, body: bytes) -> _Answer:
        """The answer from a completion whose text the SDK refuses. ProviderError (permanent) where it is none."""
        completion = fields(json.loads(body))
        usage = fields(completion.get("usage"))
        self._spent(*(int(number(usage.get(name)) or 0) for name in ("prompt_tokens", "completion_tokens")))
        content = text(fields(first(completion.get("choices")).get("message")).get("content")) or ""
        try:
            return _Answer.model_validate(json.loads(content))
        except ValueError as error:
            raise unreadable(VENDOR, "the model's answer is not in the form that was asked for") from error

    def _billed(self, usage: CompletionUsage | None) -> None:
        if usage is not None:
            self._spent(usage.prompt_tokens, usage.completion_tokens)

    def _spent(self, given: int, made: int) -> None:
        """What was billed, in tokens, whether the answer is of use or not."""
        self.tokens = (self.tokens[0] + given, self.tokens[1] + made)
        self._request.parts.spent(input_tokens=given, output_tokens=made, cost=self._structurer.cost(given, made))


def _note(answer: _Answer) -> str:
    return answer.model_dump_json(exclude={"emoji", "discard", "discard_reason"})


def to_structured(answer: _Answer, moment: datetime, said: str) -> Structured:
    """The model's answer as a memory holds it: trimmed, capped, dated, and nothing that cannot be. ``said`` is the
    transcript with its speakers: an owner who is not in it is nobody."""
    category = (
        Category(answer.category.strip().lower())
        if answer.category.strip().lower() in set(Category)
        else Category.OTHER
    )
    overview = answer.overview.strip()
    title = " ".join(answer.title.split()) or " ".join(overview.split()[:8])
    items = {item.description.casefold(): item for raw in answer.action_items if (item := _item(raw, moment, said))}
    events = [event for raw in answer.events if (event := _event(raw, moment)) is not None]
    return Structured(
        title=title[:200],
        overview=overview[:5000],
        emoji=answer.emoji.strip()[:16] or EMOJI[category],
        category=category,
        action_items=list(items.values())[:MAX_ITEMS],
        events=events[:MAX_ITEMS],
    )


def _item(raw: _Item, moment: datetime, said: str) -> ActionItem | None:
    """An item with its owner and day behind it, as the local structurer writes it; None without a description."""
    what = " ".join(raw.description.split())[:500]
    if not what:
        return None
    owner = " ".join(raw.owner.split())
    owner = owner if owner.casefold() in said.casefold() else ""
    due = _local(raw.due, moment)
    if due is not None and not moment - timedelta(days=1) <= due <= moment + HORIZON:
        due = None
    day_only = len(raw.due.strip()) <= len("2026-01-31")
    if due is not None and day_only:
        due = due.replace(hour=23, minute=59)
    when = f"{due:%Y-%m-%d}" if due and day_only else f"{due:%Y-%m-%d %H:%M}" if due else ""
    notes = ", ".join(note for note in (owner if owner not in what else "", when if when not in what else "") if note)
    return ActionItem(
        description=f"{what.rstrip('.')} ({notes})" if notes else what,
        owner=owner or None,
        due_at=due.astimezone(UTC) if due else None,
    )


def _local(text: str, moment: datetime) -> datetime | None:
    """A local date or time of the model's, aware; None for one that cannot be read."""
    try:
        found = datetime.fromisoformat(text.strip())
        found = found.replace(tzinfo=moment.tzinfo) if found.tzinfo is None else found.astimezone(moment.tzinfo)
        return found.astimezone(UTC).astimezone(moment.tzinfo)
    except (ValueError, OverflowError):
        return None


def _event(raw: _Event, moment: datetime) -> Event | None:
    """An event of the next two years; one in the past, in year 9999 or without a readable start is left out."""
    start = _local(raw.start, moment)
    if start is None:
        return None
    start = start.astimezone(UTC)
    title = " ".join(raw.title.split())[:200]
    # A talk at 10:02 about "the meeting at ten" is still about today.
    if not title or not moment - timedelta(hours=12) <= start <= moment + HORIZON:
        return None
    duration = raw.duration_minutes if raw.duration_minutes > 0 else 30
    return Event(title=title, description=raw.description.strip()[:1000], start=start, duration=duration)
