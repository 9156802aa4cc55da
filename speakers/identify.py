"""Who spoke in a recording: one decision per diarized voice over the whole of it, or an honest "unknown"."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omi.accounts.erased import Fence
from omi.core.providers import one
from speakers import decisions, people
from speakers.calibration import calibration_of
from speakers.clips import Evidence, Recording, Turn, gather
from speakers.engines import VoiceEngine
from speakers.gallery import candidates
from speakers.learning import rules_of
from speakers.policy import CANDIDATE_USER, NOBODY, VoiceDecision, decide
from speakers.reasons import UNJUDGED
from speakers.scoring import VoiceEvidence, room_of
from speakers.turns import assign_speakers
from transcription.segments import Segment

log = logging.getLogger(__name__)

__all__ = ["Identification", "Manual", "apply", "assign_speakers", "identify"]

Manual = Mapping[str, Mapping[str, Any]]
"""What a person set: segment id or voice label to ``{"is_user": bool, "person_id": str | None}``
(UserEdits.speakers)."""


@dataclass(frozen=True, slots=True)
class Identification:
    """Whose voices were recognised. ``segments`` in the order given, relabelled; ``voices`` one decision each;
    ``heard`` seconds of evidence."""

    segments: list[Segment]
    voices: list[VoiceDecision]
    engine: str = ""
    engine_version: str = ""
    heard: float = field(default=0.0)


def identify(
    uid: str,
    wav: Path,
    segments: Sequence[Segment],
    *,
    language: str | None = None,
    manual: Manual | None = None,
    memory_id: str = "",
    audio_offset: float = 0.0,
    fence: Fence = lambda: None,
) -> Identification:
    """Label ``segments`` from the 16 kHz mono ``wav``.

    ``audio_offset`` is the time of the recording's first sample in the segments' time base (0 for a memory's own
    recording). ``language`` plays no part: voices are compared, not words. Labels in ``manual`` are kept whatever is
    heard. With ``memory_id`` the decisions are stored for ``explain``, in a transaction that begins with ``fence``.

    Raises ProviderError when the engine fails and BadRecording for another kind of file; the caller then keeps the
    labels that it has. Labels that cannot be judged (no profile, too little speech) stay as they are, too.
    """
    engine: VoiceEngine = one("voices")
    known = set(people.names(uid))
    manual = _valid(manual or {}, known)
    found = candidates(uid, engine, people=known)
    turns = _turns(segments)
    with Recording(wav, offset=audio_offset) as recording:
        heard = _heard(turns, recording, engine, _agreed(segments, manual), embed=bool(found.ids))
    evidence = {item.voice: speech for item, speech in heard}
    room = room_of([item for item, _ in heard], found, calibration_of(engine.name, engine.version))
    voices = [
        replace(decision, turns=evidence[decision.voice].turns, engine=engine.name, engine_version=engine.version)
        for decision in decide(room, rules_of(uid, engine, memory_id or ""))
    ]
    if memory_id:
        decisions.store(uid, memory_id, voices, fence=fence)
    return Identification(
        segments=apply(segments, voices, manual, known),
        voices=voices,
        engine=engine.name,
        engine_version=engine.version,
        heard=sum(item.seconds for item in evidence.values()),
    )


def apply(
    segments: Sequence[Segment], voices: Sequence[VoiceDecision], manual: Manual, known: set[str]
) -> list[Segment]:
    """Segments with the label of their voice; a manual label of the segment itself comes first.

    Short segments inherit from their voice. A label that was not judged stays, unless its person is gone.
    """
    by_voice = {decision.voice: decision for decision in voices}
    result = []
    for segment in segments:
        decision = by_voice.get(segment.speaker)
        own = manual.get(segment.id)
        if own is not None:
            label = _label(own)
        elif decision is not None and (decision.manual or decision.decided or decision.reason not in UNJUDGED):
            label = {"is_user": decision.is_user, "person_id": decision.person_id}
        else:
            person = segment.person_id if segment.person_id in known else None
            label = {"is_user": segment.is_user, "person_id": person}
        result.append(segment.model_copy(update=label))
    return result


def _turns(segments: Sequence[Segment]) -> dict[str, list[Turn]]:
    turns: dict[str, list[Turn]] = {}
    for segment in segments:
        turns.setdefault(segment.speaker, []).append((segment.start, segment.end))
    return turns


def _heard(
    turns: dict[str, list[Turn]],
    recording: Recording,
    engine: VoiceEngine,
    confirmed: Mapping[str, Mapping[str, Any]],
    *,
    embed: bool,
) -> list[tuple[VoiceEvidence, Evidence]]:
    """What is heard of each voice. All cuts of all voices go to the engine in one call; none without ``embed``."""
    evidence: dict[str, Evidence] = {}
    for voice, own in turns.items():
        others = [turn for other, theirs in turns.items() if other != voice for turn in theirs]
        evidence[voice] = gather(recording, own, others=others)
    at = 0.0
    cuts: list[Turn] = []
    owners: list[tuple[str, str]] = []
    for voice, item in evidence.items():
        for kind, own in (("pieces", item.cuts), ("moments", item.moments)):
            cuts += [(at + start, at + end) for start, end in own]
            owners += [(voice, kind)] * len(own)
        at += item.seconds
    pcm = np.concatenate([item.pcm for item in evidence.values()]) if evidence else np.zeros(0, np.int16)
    nothing = np.zeros((0, engine.dimension), np.float32)
    rows = engine.embed_segments(pcm, cuts) if cuts and embed else nothing

    def of(voice: str, kind: str) -> NDArray[np.float32]:
        return rows[[n for n, owner in enumerate(owners) if owner == (voice, kind)]] if len(rows) else nothing

    return [
        (
            VoiceEvidence(
                voice,
                item.seconds,
                of(voice, "pieces"),
                item.weights if len(rows) else None,
                confirmed=_candidate(confirmed.get(voice)),
                moments=of(voice, "moments"),
            ),
            item,
        )
        for voice, item in evidence.items()
    ]


def _candidate(label: Mapping[str, Any] | None) -> str | None:
    """What a person said of a voice, as ``VoiceScores.confirmed`` has it."""
    if label is None:
        return None
    return CANDIDATE_USER if label["is_user"] else label["person_id"] or NOBODY


def _agreed(segments: Sequence[Segment], manual: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What a person says of whole voices: of the voice itself, or of its segments where all that were named agree.

    That one segment is nobody known says nothing of the others.
    """
    named: dict[str, set[tuple[bool, str | None]]] = {}
    for segment in segments:
        if segment.id in manual:
            label = _label(manual[segment.id])
            named.setdefault(segment.speaker, set()).add((label["is_user"], label["person_id"]))
    agreed: dict[str, dict[str, Any]] = {}
    for voice in dict.fromkeys(segment.speaker for segment in segments):
        if voice in manual:
            agreed[voice] = _label(manual[voice])
        elif len(named.get(voice, ())) == 1 and (False, None) not in named[voice]:
            ((is_user, person_id),) = named[voice]
            agreed[voice] = {"is_user": is_user, "person_id": person_id}
    return agreed


def _label(manual: Mapping[str, Any]) -> dict[str, Any]:
    is_user = bool(manual.get("is_user"))
    return {"is_user": is_user, "person_id": None if is_user else manual.get("person_id") or None}


def _valid(manual: Manual, known: set[str]) -> dict[str, Mapping[str, Any]]:
    """Manual labels whose person still exists; a label that says "nobody" is one, too."""
    return {key: label for key, label in manual.items() if not label.get("person_id") or label["person_id"] in known}
