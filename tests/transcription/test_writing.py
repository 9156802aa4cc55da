"""How words are joined to text: with blanks, or without in writing that has none."""

from __future__ import annotations

import pytest

from transcription.segments import Word, clean_text, joined, segments_from_words, text_of
from transcription.session.segment_builder import SegmentBuilder


def words(*texts: str) -> list[Word]:
    return [Word(text=text, start=float(at), end=at + 0.9, speaker="SPEAKER_00") for at, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("spoken", "text"),
    [
        (("早上", "好，", "我们", "开会。"), "早上好，我们开会。"),
        (("今天", "，", "你", "好", "。"), "今天，你好。"),
        (("あした", "の", "会議", "は", "10", "時", "から", "です。"), "あしたの会議は 10 時からです。"),
        (("สวัสดี", "ครับ"), "สวัสดีครับ"),
        (("我", "用", "iPhone"), "我用 iPhone"),
        (("안녕하세요", "여러분"), "안녕하세요 여러분"),
        (("Guten", "Tag", ",", "Frau", "Öz", "!"), "Guten Tag, Frau Öz!"),
        (("Доброе", "утро."), "Доброе утро."),
        (("$4,000", "now"), "$4,000 now"),
    ],
)
def test_words_are_joined_as_their_language_is_written(spoken: tuple[str, ...], text: str) -> None:
    """Whole (recordings, every vendor) and word by word as a live segment grows."""
    assert text_of(words(*spoken)) == text
    [segment] = segments_from_words(words(*spoken), scope="s")
    assert segment.text == text
    builder = SegmentBuilder("s")
    for word in words(*spoken):
        builder.add([word], "vendor")
    assert [item.text for item in builder.segments] == [text]


def test_blanks_between_other_words_are_kept() -> None:
    assert clean_text("a  b \n c") == "a b c"
    assert joined("hello", "there") == "hello there"
    assert joined("", "你") == "你"
    assert joined("你", "") == "你"
