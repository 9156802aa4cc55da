"""Dates and times in talk, resolved against the moment of the talk in the user's own time zone.

Own rules instead of ``dateparser``: that package reads one date out of a string, guesses past or future, and brings
regex, pytz and tzlocal; here the span is needed, talk uses few forms, and a doubtful reading must stay unread.

Conventions (stated, tested):
* ``on Friday``, ``this Friday``, ``by Friday``: the first Friday after the day of the talk.
* ``next Friday``: the Friday of the week after the talk's week (weeks begin on Monday).
* an hour without am/pm: 1 to 6 are afternoon, 7 to 11 morning, 12 noon; ``tonight``, ``evening``, ``dinner`` say pm.
* a date without a year: the next such day. No time said: ``has_time`` is False and the clock is 09:00.
* minutes and hours from now pass on the clock of the world (UTC): ``in five hours`` is five hours later, also in the
  night in which clocks change. Days, weeks and names of days are those of the user's calendar and clock. An hour that
  clocks jump over is read as the same time before the change; of an hour that comes twice, the first.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from memories.structuring.tongues.base import Tongue
from memories.structuring.tongues.en import ENGLISH_TONGUE

HORIZON = timedelta(days=2 * 366)  # nobody plans further by word of mouth: beyond it is a misheard number
DEFAULT_CLOCK = time(9, 0)
MOST_DATES = 20
"""Dates and clocks that are read in one clause: more are a list, not a talk."""
_FRACTIONS = {"anderthalb": 1.5, "eineinhalb": 1.5, "half": 0.5, "halb": 0.5, "demi": 0.5, "medi": 0.5}
"""Parts of an hour in any of the languages: half an hour, eine halbe Stunde, une demi-heure, media hora."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A future moment found in a text; ``spans`` are the character ranges that said it. ``deadline``: "by Friday"."""

    start: datetime
    has_time: bool
    deadline: bool
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _Day:
    found: re.Match[str]
    day: date
    exact: datetime | None


@dataclass(frozen=True, slots=True)
class _Clock:
    """A time of day; ``sure`` where morning or afternoon was said."""

    found: re.Match[str]
    time: time
    sure: bool


def find(text: str, anchor: datetime, tongue: Tongue = ENGLISH_TONGUE) -> list[Moment]:
    """Moments after ``anchor`` (aware, in the user's zone), in text order; no past, repeated or vague ones."""
    days = list(_days(text, anchor, tongue))
    clocks = list(_clocks(text, tongue, [item.found for item in days]))
    if not days:
        # "every Monday at nine" names a day that is not ours to guess: its clock must not become today's.
        return [] if tongue.date.search(text) else _today(text, anchor, clocks, tongue)
    moments = []
    for index, day in enumerate(days):
        end = days[index + 1].found.start() if index + 1 < len(days) else len(text)
        begin = days[index - 1].found.end() if index else 0
        near = [item for item in clocks if begin <= item.found.start() < end]
        # A clock before the day ("at nine on Friday") belongs to it only when no other day comes between.
        clock = next((item for item in near if item.found.start() >= day.found.end()), near[-1] if near else None)
        moments.append(_moment(text, anchor, day, clock, tongue))
    return [moment for moment in moments if moment is not None]


def period_end(text: str, anchor: datetime, tongue: Tongue = ENGLISH_TONGUE) -> tuple[date, tuple[int, int]] | None:
    """The last day of a period that a task is to be done in ("this week", "before the end of the month"), and where
    that was said. Weeks end on Sunday."""
    found = tongue.period.search(text)
    if found is None:
        return None
    groups = found.groupdict()
    whole = (groups.get("whole") or "").casefold()
    unit = tongue.periods[(groups.get("end") or groups.get("what") or "").casefold()]
    today = anchor.date()
    later = bool(whole) and whole in tongue.following
    if unit == "day":
        return today, found.span()
    if unit == "week":
        return today + timedelta(days=6 - today.weekday() + (7 if later else 0)), found.span()
    if unit == "year":
        return date(today.year, 12, 31), found.span()
    first = _months_on(today.replace(day=1), 1 if later else 0)
    return first.replace(day=calendar.monthrange(first.year, first.month)[1]), found.span()


def says_today(text: str, tongue: Tongue) -> bool:
    """Whether "today" or a part of it ("this afternoon") was said, be it over or still to come."""
    words = (found.groupdict().get("word") for found in tongue.date.finditer(text))
    if any(word and tongue.words.get(word.casefold()) == 0 for word in words):
        return True
    return any(
        found[0].casefold().startswith(("this ", "cet ", "ce ", "esta ")) for found in tongue.part.finditer(text)
    )


def on_the_clock(day: date, clock: time, anchor: datetime) -> datetime:
    """A time of the user's calendar as a moment that exists: through UTC, so that a skipped hour reads as one."""
    return datetime.combine(day, clock, anchor.tzinfo).astimezone(UTC).astimezone(anchor.tzinfo)


def is_ahead(moment: datetime, anchor: datetime) -> bool:
    """Return whether a moment lies within the horizon after ``anchor``. In UTC: Python compares two times of one zone
    by their clocks, and a clock goes back once a year."""
    return anchor.astimezone(UTC) < moment.astimezone(UTC) <= (anchor + HORIZON).astimezone(UTC)


def _moment(text: str, anchor: datetime, day: _Day, clock: _Clock | None, tongue: Tongue) -> Moment | None:
    spans = [day.found.span()]
    start, has_time = day.exact, day.exact is not None
    if start is None:
        part = next(
            (item for item in tongue.part.finditer(text) if not clock or not _overlaps(item, clock.found)), None
        )
        named = tongue.parts[part["part"].casefold()] if part else None
        said = named[0] if named else None
        if clock is not None:
            spans.append(clock.found.span())
            said = clock.time if clock.sure else _guess(clock.time, text, tongue, named[1] if named else "")
        if part is not None:
            spans.append(part.span())
        has_time = said is not None
        start = on_the_clock(day.day, said or DEFAULT_CLOCK, anchor)
    if not is_ahead(start, anchor):
        return None
    deadline = (day.found["lead"] or "").strip().casefold() in tongue.deadlines
    return Moment(start, has_time, deadline, tuple(sorted(spans)))


def _today(text: str, anchor: datetime, clocks: list[_Clock], tongue: Tongue) -> list[Moment]:
    """``this afternoon``, ``at nine`` without a day: today, and only when it is still to come."""
    part = next((item for item in tongue.part.finditer(text) if item[0].casefold() != item["part"].casefold()), None)
    named = tongue.parts[part["part"].casefold()] if part else None
    if clocks:
        clock = clocks[0]
        said = clock.time if clock.sure else _guess(clock.time, text, tongue, named[1] if named else "")
        spans = [clock.found.span(), *([part.span()] if part else [])]
        start, has_time = on_the_clock(anchor.date(), said, anchor), True
    elif part and named:
        start, has_time, spans = on_the_clock(anchor.date(), named[0], anchor), False, [part.span()]
    else:
        return []
    return [Moment(start, has_time, False, tuple(sorted(spans)))] if is_ahead(start, anchor) else []


def _days(text: str, anchor: datetime, tongue: Tongue) -> Iterator[_Day]:
    today = anchor.date()
    for index, found in enumerate(tongue.date.finditer(text)):
        if index == MOST_DATES:
            return
        said = {name: value.casefold() for name, value in found.groupdict().items() if value}
        lead = said.get("lead", "").strip()
        which = {said.get("which", "").strip(), said.get("after", "").strip()}
        if lead in tongue.since or {lead, *which} & tongue.skipped:
            continue
        day: date | None = None
        exact: datetime | None = None
        if "weekday" in said:
            day = _weekday(tongue.weekdays[said["weekday"]], bool(which & tongue.following), today)
        elif "count" in said:
            day, exact = _ahead(said, anchor, tongue)
        elif "word" in said:
            away = tongue.words.get(said["word"])  # None: yesterday
            day = None if away is None else today + timedelta(days=away)
        else:
            day = _calendar(said, today, tongue)
        if day is not None:
            yield _Day(found, day, exact)


def _weekday(wanted: int, following: bool, today: date) -> date:
    if following:
        return today - timedelta(days=today.weekday()) + timedelta(days=7 + wanted)
    return today + timedelta(days=(wanted - today.weekday() - 1) % 7 + 1)


def duration(said: str, unit: str, tongue: Tongue, *, more: bool = False) -> float | None:
    """Minutes of a number of minutes or hours as it was said ("half an", "two", "an hour and a half")."""
    half = said.endswith("and a half")
    count: float | None = tongue.number(said.removesuffix("and a half"))
    if count is None:
        count = next((value for word, value in _FRACTIONS.items() if word in said), None)
    if count is None:
        return None
    return (count + (0.5 if half or more else 0.0)) * (60 if unit == "hour" else 1)


def _ahead(said: dict[str, str], anchor: datetime, tongue: Tongue) -> tuple[date | None, datetime | None]:
    unit = tongue.units[said["unit"]]
    if unit in ("minute", "hour"):
        minutes = duration(said["count"], unit, tongue, more="more" in said)
        if not minutes or minutes > 1000 * 60:
            return None, None
        exact = (anchor.astimezone(UTC) + timedelta(minutes=minutes)).astimezone(anchor.tzinfo)
        return exact.date(), exact.replace(second=0, microsecond=0)
    count = tongue.number(said["count"])
    if not count or count > 1000:
        return None, None
    if unit in ("month", "year"):
        return _months_on(anchor.date(), count * (12 if unit == "year" else 1)), None
    return anchor.date() + timedelta(days=count * (7 if unit == "week" else 1)), None


def _months_on(day: date, months: int) -> date:
    years, month = divmod(day.month - 1 + months, 12)
    year = min(day.year + years, date.max.year)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _calendar(said: dict[str, str], today: date, tongue: Tongue) -> date | None:
    try:
        if "iso" in said:
            return date.fromisoformat(said["iso"])
        day = tongue.number(said.get("day") or said.get("day2") or "") or 0
        name = said.get("month") or said.get("month2") or ""
        month = tongue.months.get(name) or int(name.strip(". ") or 0)
        year = said.get("year") or said.get("year2")
        if year:
            return date(int(year), month, day)
        this_year = date(today.year, month, day)
        return this_year if this_year >= today else this_year.replace(year=today.year + 1)
    except ValueError:  # 31 June, or 29 February of a common year
        return None


def _clocks(text: str, tongue: Tongue, taken: list[re.Match[str]]) -> Iterator[_Clock]:
    """Times of day in text order, none inside a date or inside another; the earlier pattern is the surer one."""
    found: list[_Clock] = []
    for pattern in tongue.clocks:
        for match in pattern.finditer(text):
            if len(found) == MOST_DATES:
                break
            if any(_overlaps(match, other) for other in [*taken, *(item.found for item in found)]):
                continue
            clock = _clock(match, text, tongue)
            if clock is not None:
                found.append(clock)
    yield from sorted(found, key=lambda item: item.found.start())


def _clock(found: re.Match[str], text: str, tongue: Tongue) -> _Clock | None:
    said = {name: value.casefold() for name, value in found.groupdict().items() if value}
    if "named" in said:
        return _Clock(found, tongue.named[said["named"]], True)
    hour = tongue.number(said["hour"])
    minute = tongue.number(said["minute"]) if "minute" in said else 0
    if hour is None or minute is None or hour > 24 or minute > 59:
        return None
    half = tongue.halves.get(said.get("half", "")[:1], "")
    after = tongue.part.match(text, found.end() + 1)
    if after is not None and not half:
        half = tongue.parts[after["part"].casefold()][1]
    sure = half != "" or hour > 12
    if half == "pm" and hour < 12:
        hour += 12
    elif half == "am" and hour == 12:
        hour = 0
    minutes = (hour * 60 + minute + tongue.relations.get(said.get("relation", ""), 0)) % (24 * 60)
    return _Clock(found, time(minutes // 60, minutes % 60), sure)


def _guess(clock: time, text: str, tongue: Tongue, half: str) -> time:
    if half == "am":
        return clock
    late = half == "pm" or tongue.evening.search(text) is not None or 1 <= clock.hour <= 6
    return clock.replace(hour=clock.hour + 12) if late and clock.hour < 12 else clock


def _overlaps(a: re.Match[str], b: re.Match[str]) -> bool:
    return a.start() < b.end() and b.start() < a.end()
