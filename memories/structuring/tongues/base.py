"""What a language must say so that dates, tasks and events can be found in it.

Every pattern is matched against one clause whose white space is folded (``sentences.py``): at most
``MAX_SENTENCE`` characters and single blanks, so that no pattern ever sees a long run of anything. Letters are matched
without regard to case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from typing import Literal

Unit = Literal["minute", "hour", "day", "week", "month", "year"]
Half = Literal["am", "pm", ""]


@dataclass(frozen=True, slots=True)
class Tongue:
    """One language.

    ``date`` has the groups ``lead, which, weekday, word, day, month, year, iso, count, unit, after`` or some of them
    (``day2, month2, year2`` for the other order); ``clocks`` have ``hour, minute, relation, half, named``; ``part``
    has ``part``; ``period`` has ``end`` (of what) or ``whole``. ``words`` are days from today, ``relations`` minutes
    from the hour, ``parts`` the time that stands for a part of the day and the half that it says.
    """

    code: str
    numbers: Mapping[str, int]
    date: re.Pattern[str]
    deadlines: frozenset[str]
    since: frozenset[str]
    following: frozenset[str]
    skipped: frozenset[str]
    weekdays: Mapping[str, int]
    months: Mapping[str, int]
    words: Mapping[str, int]
    units: Mapping[str, Unit]
    clocks: tuple[re.Pattern[str], ...]
    relations: Mapping[str, int]
    halves: Mapping[str, Half]
    named: Mapping[str, time]
    part: re.Pattern[str]
    parts: Mapping[str, tuple[time, Half]]
    period: re.Pattern[str]
    periods: Mapping[str, Unit]
    lasts: re.Pattern[str]
    evening: re.Pattern[str]
    """Words that make an unsaid half of the day the afternoon: dinner, evening."""

    commitment: re.Pattern[str]
    """Groups ``who`` and ``what`` (``who2``, ``what2``... for other orders), and ``verb`` where it is to be moved."""
    request: re.Pattern[str]
    remind_me: re.Pattern[str]
    task: re.Pattern[str]
    """Verbs that make a task, at the beginning of ``what`` (or anywhere in it, where the verb stands last)."""
    idle: re.Pattern[str]
    """What is no task whatever follows: "I will be", "I have to say"."""
    unreal: re.Pattern[str]
    """Conditions, doubts, refusals and questions that are no requests ("how could you ..."): a clause with one holds no
    task."""
    reasons: re.Pattern[str]
    """Where a task's reason begins, which is cut off: "because Monday I'm off"."""
    pronouns: frozenset[str]
    """Words that stand for what was named before: "sign it", "send them"."""
    accepts: re.Pattern[str]
    """How an answer begins that takes a request on."""
    verb_last: bool
    alone: re.Pattern[str]
    """Where ``who`` is one person, the speaker."""

    past: re.Pattern[str]
    cancelled: re.Pattern[str]
    happening: re.Pattern[str]
    happening_at_a_clock: re.Pattern[str]
    hour_long: re.Pattern[str]
    links: frozenset[str]
    """Words that go on with what the happening is: with, to, about."""
    breaks: frozenset[str]
    """Words at which a happening's name ends: and, leaves, is."""
    edges: frozenset[str]
    """Small words that neither begin nor end a name."""
    determiners: frozenset[str]
    """Words after which a noun comes: a title is made of such nouns."""
    verbs: frozenset[str]
    """Common verbs that end a noun phrase."""
    introduces: re.Pattern[str]
    """Who says their own name: group ``name``."""

    clause: re.Pattern[str]
    """Where a new clause begins inside a sentence."""
    fillers: re.Pattern[str]
    corrections: re.Pattern[str]
    hedges: frozenset[str]
    """Words that may stand between a beginning and the same beginning once more: "who is like, who is packing"."""
    asks: re.Pattern[str]
    """How a sentence begins that is a question, with its mark or without."""
    asks_whether: re.Pattern[str] = field(default_factory=lambda: re.compile(r"(?!)"))
    """Whether somebody has done something: group ``what``, its verb first ("did you book the band?")."""
    reported: re.Pattern[str] = field(default_factory=lambda: re.compile(r"(?!)"))
    """What somebody else is told to have said, word for word, without quotation marks ("she said, I will ...")."""
    personal: re.Pattern[str] = field(default_factory=lambda: re.compile(r"(?!)"))
    """Words that need to know who speaks to whom: a sentence without them stands by itself in an overview."""

    def number(self, text: str) -> int | None:
        """The value of a numeral in digits or words, with an ordinal's ending or without; None for anything else."""
        text = text.casefold().strip().replace("-", " ")
        digits = re.match(r"\d{1,4}", text)
        if digits:
            return int(digits[0])
        if text in self.numbers:
            return self.numbers[text]
        total = 0
        for word in text.split():
            if word not in self.numbers:
                return None
            total += self.numbers[word]
        return total


def either(words: Mapping[str, object] | frozenset[str]) -> str:
    """An alternative of all words, the longest first."""
    return "|".join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word)))


def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of a language, which takes no notice of case."""
    return re.compile(pattern, re.IGNORECASE)
