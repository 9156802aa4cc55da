"""Make the Russian recordings: ``python -m tests.speakers.recordings.make FOLDER`` (by hand).

FOLDER is the wav folder of Debian's festvox-ru 0.5+dfsg-6 (``apt-get download festvox-ru; dpkg -x *.deb .``): sentences
that one man read, 16 kHz. Deterministic: the same package gives the same bytes.
"""

from __future__ import annotations

import sys
import wave
from pathlib import Path

import numpy as np

from demo.make_recordings import write_flac

HERE = Path(__file__).resolve().parent
SENTENCES = {"russian_enrol": ("ru_0002", "ru_0003"), "russian_probe": ("ru_0004",)}


def read(path: Path) -> np.ndarray:
    with wave.open(str(path), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)


if __name__ == "__main__":
    for name, parts in SENTENCES.items():
        pcm = np.concatenate([read(Path(sys.argv[1]) / f"{part}.wav") for part in parts])
        write_flac(HERE / f"{name}.flac", pcm)
