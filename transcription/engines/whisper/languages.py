"""Which language is spoken: the one that was asked for, or what the model hears, window by window.

The first windows decide together; where their sound leaves it open, the language in which the text makes most sense is
taken. A sure language is kept until another one is surer, or a new conversation begins.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from omi.core.errors import UnsupportedFeature
from transcription.engines.whisper.files import ENGINE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from transcription.engines.whisper.model import Whisper, Window

SURE = 0.8
"""Probability at which the sound alone decides, and the language is kept for the windows that follow. The sound of a
strange voice is wrong at 0.5 and 0.66 (espeak-ng's German and Mandarin are Thai)."""
CHANGE, CHANGE_SECONDS = 0.8, 2.0
"""A language that was sure is only given up for one at least this probable, in a window of so many seconds at least."""
TRIED, LEAST = 4, 0.05
"""Where no language is sure, so many of the most probable ones (each at least this probable) are tried: the window is
transcribed in each of them, and the most probable pair of language and text says which one it is. The sound alone
misleads where a voice is strange: espeak-ng's German is 0.35 Thai and 0.21 German."""
INCOMPLETE = 0.25
"""Of the longest text's tokens: a shorter text is probable only because it leaves out what was said."""
NEW_CONVERSATION = 120.0
"""Seconds of silence after which a language is detected anew (the pause that ends a memory): others may talk now."""
_OTHER_NAMES = {"jv": "jw", "cmn": "zh", "nb": "no", "iw": "he", "in": "id", "fil": "tl"}


def token_name(language: str | None) -> str | None:
    """Whisper's name of a language (``de`` for ``de-AT``); None where it is to be detected."""
    if language in (None, "", "multi", "auto"):
        return None
    assert language is not None
    code = language.split("-")[0].lower()
    return _OTHER_NAMES.get(code, code)


class Spoken:
    """The language of one stream or recording. UnsupportedFeature where the model does not know the wanted one."""

    def __init__(self, whisper: Whisper, wanted: str | None) -> None:
        self._whisper = whisper
        self._wanted = token_name(wanted)
        self._heard: str | None = None
        self._evidence: dict[str, float] = {}
        self._seconds = 0.0
        self.changed = False
        """Whether the last window was in another language than the one before it."""
        known = whisper.multilingual and self._wanted is not None and whisper.tokens.language(self._wanted) is not None
        if self._wanted is not None and not known and self._wanted != "en":
            raise UnsupportedFeature(ENGINE, f"language {wanted!r}")

    def of(self, pcm: NDArray[np.int16]) -> str | None:
        """The language of this window: of a model of English alone None is the word for it."""
        self.changed = False
        if not self._whisper.multilingual:
            return None
        if self._wanted is not None:
            return self._wanted
        window = self._whisper.window(pcm, whole=True)
        found = self._whisper.languages(window)
        if self._heard is None:
            return self._first(window, found)
        best = max(found, key=lambda code: found[code])
        if best != self._heard and found[best] >= CHANGE and window.seconds >= CHANGE_SECONDS:
            self.changed = True
            self._heard = best
        return self._heard

    def after(self, silence: float) -> None:
        """Tell that nobody spoke for so many seconds: after a long silence the language is detected anew."""
        if silence >= NEW_CONVERSATION:
            self._heard, self._evidence, self._seconds = None, {}, 0.0

    def _first(self, window: Window, found: Mapping[str, float]) -> str:
        """The language while none is sure: the mean of all windows so far says which ones may be meant."""
        self._seconds += window.seconds
        share = window.seconds / self._seconds
        for code in found.keys() | self._evidence.keys():
            self._evidence[code] = (1 - share) * self._evidence.get(code, 0.0) + share * found.get(code, 0.0)
        ranked = sorted(self._evidence, key=lambda code: -self._evidence[code])
        if self._evidence[ranked[0]] >= SURE:
            self._heard = ranked[0]
            return ranked[0]
        tried = [code for code in ranked[:TRIED] if self._evidence[code] >= LEAST] or ranked[:1]
        return self._most_probable(window, tried) if len(tried) > 1 else tried[0]

    def _most_probable(self, window: Window, tried: Sequence[str]) -> str:
        """The language whose text, together with the language itself, is the most probable in this window."""
        texts = {code: self._whisper.answer(window, self._whisper.tokens.prompt(code), beam=1) for code in tried}
        whole = INCOMPLETE * max(len(answer.tokens) for answer in texts.values())
        joint = {
            code: answer.score * (len(answer.tokens) + 1) + math.log(self._evidence[code])
            for code, answer in texts.items()
            if not answer.loops and len(answer.tokens) >= whole
        }
        return max(joint, key=lambda code: joint[code]) if joint else tried[0]
