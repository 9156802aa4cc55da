"""Insights of a stretch of time, summed from the rows when somebody reads them; and what repeats itself."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Literal

from django.db.models import QuerySet
from pydantic import BaseModel

from memories.insights import figures
from memories.insights.models import SpokenFigures
from omi.accounts.users import zone_of
from omi.core.calendar import midnight

MOST_ROWS = 20_000
"""Voices of memories that one answer sums, the newest: some years of a talkative user."""
PATTERN_MEMORIES = 6
"""A pattern needs as many memories with what it is about, and as many without, ..."""
PATTERN_WEEKS = 3
"""... in as many different weeks, ..."""
PATTERN_SHARE, PATTERN_EFFECT = 0.15, 0.8
"""... a share of the emotion that is greater by as much, and that by as many standard deviations (Cohen's d)."""
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Voice(BaseModel):
    """The user (``person_id`` null) or a person. ``share`` of the talk time of all of these; ``vocabulary``: different
    words of a hundred, in the first thousand of each memory."""

    person_id: str | None
    name: str | None
    memories: int
    seconds: float
    share: float
    turns: int
    interruptions: int
    questions: int
    words: int
    words_per_minute: float
    vocabulary: float


class Topic(BaseModel):
    """Talk time of a week by the memories' categories."""

    week: date
    category: str
    seconds: float
    memories: int


class Feeling(BaseModel):
    """Which emotions led in a voice, in a week and about a topic, as a share of the measured time."""

    week: date
    person_id: str | None
    category: str
    emotion: str
    seconds: float
    share: float


class Pattern(BaseModel):
    """Something that is so again and again, in the user's own voice. ``share`` against ``otherwise``; ``effect`` is
    Cohen's d."""

    text: str
    emotion: str
    kind: Literal["weekday", "category", "weekday_category", "person"]
    weekday: int | None = None
    category: str | None = None
    person_id: str | None = None
    memories: int
    weeks: int
    share: float
    otherwise: float
    effect: float


class Insights(BaseModel):
    """How the user and people they named speak in a period. ``thresholds`` say from what count and effect on a pattern
    is told."""

    start: date
    end: date
    time_zone: str
    people: list[Voice]
    topics: list[Topic]
    emotions: list[Feeling]
    patterns: list[Pattern]
    thresholds: dict[str, float]


def insights(uid: str, start: date, end: date) -> Insights:
    """Return the insights of the days from ``start`` to ``end`` in the user's zone."""
    own = zone_of(uid)
    figures.have_a_worker_count(uid)
    names = figures.permitted(uid)
    rows: QuerySet[SpokenFigures] = SpokenFigures.objects.filter(
        uid=uid, voice__in=names, created_at__gte=midnight(start, own),
        created_at__lt=midnight(end + timedelta(days=1), own),
    )  # fmt: skip
    found = list(rows.order_by("-created_at")[:MOST_ROWS])
    days = {row.pk: row.created_at.astimezone(own).date() for row in found}
    thresholds = {
        "memories": PATTERN_MEMORIES,
        "weeks": PATTERN_WEEKS,
        "share": PATTERN_SHARE,
        "effect": PATTERN_EFFECT,
    }
    return Insights(
        start=start, end=end, time_zone=str(own), people=_voices(found, names), topics=_topics(found, days),
        emotions=_feelings(found, days), patterns=patterns(found, days, names), thresholds=thresholds,
    )  # fmt: skip


def _voices(rows: Sequence[SpokenFigures], names: dict[str, str]) -> list[Voice]:
    by_voice: dict[str, list[SpokenFigures]] = defaultdict(list)
    for row in rows:
        by_voice[row.voice].append(row)
    whole = sum(row.seconds for row in rows) or 1.0
    made = []
    for voice, mine in by_voice.items():
        seconds, words = sum(row.seconds for row in mine), sum(row.words for row in mine)
        first = sum(min(row.words, 1000) for row in mine)
        made.append(
            Voice(
                person_id=voice or None, name=names[voice] or None, memories=len(mine), seconds=round(seconds, 1),
                share=round(seconds / whole, 3), turns=sum(row.turns for row in mine),
                interruptions=sum(row.interruptions for row in mine), questions=sum(row.questions for row in mine),
                words=words, words_per_minute=round(60 * words / seconds, 1) if seconds >= 1 else 0.0,
                vocabulary=round(100 * sum(row.distinct for row in mine) / first, 1) if first else 0.0,
            )
        )  # fmt: skip
    return sorted(made, key=lambda item: (-item.seconds, item.person_id or ""))


def _week(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _topics(rows: Iterable[SpokenFigures], days: dict[int, date]) -> list[Topic]:
    seconds: dict[tuple[date, str], float] = defaultdict(float)
    memories: dict[tuple[date, str], set[str]] = defaultdict(set)
    for row in rows:
        key = (_week(days[row.pk]), row.category)
        seconds[key] += row.seconds
        memories[key].add(row.memory_id)
    return [
        Topic(week=week, category=category, seconds=round(seconds[week, category], 1),
              memories=len(memories[week, category]))
        for week, category in sorted(seconds)
    ]  # fmt: skip


def _feelings(rows: Iterable[SpokenFigures], days: dict[int, date]) -> list[Feeling]:
    seconds: dict[tuple[date, str, str, str], float] = defaultdict(float)
    whole: dict[tuple[date, str, str], float] = defaultdict(float)
    for row in rows:
        for emotion, count in row.emotions.items():
            key = (_week(days[row.pk]), row.voice, row.category)
            seconds[(*key, emotion)] += count
            whole[key] += count
    return [
        Feeling(week=week, person_id=voice or None, category=category, emotion=emotion,
                seconds=round(count, 1), share=round(count / whole[week, voice, category], 3))
        for (week, voice, category, emotion), count in sorted(seconds.items())
    ]  # fmt: skip


def patterns(rows: Sequence[SpokenFigures], days: dict[int, date], names: dict[str, str]) -> list[Pattern]:
    """Groups of memories in which an emotion led in the user's voice clearly more than in the others."""
    own = [row for row in rows if not row.voice and row.emotions]
    company: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.voice:
            company[row.memory_id].add(row.voice)
    groups: dict[tuple[str, int | None, str | None, str | None], set[int]] = defaultdict(set)
    for row in own:
        weekday = days[row.pk].weekday()
        groups["weekday", weekday, None, None].add(row.pk)
        groups["category", None, row.category, None].add(row.pk)
        groups["weekday_category", weekday, row.category, None].add(row.pk)
        for person in company[row.memory_id]:
            groups["person", None, None, person].add(row.pk)
    found = []
    for emotion in sorted({name for row in own for name in row.emotions}):
        shares = {row.pk: row.emotions.get(emotion, 0.0) / sum(row.emotions.values()) for row in own}
        for (kind, weekday_of, category, who), inside in groups.items():
            weeks = len({_week(days[pk]) for pk in inside})
            here = [shares[pk] for pk in inside]
            rest = [share for pk, share in shares.items() if pk not in inside]
            if min(len(here), len(rest)) < PATTERN_MEMORIES or weeks < PATTERN_WEEKS:
                continue
            more = statistics.fmean(here) - statistics.fmean(rest)
            spread = ((statistics.pvariance(here) + statistics.pvariance(rest)) / 2) ** 0.5
            effect = more / max(spread, 0.01)
            if more >= PATTERN_SHARE and effect >= PATTERN_EFFECT:
                found.append(
                    Pattern.model_validate({
                        "text": _text(emotion, weekday_of, category, names.get(who or "")), "emotion": emotion,
                        "kind": kind, "weekday": weekday_of, "category": category, "person_id": who,
                        "memories": len(here), "weeks": weeks, "share": round(statistics.fmean(here), 3),
                        "otherwise": round(statistics.fmean(rest), 3), "effect": round(effect, 2),
                    })
                )  # fmt: skip
    return sorted(found, key=lambda item: (-item.effect, item.text))[:20]


def _text(emotion: str, weekday: int | None, category: str | None, person: str | None) -> str:
    when = f" on {WEEKDAYS[weekday]}s" if weekday is not None else ""
    about = f" about {category}" if category else ""
    return f"More {emotion}{when}{about}{f' with {person}' if person else ''} than otherwise"
