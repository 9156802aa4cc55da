"""Which language is spoken: the one that was asked for, or what the model hears, window by window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omi.core.errors import UnsupportedFeature
from transcription.engines.whisper.files import ENGINE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from transcription.engines.whisper.model import Whisper

SURE = 0.5
"""Probability at which the first windows' language is kept for the next ones."""
CHANGE, CHANGE_SECONDS = 0.8, 2.0
"""A language that was sure is only given up for one at least this probable, in a window of so many seconds at least."""
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
        found = self._whisper.languages(self._whisper.window(pcm, whole=True))
        best = max(found, key=lambda code: found[code])
        before = self._heard
        if before is None:
            self._heard = best if found[best] >= SURE else None
            return best
        if best != before and found[best] >= CHANGE and len(pcm) >= CHANGE_SECONDS * 16_000:
            self.changed = True
            self._heard = best
        return self._heard
