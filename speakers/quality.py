"""Is a recording fit to learn a voice from? Gates that name their reason, none of which knows a language."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speakers.clips import RATE, WINDOW, Turn, centroid

PROFILE_SECONDS = (5.0, 180.0)
"""The app's own limits; 120 s, an earlier cap, refused 28 % of the uploads of new users."""
SAMPLE_SECONDS = (2.0, 180.0)
PROFILE_VOICED, SAMPLE_VOICED = 4.0, 2.0
MOST_CLIPPING = 0.02
"""Share of speech samples that stand at full scale."""
LEAST_SNR = 8.0
"""dB of speech over the quietest tenth of the recording."""
LEAST_LEVEL = -55.0
"""dBFS of the speech."""
SECOND_VOICE_SECONDS = 3.0


class RejectedAudio(ValueError):
    """The recording cannot be used. ``code`` is stable, the text is a sentence for the person who recorded."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Quality:
    """What was measured: seconds, seconds of speech, share clipped, dB of signal to noise, dBFS, and the likeness of
    the two most different parts of the speech (1 = one voice; None where there is too little to divide)."""

    seconds: float
    voiced_seconds: float
    clipping: float
    snr: float
    level: float
    unity: float | None

    def as_json(self) -> dict[str, Any]:
        return {name: round(value, 3) if value is not None else None for name, value in asdict(self).items()}


def measure(pcm: NDArray[np.int16], regions: list[Turn], rows: NDArray[np.float32]) -> Quality:
    """Measure how fit a recording (16 kHz mono) is to learn a voice from. ``regions``: where speech is, in seconds;
    ``rows``: embeddings of consecutive ``WINDOW``s of that speech."""
    speech = np.concatenate([pcm[round(a * RATE) : round(b * RATE)] for a, b in regions] or [pcm[:0]])
    voiced_seconds = sum(end - start for start, end in regions)
    return Quality(
        seconds=len(pcm) / RATE,
        voiced_seconds=voiced_seconds,
        clipping=float(np.mean(np.abs(speech.astype(np.int32)) >= 32_700)) if len(speech) else 0.0,
        snr=_snr(pcm, speech),
        level=_decibel(_power(speech)),
        unity=unity(rows),
    )


def check(quality: Quality, *, seconds: tuple[float, float], voiced: float, one_voice: float) -> None:
    """Make sure that a recording is fit to be enrolled; raises RejectedAudio with the first reason that applies.

    ``seconds``: the shortest and longest that are allowed; ``voiced``: seconds of speech that are needed;
    ``one_voice``: the engine's ``Scale.part``.
    """
    shortest, longest = seconds
    if quality.seconds < shortest:
        raise RejectedAudio(
            "too_short", f"The recording has {quality.seconds:.1f} s; at least {shortest:g} s are needed."
        )
    if quality.seconds > longest + 0.5:
        raise RejectedAudio(
            "too_long", f"The recording has {quality.seconds:.0f} s; at most {longest:g} s are allowed."
        )
    if quality.voiced_seconds < 0.3:
        raise RejectedAudio("empty", "Audio is empty: no speech was heard.")
    if quality.level < LEAST_LEVEL:
        raise RejectedAudio("too_quiet", "The speech is too quiet. Please speak closer to the microphone.")
    if quality.voiced_seconds < voiced:
        raise RejectedAudio(
            "too_little_speech", f"Only {quality.voiced_seconds:.1f} s of speech were heard; {voiced:g} s are needed."
        )
    if quality.clipping > MOST_CLIPPING:
        raise RejectedAudio("clipping", "The recording is overdriven. Please speak further from the microphone.")
    if quality.snr < LEAST_SNR:
        raise RejectedAudio("noise", "There is too much noise. Please record in a quieter place.")
    if quality.unity is not None and quality.unity < one_voice:
        raise RejectedAudio("multiple_speakers", "More than one voice was heard. Only one person may speak.")


def unity(rows: NDArray[np.float32]) -> float | None:
    """Cosine of the two parts into which the windows fall most naturally (2-means from the farthest pair).

    None where a second part would have less than ``SECOND_VOICE_SECONDS``: a cough is not a voice.
    """
    rows = rows[np.linalg.norm(rows, axis=1) > 0.5] if len(rows) else rows
    least = int(np.ceil(SECOND_VOICE_SECONDS / WINDOW))
    if len(rows) < 2 * least:
        return None
    alike = rows @ rows.T
    a, b = np.unravel_index(int(np.argmin(alike)), alike.shape)
    left, right = rows[a], rows[b]
    side = np.zeros(len(rows), bool)
    for _ in range(20):
        side = rows @ left >= rows @ right
        new_left, new_right = centroid(rows[side]), centroid(rows[~side])
        if new_left is None or new_right is None:
            return None
        if np.allclose(new_left, left) and np.allclose(new_right, right):
            break
        left, right = new_left, new_right
    if min(int(side.sum()), int((~side).sum())) < least:
        return None
    return float(left @ right)


def _snr(pcm: NDArray[np.int16], speech: NDArray[np.int16]) -> float:
    """dB between the speech and the quietest tenth of 20 ms frames; 60 where that tenth is digital silence."""
    frames = pcm[: len(pcm) - len(pcm) % 320].reshape(-1, 320).astype(np.float64)
    if not len(frames) or not len(speech):
        return 0.0
    powers = np.sort(np.mean(frames**2, axis=1))
    noise = float(np.mean(powers[: max(1, len(powers) // 10)]))
    return min(60.0, _decibel(_power(speech)) - _decibel(noise))


def _power(samples: NDArray[np.int16]) -> float:
    return float(np.mean(samples.astype(np.float64) ** 2)) if len(samples) else 0.0


def _decibel(power: float) -> float:
    return float(10 * np.log10(power / 32768.0**2 + 1e-12))
