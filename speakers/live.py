"""Naming voices while they speak: the policy of ``identify`` on clips that the live session has kept apart."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from threading import Lock
from typing import Any

import numpy as np
from channels.db import database_sync_to_async
from numpy.typing import NDArray

from omi.core.database_threads import pool
from omi.core.providers import one
from speakers import gallery, people
from speakers.calibration import calibration_of
from speakers.clips import RATE, Turn, centroid, pooled, voiced
from speakers.engines import VoiceEngine
from speakers.engines.registry import ConfiguredVoices
from speakers.engines.scale import scale_of
from speakers.learning import rules_of
from speakers.models import VoiceSample
from speakers.policy import VoiceDecision, decide
from speakers.reasons import UNJUDGED
from speakers.scoring import VoiceEvidence, room_of
from transcription.ports import VoiceLabel

REMEMBERED = 2000
"""Groups whose embedding is kept, so that asking again embeds only what is new: 2 MB."""
_rows: OrderedDict[tuple[str, str, bytes], NDArray[np.float32]] = OrderedDict()
_lock = Lock()
_THREADS = pool("voices", 4)
"""Of their own: they wait for an engine, and the loop's threads are everybody's."""


class LiveLabeller:
    """Names voices in a live session, ``settings.PROVIDERS["voice_labeller"]``. Only a thread waits for the engine,
    which runs in a process of its own."""

    async def label(self, uid: str, voices: dict[str, list[NDArray[np.int16]]]) -> dict[str, VoiceLabel]:
        """A label for each of ``voices``, which are all of the conversation: named or not, a name can be taken back.

        Empty where nobody can be recognised. ProviderError when the engine fails: the session keeps what it has."""
        labels: dict[str, VoiceLabel] = await _in_thread(label_voices, uid, voices)
        return labels

    async def embed(self, clips: list[NDArray[np.int16]]) -> list[NDArray[np.float32] | None]:
        """A unit vector for each clip (16 kHz mono), None for too little speech. ProviderError as ``label``."""
        rows: list[NDArray[np.float32] | None] = await _in_thread(embed_clips, clips)
        return rows

    async def same_utterance(self) -> float:
        """Cosine of two vectors of ``embed`` from which they are rather one voice than two. ProviderError as there."""
        return float(await _in_thread(same_utterance))

    async def has_profile(self, uid: str) -> bool:
        """Whether there is anybody to recognise: the user or a person. One query."""
        return bool(await _in_thread(_anybody, uid))


async def _in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    return await database_sync_to_async(function, thread_sensitive=False, executor=_THREADS)(*arguments)


def label_voices(uid: str, voices: dict[str, list[NDArray[np.int16]]]) -> dict[str, VoiceLabel]:
    """Identify the voices of a live conversation by their clips (16 kHz mono); empty where nobody is known to the user.

    Raises ProviderError. Called in a thread: it waits for the engine.
    """
    if not voices or not _anybody(uid):
        return {}
    configured: ConfiguredVoices = one("voices")
    engine = configured.live()
    # Somebody listens: one missing embedding at a time, and of 500 people only those are looked up who are named.
    found = gallery.candidates(uid, engine, heal_at_once=1)
    calibration = calibration_of(engine.name, engine.version)
    if not found.ids or calibration is None:
        return {}
    room = room_of([_heard(voice, clips, engine) for voice, clips in voices.items()], found, calibration)
    return {decision.voice: _label(uid, decision) for decision in decide(room, rules_of(uid, engine))}


def _label(uid: str, decision: VoiceDecision) -> VoiceLabel:
    gone = decision.person_id is not None and not _known(uid, decision.person_id)
    return VoiceLabel(
        is_user=decision.is_user,
        person_id=None if gone else decision.person_id,
        score=decision.probability,
        evidence_seconds=decision.evidence_seconds,
        judged=decision.reason not in UNJUDGED,
        provisional=decision.provisional and not gone,
        reason=decision.reason.value,
    )


def _heard(voice: str, clips: list[NDArray[np.int16]], engine: VoiceEngine) -> VoiceEvidence:
    """What is heard in the clips of a voice; a group of them is embedded once, however often one asks."""
    evidence = pooled([voiced(np.asarray(clip, np.int16)) for clip in clips])

    def of(cuts: list[Turn]) -> NDArray[np.float32]:
        rows = [_embedded(evidence.pcm[round(a * RATE) : round(b * RATE)], engine) for a, b in cuts]
        return np.stack(rows) if rows else np.zeros((0, engine.dimension), np.float32)

    return VoiceEvidence(voice, evidence.seconds, of(evidence.cuts), evidence.weights, moments=of(evidence.moments))


def _embedded(pcm: NDArray[np.int16], engine: VoiceEngine) -> NDArray[np.float32]:
    key = (engine.name, engine.version, blake2b(pcm.tobytes(), digest_size=16).digest())
    with _lock:
        row = _rows.get(key)
        if row is not None:
            _rows.move_to_end(key)
            return row
    row = np.asarray(engine.embed_segments(pcm, [(0.0, len(pcm) / RATE)])[0], np.float32)
    with _lock:
        _rows[key] = row
        while len(_rows) > REMEMBERED:
            _rows.popitem(last=False)
    return row


def embed_clips(clips: list[NDArray[np.int16]]) -> list[NDArray[np.float32] | None]:
    """Return one unit vector for each clip (16 kHz mono int16), None for too little speech. Raises ProviderError."""
    configured: ConfiguredVoices = one("voices")
    engine = configured.live()
    found: list[NDArray[np.float32] | None] = []
    for clip in clips:
        evidence = pooled([voiced(np.asarray(clip, np.int16))])
        found.append(centroid(engine.embed_segments(evidence.pcm, evidence.cuts), evidence.weights))
    return found


def same_utterance() -> float:
    """Cosine of two utterances from which they are rather one voice than two, on the scale of the engine."""
    configured: ConfiguredVoices = one("voices")
    return scale_of(configured.live()).utterance


def _known(uid: str, person_id: str) -> bool:
    try:
        people.get_person(uid, person_id)
    except people.PersonNotFound:
        return False
    return True


def _anybody(uid: str) -> bool:
    return VoiceSample.objects.filter(uid=uid, status=VoiceSample.Status.ACCEPTED).exists()
