"""Verification trials: profiles and pooled speech of voices, embedded once and kept in ``var/bench-voices``."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.speakers_conditions import CONDITIONS, degrade
from bench.speakers_data import RATE, ROOT, Speaker
from speakers.calibration import Calibration
from speakers.clips import GROUP, WINDOW, centroid, pooled, voiced
from speakers.engines import VoiceEngine
from speakers.gallery import embed_copies

SECONDS = {3: ("clean",), 5: ("clean", "noise 15 dB", "room"), 8: CONDITIONS}
"""Lengths of probes, and in which conditions."""
TURN = 1.0
"""Seconds of one turn of a probe: pieces are then as short as the product ever makes them (``GROUP``; 8 s are pieces of
3, 3 and 2 s), while one turn of 8 s would be two of 4 s."""
ENROL_SECONDS, LEAST_PROBE = 20.0, 8.0
"""Seconds that a profile is made of, at most, and that must be left for probes."""
SHORT_ENROL = 5.0
MOST_PROBES = 3
"""Of one length in clean speech; of a degraded kind one less."""


class Probe(NamedTuple):
    """Speech of a voice as the product hears it: ``rows``, unit embeddings of pieces of ``weights`` seconds each, and
    ``moments``, those of its windows (``Evidence.moments``)."""

    condition: str
    seconds: int
    rows: NDArray[np.float32]
    weights: NDArray[np.float32]
    moments: NDArray[np.float32]

    @property
    def vector(self) -> NDArray[np.float32]:
        """The voice: the mean of its pieces by seconds, which ``_probes`` has made sure of."""
        vector = centroid(self.rows, self.weights)
        assert vector is not None
        return vector


@dataclass(frozen=True)
class Voice:
    """``cohort``: the first speech in the conditions of a profile; ``profile`` the same where enough is left for
    probes, else None, and ``short`` of ``SHORT_ENROL`` seconds of it."""

    name: str
    corpus: str
    sex: str
    accent: str
    licence: str
    cohort: NDArray[np.float32]
    profile: NDArray[np.float32] | None
    short: NDArray[np.float32] | None
    probes: list[Probe]


class Trial(NamedTuple):
    """``cosines`` and ``norms`` of each copy of the profile: (copies,); the same of each piece of the probe (pieces,
    copies), which are of ``piece_seconds`` each, and of each of its windows (windows, copies); ``likeness``: cosine of
    each window to the probe."""

    profile: str
    probe: str
    sexes: str
    condition: str
    seconds: int
    target: bool
    cosines: NDArray[np.float32]
    norms: NDArray[np.float32]
    coverage: float
    piece_cosines: NDArray[np.float32]
    piece_norms: NDArray[np.float32]
    piece_seconds: NDArray[np.float32]
    moment_cosines: NDArray[np.float32]
    moment_norms: NDArray[np.float32]
    likeness: NDArray[np.float32]


def embedded(engine: VoiceEngine, people: Sequence[Speaker]) -> list[Voice]:
    """All voices; a run that was broken off goes on where it was."""
    folder = _folder(engine.name, engine.version)
    folder.mkdir(parents=True, exist_ok=True)
    crowd = [person.pcm for person in people if len(person.pcm) < 9 * RATE]
    found = []
    for at, person in enumerate(people):
        path = folder / f"{person.name}.pickle"
        if not path.is_file():
            voice = _embedded(engine, person, at, crowd)
            path.write_bytes(pickle.dumps(voice))
        voice = pickle.loads(path.read_bytes())
        if voice is not None:
            found.append(voice)
    return found


def kept(name: str, version: str) -> list[Voice]:
    """The voices that an earlier run embedded with this engine, by name."""
    folder = _folder(name, version)
    found = [pickle.loads(path.read_bytes()) for path in sorted(folder.glob("*.pickle"))]
    return [voice for voice in found if voice is not None]


def _folder(name: str, version: str) -> Path:
    """Where an engine's voices are kept; another rule of dividing speech has another folder."""
    return ROOT / "var" / "bench-voices" / f"{name}-{version}-turns-{TURN:g}s-pieces-{GROUP:g}s-windows-{WINDOW:g}s"


def _embedded(engine: VoiceEngine, person: Speaker, at: int, crowd: Sequence[NDArray[np.int16]]) -> Voice | None:
    speech = voiced(person.pcm)
    seconds = len(speech) / RATE
    if seconds < 1.5:
        return None
    cohort = embed_copies(engine, speech[: int(ENROL_SECONDS * RATE)])
    assert cohort is not None
    profile = short = None
    rest = person.pcm
    if seconds >= LEAST_PROBE + 7:
        taken = min(ENROL_SECONDS, seconds - LEAST_PROBE)
        profile = cohort if taken == ENROL_SECONDS else embed_copies(engine, speech[: int(taken * RATE)])
        short = embed_copies(engine, speech[: int(SHORT_ENROL * RATE)])
        rest = person.pcm[int(len(person.pcm) * taken / seconds) :]
    probes = [
        probe
        for number, condition in enumerate(CONDITIONS)
        for probe in _probes(engine, voiced(degrade(rest, condition, 1000 + at * 10 + number, crowd=crowd)), condition)
    ]
    return Voice(person.name, person.corpus, person.sex, person.accent, person.licence, cohort, profile, short, probes)


def _probes(engine: VoiceEngine, speech: NDArray[np.int16], condition: str) -> Iterator[Probe]:
    most = MOST_PROBES if condition == "clean" else MOST_PROBES - 1
    for seconds, conditions in SECONDS.items():
        size = seconds * RATE
        for start in range(0, len(speech) - size + 1, size)[:most] if condition in conditions else ():
            said = speech[start : start + size]
            step = round(TURN * RATE)
            evidence = pooled([said[at : at + step] for at in range(0, size, step)])
            embedded = engine.embed_segments(evidence.pcm, [*evidence.cuts, *evidence.moments])
            rows, moments = np.split(embedded, [len(evidence.cuts)])
            if centroid(rows, evidence.weights) is not None:
                yield Probe(condition, seconds, rows, evidence.weights, moments)


def trials(voices: Sequence[Voice], cohort: Sequence[Voice], base: Calibration, *, short: bool = False) -> list[Trial]:
    """Every probe against every profile of ``voices``; a speaker of the trial is never in its own cohort."""
    found = []
    rows = np.stack([voice.cohort for voice in cohort], axis=1)
    names = np.array([voice.name for voice in cohort])
    for enrolled in voices:
        profile = enrolled.short if short else enrolled.profile
        if profile is None:
            continue
        for voice in voices:
            calibration = Calibration(
                base.engine, base.engine_version, base.profile, base.voice,
                rows[:, (names != voice.name) & (names != enrolled.name)],
            )  # fmt: skip
            for probe in voice.probes:
                vector = probe.vector
                cosines, norms = calibration.terms_of_each(np.stack([vector, *probe.rows, *probe.moments]), profile)
                pieces, moments = slice(1, 1 + len(probe.rows)), slice(1 + len(probe.rows), None)
                found.append(
                    Trial(
                        enrolled.name, voice.name, enrolled.sex + voice.sex, probe.condition, probe.seconds,
                        voice.name == enrolled.name, cosines[0], norms[0], calibration.coverage(vector),
                        cosines[pieces], norms[pieces], probe.weights, cosines[moments], norms[moments],
                        probe.moments @ vector,
                    )
                )  # fmt: skip
    return found
