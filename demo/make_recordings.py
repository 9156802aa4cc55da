"""Make the bundled recordings: `python -m demo.make_recordings` (by hand; needs Debian's flite and PyAV).

Writes demo/recordings/{conversation,enrol_user,enrol_person}.flac (16 kHz mono) and conversation.json with the
speakers, the turns and the true time of every word. Deterministic: the same flite gives the same bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from demo.flite import Flite, SpokenWord
from demo.script import CONVERSATION, ENROLMENTS, PERSON, STRANGER, TAPE_SPEED, USER, VOICE_OF

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 16_000
FOLDER = Path(__file__).parent / "recordings"
ROOM_TONE = 3  # standard deviation in 16-bit steps (-81 dBFS): no digital zero between turns, as in a real room
SPEECH_RMS = 2000.0  # every voice at the same level, -24 dBFS


def main() -> None:
    flite = Flite()
    FOLDER.mkdir(exist_ok=True)
    pcm, turns, words = conversation(flite)
    write_flac(FOLDER / "conversation.flac", pcm)
    document = {
        "audio": "conversation.flac",
        "duration": round(len(pcm) / RATE, 3),
        "speakers": {
            USER: {"role": "user", "voice": VOICE_OF[USER], "enrolment": "enrol_user.flac"},
            PERSON: {"role": "person", "voice": VOICE_OF[PERSON], "enrolment": "enrol_person.flac"},
            STRANGER: {"role": "stranger", "voice": VOICE_OF[STRANGER], "enrolment": None},
        },
        "turns": turns,
        "words": words,
    }
    (FOLDER / "conversation.json").write_text(json.dumps(document, indent=1) + "\n")
    for name, speaker, sentences in ENROLMENTS:
        write_flac(FOLDER / f"{name}.flac", enrolment(flite, speaker, sentences))
    for path in sorted(FOLDER.iterdir()):
        print(f"{path.stat().st_size:>9} {path.name}")


def conversation(flite: Flite) -> tuple[NDArray[np.int16], list[dict[str, Any]], list[dict[str, Any]]]:
    """Samples, turns and words of the whole talk; times in seconds from its first sample."""
    pieces: list[NDArray[np.float64]] = []
    turns: list[dict[str, Any]] = []
    words: list[dict[str, Any]] = []
    position = 0
    for speaker, pause, text in CONVERSATION:
        samples, spoken = _spoken(flite, text, speaker)
        silence = np.zeros(round(pause * RATE))
        offset = (position + len(silence)) / RATE
        pieces += [silence, samples]
        position += len(silence) + len(samples)
        placed = [
            {"word": w.text, "start": round(offset + w.start, 3), "end": round(offset + w.end, 3), "speaker": speaker}
            for w in spoken
        ]
        words += placed
        turns.append({"speaker": speaker, "start": placed[0]["start"], "end": placed[-1]["end"], "text": text})
    return _with_room_tone([*pieces, np.zeros(RATE)]), turns, words


def enrolment(flite: Flite, speaker: str, sentences: list[str]) -> NDArray[np.int16]:
    pause = np.zeros(RATE // 2)
    pieces = [pause]
    for sentence in sentences:
        pieces += [_spoken(flite, sentence, speaker)[0], pause]
    return _with_room_tone(pieces)


def _spoken(flite: Flite, text: str, speaker: str) -> tuple[NDArray[np.float64], list[SpokenWord]]:
    """Levelled samples cut to 60 ms around the words, so that the pauses of the script are the pauses heard."""
    from scipy.signal import resample_poly

    samples, spoken = flite.speak(text, VOICE_OF[speaker])
    up, down = TAPE_SPEED.get(speaker, (1, 1))
    samples = resample_poly(samples.astype(np.float64), up, down)
    words = [SpokenWord(w.text, w.start * up / down, w.end * up / down) for w in _join_clitics(spoken)]
    first = max(0, round((words[0].start - 0.06) * RATE))
    last = min(len(samples), round((words[-1].end + 0.06) * RATE))
    cut = samples[first:last]
    shift = first / RATE
    level = SPEECH_RMS / float(np.sqrt(np.mean(cut**2)))
    return cut * level, [SpokenWord(w.text, w.start - shift, w.end - shift) for w in words]


def _join_clitics(words: list[SpokenWord]) -> list[SpokenWord]:
    """flite speaks "dentist's" as two words; a transcript has one."""
    joined: list[SpokenWord] = []
    for word in words:
        if joined and "'" in word.text:
            before = joined.pop()
            word = SpokenWord(before.text + word.text, before.start, word.end)
        joined.append(word)
    return joined


def _with_room_tone(pieces: list[NDArray[np.float64]]) -> NDArray[np.int16]:
    signal = np.concatenate(pieces)
    tone = np.random.default_rng(7).normal(0.0, ROOM_TONE, len(signal))
    return np.clip(np.rint(signal + tone), -32768, 32767).astype(np.int16)


def write_flac(path: Path, pcm: NDArray[np.int16]) -> None:
    import av

    with av.open(str(path), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=RATE, layout="mono", options={"compression_level": "12"})
        stream.format = "s16"
        for start in range(0, len(pcm), 4096):
            frame = av.AudioFrame.from_ndarray(pcm[None, start : start + 4096], format="s16", layout="mono")
            frame.sample_rate = RATE
            frame.pts = start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    main()
