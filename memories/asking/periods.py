"""Which days a question is about: "yesterday", "last week", "in March", "am Montag", "la semaine dernière". Pure.

All of them lie in the past, in the user's own calendar: memories are asked for. None where no day is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta

from omi.core.moments import FIRST_YEAR, LAST_YEAR

Days = tuple[date, date]
"""First and last day."""

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january januar janvier enero", "february februar février febrero", "march märz mars marzo",
            "april avril abril", "may mai mayo", "june juni juin junio", "july juli juillet julio",
            "august août agosto", "september septembre septiembre", "october oktober octobre octubre",
            "november novembre noviembre", "december dezember décembre diciembre",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
_WEEKDAYS = {
    name: number
    for number, names in enumerate(
        (
            "monday montag lundi lunes", "tuesday dienstag mardi martes", "wednesday mittwoch mercredi miércoles",
            "thursday donnerstag jeudi jueves", "friday freitag vendredi viernes",
            "saturday samstag samedi sábado", "sunday sonntag dimanche domingo",
        )
    )
    for name in names.split()
}  # fmt: skip
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_IN = r"(?:in|im|during|en|since|seit|last|letzten|of)"
_RULES: list[tuple[str, Callable[[re.Match[str], date], Days | None]]] = [
    (r"\b(\d{4})-(\d{2})-(\d{2})\b", lambda m, today: _one(int(m[1]), int(m[2]), int(m[3]))),
    (rf"\b(\d{{1,2}})(?:st|nd|rd|th|\.)?\s*(?:of\s+|de\s+)?({_MONTH})(?:\s+(\d{{4}}))?\b",
     lambda m, today: _day(int(m[1]), _MONTHS[m[2]], m[3], today)),
    (rf"\b({_MONTH})\s+(\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s*(\d{{4}}))?",
     lambda m, today: _day(int(m[2]), _MONTHS[m[1]], m[3], today)),
    (r"\b(?:day before yesterday|vorgestern|avant-hier|anteayer)\b", lambda m, today: _ago(today, 2)),
    (r"\b(?:yesterday|gestern|hier|ayer)\b|昨天", lambda m, today: _ago(today, 1)),
    (r"\b(?:today|heute|aujourd'hui|hoy)\b|今天", lambda m, today: (today, today)),
    (r"\b(?:last week|letzte woche|la semaine dernière|la semana pasada)\b|上周", lambda m, today: _week(today, 1)),
    (r"\b(?:this week|diese woche|cette semaine|esta semana)\b|本周", lambda m, today: _week(today, 0)),
    (r"\b(?:last month|letzten monat|le mois dernier|el mes pasado)\b|上个月", lambda m, today: _months(today, 1)),
    (r"\b(?:this month|diesen monat|ce mois|este mes)\b", lambda m, today: _months(today, 0)),
    (r"\b(?:last|past)\s+(\d{1,3})\s+days\b|\bletzten\s+(\d{1,3})\s+tage\b",
     lambda m, today: (today - timedelta(days=int(m[1] or m[2])), today)),
    (rf"\b(?:on|last|am|letzten|le|el)\s+({'|'.join(_WEEKDAYS)})\b|\b({'|'.join(_WEEKDAYS)})\s+(?:dernier|pasado)\b",
     lambda m, today: _weekday(_WEEKDAYS[m[1] or m[2]], today)),
    (rf"\b{_IN}\s+({_MONTH})(?:\s+(\d{{4}}))?\b", lambda m, today: _month(_MONTHS[m[1]], m[2], today)),
    (r"\b(?:in|im jahr|en)\s+(20\d\d)\b", lambda m, today: (date(int(m[1]), 1, 1), date(int(m[1]), 12, 31))),
]  # fmt: skip


def period(text: str, today: date) -> Days | None:
    """The days that ``text`` names, seen from ``today``. A year in which there can be no memory names none."""
    small = text.casefold()
    for rule, days in _RULES:
        found = re.search(rule, small)
        try:
            named = days(found, today) if found is not None else None
        except (ValueError, OverflowError):  # the years 0 and 9999
            continue
        if named is not None and FIRST_YEAR <= named[0].year <= named[1].year <= LAST_YEAR:
            return named
    return None


def _one(year: int, month: int, day: int) -> Days | None:
    try:
        named = date(year, month, day)
    except ValueError:
        return None
    return named, named


def _day(day: int, month: int, year: str | None, today: date) -> Days | None:
    if year is not None:
        return _one(int(year), month, day)
    named = _one(today.year, month, day)
    return named if named is None or named[0] <= today else _one(today.year - 1, month, day)


def _ago(today: date, days: int) -> Days:
    return today - timedelta(days=days), today - timedelta(days=days)


def _week(today: date, back: int) -> Days:
    monday = today - timedelta(days=today.weekday() + 7 * back)
    return monday, monday + timedelta(days=6)


def _months(today: date, back: int) -> Days:
    first = today.replace(day=1)
    for _ in range(back):
        first = (first - timedelta(days=1)).replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def _month(month: int, year: str | None, today: date) -> Days:
    chosen = int(year) if year else today.year if month <= today.month else today.year - 1
    return _months(date(chosen, month, 1), 0)


def _weekday(weekday: int, today: date) -> Days:
    back = (today.weekday() - weekday) % 7 or 7
    return _ago(today, back)
