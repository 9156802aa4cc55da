"""CMU PocketSphinx with the en-us model of its own wheel: needs no download, and is weak.

Word error rate: 6-7 % on the bundled synthetic voices, near 59 % on real read speech (docs/benchmarks.md). Licence:
BSD-2. English only, lower case, no punctuation of its own, and its word probabilities are always 1: no confidence.

What was measured and is built in here: cepstral mean normalisation over a whole utterance instead of a running
one (33 % against 55 % word error rate), and hence finals that decode the finished utterance anew, and partials whose
decoder is seeded with the mean of the utterance before; the search limits of `LIVE_SEARCH` (1.5 to 2 times as fast
for about 2 points of word error rate), and none in batch, which has time; utterances of at most ten seconds live,
because the end of an utterance costs up to 0.2 s per second of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from transcription.engines.base import RATE, configuration_error
from transcription.engines.live import LiveByUtterances
from transcription.segments import Word
from transcription.vad import FRAME_SECONDS, checked_pcm, speech_regions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from transcription.engines.utterances import Utterance

LIVE_SEARCH: dict[str, Any] = {"maxhmmpf": 3000, "maxwpf": 10}
PARTIAL_SEARCH: dict[str, Any] = {**LIVE_SEARCH, "fwdflat": False, "bestpath": False}
BATCH_SEARCH: dict[str, Any] = {"maxhmmpf": -1, "maxwpf": -1, "lw": 6.0, "fwdflatlw": 8.0, "bestpathlw": 9.0}
"""No limits, and a slightly lower language weight. Word error rate against `LIVE_SEARCH` on two LibriSpeech speakers
(20 utterances, chosen on): 43.0 to 45.2 %; bundled conversation: 6.0 to 7.7 %; on three others, all over 70 %, none
better. Wider beams cost twice the time for nothing."""

LONGEST_LIVE, LONGEST_BATCH = 10.0, 20.0
PARTIAL_EVERY = 0.5  # seconds of speech

_ALTERNATE = re.compile(r"\(\d+\)$")
_CAPITALS = frozenset(
    "monday tuesday wednesday thursday friday saturday sunday january february april june july august september "
    "october november december i i'm i'll i've i'd".split()
)


def new_decoder(**search: Any) -> Any:
    """A decoder with the bundled model: 0.5 s of CPU, about 120 MB. Not to be shared between threads."""
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise configuration_error("pocketsphinx", "the package is not installed: pip install pocketsphinx") from error
    return Decoder(loglevel="FATAL", **search)


def decode(decoder: Any, pcm: NDArray[np.int16], start: float, *, continues: bool = False) -> list[Word]:
    """Words of one whole utterance that starts at `start` seconds, as a sentence (a pause ends one)."""
    if len(pcm) < RATE // 50:  # under one analysis window there is nothing to decode
        return []
    decoder.start_utt()
    decoder.process_raw(pcm.tobytes(), False, True)  # full_utt: normalises with the mean of the whole utterance
    decoder.end_utt()
    return _words(decoder, start, start + len(pcm) / RATE, continues=continues)


def _words(decoder: Any, start: float, end: float, *, continues: bool) -> list[Word]:
    spoken: list[tuple[str, float, float]] = []
    if decoder.hyp() is None:
        return []
    for segment in decoder.seg():
        if segment.word.startswith(("<", "[", "+")):  # silence and noise fillers
            continue
        first = start + segment.start_frame / 100
        last = min(end, start + (segment.end_frame + 1) / 100)
        if last > first:
            spoken.append((_ALTERNATE.sub("", segment.word), first, last))
    words = []
    for index, (text, first, last) in enumerate(spoken):
        if index == 0 or text in _CAPITALS:
            text = text[:1].upper() + text[1:]
        if index == len(spoken) - 1 and not continues:
            text += "."
        words.append(Word(text=text, start=round(first, 3), end=round(last, 3), language="en"))
    return words


class PocketsphinxBatch:
    """A recording at leisure: speech regions, each decoded without search limits."""

    model = "pocketsphinx_batch"

    def __init__(self) -> None:
        self._decoder: Any = None

    def transcribe(self, pcm: NDArray[np.int16]) -> list[Word]:
        """Words with times in seconds of the 16 kHz mono `pcm`. TypeError for anything but int16 samples."""
        words: list[Word] = []
        for start, end in speech_regions(checked_pcm(pcm), max_speech=LONGEST_BATCH):
            if self._decoder is None:
                self._decoder = new_decoder(**BATCH_SEARCH)
            words += decode(self._decoder, pcm[round(start * RATE) : round(end * RATE)], start)
        return words


class PocketsphinxLive(LiveByUtterances):
    """A stream as it comes. See `LiveEngine`; times in seconds from the first byte fed, plus `offset`."""

    def __init__(self, *, offset: float = 0.0) -> None:
        super().__init__("pocketsphinx_streaming", _TwoDecoders(), offset=offset, longest=LONGEST_LIVE)


class _TwoDecoders:
    """One decoder for finals; a second, one-pass one, that follows the utterance being spoken."""

    def __init__(self) -> None:
        self._final = new_decoder(**LIVE_SEARCH)
        self._partial: Any = None
        self._following: tuple[float, int] | None = None  # start of the utterance, and how many frames are decoded

    def final(self, utterance: Utterance) -> list[Word]:
        return decode(self._final, utterance.pcm(), utterance.start, continues=utterance.continues)

    def partial(self, utterance: Utterance) -> list[Word] | None:
        """What it sounds like so far, at most every half second."""
        same = self._following is not None and self._following[0] == utterance.start
        known = self._following[1] if self._following is not None and same else 0
        if (len(utterance.frames) - known) * FRAME_SECONDS < PARTIAL_EVERY:
            return None
        if not same:
            self._begin()
        self._partial.process_raw(b"".join(utterance.frames[known:]), False, False)
        self._following = (utterance.start, len(utterance.frames))
        return _words(self._partial, utterance.start, utterance.end, continues=True)

    def _begin(self) -> None:
        if self._partial is None:
            self._partial = new_decoder(**PARTIAL_SEARCH)
        if self._following is not None:
            self._partial.end_utt()
        mean = self._final.get_cmn(False)
        if mean:  # of what was said before: starting without one costs 20 points of word error rate
            self._partial.set_cmn(mean)
        self._partial.start_utt()
