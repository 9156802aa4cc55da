"""What a person's correction does: it labels the whole voice, and may teach the gallery. How sure a voice must be is
learned from it elsewhere (``memories.learning``), with a record."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from omi.accounts.erased import Fence
from omi.core import tuned
from omi.core.providers import one
from omi.stores import audio
from speakers import gallery
from speakers.calibration import AGREES, calibration_of
from speakers.clips import Recording
from speakers.engines import VoiceEngine
from speakers.engines.registry import ConfiguredVoices
from speakers.engines.scale import scale_of
from speakers.enrolment import CONSENT_VERSION, analyse
from speakers.fence import no_fence, storing, there
from speakers.models import USER, SpeakerDecision, VoiceConsent, VoiceSample
from speakers.policy import ACCEPT, Rules
from speakers.quality import SAMPLE_SECONDS, SAMPLE_VOICED, RejectedAudio, check
from speakers.reasons import Reason
from transcription.audio.wav import wav_bytes

log = logging.getLogger(__name__)

LEAST_WORDS = 6
"""The original's rule: more than five words."""
CANDIDATE = "The voice differs from what is known of this person; please confirm it."


@dataclass(frozen=True, slots=True)
class Assignment:
    """Whose a segment is: the user's, a person's, or (neither) explicitly nobody's."""

    is_user: bool = False
    person_id: str | None = None


@dataclass(frozen=True, slots=True)
class Learned:
    """What came of learning from a segment. ``sample`` None: nothing was learned, and ``code`` and ``sentence`` say
    why. A candidate waits for a person."""

    sample: VoiceSample | None
    code: str
    sentence: str


def learn_from_segment(
    uid: str,
    person_id: str | None,
    wav: Path,
    start: float,
    end: float,
    words: int,
    *,
    memory_id: str,
    segment_id: str,
    segment_index: int | None = None,
    confirmed: bool = False,
    audio_offset: float = 0.0,
    fence: Fence = no_fence,
) -> Learned:
    """Learn the voice of a segment that was assigned to a person (None: the user). Idempotent per segment and person.

    ``start`` and ``end`` are in the segments' time, ``audio_offset`` is where the WAV begins in it. What was learned
    from this segment for somebody else is taken out first: the assignment says that it was wrong. Refusals are
    answers, not errors; ProviderError and BadRecording are raised, and PersonNotFound and whatever ``fence`` raises
    where person, memory or account were erased while the voice was measured.
    """
    owner = person_id or USER
    unlearn_segment(uid, memory_id, segment_id, keep=owner)
    existing = _samples_of(uid, memory_id, segment_id).filter(person_id=owner).first()
    if existing is not None:
        if confirmed and existing.status == VoiceSample.Status.CANDIDATE:
            gallery.accept_sample(existing)
        return _known(existing)
    if words < LEAST_WORDS:
        return Learned(None, "too_few_words", f"Only segments of at least {LEAST_WORDS} words are learned.")
    voices: ConfiguredVoices = one("voices")
    with Recording(wav, offset=audio_offset) as recording:
        pcm = recording.cut(start, min(end, start + SAMPLE_SECONDS[1]))
    fit = partial(check, seconds=SAMPLE_SECONDS, voiced=SAMPLE_VOICED, one_voice=scale_of(voices).part)
    try:
        found = analyse(pcm, voices, fit)
    except RejectedAudio as reason:
        return Learned(None, reason.code, reason.sentence)
    if found.copies is None:
        return Learned(None, "empty", "No speech was heard in this segment.")
    agrees = _agrees(uid, owner, voices, found.copies[0])
    status = VoiceSample.Status.ACCEPTED if agrees or confirmed else VoiceSample.Status.CANDIDATE
    sample = _keep(
        uid, owner, pcm, found, voices, status, memory_id, segment_id, segment_index, (start, end), confirmed, fence
    )
    if sample.status == VoiceSample.Status.CANDIDATE:
        return Learned(sample, "candidate", CANDIDATE)
    return Learned(sample, "learned", "The voice was added to the gallery.")


def _known(sample: VoiceSample) -> Learned:
    if sample.status == VoiceSample.Status.CANDIDATE:
        return Learned(sample, "candidate", CANDIDATE)
    return Learned(sample, "known", "This segment was learned before.")


def unlearn_segment(uid: str, memory_id: str, segment_id: str, *, keep: str | None = None) -> int:
    """Take out what was learned from a segment, of everybody but the person ``keep``. The number of samples removed."""
    samples = _samples_of(uid, memory_id, segment_id)
    if keep is not None:
        samples = samples.exclude(person_id=keep)
    removed = list(samples)
    for sample in removed:
        gallery.remove_sample(sample, reason="the segment was assigned to somebody else")
    return len(removed)


def record_correction(uid: str, memory_id: str, voice: str, assignment: Assignment) -> None:
    """Remember a person's label of a voice as manual, beside the figures by which the machine had decided."""
    with transaction.atomic():
        gallery.lock(uid)  # first, as everybody else
        decision = SpeakerDecision.objects.select_for_update().filter(uid=uid, memory_id=memory_id, voice=voice).first()
        if decision is None or not there(uid, assignment.person_id):
            return
        decision.is_user, decision.person_id = assignment.is_user, assignment.person_id or ""
        decision.manual, decision.reason = True, Reason.MANUAL
        decision.suggestion, decision.suggestion_probability = "", 0.0
        decision.save()


def withdraw_correction(uid: str, memory_id: str, voice: str) -> None:
    """A person took back what they had said of a voice: nobody is named until the next run, and it may be searched."""
    SpeakerDecision.objects.filter(uid=uid, memory_id=memory_id, voice=voice, manual=True).update(
        is_user=False, person_id="", manual=False, reason=Reason.WITHDRAWN
    )


def rules_of(uid: str, engine: VoiceEngine, memory_id: str = "") -> Rules:
    """The shipped rules with what is in force for this user, on the scale of the engine."""
    calibration = calibration_of(engine.name, engine.version)
    return Rules(
        accept=float(tuned.value("speaker_accept", ACCEPT, uid=uid, memory_id=memory_id)),
        margin=scale_of(engine).margin,
        calibrated=calibration is not None,
        coverage=calibration.least if calibration is not None else 0.0,
    )


def _samples_of(uid: str, memory_id: str, segment_id: str) -> QuerySet[VoiceSample]:
    return VoiceSample.objects.filter(uid=uid, memory_id=memory_id, segment_id=segment_id).exclude(
        status=VoiceSample.Status.REMOVED
    )


def _agrees(uid: str, owner: str, voices: ConfiguredVoices, vector: Any) -> bool:
    """Whether the gallery would have said the same: this person is the best candidate, and likely enough.

    The first sample of a person agrees unless it sounds like somebody else who is known.
    """
    known = gallery.candidates(uid, voices)
    calibration = calibration_of(voices.name, voices.version)
    if not known.ids or calibration is None:
        return not known.ids
    probabilities = calibration.probabilities(vector, known.profiles)
    name = gallery.candidate_id(owner)
    if name not in known.ids:
        return bool(probabilities.max() < AGREES)
    mine = known.ids.index(name)
    return bool(probabilities[mine] >= AGREES and mine == int(probabilities.argmax()))


def _keep(
    uid: str,
    owner: str,
    pcm: Any,
    found: Any,
    voices: ConfiguredVoices,
    status: VoiceSample.Status,
    memory_id: str,
    segment_id: str,
    segment_index: int | None,
    times: tuple[float, float],
    confirmed: bool,
    fence: Fence,
) -> VoiceSample:
    content = wav_bytes(pcm.astype("<i2").tobytes())
    stored = audio.put(uid, "sample", content, memory_id=memory_id, suffix=".wav", keep_for=timedelta(hours=1))
    with storing(uid, owner, stored, fence):
        twin = _samples_of(uid, memory_id, segment_id).filter(person_id=owner).first()
        if twin is not None:  # a second worker with the same assignment was faster; this audio is left to the sweeper
            return twin
        sample = VoiceSample.objects.create(
            uid=uid,
            person_id=owner,
            source=VoiceSample.Source.SEGMENT,
            status=status,
            audio=stored.name,
            seconds=found.quality.seconds,
            voiced_seconds=found.quality.voiced_seconds,
            quality=found.quality.as_json(),
            memory_id=memory_id,
            segment_id=segment_id,
            segment_index=segment_index,
            start=times[0],
            end=times[1],
            confirmed=confirmed,
        )
        gallery.store_embedding(sample, voices, found.copies)
        VoiceConsent.objects.create(uid=uid, person_id=owner, version=CONSENT_VERSION, source="assignment")
        if status is VoiceSample.Status.ACCEPTED:
            gallery.rebuild(uid, owner, voices.name, voices.version, reason="learned from a segment")
        audio.keep(stored, None)
    return sample
