"""Finding a voice in older memories: for somebody who was enrolled after the conversation took place.

Only memories whose recording is still kept can be asked (the user's permission decides that): no embedding of an
unknown voice is ever stored, because strangers did not consent. What is found is stored as the voice's decision and
announced by ``voice_found``; the package above relabels the segments, manual labels excepted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from omi.core import workspace
from omi.core.providers import one
from omi.stores import audio
from speakers import decisions, gallery, people
from speakers.calibration import calibration_of
from speakers.clips import BadRecording, Recording, Turn, gather
from speakers.engines import VoiceEngine
from speakers.learning import rules_of
from speakers.models import SpeakerDecision
from speakers.policy import CANDIDATE_USER, NOBODY, VoiceDecision, decide
from speakers.scoring import VoiceEvidence, room_of
from speakers.signals import voice_found

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """What came of one unknown voice. ``state``: found, unlike, no_recording or unreadable. ``candidate`` is ``user``
    or a person id where somebody was found."""

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
        with workspace.temporary("find-") as folder:
            try:
                wav = audio.local_copy(recordings[-1], Path(folder))
                judged = _judged(uid, name, wav, engine, known)
            except (audio.AudioNotFound, BadRecording) as error:  # the other memories must not suffer from it
                log.warning("the recording of memory %s cannot be heard: %s", name, error)
                yield from (Found(name, row.voice, "unreadable") for row in unknown)
                continue
        for row in unknown:
            yield _settled(uid, row, judged[row.voice], wanted, store)


def _judged(
    uid: str, memory_id: str, wav: Path, engine: VoiceEngine, known: gallery.Candidates
) -> dict[str, VoiceDecision]:
    """A decision for every voice of the memory, also of those that have a name: an unknown one must beat them, too."""
    calibration = calibration_of(engine.name, engine.version)
    heard: list[VoiceEvidence] = []
    with Recording(wav) as recording:
        for row in SpeakerDecision.objects.filter(uid=uid, memory_id=memory_id).order_by("voice"):
            evidence = gather(recording, _turns(row))
            rows = engine.embed_segments(evidence.pcm, [*evidence.cuts, *evidence.moments])
            pieces, moments = rows[: len(evidence.cuts)], rows[len(evidence.cuts) :]
            said = (CANDIDATE_USER if row.is_user else row.person_id or NOBODY) if row.manual else None
            heard.append(VoiceEvidence(row.voice, evidence.seconds, pieces, evidence.weights, said, moments))
    decisions_made = decide(room_of(heard, known, calibration), rules_of(uid, engine))
    return {
        decision.voice: replace(decision, engine=engine.name, engine_version=engine.version)
        for decision in decisions_made
    }


def _settled(uid: str, row: SpeakerDecision, decision: VoiceDecision, wanted: str | None, store: bool) -> Found:
    """What becomes of one unknown voice."""
    if not decision.decided or (wanted is not None and decision.best != wanted):
        return Found(row.memory_id, row.voice, "unlike", decision.suggestion or "", decision.suggestion_probability)
    if store:
        turns = _turns(row)
        # Told before it is stored: where a receiver fails the voice stays unknown, and the next run tries again.
        voice_found.send(
            sender=find,
            uid=uid,
            memory_id=row.memory_id,
            voice=row.voice,
            person_id=decision.person_id or "",
            probability=decision.probability,
            turns=turns,
        )
        decisions.store_one(uid, row.memory_id, replace(decision, turns=turns))
    return Found(row.memory_id, row.voice, "found", decision.best or "", decision.probability)


def _turns(row: SpeakerDecision) -> list[Turn]:
    return [(float(start), float(end)) for start, end in row.turns]
