"""``python -m bench.speakers_overlap``: how often somebody who talks over the user gets the user's name.

Each trial is 8 s of one label: the user alone in four conditions, or the user and somebody of the same sex at once,
equally loud or one of them louder, all the time. ``--half choosing`` is what the bounds of ``speakers.policy`` were
chosen on. The cohort is the shipped one without the two speakers of the trial; its weights are of the choosing side.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from bench.speakers import start_django
from bench.speakers_conditions import degrade
from bench.speakers_data import RATE, sides, speakers, speech_folder
from speakers.clips import pooled, voiced

ENROLLED, HEARD = 12 * RATE, 8 * RATE
ALONE = ("clean", "noise 8 dB", "large room", "babble 10 dB")
LOUDER = {"equally loud": (0.0,) * 4, "the other 5 dB louder": (5.0, 5.0), "the user 5 dB louder": (-5.0, -5.0)}
"""Trials of each user, in dB of the other one over the user."""
Pcm = NDArray[np.int16]


def mixed(own: Pcm, other: Pcm, decibel: float) -> Pcm:
    first, second = own.astype(np.float64), other.astype(np.float64)
    both = first + second * np.sqrt(np.mean(first**2) / np.mean(second**2)) * 10 ** (decibel / 20)
    return (both * min(1.0, 32_000 / np.abs(both).max())).astype(np.int16)


def trials(half: str, users: int, seed: int = 0) -> Iterator[tuple[str, Pcm, Pcm]]:
    """(kind, what the user is enrolled with, what is heard under one label)"""
    folder = speech_folder()
    assert folder is not None, "OMI_BENCH_SPEECH must name the recordings"
    everybody = speakers(folder)
    crowd = [person.pcm for person in everybody if len(person.pcm) < 9 * RATE]
    people = sides(everybody)[half == "reporting"]
    speech = {person.name: voiced(person.pcm) for person in people}
    sex = {person.name: person.sex for person in people}
    able = [name for name in speech if len(speech[name]) >= ENROLLED + HEARD]
    chance = np.random.default_rng(seed)
    for name in able[:: max(1, len(able) // users)][:users]:
        enrolled, own = speech[name][:ENROLLED], speech[name][ENROLLED : ENROLLED + HEARD]
        for condition in ALONE:
            yield f"the user alone, {condition}", enrolled, degrade(own, condition, seed, crowd=crowd)
        others = [item for item in speech if item != name and sex[item] == sex[name] and len(speech[item]) >= HEARD]
        for kind, levels in LOUDER.items():
            for level in levels:
                other = others[int(chance.integers(len(others)))]
                yield kind, enrolled, mixed(own, speech[other][:HEARD], level)


def measure(half: str, users: int) -> None:
    from speakers.calibration import Calibration, calibration_of
    from speakers.engines.campplus import CampplusEngine
    from speakers.gallery import Candidates, embed_copies
    from speakers.policy import Rules, decide
    from speakers.scoring import VoiceEvidence, room_of

    engine = CampplusEngine()
    shipped = calibration_of(engine.name, engine.version)
    assert shipped is not None
    rules = Rules(coverage=shipped.least)
    named: dict[str, list[tuple[bool, bool]]] = {}
    profiles: dict[bytes, NDArray[np.float32]] = {}
    for kind, enrolled, heard in trials(half, users):
        key = enrolled.tobytes()
        if key not in profiles:
            copies = embed_copies(engine, enrolled)
            assert copies is not None
            profiles[key] = copies
        evidence = pooled([heard])
        rows = engine.embed_segments(evidence.pcm, [*evidence.cuts, *evidence.moments])
        pieces, moments = rows[: len(evidence.cuts)], rows[len(evidence.cuts) :]
        strangers = shipped.cohort[0] @ profiles[key][0] < 0.7  # the user's own row is of the same recording: 0.9
        calibration = Calibration(
            shipped.engine, shipped.engine_version, shipped.profile, shipped.voice, shipped.cohort[:, strangers]
        )
        known = Candidates(["user"], profiles[key][None], np.array([ENROLLED / RATE], np.float32), "", "")
        whole = VoiceEvidence("SPEAKER_00", evidence.seconds, pieces, evidence.weights)
        before, now = (
            decide(room_of([item], known, calibration), rules)[0].is_user
            for item in (whole, replace(whole, moments=moments))
        )
        named.setdefault(kind, []).append((before, now))
    print(f"{half} side: labels named user, by pieces alone and with windows")
    for kind, found in named.items():
        print(
            f"  {kind:32s} {sum(b for b, _ in found):3d} and {sum(n for _, n in found):3d} of {len(found)}", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=("choosing", "reporting"), default="reporting")
    parser.add_argument("--users", type=int, default=12)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="omi-bench-") as folder:
        start_django(folder)
        measure(arguments.half, arguments.users)


if __name__ == "__main__":
    main()
