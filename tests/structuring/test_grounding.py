"""What a talk bears out: the same for the sections of a template and the sentences of a recap."""

from __future__ import annotations

import pytest

from memories.structuring.grounding import Talk
from transcription.segments import Segment

LINES = [
    "We decided to repair the roof in May, and the builder said that it is not cheap, but it has to be done.",
    "...",
    "Then we take the night train to Bergen and see the harbour.",
]
QUOTE = "take the night train to Bergen"


def talk(language: str | None = None, *names: str) -> Talk:
    segments = [Segment(text=line, start=n * 5, end=n * 5 + 4) for n, line in enumerate(LINES)]
    return Talk(segments, language, names)


def start(found: Segment | None) -> float | None:
    return None if found is None else found.start


def test_a_quote_has_the_moment_at_which_it_begins_also_across_silence() -> None:
    assert start(talk().place("They take the train.", QUOTE, "en")) == 10
    assert start(talk().place("It has to be done.", "has to be done. Then we take", "en")) == 0


@pytest.mark.parametrize("stated", [None, "en", "de"])
def test_the_language_of_a_talk_is_what_it_looks_like(stated: str | None) -> None:
    """Whatever was set to be recognised: else nothing is asked of a sentence beside its quote."""
    invented = "The parliament elected another president yesterday."
    assert talk(stated).place(invented, QUOTE, "en-GB") is None
    assert start(talk(stated).place("Das Parlament wählte gestern jemand anderen.", QUOTE, "de")) == 10


@pytest.mark.parametrize(
    ("told", "held"),
    [
        ("They take the night train with Anna.", True),
        ("They take Anna's night train, and I'll see the Harbour.", True),
        ("They take the night train with Roberto.", False),
        ('They take the night train to "Roberto".', False),
        ("They take the train (Roberto said so).", False),
    ],
)
def test_a_name_was_said_or_is_known(told: str, held: bool) -> None:
    assert (talk("en", "Anna Berg").place(told, QUOTE, "en") is not None) is held
