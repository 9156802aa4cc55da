"""Finding a voice in older memories: for somebody who was enrolled after the conversation took place.

Only memories whose recording is still kept can be asked (the user's permission decides that): no embedding of an
unknown voice is ever stored, because strangers did not consent. What is found is stored as the voice's decision and
announced by ``voice_found``; the room above relabels the segments, manual labels excepted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from omi.providers import one
from omi.stores import audio
from speakers import decisions, gallery, people
from speakers.calibration import calibration_of
from speakers.clips import Recording, centroid, gather, windows
from speakers.engines import VoiceEngine
from speakers.learning import rules_of
from speakers.models import SpeakerDecision
from speakers.policy import VoiceScores, decide
from speakers.signals import voice_found


@dataclass(frozen=True, slots=True)
class Found:
    """``state``: found, unlike, or no_recording. ``candidate`` is ``user`` or a person id where somebody was found."""

    memory_id: str
    voice: str
    state: str
    candidate: str = ""
    probability: float = 0.0


def find(
    uid: str, person_id: str | None = None, *, memory_id: str | None = None, store: bool = True
) -> Iterator[Found]:
    """Hear the unknown voices of this user's memories again; with ``person_id`` ('' = the user) report only that one.

    Every known person competes, so that the runner-up rule holds. ``store`` False only reports. Raises PersonNotFound
    and ProviderError; a memory that fails half-way has changed nothing of itself.
    """
    if person_id:
        people.get_person(uid, person_id)
    rows = SpeakerDecision.objects.filter(uid=uid, is_user=False, person_id="", manual=False).order_by(
        "memory_id", "voice"
    )
    if memory_id is not None:
        rows = rows.filter(memory_id=memory_id)
    engine: VoiceEngine = one("voices")
    known = gallery.candidates(uid, engine, people=set(people.names(uid)))
    wanted = None if person_id is None else gallery.candidate_id(person_id)
    for name in sorted(set(rows.values_list("memory_id", flat=True))):
        unknown = list(rows.filter(memory_id=name))
        recordings = audio.for_memory(uid, name, "recording")
        if not recordings:
            yield from (Found(name, row.voice, "no_recording") for row in unknown)
            continue
        with tempfile.TemporaryDirectory(prefix="omi-find-") as folder:
            wav = audio.local_copy(recordings[-1], Path(folder))
            yield from _in_memory(uid, name, wav, unknown, engine, known, wanted, store)


def _in_memory(
    uid: str,
    memory_id: str,
    wav: Path,
    unknown: list[SpeakerDecision],
    engine: VoiceEngine,
    known: gallery.Candidates,
    wanted: str | None,
    store: bool,
) -> Iterator[Found]:
    calibration = calibration_of(engine.name, engine.version)
    scores: list[VoiceScores] = []
    with Recording(wav) as recording:
        for row in unknown:
            evidence = gather(recording, [(float(start), float(end)) for start, end in row.turns])
            vector = centroid(engine.embed_segments(evidence.pcm, windows(evidence.seconds)))
            cosines = known.profiles @ vector if vector is not None else np.zeros(len(known.ids), np.float32)
            probabilities = (
                calibration.probabilities(cosines, vector, known.profiles)
                if calibration is not None and vector is not None
                else np.zeros(len(cosines), np.float32)
            )
            scores.append(VoiceScores(row.voice, round(evidence.seconds, 2), vector, cosines, probabilities))
    rules = replace(rules_of(uid), calibrated=calibration is not None)
    for row, decision in zip(unknown, decide(scores, known.ids, rules), strict=True):
        if not decision.decided or (wanted is not None and decision.best != wanted):
            yield Found(memory_id, row.voice, "unlike", decision.suggestion or "", decision.suggestion_probability)
            continue
        if store:
            turns = [(float(start), float(end)) for start, end in row.turns]
            # Told before it is stored: where a receiver fails the voice stays unknown, and the next run tries again.
            voice_found.send(
                sender=find,
                uid=uid,
                memory_id=memory_id,
                voice=row.voice,
                person_id=decision.person_id or "",
                probability=decision.probability,
                turns=turns,
            )
            complete = replace(decision, turns=turns, engine=engine.name, engine_version=engine.version)
            decisions.store_one(uid, memory_id, complete)
        yield Found(memory_id, row.voice, "found", decision.best or "", decision.probability)
