"""Rules take time in proportion to the text, whatever stands in it, and never raise."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memories import downloads, language_detection
from memories.pipeline.rules import text_similarity
from memories.pipeline.rules.acceptance import tokens
from memories.shapes import Memory
from memories.structuring import prompts
from memories.structuring.actions import MAX_ITEMS
from memories.structuring.base import StructureRequest
from memories.structuring.lexical_embedder import LexicalEmbedder
from memories.structuring.local import LocalStructurer
from memories.structuring.openai_embedder import split as parts_to_embed
from memories.structuring.overview import CHARACTERS
from memories.structuring.parts import pieces
from memories.structuring.reminders import asks_to_be_reminded
from memories.structuring.sentences import MAX_SENTENCE, clauses, sentences, split
from memories.structuring.tongues.known import CODES, by_code
from memories.structuring.words import MAX_CHARACTERS, words
from memories.wording import composed, terms
from transcription.segments import Segment, clean_text, segments_from_words

WEDNESDAY = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
UNITS = {
    "commas": ",",
    "commas and blanks": " ,",
    "blanks": " ",
    "newlines": "\n",
    "digits": "7",
    "figures": "1,",
    "amounts": "$1,000.",
    "in": "in ",
    "in five": "in five ",
    "next": "next on by the ",
    "no wait": ", no, wait, ",
    "quarter": "half past quarter to ",
    "please": "please can you i will ",
    "remember": "stell den alarm pon una ",
    "hundred": "hundred and ",
    "emoji": "👩‍👩‍👧‍👦",
    "marks": "e\u0301\u0323\u0315",
    "only marks": "\u0301\u0323",
    "right to left": "שלום עליכם ",
    "overrides": "\u202e\u202d",
    "quotes": "«“(\"'",
    "apostrophes": "a'a'",
    "dots": ". ",
    "capitals": "Aa Bb, ",
    "one word": "x",
    "um": "um, ",
    "chinese": "我明天九点要去看牙医。",
    "dashes": " - ",
}


class Flat:
    """An embedder that costs nothing: what is measured is the rules."""

    name = model_name = "flat"
    dimension, remote, price = 2, False, 0.0

    def embed(self, texts: list[str], *, query: bool = False) -> list[list[float]]:
        return [[1.0, 0.0] for _ in texts]


def structured(text: str, language: str = "en") -> object:
    segment = Segment(text=text, start=0, end=1)
    return LocalStructurer(Flat()).structure(StructureRequest([segment], WEDNESDAY, language=language, force=True))


def told(text: str) -> Memory:
    return Memory(id="m", created_at=WEDNESDAY, transcript_segments=[Segment(text=text, start=0, end=9)])


WORK: dict[str, Callable[[str], object]] = {
    "structure": structured,
    "reminders": asks_to_be_reminded,
    "terms": terms,
    "tokens": lambda text: tokens([Segment(text=text, start=0, end=1)]),
    "words": words,
    "written language": lambda text: language_detection.written_in(words(text)),
    "lexical embedding": lambda text: LexicalEmbedder().embed([text]),
    "parts to embed": parts_to_embed,
    "parts to ask": lambda text: list(pieces(text, 2000)),
    "one line": prompts.one_line,
    "clean text": clean_text,
    "subtitles": lambda text: downloads.srt(told(text), {}, ""),
    "subtitles for the web": lambda text: downloads.vtt(told(text), {}, ""),
    "a note": lambda text: downloads.markdown(told(text), {}, "", downloads.ZoneInfo("UTC")),
    "segments": lambda text: segments_from_words([], scope="x"),
}
SMALL, TIMES = 10_000, 4
GROWTH = 9.0
"""Four times the text takes at most nine times the time: work that grows with the square takes sixteen times."""
FLOOR = 0.02
"""CPU seconds that count as no time at all: start-up and the clock's own steps."""


def seconds(work: Callable[[str], object], text: str, *, enough: float) -> float:
    """Of a core: the less of two tries, or the first where it is little enough."""

    def once() -> float:
        began = time.process_time()
        work(text)
        return time.process_time() - began

    first = once()
    return first if first <= enough else min(first, once())


def grows_in_proportion(work: Callable[[str], object], small: str, large: str) -> None:
    bound = GROWTH * max(seconds(work, small, enough=FLOOR), FLOOR)
    assert seconds(work, large, enough=bound) <= bound


@pytest.mark.parametrize("what", [name for name in WORK if name != "segments"])
@pytest.mark.parametrize("unit", UNITS)
def test_four_times_the_text_takes_about_four_times_the_time(what: str, unit: str) -> None:
    def text(length: int) -> str:
        body = (UNITS[unit] * (length // len(UNITS[unit]) + 1))[: length // 2 - 1]
        return f"two {body} words {body}a"  # a pattern that fails at the very end may begin anew at each letter

    grows_in_proportion(WORK[what], text(SMALL), text(TIMES * SMALL))


@pytest.mark.parametrize("code", CODES)
def test_a_clause_is_read_in_bounded_time_whatever_stands_in_it(code: str) -> None:
    """Ten thousand clauses of the longest kind take at most nine times what a quarter of them takes."""
    hard = [(unit * MAX_SENTENCE)[:MAX_SENTENCE] for unit in UNITS.values()]

    def work(count: str) -> object:
        return [clauses(text, by_code(code)) for text in hard * len(count)]

    grows_in_proportion(work, "x", "x" * TIMES)


def test_comparing_two_texts_is_bounded_in_characters() -> None:
    long = ["x" * 2_000_000]
    other = [chr(0x4E00 + at % 20_000) for at in range(2_000_000)]
    assert text_similarity.similarity(long, long) == 1.0
    assert text_similarity.similarity(other[:30], long) == 0.0
    assert sum(map(len, (text_similarity._trigrams(text[: text_similarity.MOST_WORDS]) for text in (long, other)))) <= (
        2 * text_similarity.MOST_CHARACTERS
    )


def test_what_lies_beyond_the_bound_is_not_read_and_stays_in_the_transcript() -> None:
    first = "I will call the bank by Friday. "
    segments = [
        Segment(text=first, start=0, end=1),
        Segment(text="word " * (MAX_CHARACTERS // 5), start=1, end=2),
        Segment(text="I will call the doctor by Friday.", start=2, end=3),
    ]
    request = StructureRequest(segments, WEDNESDAY, language="en")
    result = LocalStructurer(Flat()).structure(request)
    assert [item.description for item in result.structured.action_items] == [
        "Call the bank by Friday (Speaker 0, 2026-11-27)"
    ]
    assert segments[2].text == "I will call the doctor by Friday."
    assert sum(len(sentence.text) for sentence in sentences(segments, names={}, user_name="U")) <= MAX_CHARACTERS


def test_no_sentence_is_longer_than_the_bound_and_no_letter_is_lost() -> None:
    for text in ("x" * 10_000, "word " * 5_000, "我明天九点" * 3_000, "a, " * 4_000):
        made = split(text)
        assert max(map(len, made)) <= MAX_SENTENCE
        assert "".join("".join(made).split()) == "".join(text.split())


def test_composing_takes_long_runs_of_marks_and_keeps_what_people_write() -> None:
    assert composed("cafe\u0301") == "café"
    assert len(composed("e" + "\u0301\u0323" * 100_000)) <= 10
    assert composed("שָׁלוֹם") == composed(composed("שָׁלוֹם"))


ODD = st.lists(
    st.sampled_from([*UNITS.values(), "I will call the bank", "on Friday at nine", "x" * 500, "?", "!"])
).map("".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=200) | ODD, min_size=1, max_size=8), st.sampled_from([*CODES, "ja", ""]))
def test_any_talk_gives_a_bounded_answer_and_never_an_error(texts: list[str], language: str) -> None:
    segments = [Segment(text=text, start=at, end=at + 1) for at, text in enumerate(texts)]
    request = StructureRequest(segments, WEDNESDAY, language=language, force=True, time_zone="Asia/Kathmandu")
    made = LocalStructurer(Flat()).structure(request).structured
    assert len(made.title) <= 120
    assert len(made.overview) <= CHARACTERS
    assert len(made.action_items) <= MAX_ITEMS
    assert len(made.events) <= MAX_ITEMS
    assert all(len(item.description) <= 2 * MAX_SENTENCE for item in made.action_items)
    assert all(len(event.title) <= MAX_SENTENCE and event.start > WEDNESDAY for event in made.events)
