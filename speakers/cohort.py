"""A deployment's own voices in the cohort of the calibration: of users who agree, without whose they are.

Who sounds unlike every voice of the shipped cohort gets suggestions instead of names (docs/speakers.md). Voices of the
people who are there widen it. Written are embeddings and nothing else: no user, no time, in a random order, so that
nothing in the file says which voice is whose. It is made anew each time: a user who takes back their consent is not in
the next file.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from speakers.calibration import own_cohort_path
from speakers.conditions import CONDITIONS
from speakers.engines import VoiceEngine
from speakers.models import USER, ProfileVersion, VoiceSample, unpack_copies

LEAST_SECONDS = 15.0
"""Of confirmed speech, for a voice to stand for itself."""
LEAST_VOICES = 5
"""Fewer voices would be recognisable by anybody who knows who agreed."""
MOST_VOICES = 1000
"""Of which each costs 0.2 ms in a decision and 1.5 kB."""


class TooFewVoices(ValueError):
    """Fewer than ``LEAST_VOICES`` are fit for a cohort; nothing was written."""


def build(uids: Iterable[str], engine: VoiceEngine) -> int:
    """Write the own voices of these users (who agreed to it) as the deployment's cohort; their number.

    Only profiles that are made of recordings of the user or of what a person confirmed, of ``LEAST_SECONDS`` and in all
    conditions. Raises TooFewVoices.
    """
    voices = [vector for uid in sorted(set(uids))[:MOST_VOICES] if (vector := _voice(uid, engine)) is not None]
    if len(voices) < LEAST_VOICES:
        raise TooFewVoices(f"{len(voices)} voices are fit for a cohort; at least {LEAST_VOICES} are needed")
    secrets.SystemRandom().shuffle(voices)
    path = own_cohort_path(engine.name, engine.version)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False, suffix=".part") as file:
        np.save(file, np.stack(voices, axis=1).astype(np.float16))
    Path(file.name).replace(path)
    return len(voices)


def forget(engine: VoiceEngine) -> bool:
    """Erase the deployment's cohort; whether there was one."""
    path: Path = own_cohort_path(engine.name, engine.version)
    there = path.is_file()
    path.unlink(missing_ok=True)
    return there


def _voice(uid: str, engine: VoiceEngine) -> np.ndarray | None:
    row = ProfileVersion.objects.filter(
        uid=uid, person_id=USER, engine=engine.name, engine_version=engine.version, active=True
    ).first()
    if row is None or row.voiced_seconds < LEAST_SECONDS or not row.copies:
        return None
    samples = VoiceSample.objects.filter(pk__in=row.sample_ids)
    if samples.filter(confirmed=False).exists():
        return None
    return unpack_copies(row.copies, row.array, len(CONDITIONS))
