"""The vote on real recordings with known words: LibriSpeech (``shared/speech`` beside the checkout)."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.transcription.test_consensus import error_rate, spoilt
from transcription.consensus import vote, weights_from
from transcription.segments import Word

SPEECH = Path(__file__).resolve().parents[3] / "shared" / "speech"
pytestmark = [
    pytest.mark.extra,
    pytest.mark.skipif(not SPEECH.exists(), reason="needs shared/speech beside the checkout"),
]


def listed() -> list[dict[str, Any]]:
    found = json.loads((SPEECH / "index.json").read_text())
    return [item for item in found if item.get("transcript") and 5 < item["duration_s"] < 20]


def spread(text: str, seconds: float) -> list[Word]:
    words = text.split()
    step = seconds / len(words)
    return [Word(text=word, start=i * step, end=(i + 0.8) * step) for i, word in enumerate(words)]


def test_with_independent_errors_in_real_transcripts_it_is_never_much_worse_than_the_best() -> None:
    best = average = voted = 0.0
    for rates in ((0.08, 0.1, 0.12), (0.05, 0.2, 0.3), (0.1, 0.1, 0.1)):
        weights = weights_from({f"v{i}": 1 - rate for i, rate in enumerate(rates)})
        each = np.zeros(len(rates))
        agreed = 0.0
        for number, item in enumerate(listed()):
            true = spread(item["transcript"], item["duration_s"])
            heard = {f"v{i}": spoilt(true, rate, number * 10 + i) for i, rate in enumerate(rates)}
            each += [error_rate(words, true) * len(true) for words in heard.values()]
            agreed += error_rate(vote(heard, weights), true) * len(true)
        assert agreed <= each.min() * 1.01
        best, average, voted = best + each.min(), average + each.mean(), voted + agreed
    print(f"errors: vote {voted:.0f}, best single {best:.0f}, average {average:.0f}")
    assert voted < average * 0.7


def test_three_hearings_of_one_poor_recogniser_are_better_than_their_average() -> None:
    """The same engine hears each recording as it is, in noise, and quieter in noise: its errors are not independent, so
    the vote need not reach the best of the three (docs/listen.md). Weights as an operator would measure them."""
    import av

    from transcription.engines.pocketsphinx import PocketsphinxBatch

    engine = PocketsphinxBatch()
    names, rng = ("plain", "noise", "quiet"), np.random.default_rng(3)
    errors = dict.fromkeys((*names, "vote"), 0.0)
    heard_all: list[tuple[list[Word], dict[str, list[Word]]]] = []
    for item in random.Random(4).sample(listed(), 5):
        with av.open(str(SPEECH / item["file"])) as file:
            resampler = av.AudioResampler("s16", "mono", 16000)
            pieces = [out.to_ndarray()[0] for frame in file.decode(audio=0) for out in resampler.resample(frame)]
        pcm = np.concatenate(pieces).astype(np.float32)
        level = float(np.sqrt(np.mean(pcm**2)))
        variants = (pcm, pcm + rng.normal(0, level * 0.1, len(pcm)), pcm * 0.3 + rng.normal(0, level * 0.03, len(pcm)))
        heard = {
            name: engine.transcribe(np.clip(variant, -32768, 32767).astype(np.int16))
            for name, variant in zip(names, variants, strict=True)
        }
        heard_all.append((spread(item["transcript"], item["duration_s"]), heard))
    for true, heard in heard_all:
        for name in names:
            errors[name] += error_rate(heard[name], true) * len(true)
    words = sum(len(true) for true, _ in heard_all)
    weights = weights_from({name: 1 - errors[name] / words for name in names})
    for true, heard in heard_all:
        errors["vote"] += error_rate(vote(heard, weights), true) * len(true)
    print({name: round(count / words, 3) for name, count in errors.items()})
    single = [errors[name] for name in names]
    assert errors["vote"] < sum(single) / 3
