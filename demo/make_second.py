"""Make the second bundled recording: `python -m demo.make_second FOLDER [ESPEAK]` (by hand; FOLDER as
`kokoro.py` says).

Writes demo/recordings/second.ogg, second_enrol_user.ogg (Opus, 16 kHz mono, 32 kbit/s) and second.json with turns and
words. The synthesiser gives no word times: a word's is its share of the letters of its turn between the first and the
last sound of it, which is true to some 0.15 s and serves for telling who spoke.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from demo.kokoro import RATE as SPOKEN_RATE
from demo.kokoro import Kokoro
from demo.make_recordings import FOLDER, RATE, ROOM_TONE
from demo.second_script import BEN, CONVERSATION, ENROLMENT, KATE, SPEED_OF, USER, VOICE_OF

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPEECH_RMS = 0.06  # of full scale: -24 dBFS, as in the first conversation
SOUND = 0.005  # of full scale: what is louder is speech


def main(folder: Path, espeak: str) -> None:
    kokoro = Kokoro(folder, espeak)
    pcm, turns, words = conversation(kokoro)
    write_opus(FOLDER / "second.ogg", pcm)
    pause = np.zeros(RATE // 2)
    pieces = [piece for text in ENROLMENT for piece in (pause, _spoken(kokoro, text, USER))]
    write_opus(FOLDER / "second_enrol_user.ogg", _with_room_tone(np.concatenate([*pieces, pause])))
    document = {
        "audio": "second.ogg",
        "duration": round(len(pcm) / RATE, 3),
        "speakers": {
            USER: {"role": "user", "voice": VOICE_OF[USER], "enrolment": "second_enrol_user.ogg"},
            BEN: {"role": "stranger", "voice": VOICE_OF[BEN], "enrolment": None},
            KATE: {"role": "stranger", "voice": VOICE_OF[KATE], "enrolment": None},
        },
        "turns": turns,
        "words": words,
    }
    (FOLDER / "second.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def conversation(kokoro: Kokoro) -> tuple[NDArray[np.int16], list[dict[str, Any]], list[dict[str, Any]]]:
    """Samples, turns and words; turns with a pause below zero lie over the end of the one before."""
    placed: list[tuple[int, NDArray[np.float64]]] = []
    turns: list[dict[str, Any]] = []
    words: list[dict[str, Any]] = []
    end = 0
    for speaker, pause, text in CONVERSATION:
        samples = _spoken(kokoro, text, speaker)
        start = max(0, end + round(pause * RATE))
        placed.append((start, samples))
        end = start + len(samples)
        first, last = start / RATE, end / RATE
        turns.append({"speaker": speaker, "start": round(first, 3), "end": round(last, 3), "text": text})
        words += _words(text, first, last, speaker)
    signal = np.zeros(end + RATE)
    for start, samples in placed:
        signal[start : start + len(samples)] += samples
    return _with_room_tone(signal), turns, words


def _words(text: str, first: float, last: float, speaker: str) -> list[dict[str, Any]]:
    said = text.split()
    sizes = [len(word) + 1 for word in said]
    edges = first + (last - first) * np.cumsum([0, *sizes]) / sum(sizes)
    return [
        {
            "word": word.strip(",.?!"),
            "start": round(float(edges[at]), 3),
            "end": round(float(edges[at + 1]), 3),
            "speaker": speaker,
        }
        for at, word in enumerate(said)
    ]


def _spoken(kokoro: Kokoro, text: str, speaker: str) -> NDArray[np.float64]:
    """Levelled 16 kHz samples between the first and the last sound."""
    from scipy.signal import resample_poly

    samples = kokoro.speak(text, VOICE_OF[speaker], SPEED_OF[speaker])
    samples = resample_poly(samples, RATE, SPOKEN_RATE)
    loud = np.flatnonzero(np.abs(samples) > SOUND)
    cut = samples[loud[0] : loud[-1] + 1]
    levelled: NDArray[np.float64] = cut * (SPEECH_RMS / float(np.sqrt(np.mean(cut**2))))
    return levelled


def _with_room_tone(signal: NDArray[np.float64]) -> NDArray[np.int16]:
    tone = np.random.default_rng(7).normal(0.0, ROOM_TONE, len(signal))
    return np.clip(np.rint(signal * 32767 + tone), -32768, 32767).astype(np.int16)


def write_opus(path: Path, pcm: NDArray[np.int16]) -> None:
    import av

    with av.open(str(path), "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=RATE, layout="mono")
        stream.bit_rate = 32_000
        for start in range(0, len(pcm), 960):
            frame = av.AudioFrame.from_ndarray(pcm[None, start : start + 960], format="s16", layout="mono")
            frame.sample_rate = RATE
            frame.pts = start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "espeak-ng")
