"""The local speech engine, measured: `python -m bench.speech [PART ...]` (make bench-speech).

Parts: `words` (word error rates, live and batch, with speed and the time from a word to its text), `edges` (where words
begin and end), `silence` (an hour without speech: `--seconds` for less, 0 for the pauses between the readers'
utterances alone), `languages` (people, where ``bench.speech_languages`` finds them, and espeak-ng voices), `memory`.

Real speech comes from the folder that ``OMI_BENCH_SPEECH`` names (``bench.speakers_data``): each reader's utterances by
turns for choosing and for reporting (`--half`), joined with pauses of 0.8 s into one recording each. Without it only
the bundled conversation is measured. Texts are compared after Whisper's own English normalizer.

Time is processor time of one thread: what a core would take that has nothing else to do. The live stream's clock runs
on it, so that a busy machine changes no latency.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import speech_languages, speech_noise
from bench.diarization import read_audio
from bench.speakers_data import speech_folder
from transcription.audio.vad import ENTER, FRAME_SECONDS, speech_probabilities
from transcription.engines.whisper.batch import WhisperBatch
from transcription.engines.whisper.files import bundled_model
from transcription.engines.whisper.live import WhisperStream
from transcription.engines.whisper.model import Whisper
from transcription.segments import Word, text_of

RATE = 16_000
PAUSE = 0.8
DEMO = Path(__file__).resolve().parents[1] / "demo" / "recordings"
PARTS = ("words", "edges", "silence", "languages", "memory")
Pcm = NDArray[np.int16]


@dataclass
class Material:
    """One recording and what is said in it. ``turns``: (start, end) seconds of each utterance."""

    name: str
    pcm: Pcm
    text: str
    turns: list[tuple[float, float]]


@dataclass
class Tally:
    errors: int = 0
    words: int = 0
    audio: float = 0.0
    cpu: float = 0.0
    waits: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return self.errors / max(1, self.words)

    def add(self, other: Tally) -> None:
        self.errors += other.errors
        self.words += other.words
        self.audio += other.audio
        self.cpu += other.cpu
        self.waits += other.waits


def conversation() -> Material:
    script = json.loads((DEMO / "conversation.json").read_text())
    turns = [(turn["start"], turn["end"]) for turn in script["turns"]]
    text = " ".join(turn["text"] for turn in script["turns"])
    return Material("conversation", read_audio(DEMO / script["audio"]), text, turns)


def readers(half: str) -> Iterator[Material]:
    folder = speech_folder()
    if folder is None:
        return
    chosen: dict[str, list[dict[str, str]]] = {}
    for item in sorted(json.loads((folder / "index.json").read_text()), key=lambda item: str(item["file"])):
        if item["file"].startswith("librispeech_test-other") and item.get("transcript"):
            chosen.setdefault(item["speaker"], []).append(item)
    for speaker, items in chosen.items():
        mine = items if half == "all" else items[half == "report" :: 2]
        yield joined(speaker, [(read_audio(folder / item["file"]), item["transcript"]) for item in mine])


def joined(name: str, spoken: Sequence[tuple[Pcm, str]]) -> Material:
    chance = np.random.default_rng(0)
    audio: list[Pcm] = []
    turns: list[tuple[float, float]] = []
    at = 0.0
    for pcm, _ in spoken:
        turns.append((at, at + len(pcm) / RATE))
        audio += [pcm, chance.normal(0, 8, round(PAUSE * RATE)).astype(np.int16)]
        at += len(pcm) / RATE + PAUSE
    return Material(name, np.concatenate(audio), " ".join(text for _, text in spoken), turns)


def edits(reference: Sequence[str], heard: Sequence[str]) -> int:
    before = list(range(len(heard) + 1))
    for row, expected in enumerate(reference, start=1):
        current = [row]
        for column, word in enumerate(heard, start=1):
            current.append(min(before[column] + 1, current[-1] + 1, before[column - 1] + (expected != word)))
        before = current
    return before[-1]


def compared(text: str, words: Sequence[Word]) -> Tally:
    from whisper_normalizer.english import EnglishTextNormalizer

    normalise = EnglishTextNormalizer()
    true, heard = normalise(text).split(), normalise(text_of(words)).split()
    return Tally(edits(true, heard), len(true))


def batch(whisper: Whisper, pcm: Pcm, language: str | None = "en") -> tuple[list[Word], float]:
    began = time.process_time()
    words = WhisperBatch(whisper, language=language).transcribe(pcm)
    return words, time.process_time() - began


def live(whisper: Whisper, pcm: Pcm, language: str | None = "en") -> tuple[list[Word], float, list[float]]:
    """Words, processor seconds, and for each word how long after its end it was given out. Audio comes in real time, in
    messages of 100 ms; while the engine works it waits, as it does in the child process."""
    stream = WhisperStream(whisper, language=language)
    words: list[Word] = []
    waits: list[float] = []
    clock = cpu = 0.0
    at, size = 0, len(pcm)
    while at < size:
        until = min(size, max(at + RATE // 10, round(clock * RATE)))
        clock = max(clock, until / RATE)
        began = time.process_time()
        found = stream.feed(pcm[at:until].tobytes(), partials=until - at <= 3 * RATE)
        if until == size:
            found += stream.finish()
        took = time.process_time() - began
        clock, cpu, at = clock + took, cpu + took, until
        for heard in found:
            words += heard.words
            waits += [clock - word.end for word in heard.words]
    return words, cpu, waits


def words_part(whisper: Whisper, half: str) -> None:
    print(f"word error rates ({half} half)\nrecording       words  batch   live  batch x  live x  word to text p50/p95")
    totals = Tally(), Tally()
    worse: list[str] = []
    for material in [*readers(half), conversation()]:
        heard, took = batch(whisper, material.pcm)
        slow = compared(material.text, heard)
        slow.audio, slow.cpu = len(material.pcm) / RATE, took
        heard, took, waits = live(whisper, material.pcm)
        quick = compared(material.text, heard)
        quick.audio, quick.cpu, quick.waits = slow.audio, took, waits
        assert [word.start for word in heard] == sorted(word.start for word in heard)
        row(material.name, slow, quick)
        worse += [f"{material.name} ({slow.errors} errors, live {quick.errors})"] if slow.errors > quick.errors else []
        if material.name != "conversation":
            totals[0].add(slow)
            totals[1].add(quick)
    if totals[0].words:
        row("all readers", *totals)
    print(f"batch made more errors than live on: {', '.join(worse) or 'none'}")


def row(name: str, slow: Tally, quick: Tally) -> None:
    middle, late = np.percentile(quick.waits, [50, 95]) if quick.waits else (0.0, 0.0)
    print(
        f"{name:<14}{slow.words:>7}{slow.rate:>7.1%}{quick.rate:>7.1%}{slow.audio / slow.cpu:>9.1f}"
        f"{quick.audio / quick.cpu:>8.1f}{middle:>12.2f} / {late:.2f} s",
        flush=True,
    )


def edges_part(whisper: Whisper, half: str) -> None:
    """How far the first word's start and the last word's end lie from where the turn's sound begins and ends: by its
    level in the clean conversation, by Silero's probability of speech with the readers, who breathe and click."""
    for name, materials in (("conversation", [conversation()]), ("readers", list(readers(half)))):
        for mode in ("batch", "live"):
            off: list[float] = []
            for material in materials:
                words = batch(whisper, material.pcm)[0] if mode == "batch" else live(whisper, material.pcm)[0]
                off += edge_errors(material, words, sounding if name == "conversation" else voiced)
            if off:
                p50, p95 = np.percentile(off, [50, 95])
                print(f"edges of turns, {name}, {mode}: p50 {p50 * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms ({len(off)})")


def edge_errors(
    material: Material, words: Sequence[Word], edges: Callable[[Pcm, float, float], tuple[float, float]]
) -> list[float]:
    off = []
    for start, end in material.turns:
        inside = [word for word in words if start - 0.4 <= (word.start + word.end) / 2 <= end + 0.4]
        if inside:
            first, last = edges(material.pcm, start, end)
            off += [abs(inside[0].start - first), abs(inside[-1].end - last)]
    return off


def sounding(pcm: Pcm, start: float, end: float) -> tuple[float, float]:
    """Where within a turn the sound first and last exceeds -35 dB of its loudest 20 ms (seconds)."""
    frame = RATE // 50
    piece = pcm[round(start * RATE) : round(end * RATE)].astype(np.float64)
    level = np.sqrt((piece[: len(piece) // frame * frame].reshape(-1, frame) ** 2).mean(axis=1))
    loud = np.flatnonzero(level > level.max() * 10 ** (-35 / 20))
    return start + loud[0] / 50, start + (loud[-1] + 1) / 50


def voiced(pcm: Pcm, start: float, end: float) -> tuple[float, float]:
    """Where within a turn Silero first and last finds speech more probable than not, to 32 ms (seconds)."""
    likely = np.flatnonzero(speech_probabilities(pcm[round(start * RATE) : round(end * RATE)]) >= ENTER)
    return (
        (start + likely[0] * FRAME_SECONDS, start + (likely[-1] + 1) * FRAME_SECONDS) if len(likely) else (start, end)
    )


def silence_part(whisper: Whisper, seconds: float) -> None:
    invented: dict[str, list[str]] = {}
    for kind, pcm in speech_noise.pieces(seconds):
        said = [word.text for word in batch(whisper, pcm)[0]] + [word.text for word in live(whisper, pcm)[0]]
        invented.setdefault(kind, []).extend(said)
    for kind, said in invented.items():
        print(f"words in {kind}: {len(said)} {said[:12]}")
    gaps = 0
    for material in readers("all"):
        for words in (batch(whisper, material.pcm)[0], live(whisper, material.pcm)[0]):
            gaps += sum(
                all(word.start > end + 0.1 or word.end < start - 0.1 for start, end in material.turns) for word in words
            )
    print(f"words in the pauses between the readers' utterances: {gaps}")


def languages_part(whisper: Whisper) -> None:
    print("language  voice          s  detected  errors: batch, live (of words; of characters for ja and zh)")
    for language in speech_languages.PEOPLE:
        read = speech_languages.announcements(language)
        if read:
            material = joined(language, read)
            language_row(whisper, language, "a person", material.pcm, material.text)
    if not speech_languages.available():
        print("espeak-ng is not installed: no synthetic voices")
        return
    for language, (voice, text) in speech_languages.SENTENCES.items():
        language_row(whisper, language, "espeak-ng", speech_languages.spoken(voice, text), text)


def language_row(whisper: Whisper, language: str, voice: str, pcm: Pcm, text: str) -> None:
    """Errors with the language told; ``detected``: the languages of the words where it is not told."""
    true = speech_languages.units(text, language)
    rates = [
        edits(true, speech_languages.units(text_of(words), language)) / len(true)
        for words in (batch(whisper, pcm, language)[0], live(whisper, pcm, language)[0])
    ]
    found = Counter(word.language for word in batch(whisper, pcm, None)[0])
    detected = ", ".join(str(code) for code, _ in found.most_common())
    print(f"{language:<10}{voice:<10}{len(pcm) / RATE:>6.0f}  {detected:<9} {rates[0]:.0%}, {rates[1]:.0%}", flush=True)


def memory_part(whisper: Whisper) -> None:
    batch(whisper, conversation().pcm)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pages = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    print(f"resident memory after the conversation: {pages:.0f} MB, at most {peak:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--half", choices=("choose", "report", "all"), default="report")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    parts = arguments.parts or PARTS
    began = time.process_time()
    whisper = Whisper(arguments.model or bundled_model())
    print(f"model loaded in {time.process_time() - began:.2f} s of processor time")
    for part in PARTS:
        if part not in parts:
            continue
        if part == "words":
            words_part(whisper, arguments.half)
        elif part == "edges":
            edges_part(whisper, arguments.half)
        elif part == "silence":
            silence_part(whisper, arguments.seconds)
        elif part == "languages":
            languages_part(whisper)
        else:
            memory_part(whisper)


if __name__ == "__main__":
    main()
