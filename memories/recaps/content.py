"""What a recap says, taken from the memories of its period word by word. Pure: no model, nothing invented."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from pydantic import BaseModel, Field

from emotions.base import EmotionTimeline
from memories.recaps.periods import LENGTH
from memories.shapes import Memory
from memories.structuring.words import STOP_WORDS
from memories.wording import terms
from transcription.segments import Segment, end_of

EXTRACTIVE = "extractive"
MOST_DECISIONS, MOST_QUOTES, MOST_ITEMS, MOST_MEMORIES = 12, 5, 50, 200
LOOKED_AT = 2000
"""Segments of one memory that are looked through."""
TAG = re.compile(r"@\d+\b")
"""Stands for a person in a sentence of a model: ``@0`` for the user."""
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s*")
_DECIDED = re.compile(
    r"\b(?:we(?:'ve| have)? (?:decided|agreed|settled)|(?:it's|it is) (?:decided|settled|a deal)|let's go with|"
    r"we (?:go with|take|accept|sign|approve)|they approved|approved,|decided to|then we|agreed\b|deal\.|"
    r"wir (?:nehmen|machen|haben (?:uns )?(?:entschieden|beschlossen|geeinigt))|beschlossen|abgemacht|"
    r"dann nehmen wir|on (?:a décidé|prend)|nous avons décidé|c'est décidé|d'accord, on|"
    r"(?:hemos )?decidido|decidimos|quedamos en|trato hecho)|(?:我们)?决定|说好了",
    re.IGNORECASE,
)
_TITLES = {
    "en": ("{day}", "Week of {day}"), "de": ("{day}", "Woche ab {day}"), "fr": ("{day}", "Semaine du {day}"),
    "es": ("{day}", "Semana del {day}"), "zh": ("{day}", "{day} 起的一周"),
}  # fmt: skip
_DAYS = {"en": "%Y-%m-%d", "de": "%d.%m.%Y", "fr": "%d/%m/%Y", "es": "%d/%m/%Y", "zh": "%Y-%m-%d"}


class Moment(BaseModel):
    """Something that was said. ``start`` and ``end`` in seconds of the memory; the speaker as the memory knows them."""

    text: str
    memory_id: str
    start: float
    end: float
    person_id: str | None = None
    is_user: bool = False


class Cite(BaseModel):
    """Where something was said: seconds of a memory."""

    memory_id: str
    start: float
    end: float


class Said(BaseModel):
    """A sentence that a language model wrote of what was said at a moment. Tags stand in it for people (``@1``)."""

    text: str
    moment: Cite


class Task(BaseModel):
    """An action item that is not done."""

    description: str
    owner: str | None
    due_at: str | None
    memory_id: str


class Part(BaseModel):
    """One memory of the period."""

    memory_id: str
    title: str
    overview: str
    emoji: str
    category: str
    at: str
    seconds: float


class Spoken(BaseModel):
    """A person whom the user named, or (without an id) the user, and how long they spoke."""

    person_id: str | None
    seconds: float
    memories: int


class Mood(BaseModel):
    """An emotion of the user's own voice, and its share of the time in which it was measured."""

    emotion: str
    share: float


class Content(BaseModel):
    """A recap. Names of people are not in it: they are put in when it is read.

    ``summary``: sentences of a model (``method``), empty without one; ``voices``: whose the tags in it are, None the
    user's; ``written_from``: the key of the request that it answers.
    """

    kind: str
    first: date
    last: date
    time_zone: str
    language: str
    title: str
    memories: list[Part] = Field(default_factory=list)
    decisions: list[Moment] = Field(default_factory=list)
    action_items: list[Task] = Field(default_factory=list)
    people: list[Spoken] = Field(default_factory=list)
    moods: list[Mood] = Field(default_factory=list)
    quotes: list[Moment] = Field(default_factory=list)
    method: str = EXTRACTIVE
    summary: list[Said] = Field(default_factory=list)
    voices: dict[str, str | None] = Field(default_factory=dict)
    written_from: str = ""


def content(
    kind: str, first: date, zone: str, language: str, memories: Sequence[Memory],
    timelines: Mapping[str, EmotionTimeline],
) -> Content:  # fmt: skip
    """The recap of ``memories``, oldest first. ``timelines``: emotions by memory id, where they were measured."""
    code = language.split("-")[0].lower()
    day = first.strftime(_DAYS.get(code, _DAYS["en"]))
    title = _TITLES.get(code, _TITLES["en"])[kind == "week"].format(day=day)
    said = [(memory, segment, part) for memory in memories for segment, part in _sentences(memory)]
    decisions = [_moment(*item) for item in said if _DECIDED.search(item[2]) and not item[2].endswith("?")]
    return Content(
        kind=kind, first=first, last=first + timedelta(days=LENGTH[kind] - 1), time_zone=zone, language=language,
        title=title, memories=[_part(memory) for memory in memories[:MOST_MEMORIES]],
        decisions=decisions[:MOST_DECISIONS], action_items=list(_tasks(memories))[:MOST_ITEMS],
        people=_people(memories), moods=_moods(timelines), quotes=_quotes(said),
    )  # fmt: skip


def _part(memory: Memory) -> Part:
    made = memory.structured
    return Part(
        memory_id=memory.id, title=made.title, overview=made.overview, emoji=made.emoji, category=made.category.value,
        at=(memory.started_at or memory.created_at).isoformat(),
        seconds=round(end_of(memory.transcript_segments), 1),
    )  # fmt: skip


def _sentences(memory: Memory) -> Iterator[tuple[Segment, str]]:
    for segment in memory.transcript_segments[:LOOKED_AT]:
        for part in _SENTENCE.split(segment.text):
            if part.strip():
                yield segment, part.strip()


def _moment(memory: Memory, segment: Segment, text: str) -> Moment:
    return Moment(
        text=text[:400], memory_id=memory.id, start=segment.start, end=segment.end, person_id=segment.person_id,
        is_user=segment.is_user,
    )  # fmt: skip


def _tasks(memories: Sequence[Memory]) -> Iterator[Task]:
    seen: set[str] = set()
    for memory in memories:
        for item in memory.structured.action_items:
            same = " ".join(terms(item.description))
            if not item.completed and same not in seen:
                seen.add(same)
                due = item.due_at.isoformat() if item.due_at else None
                yield Task(description=item.description, owner=item.owner, due_at=due, memory_id=memory.id)


def _people(memories: Sequence[Memory]) -> list[Spoken]:
    seconds: dict[str | None, float] = defaultdict(float)
    present: dict[str | None, set[str]] = defaultdict(set)
    for memory in memories:
        for segment in memory.transcript_segments:
            if segment.is_user or segment.person_id:
                who = None if segment.is_user else segment.person_id
                seconds[who] += segment.end - segment.start
                present[who].add(memory.id)
    spoken = [
        Spoken(person_id=who, seconds=round(count, 1), memories=len(present[who])) for who, count in seconds.items()
    ]
    return sorted(spoken, key=lambda item: (-item.seconds, item.person_id or ""))


def _moods(timelines: Mapping[str, EmotionTimeline]) -> list[Mood]:
    seconds: dict[str, float] = defaultdict(float)
    for timeline in timelines.values():
        for span in timeline.spans:
            if span.is_user and span.leading:
                seconds[span.leading] += max(0.0, span.end - span.start)
    whole = sum(seconds.values())
    ranked = sorted(seconds.items(), key=lambda item: (-item[1], item[0]))[:5]
    return [Mood(emotion=name, share=round(count / whole, 3)) for name, count in ranked if whole > 0]


def _quotes(said: Sequence[tuple[Memory, Segment, str]]) -> list[Moment]:
    """Sentences of six to thirty words that are unlike the rest: with the most words that are said once in the period,
    at most one a memory."""
    counts: dict[str, int] = defaultdict(int)
    cut = []
    for memory, segment, text in said:
        words = terms(text)
        if not (segment.is_user or segment.person_id):
            continue  # of voices that nobody named nothing is quoted
        cut.append((memory, segment, text, words))
        for word in set(words):
            counts[word] += 1
    rated = []
    for place, (memory, segment, text, words) in enumerate(cut):
        long = 6 <= len(words) <= 30 or (12 <= len(text) <= 90 and not text.isascii())
        if long and not text.endswith("?") and not any(word[:1].isdigit() for word in words):
            rare = [word for word in words if counts[word] == 1 and word not in STOP_WORDS and len(word) > 3]
            rated.append((-len(rare) / (4 + len(words)), place, memory, segment, text))
    chosen: dict[str, Moment] = {}
    for _, _, memory, segment, text in sorted(rated, key=lambda item: item[:2]):
        if memory.id not in chosen and len(chosen) < MOST_QUOTES:
            chosen[memory.id] = _moment(memory, segment, text)
    return sorted(chosen.values(), key=lambda item: [memory.id for memory, _, _ in said].index(item.memory_id))
