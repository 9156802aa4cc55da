"""Learning a voice from a recording that was made for it: the user's profile, and samples of people.

The order is the point: measure, refuse with a reason, embed, store the new audio, switch to the new profile in one
transaction, and only then erase what it replaces. A failure at any moment leaves the old profile as it was; audio that
was stored in vain is swept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omi.accounts.erased import Fence
from omi.core.providers import one
from omi.stores import audio
from speakers import gallery
from speakers.calibration import AGREES, calibration_of
from speakers.clips import RATE, WINDOW, Recording, windows
from speakers.engines import VoiceEngine
from speakers.engines.registry import ConfiguredVoices
from speakers.engines.scale import scale_of
from speakers.fence import no_fence, storing
from speakers.models import USER, ProfileVersion, VoiceConsent, VoiceEmbedding, VoiceSample
from speakers.quality import (
    PROFILE_SECONDS,
    PROFILE_VOICED,
    SAMPLE_SECONDS,
    SAMPLE_VOICED,
    Quality,
    RejectedAudio,
    check,
    measure,
)

CONSENT_VERSION = "2026-11"
"""Version of the consent text in docs/speakers.md."""


SHORTEST_WINDOW = 0.8
"""Seconds of speech under which an embedding says too little of a voice."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """A recording that was measured: its quality, and the voice's unit embeddings in each of ``conditions.CONDITIONS``
    (None: nothing to embed)."""

    quality: Quality
    copies: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an enrolment made: the kept sample, the profile's new version, and the measured quality."""

    sample: VoiceSample
    profile: ProfileVersion
    quality: Quality


def analyse(pcm: NDArray[np.int16], voices: ConfiguredVoices, fit: Callable[[Quality], None]) -> Analysis:
    """Measure 16 kHz mono audio and embed its speech in all conditions, in the engine's process. What ``fit`` raises of
    the quality is raised before it is embedded, which is most of the work."""
    quality, speech = measured(pcm, voices)
    fit(quality)
    return Analysis(quality, gallery.embed_copies(voices, speech))


def measured(pcm: NDArray[np.int16], voices: ConfiguredVoices) -> tuple[Quality, NDArray[np.int16]]:
    """Quality of a recording, and its speech without pauses."""
    regions = voices.speech_regions(pcm)
    # No window reaches across a pause: one that held two voices would hide that there are two.
    cuts = [(start + low, start + high) for start, end in regions for low, high in windows(end - start, hop=WINDOW)]
    rows = voices.embed_segments(pcm, [cut for cut in cuts if cut[1] - cut[0] >= SHORTEST_WINDOW])
    speech = np.concatenate([pcm[round(start * RATE) : round(end * RATE)] for start, end in regions] or [pcm[:0]])
    return measure(pcm, regions, rows), speech


def enrol_user(
    uid: str,
    wav: Path,
    *,
    consent: str = CONSENT_VERSION,
    source: str = "api",
    fence: Fence = no_fence,
) -> Enrolment:
    """Replace the user's profile recording by ``wav`` (16 kHz mono). Samples learned from memories stay; those that do
    not sound like it wait for a person to confirm them.

    ``fence`` is called inside of the transaction that stores the voice; what it raises refuses it.
    Raises RejectedAudio (with its reason), BadRecording, or ProviderError; in each case nothing has changed.
    """
    return _enrol(
        uid,
        USER,
        wav,
        PROFILE_SECONDS,
        PROFILE_VOICED,
        VoiceSample.Source.PROFILE,
        consent,
        source,
        fence,
        replace=True,
    )


def add_sample(
    uid: str,
    person_id: str,
    wav: Path,
    *,
    consent: str = CONSENT_VERSION,
    source: str = "api",
    fence: Fence = no_fence,
) -> Enrolment:
    """Enrol one more sample of a person (or with ``USER`` of the user). Raises PersonNotFound, also where the person is
    deleted while the voice is measured."""
    return _enrol(
        uid, person_id, wav, SAMPLE_SECONDS, SAMPLE_VOICED, VoiceSample.Source.UPLOAD, consent, source, fence,
        replace=False,
    )  # fmt: skip


def _enrol(
    uid: str,
    person_id: str,
    wav: Path,
    seconds: tuple[float, float],
    least_voiced: float,
    kind: VoiceSample.Source,
    consent: str,
    source: str,
    fence: Fence,
    *,
    replace: bool,
) -> Enrolment:
    voices: ConfiguredVoices = one("voices")
    with Recording(wav) as recording:
        if recording.seconds > seconds[1] + 0.5:  # before minutes of work are done for it
            raise RejectedAudio(
                "too_long", f"The recording is {recording.seconds:.0f} s long; at most {seconds[1]:g} s are allowed."
            )
        fit = partial(check, seconds=seconds, voiced=least_voiced, one_voice=scale_of(voices).part)
        found = analyse(recording.cut(0.0, recording.seconds), voices, fit)
    if found.copies is None:
        raise RejectedAudio("empty", "Audio is empty: no speech was heard.")
    with wav.open("rb") as file:  # due for the sweeper until the rows stand
        stored = audio.put(uid, "profile" if replace else "sample", file, suffix=".wav", keep_for=timedelta(hours=1))
    with storing(uid, person_id, stored, fence):  # two uploads at once: the later one replaces the earlier
        if replace:
            for old in VoiceSample.objects.filter(
                uid=uid, person_id=person_id, source=VoiceSample.Source.PROFILE
            ).exclude(status=VoiceSample.Status.REMOVED):
                gallery.retire(old, reason="replaced by a new recording")
            _doubt(uid, voices, found.copies)
        sample = VoiceSample.objects.create(
            uid=uid,
            person_id=person_id,
            source=kind,
            audio=stored.name,
            seconds=found.quality.seconds,
            voiced_seconds=found.quality.voiced_seconds,
            quality=found.quality.as_json(),
            confirmed=True,
        )
        gallery.store_embedding(sample, voices, found.copies)
        VoiceConsent.objects.create(uid=uid, person_id=person_id, version=consent[:32], source=source)
        profile = gallery.rebuild(uid, person_id, voices.name, voices.version, reason=f"{kind.value} recording")
        assert profile is not None  # there is at least this sample
        audio.keep(stored, None)
    return Enrolment(sample, profile, found.quality)


def _doubt(uid: str, engine: VoiceEngine, copies: NDArray[np.float32]) -> None:
    """What was learned beside the old recording, and is another voice than the new one, becomes a candidate: the old
    one may have been of somebody else, and who records anew is not recognised. A person's own word for a sample
    stands."""
    calibration = calibration_of(engine.name, engine.version)
    if calibration is None:
        return
    learned = VoiceEmbedding.objects.filter(
        sample__uid=uid,
        sample__person_id=USER,
        sample__status=VoiceSample.Status.ACCEPTED,
        sample__confirmed=False,
        engine=engine.name,
        engine_version=engine.version,
    ).select_related("sample")
    for row in learned:
        if float(calibration.probabilities(row.array, copies[None])[0]) < AGREES:
            row.sample.status = VoiceSample.Status.CANDIDATE
            row.sample.save(update_fields=["status"])
