"""Emotions on this machine: an honest estimate of valence and arousal, not a recognition of feelings.

Feature set ``vader+prosody-1``:

* ``valence`` 0 (bad) .. 0.5 .. 1 (good): VADER's compound score of the words (lexicon MIT, Hutto and Gilbert 2014).
  English only; left out for other languages.
* ``arousal`` 0 (calm) .. 0.5 (this voice's usual) .. 1 (excited): loudness, pitch, pitch range and words per second,
  each against the same voice's other segments. The directions are those of Juslin and Scherer (2005); the weights
  are ours and rough.
* ``positive``, ``negative``, ``neutral``: VADER's shares of the words.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from emotions.base import EmotionRequest, EmotionScore, EmotionSpan, EmotionTimeline
from emotions.prosody import Prosody, measure
from emotions.wave_file import open_wave, read_samples
from transcription.segments import Segment

NOTE = (
    "An estimate from word lists and the sound of the voice, relative to the same voice in this recording. "
    "It does not know what anybody feels."
)
MIN_SEGMENT_SECONDS = 0.5
MIN_SEGMENTS_OF_VOICE = 3  # fewer: compared with all voices of the recording
# (weight, smallest spread that is believed) in dB, semitones, semitones, words per second
_AROUSAL = {"energy": (0.4, 2.0), "pitch": (0.3, 1.0), "pitch_range": (0.1, 1.5), "rate": (0.2, 0.5)}


class LocalEmotions:
    """Estimates valence and arousal on this machine from the words (VADER, English only) and the prosody."""

    name = "local"
    model_name = "vader+prosody-1"
    remote = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._vader: Any = None

    def measure(self, request: EmotionRequest) -> EmotionTimeline:
        kept: list[tuple[Segment, Prosody | None]] = []
        with open_wave(request.path, vendor=self.name) as handle:
            for segment in sorted(request.segments, key=lambda item: (item.start, item.end)):
                if segment.end - segment.start >= MIN_SEGMENT_SECONDS:
                    kept.append((segment, measure(read_samples(handle, segment.start, segment.end))))
        english = (request.language or "en").split("-")[0].lower() in ("en", "multi")
        arousals = _arousals(kept)
        spans = []
        for (segment, _), arousal in zip(kept, arousals, strict=True):
            scores = self._words(segment.text) if english else []
            if arousal is not None:
                scores.append(EmotionScore(name="arousal", score=arousal))
            if scores:
                spans.append(_span(segment, scores))
        note = NOTE if english else f"{NOTE} The words were not judged: the lexicon is English."
        return EmotionTimeline(vendor=self.name, model=self.model_name, kind="estimate", spans=spans, note=note)

    def _words(self, text: str) -> list[EmotionScore]:
        with self._lock:
            if self._vader is None:
                from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

                self._vader = SentimentIntensityAnalyzer()
            found = self._vader.polarity_scores(text)
        if not found["pos"] + found["neg"] + found["neu"]:
            return []
        named = {"valence": (found["compound"] + 1) / 2, "positive": found["pos"]}
        named |= {"negative": found["neg"], "neutral": found["neu"]}
        return [EmotionScore(name=name, score=round(score, 4)) for name, score in named.items()]


def _span(segment: Segment, scores: list[EmotionScore]) -> EmotionSpan:
    return EmotionSpan(
        start=segment.start, end=segment.end, emotions=scores, speaker=segment.speaker, is_user=segment.is_user
    )


def _arousals(kept: Sequence[tuple[Segment, Prosody | None]]) -> list[float | None]:
    """Arousal per segment, None where too little was voiced or there is nothing to compare with."""
    features = [_features(segment, prosody) if prosody else None for segment, prosody in kept]
    voices: dict[str, list[dict[str, float]]] = {}
    for (segment, _), own in zip(kept, features, strict=True):
        if own is not None:
            voices.setdefault(segment.speaker, []).append(own)
    everyone = _usual([own for voice in voices.values() for own in voice])
    usual = {who: _usual(own) if len(own) >= MIN_SEGMENTS_OF_VOICE else everyone for who, own in voices.items()}
    return [
        _against(own, usual[segment.speaker]) if own is not None else None
        for (segment, _), own in zip(kept, features, strict=True)
    ]


def _usual(features: Sequence[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Mean and spread of each feature; empty where there is nothing to compare with."""
    if len(features) < 2:
        return {}
    columns = {name: np.array([item[name] for item in features]) for name in _AROUSAL}
    return {name: (float(values.mean()), float(values.std())) for name, values in columns.items()}


def _against(own: dict[str, float], usual: dict[str, tuple[float, float]]) -> float | None:
    if not usual:
        return None
    z = 0.0
    for name, (weight, floor) in _AROUSAL.items():
        mean, spread = usual[name]
        z += weight * (own[name] - mean) / max(spread, floor)
    return round(0.5 + 0.5 * math.tanh(z / 2), 4)


def _features(segment: Segment, prosody: Prosody) -> dict[str, float]:
    rate = len(segment.text.split()) / max(prosody.sounding, 0.3)
    return {"energy": prosody.energy, "pitch": prosody.pitch, "pitch_range": prosody.pitch_range, "rate": rate}
