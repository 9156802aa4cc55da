"""Conversations as the local engine hears them live, and who its words are said to be of: for ``bench.live_voices``."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.conversations_tally import assigned
from bench.speakers_data import RATE, Speaker
from speakers.clips import centroid, pooled, voiced
from speakers.engines import VoiceEngine
from speakers.engines.campplus import CampplusEngine
from speakers.engines.scale import scale_of
from transcription.audio.vad import speech_regions
from transcription.engines.base import LiveModel
from transcription.engines.registry import live_model
from transcription.ports import VoiceLabel
from transcription.segments import Word
from transcription.session.voices import OnlineClustering
from transcription.session.window import AudioWindow

SECONDS = 60.0
FED = RATE // 4
"""Samples that reach the engine at a time."""


@dataclass(frozen=True)
class Talk:
    """``turns``: from and to, in seconds, and who. ``batches``: words, and how many samples had come by then."""

    pcm: NDArray[np.int16]
    turns: list[tuple[float, float, str]]
    batches: list[tuple[list[Word], int]]


def conversation(side: Sequence[Speaker], random: np.random.Generator) -> tuple[NDArray[np.int16], list]:  # type: ignore[type-arg]
    enough = [person for person in side if len(person.pcm) > 12 * RATE]
    people = [enough[at] for at in random.choice(len(enough), int(random.integers(2, 5)), replace=False)]
    said = {person.name: iter(_pieces(person.pcm)) for person in people}
    out: list[NDArray[np.int16]] = []
    turns: list[tuple[float, float, str]] = []
    at, last = 0, ""
    while at < SECONDS * RATE:
        goes_on = bool(last) and random.random() < 0.15
        name = last if goes_on else str(random.choice([name for name in said if name != last]))
        turn = _turn(said[name], float(random.choice([0.7, 1.5, 3.0, 5.0], p=[0.2, 0.25, 0.3, 0.25])), random)
        if not len(turn):
            break  # somebody has said everything that there is of them
        pause = _room(float(random.choice([0.15, 0.3, 0.6, 0.9, 1.5], p=[0.15, 0.25, 0.3, 0.2, 0.1])), random)
        turns.append((at / RATE, (at + len(turn)) / RATE, name))
        out += [turn, pause]
        at, last = at + len(turn) + len(pause), name
    return np.concatenate(out), turns


def _pieces(pcm: NDArray[np.int16]) -> list[NDArray[np.int16]]:
    return [pcm[round(start * RATE) : round(end * RATE)] for start, end in speech_regions(pcm)]


def _turn(pieces: object, wanted: float, random: np.random.Generator) -> NDArray[np.int16]:
    parts: list[NDArray[np.int16]] = []
    seconds = 0.0
    for piece in pieces:  # type: ignore[attr-defined]
        part = piece[: round(0.8 * RATE)] if wanted < 1 else piece  # "yes", "I see"
        parts += [part, _room(float(random.uniform(0.1, 0.5)), random)]
        seconds += len(part) / RATE
        if seconds >= wanted:
            break
    if not parts:
        return np.zeros(0, np.int16)
    turn = np.concatenate(parts[:-1]).astype(np.float64)
    return np.clip(turn * 2500 / max(1.0, float(np.sqrt(np.mean(turn**2)))), -32767, 32767).astype(np.int16)


def _room(seconds: float, random: np.random.Generator) -> NDArray[np.int16]:
    return random.normal(0, 6, round(seconds * RATE)).astype(np.int16)


def heard(model: LiveModel, pcm: NDArray[np.int16], turns: list[tuple[float, float, str]]) -> Talk:
    stream, batches = model.stream(language="en"), []
    for at in range(0, len(pcm), FED):
        for found in stream.feed(pcm[at : at + FED].tobytes()):
            batches.append((list(found.words), min(len(pcm), at + FED)))
    batches += [(list(found.words), len(pcm)) for found in stream.finish()]
    return Talk(pcm, turns, [(words, come) for words, come in batches if words])


class Labeller:
    """``transcription.ports.VoiceLabeller`` on an engine of this process; nobody is enrolled."""

    def __init__(self, engine: VoiceEngine, cosine: float) -> None:
        self._engine, self._cosine = engine, cosine

    async def embed(self, clips: list[NDArray[np.int16]]) -> list[NDArray[np.float32] | None]:
        found = [pooled([voiced(clip)]) for clip in clips]
        return [centroid(self._engine.embed_segments(item.pcm, item.cuts), item.weights) for item in found]

    async def same_utterance(self) -> float:
        return self._cosine

    async def has_profile(self, uid: str) -> bool:
        return False

    async def label(self, uid: str, voices: dict[str, list[NDArray[np.int16]]]) -> dict[str, VoiceLabel]:
        return {}


class ByBatch(OnlineClustering):
    async def told_apart(self, words: Sequence[Word]) -> list[Word]:
        label = await self._voice(words, words[-1].end)
        return [word.model_copy(update={"speaker": label}) for word in words]


async def labelled(talk: Talk, labeller: Labeller, kind: type[OnlineClustering]) -> list[tuple[Word, str]]:
    """Each word with the label that it is shown under: without one of its own, the last word's."""
    window = AudioWindow(None, keep_seconds=2 * SECONDS)
    separator = kind(labeller, window)
    shown: list[tuple[Word, str]] = []
    last, come = "", 0
    for words, until in talk.batches:
        window.append(talk.pcm[come:until].tobytes())
        come = until
        for word in await separator.told_apart(words):
            last = word.speaker or last
            shown.append((word, last))
    return shown


def counted(talk: Talk, shown: Sequence[tuple[Word, str]]) -> tuple[float, int, int]:
    """Words under their speaker's label, words, labels."""
    held: dict[tuple[str, str], float] = defaultdict(float)
    for word, label in shown:
        middle = (word.start + word.end) / 2
        who = {name for start, end, name in talk.turns if start - 0.05 <= middle <= end + 0.05}
        if len(who) == 1:
            held[label, who.pop()] += 1
    return assigned(held), int(sum(held.values())), len({label for label, _ in held})


def measure(people: tuple[list[Speaker], list[Speaker]], half: str, talks: int, cosine: float | None) -> None:
    side = people[half == "reporting"]
    random = np.random.default_rng(100 + (half == "reporting"))
    model, engine = live_model("whisper"), CampplusEngine()
    labeller = Labeller(engine, cosine or scale_of(engine).utterance)
    rows: dict[str, list[tuple[float, int, int]]] = {"each batch by itself": [], "the session's rule": []}
    spoke = 0
    for _ in range(talks):
        talk = heard(model, *conversation(side, random))
        spoke += len({name for _, _, name in talk.turns})
        for row, kind in zip(rows, (ByBatch, OnlineClustering), strict=True):
            rows[row].append(counted(talk, asyncio.run(labelled(talk, labeller, kind))))
    print(f"{half} half, {talks} conversations, {spoke} people in them; 95 % by bootstrap of conversations")
    for row, found in rows.items():
        right, total, labels = np.array(found, np.float64).T
        again = np.random.default_rng(0).integers(0, len(found), (2000, len(found)))
        low, high = np.quantile(right[again].sum(1) / total[again].sum(1), (0.025, 0.975))
        print(
            f"  {row:22s} {right.sum() / total.sum():.1%} of {total.sum():.0f} words under their speaker's label "
            f"({low:.1%} to {high:.1%}), {labels.sum():.0f} labels"
        )
