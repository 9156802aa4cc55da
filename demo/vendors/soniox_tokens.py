"""Words as the tokens of Soniox: parts of words, each with its times."""

from __future__ import annotations

from typing import Any

from demo.vendors.live import Speakers
from demo.vendors.recognise import Heard


def pieces(word: str) -> list[str]:
    """Sub-word tokens of a word; the leading space belongs to the first."""
    text = " " + word
    tail = text[-1] if len(text) > 2 and text[-1] in ".,!?" else ""
    text = text[: len(text) - len(tail)]
    cut = len(text) if len(text) <= 5 else (len(text) + 2) // 2
    return [p for p in (text[:cut], text[cut:], tail) if p]


def tokens(words: list[Heard], speakers: Speakers | None, language: str | None = None) -> list[dict[str, Any]]:
    """Words as tokens, without ``is_final``. ``speakers``: None leaves the labels out."""
    out = []
    for w in words:
        parts = pieces(w.word)
        step = (w.end - w.start) / len(parts)
        for k, text in enumerate(parts):
            start, end = round((w.start + k * step) * 1000), round((w.start + (k + 1) * step) * 1000)
            token: dict[str, Any] = {"text": text, "start_ms": start, "end_ms": end, "confidence": 0.97}
            number = speakers.number(w.speaker) if speakers else None
            if number is not None:
                token["speaker"] = str(number + 1)
            if language:
                token["language"] = language
            out.append(token)
    return out
