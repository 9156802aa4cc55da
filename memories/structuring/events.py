"""Calendar events by rule: a clause that names a coming moment and something that happens then."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from memories.shapes import Event
from memories.structuring.dates import Moment, duration, find
from memories.structuring.sentences import Sentence, clauses
from memories.structuring.tongues.base import Tongue
from memories.structuring.tongues.en import ENGLISH_TONGUE

MAX_EVENTS = 20
MAX_FOUND = 200
TITLE_WORDS = 8
BEFORE = 2
"""Words before a happening that may belong to its name: "parent teacher meeting"."""
_BARE = frozenset({"meet", "meet again", "meeting", "treffen", "reunirnos", "réunion", "reunión", "call", "termin"})
"""Names that say nothing by themselves: who takes part is added."""
_NO_CLOCK = {"en": "no time of day was said", "de": "ohne Uhrzeit", "es": "sin hora", "fr": "sans heure"}


def events(talk: Sequence[Sentence], anchor: datetime, tongue: Tongue = ENGLISH_TONGUE) -> list[Event]:
    """Events after ``anchor`` (aware, user's zone), starts in UTC, in the order of their starts, none twice.

    Deadlines ("by Friday") are action items, not events. Where no clock was said the description says so.
    """
    found: dict[datetime, Event] = {}
    people = list(dict.fromkeys(sentence.speaker for sentence in talk))[:5]
    for sentence in talk:
        if len(found) >= MAX_FOUND:
            break
        if sentence.text.rstrip().endswith("?") and not tongue.request.search(sentence.text):
            continue  # "shall we meet on Friday?" is not agreed yet
        for clause in clauses(sentence.text, tongue):
            for event in _events(clause, sentence, anchor, tongue):
                if event.title.casefold() in _BARE and 2 <= len(people) <= 4:
                    event.title = f"{event.title}: {', '.join(people)}"
                known = found.get(event.start)
                if known is None or len(known.title) < len(event.title):
                    found[event.start] = event
    return _without_doubles([found[start] for start in sorted(found)])[:MAX_EVENTS]


def _events(clause: str, sentence: Sentence, anchor: datetime, tongue: Tongue) -> list[Event]:
    if tongue.past.search(clause) or tongue.cancelled.search(clause):
        return []
    what = tongue.happening.search(clause)
    needs_clock = what is None
    what = what or tongue.happening_at_a_clock.search(clause)
    if what is None:
        return []
    made = []
    for moment in find(clause, anchor, tongue):
        title = _title(clause, what, moment, tongue)
        if moment.deadline or not title or (needs_clock and not moment.has_time):
            continue
        note = "" if moment.has_time else f" ({_NO_CLOCK[tongue.code]})"
        said = f"{sentence.speaker}: {sentence.text}{note}"
        start = moment.start.astimezone(UTC)
        made.append(Event(title=title, description=said, start=start, duration=_minutes(clause, tongue)))
    return made


def _title(clause: str, what: re.Match[str], moment: Moment, tongue: Tongue) -> str:
    """The happening with what belongs to it: "Appointment with the dentist", "Train to Boston"."""
    spans = [*moment.spans, *(found.span() for found in tongue.lasts.finditer(clause))]

    def kept(start: int, end: int) -> list[str]:
        at, parts = start, []
        for low, high in sorted(spans):
            if low < end and high > at:
                parts.append(clause[at : max(at, low)])
                at = max(at, high)
        parts.append(clause[at:end])
        return " ".join(parts).split()

    before = kept(0, what.start())[-BEFORE:]
    while before and (before[0].strip(",.").casefold() in tongue.edges or before[0][-1:] in ",;:."):
        before.pop(0)
    if any(word.casefold() in tongue.edges | tongue.breaks | tongue.links for word in before):
        last = max(
            at for at, word in enumerate(before) if word.casefold() in tongue.edges | tongue.breaks | tongue.links
        )
        before = before[last + 1 :]
    after: list[str] = []
    for word in kept(what.end(), len(clause)):
        bare = word.strip(",.;:!?…").casefold()
        if bare in tongue.breaks:
            break
        if word.strip(",.;:!?…"):
            after.append(word.strip(",.;:!?…"))
        if word[-1:] in ",.;:!?…":
            break
    if after and after[0].casefold() not in tongue.links | tongue.edges and len(after) > 3:
        after = after[:3]
    title = [*before, *what[0].split(), *after][:TITLE_WORDS]
    while title and title[-1].casefold() in tongue.edges | tongue.links and title[-1].casefold() != "again":
        title.pop()
    text = " ".join(title)
    return text[:1].upper() + text[1:]


def _minutes(text: str, tongue: Tongue) -> int:
    lasts = tongue.lasts.search(text)
    if lasts:
        more = bool(lasts.groupdict().get("more"))
        minutes = duration(lasts["count"].casefold(), tongue.units[lasts["unit"].casefold()], tongue, more=more)
        if minutes:
            return max(1, round(minutes))
    return 60 if tongue.hour_long.search(text) else 30


def _without_doubles(found: list[Event]) -> list[Event]:
    """The same happening on the same day once: with its clock rather than without one, else as it was said last."""
    kept: list[Event] = []
    for event in found:
        twin = next((at for at, other in enumerate(kept[-5:], max(0, len(kept) - 5)) if _twins(other, event)), None)
        if twin is None:
            kept.append(event)
        elif _vague(kept[twin]) or not _vague(event):
            kept[twin] = event
    return kept


def _vague(event: Event) -> bool:
    return event.description.endswith(tuple(f"({note})" for note in _NO_CLOCK.values()))


def _twins(a: Event, b: Event) -> bool:
    first, second = a.title.casefold().split(), b.title.casefold().split()
    common = set(first) & set(second)
    return abs((b.start - a.start).total_seconds()) < 24 * 3600 and len(common) >= 0.6 * min(
        len(set(first)), len(set(second))
    )
