"""English dates and times in talk, resolved against the moment of the talk in the user's own time zone.

Own rules instead of ``dateparser``: that package reads one date out of a string, guesses past or future, and brings
regex, pytz and tzlocal; here the span is needed, talk uses few forms, and a doubtful reading must stay unread.

Conventions (stated, tested):
* ``on Friday``, ``this Friday``, ``by Friday``: the first Friday after the day of the talk.
* ``next Friday``: the Friday of the week after the talk's week (weeks begin on Monday).
* an hour without am/pm: 1 to 6 are afternoon, 7 to 11 morning, 12 noon; ``tonight``, ``evening``, ``dinner`` say pm.
* a date without a year: the next such day. No time said: ``has_time`` is False and the clock is 09:00.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from memories.structuring.spoken_numbers import CARDINAL, ORDINAL, number

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
HORIZON = timedelta(days=2 * 366)  # nobody plans further by word of mouth: beyond it is a misheard number
DEFAULT_CLOCK = time(9, 0)
_PARTS = {"morning": time(9), "noon": time(12), "afternoon": time(15), "evening": time(19), "night": time(20)}

_DAY = "|".join(WEEKDAYS)
_MONTH = "|".join(MONTHS)
_IN = rf"in\s+(?P<count>{CARDINAL}|an?)\s+(?P<unit>minute|hour|day|week|month)s?(?:'\s*time)?"
_CALENDAR = (
    rf"(?:the\s+)?(?P<d1>{ORDINAL}|\d{{1,2}})\s+(?:of\s+)?(?P<m1>{_MONTH})(?:,?\s+(?P<y1>20\d\d))?"
    rf"|(?P<m2>{_MONTH})\s+(?:the\s+)?(?P<d2>{ORDINAL}|\d{{1,2}})(?!\d)(?:,?\s+(?P<y2>20\d\d))?"
    r"|(?P<iso>20\d\d-\d\d-\d\d)"
)
_DATE = re.compile(
    rf"\b(?P<lead>(?:(?:on|by|until|till|before|for|from|since|after)\s+)?)"
    rf"(?:(?P<which>next|this|coming|last|past|every)\s+)?(?:(?P<weekday>{_DAY})\b|{_CALENDAR}"
    rf"|(?P<word>day after tomorrow|tomorrow|today|tonight|yesterday|week|month)\b|(?P<in>{_IN}))",
    re.IGNORECASE,
)
_CLOCK = re.compile(
    rf"\b(?:(?:at|around|about|by|before|from)\s+)?(?:"
    rf"(?P<half>half\s+past|quarter\s+past|quarter\s+to)\s+(?P<h0>{CARDINAL})"
    rf"|(?P<h1>\d{{1,2}})[:.](?P<min1>\d\d)(?:\s*(?P<ap1>[ap]\.?m\b\.?))?"
    rf"|(?P<h2>{CARDINAL})\s*(?P<ap2>[ap]\.?m\b\.?|o'?\s?clock)"
    rf"|(?P<named>noon|midnight))"
    rf"|\b(?:at|around)\s+(?P<h3>{CARDINAL})(?:\s+(?P<min3>thirty|fifteen|forty[\s-]five))?\b(?!\s*(?:%|percent|dollars|euros|people|degrees))"
    rf"|\b(?P<h4>{CARDINAL})(?=\s+in\s+the\s+(?:morning|afternoon|evening)\b)",
    re.IGNORECASE,
)
_PART = re.compile(
    r"\b(?:in\s+the\s+|this\s+|tomorrow\s+)?(?P<part>morning|afternoon|evening|night)\b|\b(?P<tonight>tonight)\b", re.I
)
_PM = re.compile(r"\b(dinner|evening|tonight|night|afternoon|p\.?m)\b", re.IGNORECASE)
_REPEATED_OR_PAST = {"last", "past", "every"}


@dataclass(frozen=True, slots=True)
class Moment:
    """A future moment found in a text; ``spans`` are the character ranges that said it. ``deadline``: "by Friday"."""

    start: datetime
    has_time: bool
    deadline: bool
    spans: tuple[tuple[int, int], ...]


def find(text: str, anchor: datetime) -> list[Moment]:
    """Moments after ``anchor`` (aware, in the user's zone), in text order; no past, repeated or vague ones."""
    dates = list(_dates(text, anchor))
    clocks = list(_clocks(text))
    if not dates:
        # "every Monday at nine" names a day that is not ours to guess: its clock must not become today's.
        return [] if _DATE.search(text) else _today(text, anchor, clocks)
    moments = []
    for index, (found, day, exact) in enumerate(dates):
        end = dates[index + 1][0].start() if index + 1 < len(dates) else len(text)
        begin = dates[index - 1][0].end() if index else 0
        near = [item for item in clocks if begin <= item[0].start() < end and not _overlaps(item[0], found)]
        # A clock before the day ("at nine on Friday") belongs to it only when no other day comes between.
        clock = next((item for item in near if item[0].start() >= found.end()), near[-1] if near else None)
        moments.append(_moment(text, anchor, found, day, exact, clock))
    return [moment for moment in moments if moment is not None]


def _moment(
    text: str,
    anchor: datetime,
    found: re.Match[str],
    day: date,
    exact: datetime | None,
    clock: tuple[re.Match[str], time, bool] | None,
) -> Moment | None:
    spans = [found.span()]
    start, has_time = exact, exact is not None
    if start is None:
        part = next((item for item in _PART.finditer(text) if not clock or not _overlaps(item, clock[0])), None)
        said = time(_PARTS[_part_name(part)].hour) if part else None
        if clock is not None:
            spans.append(clock[0].span())
            said = clock[1] if clock[2] else _guess(clock[1], text)
        if part is not None:
            spans.append(part.span())
        has_time = said is not None
        start = datetime.combine(day, said or DEFAULT_CLOCK, anchor.tzinfo)
    if not anchor < start <= anchor + HORIZON:
        return None
    deadline = found["lead"].strip().lower() in ("by", "until", "till", "before")
    return Moment(start, has_time, deadline, tuple(sorted(spans)))


def _today(text: str, anchor: datetime, clocks: list[tuple[re.Match[str], time, bool]]) -> list[Moment]:
    """``this afternoon``, ``at nine`` without a day: today, and only when it is still to come."""
    part = next((item for item in _PART.finditer(text) if item[0].lower().startswith("this")), None)
    if clocks:
        match, clock, sure = clocks[0]
        start = datetime.combine(anchor.date(), clock if sure else _guess(clock, text), anchor.tzinfo)
        spans = [match.span(), *([part.span()] if part else [])]
        return [Moment(start, True, False, tuple(sorted(spans)))] if start > anchor else []
    if part:
        start = datetime.combine(anchor.date(), _PARTS[_part_name(part)], anchor.tzinfo)
        return [Moment(start, False, False, (part.span(),))] if start > anchor else []
    return []


def _part_name(part: re.Match[str]) -> str:
    return "night" if part["tonight"] else part["part"].lower()


def _dates(text: str, anchor: datetime) -> Iterator[tuple[re.Match[str], date, datetime | None]]:
    for found in _DATE.finditer(text):
        which = (found["which"] or "").lower()
        if which in _REPEATED_OR_PAST or found["lead"].strip().lower() in ("from", "since", "after"):
            continue
        day: date | None = None
        exact: datetime | None = None
        if found["weekday"]:
            day = _weekday(WEEKDAYS.index(found["weekday"].lower()), which, anchor.date())
        elif found["in"]:
            day, exact = _ahead(found, anchor)
        elif found["word"]:
            day = _word(found["word"].lower(), which, anchor.date())
        else:
            day = _calendar(found, anchor.date())
        if day is not None:
            yield found, day, exact


def _weekday(wanted: int, which: str, today: date) -> date:
    if which == "next":
        return today - timedelta(days=today.weekday()) + timedelta(days=7 + wanted)
    return today + timedelta(days=(wanted - today.weekday() - 1) % 7 + 1)


def _word(word: str, which: str, today: date) -> date | None:
    if word == "tomorrow":
        return today + timedelta(days=1)
    if word == "day after tomorrow":
        return today + timedelta(days=2)
    if word in ("today", "tonight"):
        return today
    # "next week" names no day: an action's due week, not a calendar event.
    return None


def _ahead(found: re.Match[str], anchor: datetime) -> tuple[date | None, datetime | None]:
    count, unit = number(found["count"]), found["unit"].lower()
    if not count or count > 1000:
        return None, None
    if unit in ("minute", "hour"):
        exact = anchor + (timedelta(minutes=count) if unit == "minute" else timedelta(hours=count))
        return exact.date(), exact.replace(second=0, microsecond=0)
    days = {"day": 1, "week": 7, "month": 30}[unit]
    return anchor.date() + timedelta(days=days * count), None


def _calendar(found: re.Match[str], today: date) -> date | None:
    try:
        if found["iso"]:
            return date.fromisoformat(found["iso"])
        day = number(found["d1"] or found["d2"])
        month = MONTHS.index((found["m1"] or found["m2"]).lower()) + 1
        year = found["y1"] or found["y2"]
        if year:
            return date(int(year), month, day or 0)
        this_year = date(today.year, month, day or 0)
        return this_year if this_year >= today else this_year.replace(year=today.year + 1)
    except ValueError:  # 31 June, or 29 February of a common year
        return None


def _clocks(text: str) -> Iterator[tuple[re.Match[str], time, bool]]:
    """Times of day; the flag says whether morning or afternoon was said."""
    for found in _CLOCK.finditer(text):
        if found["named"]:
            yield found, time(12) if found["named"].lower() == "noon" else time(0), True
            continue
        hour = number(next(found[name] for name in ("h0", "h1", "h2", "h3", "h4") if found[name]))
        if hour is None or hour > 24:
            continue
        minute = number(found["min1"] or found["min3"] or "zero") or 0
        if found["half"]:
            kind = " ".join(found["half"].lower().split())
            minute = {"half past": 30, "quarter past": 15, "quarter to": 45}[kind]
            hour -= kind == "quarter to"
        half = (found["ap1"] or found["ap2"] or "").lower().replace(".", "")
        sure = half in ("am", "pm") or hour > 12
        if half == "pm" and hour < 12:
            hour += 12
        elif half == "am" and hour == 12:
            hour = 0
        if minute < 60:
            after = text[found.end() : found.end() + 16].lower()
            if "morning" in after:
                sure = True
            yield found, time(hour % 24, minute), sure


def _guess(clock: time, text: str) -> time:
    afternoon = clock.hour < 12 and (_PM.search(text) is not None or 1 <= clock.hour <= 6)
    return clock.replace(hour=clock.hour + 12) if afternoon else clock


def _overlaps(a: re.Match[str], b: re.Match[str]) -> bool:
    return a.start() < b.end() and b.start() < a.end()
