"""What one engine makes of the same recordings heard in several ways, as transcripts that a vote can be measured on.

    python -m bench.consensus_hear tests/transcription/hearings.json [--speech FOLDER] [--most N] [--variant NAME ...]

There is one recogniser that needs no key; noise, a telephone's band and another speed make it err in other ways, though
never independently: the hardest case for a vote.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from transcription.audio import AudioLimits, decode_to_wav
from transcription.engines.whisper.batch import WhisperBatch
from transcription.engines.whisper.files import bundled_model
from transcription.engines.whisper.model import Whisper

Pcm = NDArray[np.int16]
DEMO = Path(__file__).resolve().parents[1] / "demo" / "recordings" / "conversation.json"


def noisy(decibels: float) -> Callable[[Pcm], Pcm]:
    """White noise so many dB below the recording's mean level; the same noise every time."""

    def add(pcm: Pcm) -> Pcm:
        sound = pcm.astype(np.float32)
        level = float(np.sqrt(np.mean(sound**2))) * 10 ** (-decibels / 20)
        return clipped(sound + np.random.default_rng(7).normal(0, level, len(sound)))

    return add


def telephone(pcm: Pcm) -> Pcm:
    return clipped(resample_poly(resample_poly(pcm.astype(np.float64), 1, 2), 2, 1))


def clipped(sound: Any) -> Pcm:
    return np.clip(np.rint(sound), -32768, 32767).astype(np.int16)


def same(pcm: Pcm) -> Pcm:
    return pcm


def at_speed(factor: float) -> Callable[[Pcm], Pcm]:
    """Faster or slower, pitch and all; the times of what is heard are put back by ``SPEEDS``."""

    def play(pcm: Pcm) -> Pcm:
        return clipped(resample_poly(pcm.astype(np.float64), 100, round(100 * factor)))

    return play


SPEEDS = {"slow": 0.95, "fast": 1.06}
VARIANTS: dict[str, Callable[[Pcm], Pcm]] = {
    "plain": same,
    "telephone": telephone,
    "hiss": noisy(12),
    "noise": noisy(5),
    "roar": noisy(0),
    "slow": at_speed(SPEEDS["slow"]),
    "fast": at_speed(SPEEDS["fast"]),
}


def hear(whisper: Whisper, pcm: Pcm, variant: str) -> list[list[Any]]:
    speed = SPEEDS.get(variant, 1.0)
    words = WhisperBatch(whisper, language="en").transcribe(VARIANTS[variant](pcm))
    return [[word.text, round(word.start * speed, 2), round(word.end * speed, 2)] for word in words]


def load(path: Path) -> Pcm:
    import tempfile
    import wave

    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "a.wav"
        decode_to_wav(path, wav, limits=AudioLimits())
        with wave.open(str(wav), "rb") as file:
            return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)


def recordings(speech: Path | None, most: int) -> dict[str, tuple[Path, list[str]]]:
    if speech is None:
        truth = json.loads(DEMO.read_text())
        return {"conversation": (DEMO.parent / truth["audio"], [item["word"] for item in truth["words"]])}
    listed = json.loads((speech / "index.json").read_text())
    known = [item for item in listed if item.get("transcript") and 5 < item["duration_s"] < 12]
    return {item["file"]: (speech / item["file"], item["transcript"].split()) for item in known[:most]}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "omi.settings")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--most", type=int, default=1000)
    parser.add_argument("--variant", action="append", choices=VARIANTS)
    arguments = parser.parse_args()
    found: dict[str, Any] = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    whisper = Whisper(bundled_model())
    for name, (path, true) in recordings(arguments.speech, arguments.most).items():
        pcm = load(path)
        entry = found.setdefault(name, {"true": true, "heard": {}})
        for variant in arguments.variant or VARIANTS:
            if variant not in entry["heard"]:
                entry["heard"][variant] = hear(whisper, pcm, variant)
                arguments.out.write_text(json.dumps(found, separators=(",", ":")) + "\n")
                print(name, variant, len(entry["heard"][variant]), flush=True)


if __name__ == "__main__":
    main()
