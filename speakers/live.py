"""Naming voices while they speak: the policy of ``identify`` on clips that the live session has kept apart."""

from __future__ import annotations

import numpy as np
from channels.db import database_sync_to_async
from numpy.typing import NDArray

from omi.providers import one
from speakers import gallery, people
from speakers.calibration import calibration_of
from speakers.clips import centroid, pooled, voiced, windows
from speakers.engines.registry import ConfiguredVoices
from speakers.learning import rules_of
from speakers.policy import decide
from speakers.scoring import scored
from transcription.ports import VoiceLabel


class LiveLabeller:
    """``settings.PROVIDERS["voice_labeller"]``. Only a thread waits for the engine, which runs in a process of its
    own."""

    async def label(self, uid: str, voices: dict[str, list[NDArray[np.int16]]]) -> dict[str, VoiceLabel]:
        """Labels of the voices that are decided. ProviderError when the engine fails: the session keeps what it has."""
        labels: dict[str, VoiceLabel] = await database_sync_to_async(label_voices, thread_sensitive=False)(uid, voices)
        return labels

    async def embed(self, clips: list[NDArray[np.int16]]) -> list[NDArray[np.float32] | None]:
        """A unit vector for each clip (16 kHz mono), None for too little speech. ProviderError as ``label``."""
        rows: list[NDArray[np.float32] | None] = await database_sync_to_async(embed_clips, thread_sensitive=False)(
            clips
        )
        return rows

    async def has_profile(self, uid: str) -> bool:
        """Whether there is anybody to recognise: the user or a person. One query."""
        return bool(await database_sync_to_async(_anybody, thread_sensitive=False)(uid))


def label_voices(uid: str, voices: dict[str, list[NDArray[np.int16]]]) -> dict[str, VoiceLabel]:
    if not voices or not _anybody(uid):
        return {}
    configured: ConfiguredVoices = one("voices")
    engine = configured.live()
    # Somebody listens: one missing embedding at a time, and of 500 people only those are looked up who are named.
    found = gallery.candidates(uid, engine, heal_at_once=1)
    calibration = calibration_of(engine.name, engine.version)
    if not found.ids or calibration is None:
        return {}
    scores = []
    for voice, clips in voices.items():
        evidence = pooled([voiced(np.asarray(clip, np.int16)) for clip in clips])
        rows = engine.embed_segments(evidence.pcm, windows(evidence.seconds))
        scores.append(scored(voice, evidence.seconds, rows, found, calibration))
    return {
        decision.voice: VoiceLabel(
            is_user=decision.is_user,
            person_id=decision.person_id,
            score=decision.probability,
            evidence_seconds=decision.evidence_seconds,
        )
        for decision in decide(scores, found.ids, rules_of(uid, engine))
        if decision.decided and (decision.person_id is None or _known(uid, decision.person_id))
    }


def embed_clips(clips: list[NDArray[np.int16]]) -> list[NDArray[np.float32] | None]:
    configured: ConfiguredVoices = one("voices")
    engine = configured.live()
    found: list[NDArray[np.float32] | None] = []
    for clip in clips:
        evidence = pooled([voiced(np.asarray(clip, np.int16))])
        found.append(centroid(engine.embed_segments(evidence.pcm, windows(evidence.seconds))))
    return found


def _known(uid: str, person_id: str) -> bool:
    try:
        people.get_person(uid, person_id)
    except people.PersonNotFound:
        return False
    return True


def _anybody(uid: str) -> bool:
    from speakers.models import VoiceSample

    return VoiceSample.objects.filter(uid=uid, status=VoiceSample.Status.ACCEPTED).exists()
