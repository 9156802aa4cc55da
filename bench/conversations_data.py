"""Conversations put together from recordings: who speaks when, what a live vendor calls them, and a voice engine that
remembers what it has embedded.

Everybody says their pieces in the same order in every conversation, so that what is embedded is the same again and
again: 2,000 conversations are 140,000 s of speech, of which 10,000 s are embedded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.speakers_conditions import degrade
from bench.speakers_data import RATE, ROOT, Speaker
from speakers.clips import voiced
from speakers.engines.campplus import CampplusEngine
from transcription.audio.vad import speech_regions
from transcription.segments import Segment, speaker_label

CONDITIONS = ("clean", "noise 8 dB", "large room", "babble 10 dB")
PIECE = 4.4
"""Seconds of one turn: a clip of a live session and a turn of the memory are then the same audio."""
PAUSE = 0.6
MOST_PIECES = 5
ENROL_SECONDS = 20.0
LEAST_VOICED = 2.5
"""Seconds of speech that a piece must hold."""
SAME_SEX = 0.8
PROVIDERS = ("one", "two", "three")


@dataclass(frozen=True)
class Talker:
    """``enrol``: audio that teaches the voice (None: too little is there); ``pieces``: by condition, what is said."""

    name: str
    sex: str
    enrol: NDArray[np.int16] | None
    pieces: dict[str, list[NDArray[np.int16]]]


@dataclass(frozen=True)
class Turn:
    """``live``: the label of the vendor that was connected, counted on through the session."""

    start: float
    end: float
    name: str
    live: str
    provider: str


@dataclass(frozen=True)
class Talk:
    pcm: NDArray[np.int16]
    turns: list[Turn]
    user: str
    present: bool
    drops: int


def talkers(people: Sequence[Speaker]) -> list[Talker]:
    """Whoever has two pieces besides what they are enrolled with."""
    crowd = [person.pcm for person in people if len(person.pcm) < 9 * RATE]
    found = []
    for at, person in enumerate(people):
        seconds = len(voiced(person.pcm)) / RATE
        share = ENROL_SECONDS / seconds if seconds >= ENROL_SECONDS + 2 * PIECE else 0.0
        border = int(len(person.pcm) * share)
        said = _cut(person.pcm[border:])
        if len(said) < 2:
            continue
        pieces = {
            condition: [degrade(piece, condition, at * 100 + number, crowd=crowd) for number, piece in enumerate(said)]
            for condition in CONDITIONS
        }
        found.append(Talker(person.name, person.sex, person.pcm[:border] if border else None, pieces))
    return found


def _cut(pcm: NDArray[np.int16]) -> list[NDArray[np.int16]]:
    size = int(PIECE * RATE) // 320 * 320
    cuts = [pcm[start : start + size] for start in range(0, len(pcm) - size + 1, size)]
    return [cut for cut in cuts if len(voiced(cut)) >= LEAST_VOICED * RATE][:MOST_PIECES]


def make(people: Sequence[Talker], user: Talker, seed: int) -> Talk:
    """2 to 5 voices, mostly of the user's sex; in every second conversation the user is one of them. Up to three times
    the vendor drops out: another one, or the same again, goes on and counts its speakers anew."""
    rng = np.random.default_rng(seed)
    present = seed % 2 == 0
    count = int(rng.integers(2, 6))
    alike = rng.random() < SAME_SEX
    others = [item for item in people if item.name != user.name and (not alike or item.sex == user.sex)]
    chosen = [others[at] for at in rng.choice(len(others), min(count, len(others)), replace=False)]
    voices = [user, *chosen[: count - 1]] if present else chosen
    condition = CONDITIONS[int(rng.integers(len(CONDITIONS)))]
    left = {item.name: list(item.pieces[condition]) for item in voices}
    order = _order({name: len(pieces) for name, pieces in left.items()}, rng)
    drops = int(rng.integers(0, 4))
    moments = set(rng.choice(np.arange(1, len(order)), min(drops, len(order) - 1), replace=False).tolist())
    pcm: list[NDArray[np.int16]] = []
    turns: list[Turn] = []
    labels: dict[str, str] = {}
    known, at, provider = 0, 0, PROVIDERS[0]
    for number, name in enumerate(order):
        if number in moments:
            labels, provider = {}, PROVIDERS[int(rng.integers(len(PROVIDERS)))]
        if name not in labels:
            labels[name], known = speaker_label(known), known + 1
        piece = left[name].pop(0)
        turns.append(Turn(at / RATE, (at + len(piece)) / RATE, name, labels[name], provider))
        pause = np.zeros(int(PAUSE * RATE), np.int16)
        pcm += [piece, pause]
        at += len(piece) + len(pause)
    return Talk(np.concatenate(pcm), turns, user.name, present, len(moments))


def _order(counts: dict[str, int], rng: np.random.Generator) -> list[str]:
    """Everybody's turns, shuffled; nobody speaks twice in a row while somebody else has something to say."""
    order: list[str] = []
    left = dict(counts)
    while any(left.values()):
        names = [name for name, count in left.items() if count and (not order or name != order[-1])]
        names = names or [name for name, count in left.items() if count]
        name = str(rng.choice(names))
        left[name] -= 1
        order.append(name)
    return order


def live_segments(talk: Talk) -> list[Segment]:
    return [_segment(number, turn, turn.live) for number, turn in enumerate(talk.turns)]


def true_segments(talk: Talk) -> list[Segment]:
    """As a pre-recorded vendor with right diarization gives them."""
    order = list(dict.fromkeys(turn.name for turn in talk.turns))
    return [_segment(number, turn, speaker_label(order.index(turn.name))) for number, turn in enumerate(talk.turns)]


def _segment(number: int, turn: Turn, label: str) -> Segment:
    return Segment(id=str(number), text="x", speaker=label, start=turn.start, end=turn.end, stt_provider=turn.provider)


class RememberingVoices:
    """The built-in engine in this process. Each piece of audio is embedded once, in this run and later ones."""

    def __init__(self) -> None:
        self._engine = CampplusEngine()
        self.name, self.version = self._engine.name, self._engine.version
        self.dimension = self._engine.dimension
        self._file = ROOT / "var" / "bench-voices" / f"pieces-{self.name}-{self.version}.npz"
        self._rows: dict[str, NDArray[np.float32]] = {}
        self._new = 0
        if self._file.is_file():
            with np.load(self._file) as kept:
                self._rows = dict(zip(kept["keys"].tolist(), kept["rows"], strict=True))

    def embed_segments(self, pcm: NDArray[np.int16], segments: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
        rows = np.zeros((len(segments), self.dimension), np.float32)
        for at, (start, end) in enumerate(segments):
            cut = pcm[max(0, round(start * RATE)) : max(0, round(end * RATE))]
            key = blake2b(cut.tobytes(), digest_size=16).hexdigest()
            if key not in self._rows:
                self._rows[key] = self._engine.embed_segments(cut, [(0.0, len(cut) / RATE)])[0]
                self._new += 1
                if self._new % 100 == 0:
                    self.keep()
            rows[at] = self._rows[key]
        return rows

    def speech_regions(self, pcm: NDArray[np.int16]) -> list[tuple[float, float]]:
        return [(region.start, region.end) for region in speech_regions(pcm)]

    def live(self) -> RememberingVoices:
        return self

    def keep(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = Path(f"{self._file}.part.npz")
        np.savez(part, keys=np.array(list(self._rows)), rows=np.stack(list(self._rows.values())))
        part.replace(self._file)

    def close(self) -> None:
        if self._new:
            self.keep()
