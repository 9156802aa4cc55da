"""How the spoken language is decided: by the sound where that is sure, else by the most probable text; kept until
another one is surer, and decided anew in a new conversation."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from transcription.engines.whisper.languages import NEW_CONVERSATION, Spoken
from transcription.engines.whisper.model import Answer

RATE = 16_000


class Scripted:
    """A model that says for each window in turn how probable the languages are; ``texts``: how many tokens it hears in
    each language, and their average log probability."""

    multilingual = True
    tokens = SimpleNamespace(language=lambda code: 1, prompt=lambda code: code)

    def __init__(self, *windows: dict[str, float], texts: dict[str, tuple[int, float]] | None = None) -> None:
        self._windows = list(windows)
        self._texts = texts or {}
        self.tried: list[str] = []

    def window(self, pcm, *, whole):
        return SimpleNamespace(pcm=pcm, seconds=len(pcm) / RATE)

    def languages(self, window):
        return self._windows.pop(0)

    def answer(self, window, prompt, *, beam):
        self.tried.append(prompt)
        count, score = self._texts[prompt]
        return Answer([1] * count, "ha " * 20 if score == 0 else "Some words", score, 0.1)


def decided(model: Scripted, *seconds: float) -> list[str | None]:
    spoken = Spoken(model, None)
    return [spoken.of(np.zeros(round(length * RATE), np.int16)) for length in seconds]


def test_a_sure_language_costs_no_second_hearing() -> None:
    model = Scripted({"de": 0.9, "en": 0.1})
    assert decided(model, 5) == ["de"]
    assert model.tried == []


def test_where_the_sound_is_not_sure_the_most_probable_text_decides() -> None:
    model = Scripted(
        {"la": 0.35, "pt": 0.2, "hu": 0.08, "cs": 0.03}, texts={"la": (30, -1.2), "pt": (24, -0.6), "hu": (34, -1.3)}
    )
    assert decided(model, 5) == ["pt"]
    assert sorted(model.tried) == ["hu", "la", "pt"]  # one that is hardly possible is not tried


def test_a_text_of_many_tokens_is_weighed_whole() -> None:
    """Thai takes three tokens for a letter, of which the last two are nearly certain: its average looks good."""
    model = Scripted({"th": 0.35, "de": 0.21}, texts={"th": (42, -0.97), "de": (29, -0.98)})
    assert decided(model, 5) == ["de"]


def test_a_text_that_leaves_out_most_of_what_was_said_is_not_the_best_one() -> None:
    model = Scripted({"en": 0.4, "de": 0.3}, texts={"en": (3, -0.5), "de": (29, -0.4)})
    assert decided(model, 5) == ["de"]


def test_a_loop_is_no_text() -> None:
    model = Scripted({"la": 0.4, "de": 0.3}, texts={"la": (40, 0.0), "de": (30, -1.5)})
    assert decided(model, 5) == ["de"]


def test_windows_that_are_not_sure_decide_together_by_their_length() -> None:
    texts = {"nn": (20, -0.5), "de": (20, -0.6)}
    model = Scripted({"nn": 0.45, "de": 0.3}, {"de": 0.9}, {"nn": 0.7, "de": 0.3}, texts=texts)
    assert decided(model, 1, 9, 1) == ["nn", "de", "de"]


def test_a_sure_language_is_given_up_for_a_surer_one_only() -> None:
    model = Scripted({"de": 0.9}, {"en": 0.7}, {"en": 0.9}, {"de": 0.9})
    assert decided(model, 5, 5, 5, 1) == ["de", "de", "en", "en"]


@pytest.mark.parametrize(("silence", "language"), [(NEW_CONVERSATION - 1, "de"), (NEW_CONVERSATION, "fr")])
def test_a_new_conversation_is_listened_to_anew(silence: float, language: str) -> None:
    spoken = Spoken(Scripted({"de": 0.9}, {"fr": 0.9, "de": 0.1}), None)
    assert spoken.of(np.zeros(RATE, np.int16)) == "de"
    spoken.after(silence)
    assert spoken.of(np.zeros(RATE, np.int16)) == language
