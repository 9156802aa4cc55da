"""``python -m demo.accuracy.make`` writes the shipped evaluation set anew: speech by espeak-ng, and the items' files.

The layout is that of docs/evaluation.md. The bundled talks of ``demo/recordings`` are used where they lie. The speech
is made by rule from sentences written for this project; whoever runs this with another version of espeak-ng gets
other samples, and has to measure the bounds again (``manage.py evaluate demo/accuracy --runs 5 --write-bounds``).
"""

from __future__ import annotations

import io
import json
import random
import subprocess
import wave
from array import array
from pathlib import Path
from typing import Any

import av

from demo.accuracy.talks import ENROLLED, IMPOSTORS, IMPOSTORS_WORDS, QUESTIONS, SPOKEN, TALKS, WEARER

HERE = Path(__file__).resolve().parent
RECORDINGS = HERE.parent / "recordings"
RATE = 16_000
PAUSE = 0.6
STARTED = "2026-11-25T09:00:00Z"
NOTED: dict[str, tuple[tuple[float, float], dict[str, Any]]] = {
    "conversation": ((0.0, 47.2), {"action_items": ["pipes", "budget", "letter parents"], "events": []}),
    "second": ((0.0, 28.65), {"action_items": ["pay deposit", "kitchen", "keys"], "events": []}),
}
"""Of the two bundled talks the part that is used (seconds), and what a person notes of it."""

DAVID = (51.0, 57.6)
"""Seconds of the first talk in which only David speaks."""


def main() -> None:
    """Write the items, their audio and the questions."""
    (HERE / "items").mkdir(exist_ok=True)
    for name, (clip, noted) in NOTED.items():
        write(name, part(talk(name), clip) | {"expected": {**noted, "discarded": False}})
    write("stranger_david", stranger("conversation", DAVID, "David", "enrol_user.flac"))
    flac(HERE / "items" / "wearer.flac", speech(WEARER, ENROLLED))
    for name, voice in IMPOSTORS.items():
        write(name, impostor(name, voice))
    for name, (language, voices, lines) in SPOKEN.items():
        write(name, spoken(name, language, voices, lines))
    flac(HERE / "items" / "silence.flac", hum(20 * RATE))
    write("silence", {"audio": "silence.flac", "language": "en", "text": ""})
    for name, item in TALKS.items():
        write(name, written(item))
    dump(HERE / "questions.json", [{"question": question, "items": items} for question, items in QUESTIONS])


def talk(name: str) -> dict[str, Any]:
    """A bundled talk as an item."""
    script = json.loads((RECORDINGS / f"{name}.json").read_text(encoding="utf-8"))
    speakers = {
        who: {"role": about["role"]}
        | ({"enrolment": f"../../recordings/{about['enrolment']}"} if about["enrolment"] else {})
        for who, about in script["speakers"].items()
    }
    audio = f"../../recordings/{script['audio']}"
    return {"audio": audio, "language": "en", "started_at": STARTED, "speakers": speakers, "turns": script["turns"]}


def part(whole: dict[str, Any], clip: tuple[float, float]) -> dict[str, Any]:
    """``whole`` between two moments, with the turns that lie between them."""
    turns = [
        {**turn, "start": round(turn["start"] - clip[0], 3), "end": round(turn["end"] - clip[0], 3)}
        for turn in whole["turns"]
        if clip[0] <= turn["start"] and turn["end"] <= clip[1]
    ]
    return {**whole, "clip": list(clip), "turns": turns}


def stranger(source: str, clip: tuple[float, float], who: str, enrolment: str) -> dict[str, Any]:
    """A clip of a bundled talk in which only ``who`` speaks, and whose user is another voice."""
    user = {"role": "user", "enrolment": f"../../recordings/{enrolment}"}
    return part(talk(source), clip) | {"speakers": {"Wearer": user, who: {"role": "stranger"}}}


def impostor(name: str, voice: str) -> dict[str, Any]:
    """A voice that is much like the wearer's, and is not."""
    said = speech(voice, IMPOSTORS_WORDS)
    silence = array("h", [0] * round(PAUSE * RATE))
    flac(HERE / "items" / f"{name}.flac", silence + said + silence)
    turn = {"speaker": "Guest", "start": PAUSE, "end": round(PAUSE + len(said) / RATE, 3), "text": IMPOSTORS_WORDS}
    speakers = {"Wearer": {"role": "user", "enrolment": "wearer.flac"}, "Guest": {"role": "stranger"}}
    return {"audio": f"{name}.flac", "language": "en", "turns": [turn], "speakers": speakers}


def spoken(name: str, language: str, voices: dict[str, str], lines: list[tuple[str, str]]) -> dict[str, Any]:
    """A talk that espeak-ng speaks, with its turns."""
    samples = array("h", [0] * round(PAUSE * RATE))
    turns = []
    for who, text in lines:
        said = speech(voices[who], text)
        start = len(samples) / RATE
        samples += said
        turns.append({"speaker": who, "start": round(start, 3), "end": round(len(samples) / RATE, 3), "text": text})
        samples += array("h", [0] * round(PAUSE * RATE))
    flac(HERE / "items" / f"{name}.flac", samples)
    return {"audio": f"{name}.flac", "language": language, "turns": turns}


def written(item: dict[str, Any]) -> dict[str, Any]:
    """A conversation that is known by its text: turns follow each other at three words a second."""
    at, turns = 0.0, []
    for who, text in item["lines"]:
        end = round(at + max(1.0, len(text.split()) / 3), 2)
        turns.append({"speaker": who, "start": at, "end": end, "text": text})
        at = round(end + 0.3, 2)
    return {
        "language": item["language"], "started_at": STARTED, "turns": turns, "expected": item.get("expected", {}),
    }  # fmt: skip


def speech(voice: str, text: str) -> array[int]:
    """16 kHz mono samples of ``text``, without the silence around it."""
    command = ["espeak-ng", "-v", voice, "-s", "140", "--stdout", text]
    made = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    samples = array("h")
    with av.open(io.BytesIO(made)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        for frame in container.decode(audio=0):
            for out in resampler.resample(frame):
                samples.frombytes(out.to_ndarray().tobytes())
    loud = [at for at, sample in enumerate(samples) if abs(sample) > 200]
    return samples[loud[0] : loud[-1] + 1]


def hum(count: int) -> array[int]:
    """Faint noise of a room in which nobody speaks."""
    chance = random.Random(0)
    return array("h", [round(chance.gauss(0, 40)) for _ in range(count)])


def flac(path: Path, samples: array[int]) -> None:
    """``samples`` (16 kHz mono) as FLAC."""
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    held.seek(0)
    with av.open(held) as source, av.open(str(path), "w", format="flac") as target:
        stream = target.add_stream("flac", rate=RATE, layout="mono")
        for frame in source.decode(audio=0):
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))


def write(name: str, item: dict[str, Any]) -> None:
    """``item`` as its file."""
    dump(HERE / "items" / f"{name}.json", item)


def dump(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
