"""The sections of a summary template by a language model: every point is held against what was said.

The transcript is data from strangers, and the user's instructions only say what to look for: whatever stands in them,
a point is only kept that the talk bears out (``memories.structuring.grounding``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from memories.document_parts import Point, Section
from memories.structuring import openai_client, prompts
from memories.structuring.base import StructureRequest, Wanted
from memories.structuring.grounding import LONGEST, Talk, one_line, plain
from memories.structuring.openai_client import VENDOR, refused
from memories.structuring.parts import pieces
from omi.core.partial_results import part_id
from omi.core.vendor_fields import Losses, fields, items, number, text
from transcription.segments import render

MOST_POINTS: Final = 12
"""Of one section."""
MAX_PARTS: Final = 40

_POINT: Final = {
    "type": "object", "additionalProperties": False, "required": ["text", "quote"],
    "properties": {"text": {"type": "string"}, "quote": {"type": "string"}},
}  # fmt: skip
_SECTION: Final = {
    "type": "object", "additionalProperties": False, "required": ["number", "points"],
    "properties": {"number": {"type": "integer"}, "points": {"type": "array", "items": _POINT}},
}  # fmt: skip
SCHEMA: Final = {
    "name": "sections", "strict": True,
    "schema": {
        "type": "object", "additionalProperties": False, "required": ["sections"],
        "properties": {"sections": {"type": "array", "items": _SECTION}},
    },
}  # fmt: skip

Raw = list[tuple[int, str, str]]
"""Points as the model gives them: number of the section, text, quote."""


def sections(answers: Iterable[Raw], wanted: Sequence[Wanted], request: StructureRequest) -> list[Section]:
    """What the answers hold for each section, each point once."""
    talk = Talk(request.segments, request.language, [request.user_name, *request.names.values()])
    found = [dict[str, Point]() for _ in wanted]
    for which, told, quote in (raw for answer in answers for raw in answer):
        point = one_line(told)
        place = talk.place(point, quote, request.answer_language) if point and 1 <= which <= len(wanted) else None
        if place is not None:
            found[which - 1].setdefault(plain(point), Point(text=point, start=round(place.start, 2)))
    return [
        Section(heading=section.heading, points=list(points.values())[:MOST_POINTS])
        for section, points in zip(wanted, found, strict=True)
    ]


class Asking:
    """The calls of one request: one, or one for each part of a long talk, each kept as soon as it is there."""

    def __init__(
        self, model: str, budget: int, request: StructureRequest, wanted: Sequence[Wanted],
        cost: Callable[[int, int], float],
    ) -> None:  # fmt: skip
        self._model, self._budget, self._request, self._wanted, self._cost = model, budget, request, wanted, cost
        self.input_tokens = self.output_tokens = 0

    def answers(self) -> list[Raw]:
        """Ask the model about each part of the conversation and return its answers in order; raises ProviderError."""
        request = self._request
        whole = render(request.segments, names=request.names, user_name=request.user_name)
        parts = list(pieces(whole, self._budget))
        if len(parts) > MAX_PARTS:
            raise refused("length", "the conversation is too long for the model")
        return [self._once(part) for part in parts]

    def _once(self, part: str) -> Raw:
        request = self._request
        asked = [[item.heading, item.instruction] for item in self._wanted]
        identity = part_id("sections", self._model, request.answer_language, request.user_name, asked, part)
        kept = request.parts.get(identity)
        if kept is not None:
            return [(int(which), str(told), str(quote)) for which, told, quote in kept]
        answer = self._ask(part)
        request.parts.keep(identity, answer)
        return answer

    def _ask(self, part: str) -> Raw:
        messages = prompts.sections(self._request, self._wanted, part)
        return _read(openai_client.answer(self._model, messages, SCHEMA, self._request.timeout, self._billed))

    def _billed(self, given: int, made: int) -> None:
        """In tokens, whether the answer is of use or not."""
        self.input_tokens, self.output_tokens = self.input_tokens + given, self.output_tokens + made
        self._request.parts.spent(input_tokens=given, output_tokens=made, cost=self._cost(given, made))


def _read(answer: object) -> Raw:
    """What can be read of an answer; a point that cannot costs itself."""
    losses = Losses(VENDOR)
    found: Raw = []
    for section in items(fields(answer).get("sections"), losses):
        which = number(section.get("number"))
        for point in items(section.get("points"), losses):
            told, quote = text(point.get("text")), text(point.get("quote"))
            if which is None or told is None or quote is None:
                losses.part()
                continue
            found.append((int(which), told[: 2 * LONGEST], quote[: 2 * LONGEST]))
    losses.report()
    return found
