"""Calendar events by rule: a sentence that names a coming moment and something that happens then."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from memories.shapes import Event
from memories.structuring.dates import Moment, find
from memories.structuring.sentences import Sentence, words
from memories.structuring.spoken_numbers import CARDINAL, number

MAX_EVENTS = 20
_HAPPENS = re.compile(
    r"\b(?:meet|meeting|appointment|train|flight|plane|birthday|party|dinner|lunch|breakfast|exam|interview|concert"
    r"|wedding|class|lesson|conference|match|reservation|ceremony|funeral|trip|leaves|arrives|fly|flying|see\s+you"
    r"|come\s+over|surgery|graduation)\b",
    re.IGNORECASE,
)
_HAPPENS_AT_A_CLOCK = re.compile(
    r"\b(?:bus|call|visit|test|game|leave|arrive|starts?|begins?|due|deadline|session|show|movie|pick\s+up|open|close)\b",
    re.IGNORECASE,
)
"""Words that make an event only together with a time of day: "call the builder this afternoon" is a task."""
_TALK_OF_PAST = re.compile(
    r"\b(?:was|were|had|did|went|met|came|saw|spoke|called|yesterday|last|ago|used\s+to)\b", re.IGNORECASE
)
_LEADS = re.compile(
    r"^(?:(?:and|but|so|then|well|yes|no|okay|also|oh|hey)\b[\s,]*)*"
    r"(?:(?:i|we|you|he|she|they)(?:'ve|\s+have)\s+(?:got\s+)?|(?:i|we|you)(?:'ll|\s+will|\s+should|\s+need\s+to|\s+have\s+to"
    r"|\s+must|\s+can|\s+could)\s+|(?:there\s+is|there's|it\s+is|it's|let\s+us|let's|i\s+am|i'm|we\s+are|we're|do\s+not\s+forget"
    r"|don't\s+forget|remember|please|remind\s+me\s+(?:of|about|to))\s+)?(?:(?:a|an|the|my|our|your)\s+)?",
    re.IGNORECASE,
)
_LOOSE_ENDS = re.compile(
    r"(?:^|\s+)(?:on|at|in|by|for|the|and|is|will\s+be|to|from|of|a|an)?[\s,;:.!?-]*$", re.IGNORECASE
)
_LASTS = re.compile(rf"\bfor\s+(?P<count>{CARDINAL}|an?|half\s+an)\s+(?P<unit>hour|minute)s?\b", re.IGNORECASE)
_HOUR_LONG = re.compile(
    r"\b(?:meet|meeting|appointment|dinner|lunch|party|interview|lesson|class|session)\b", re.IGNORECASE
)


def events(talk: Sequence[Sentence], anchor: datetime) -> list[Event]:
    """Events after ``anchor`` (aware, user's zone), starts in UTC, in the order of their starts, none twice.

    Deadlines ("by Friday") are action items, not events. Where no clock was said the description says so.
    """
    found: dict[datetime, Event] = {}
    for sentence in talk:
        if _TALK_OF_PAST.search(sentence.text):
            continue
        needs_clock = not _HAPPENS.search(sentence.text)
        if needs_clock and not _HAPPENS_AT_A_CLOCK.search(sentence.text):
            continue
        for moment in find(sentence.text, anchor):
            start = moment.start.astimezone(UTC)
            title = _title(sentence.text, moment)
            if moment.deadline or not title or start in found or (needs_clock and not moment.has_time):
                continue
            note = "" if moment.has_time else " (no time of day was said)"
            said = f"{sentence.speaker}: {sentence.text}{note}"
            found[start] = Event(title=title, description=said, start=start, duration=_minutes(sentence.text))
    return [found[start] for start in sorted(found)][:MAX_EVENTS]


def _title(text: str, moment: Moment) -> str:
    """The sentence without its dates and its beginnings: "Appointment with the dentist"."""
    for start, end in sorted(moment.spans, reverse=True):
        text = f"{text[:start].rstrip()} {text[end:].lstrip()}"
    text = _LASTS.sub(" ", text)
    text = re.sub(r"\s+([,.!?])", r"\1", " ".join(text.split()))
    text = _LOOSE_ENDS.sub("", _LEADS.sub("", text, count=1).strip())
    short = " ".join(text.split()[:8]).rstrip(" ,.;:!?…")
    if not set(words(short)) - {"the", "a", "is", "good", "that"}:
        return ""
    return short[:1].upper() + short[1:]


def _minutes(text: str) -> int:
    lasts = _LASTS.search(text)
    if lasts:
        per = 60 if lasts["unit"].lower() == "hour" else 1
        if lasts["count"].lower().startswith("half"):
            return per // 2
        return (number(lasts["count"]) or 1) * per
    return 60 if _HOUR_LONG.search(text) else 30
