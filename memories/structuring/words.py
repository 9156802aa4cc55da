"""The words of a text, and those that say nothing of what it is about.

Apart from the rules, so that a process which only counts words does not compile the patterns of a language.
"""

from __future__ import annotations

import re

from memories.language_detection import FUNCTION_WORDS

MAX_CHARACTERS = 1_000_000
"""Read of one talk: about eighteen hours of speech (fifteen characters a second), some seconds of work."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")

STOP_WORDS = frozenset().union(
    *(FUNCTION_WORDS[code] for code in ("de", "es", "fr")),
    frozenset(
        """
        a about after again all also am an and any are as at be because been before being but by can could did do does
        doing down for from further get go going good got had has have he hello her here him his how i i'll i'm if in
        into is it it's its just let like me mean more most much must my need no nor not now of off ok okay on once
        only or other our out over own please really right said same say see she should so some such sure than thank
        thanks that that's the their them then there these they thing think this those through to too uh um under
        until up us very was way we well were what when where which while who why will with would yeah yes you your
    """.split()
    ),
)


def words(text: str) -> list[str]:
    """Lower-case words of any script, apostrophes kept."""
    return _WORD.findall(text.lower())
