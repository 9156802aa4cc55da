"""Passages that a question is answered from: found by search, cut to what was said around the place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from memories.asking.periods import Days, period
from memories.search import people_named, query
from memories.search.words import STOP, terms, words
from memories.shapes import Memory
from omi.accounts.users import get_user, zone
from omi.core.calendar import midnight

MEMORIES, PASSAGES, AROUND = 6, 12, 1
"""Memories looked at, passages in all, and segments before and after the place."""
LONGEST = 1200
"""Characters of one passage."""
FOLLOWING = frozenset(
    "he she it they him her them his their that this those these there then else more er sie es ihn ihm ihr das dort "
    "dann il elle ils elles lui leur cela ça là él ella ellos eso allí 他 她 它 那".split()
)
"""Words that point back to the question before."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage that may answer the question. ``start`` and ``end`` in seconds of the memory's recording; ``at`` when
    it was; ``speaker`` as the user names them; ``hits``: how many words of the question it holds."""

    number: int
    memory_id: str
    title: str
    at: datetime
    start: float
    end: float
    speaker: str
    text: str
    hits: int


@dataclass(frozen=True, slots=True)
class Understood:
    """What is looked for, in which days, and of whom."""

    query: str
    days: Days | None
    people: dict[str, str]


def understood(uid: str, question: str, earlier: list[str]) -> Understood:
    """The question with what it takes from earlier ones: what "he" and "there" mean, and the days."""
    user = get_user(uid)
    today = timezone.now().astimezone(zone(user)).date()
    tokens = set(words(question))
    content = [word for word in terms(question) if word not in STOP and word not in FOLLOWING]
    follows = bool(earlier) and (len(content) < 2 or bool(tokens & FOLLOWING) or question.strip().lower()[:4] == "and ")
    looked = f"{earlier[-1]} {question}" if follows else question
    days = period(question, today) or (period(earlier[-1], today) if follows else None)
    known = people_named.names(uid)
    named = people_named.named(uid, terms(looked))
    return Understood(looked, days, {person: known[person] for ids in named.values() for person in ids})


def passages(uid: str, asked: Understood, *, days: Days | None = None) -> list[Passage]:
    """The passages that may answer, the best first; none where nothing is near enough."""
    user = get_user(uid)
    own, chosen = zone(user), days or asked.days
    filters = query.Filters(
        start=midnight(chosen[0], own) if chosen else None,
        end=midnight(chosen[1] + timedelta(days=1), own) - timedelta(microseconds=1) if chosen else None,
    )
    hits = query.search(uid, asked.query, MEMORIES, filters)
    names = people_named.names(uid)
    found: list[Passage] = []
    wanted = set(terms(asked.query))
    for hit in hits:
        if hit.place is None or hit.place.segment is None or not hit.sure:
            continue
        for index in _places(hit.memory, hit.place.segment, wanted, set(asked.people)):
            if len(found) < PASSAGES:
                found.append(_passage(len(found) + 1, hit.memory, index, names, user.name, wanted))
    return found


def _places(memory: Memory, best: int, wanted: set[str], people: set[str]) -> list[int]:
    """Indexes of segments: the place and its neighbours, and others that hold at least as many of the words."""
    segments = memory.transcript_segments
    near = [i for i in range(best - AROUND, best + AROUND + 1) if 0 <= i < len(segments) and segments[i].text.strip()]
    counted = sorted(
        (
            (len(wanted & set(words(item.text))) + (item.person_id in people), -i)
            for i, item in enumerate(segments[:2000])
        ),
        reverse=True,
    )
    return list(dict.fromkeys([best, *(-i for count, i in counted[:2] if count > 1), *near]))


def _passage(number: int, memory: Memory, index: int, names: dict[str, str], user: str, wanted: set[str]) -> Passage:
    segment = memory.transcript_segments[index]
    name = (user or "You") if segment.is_user else names.get(segment.person_id or "", "")
    return Passage(
        number, memory.id, memory.structured.title, memory.started_at or memory.created_at, segment.start, segment.end,
        name or f"Speaker {segment.speaker_id}", segment.text.strip()[:LONGEST],
        len(wanted & set(words(segment.text))),
    )  # fmt: skip
