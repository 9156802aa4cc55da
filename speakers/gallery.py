"""The gallery: samples with their embeddings, and the profile (centroid) that is made of the accepted ones.

Every function works for one engine at a time, the configured one unless told: embeddings of two engines never meet.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from numpy.typing import NDArray

from omi.core import workspace
from omi.core.errors import ProviderError
from omi.core.providers import one
from omi.stores import audio
from speakers.clips import BadRecording, Recording, centroid, pieces, pooled, voiced
from speakers.conditions import CONDITIONS, simulated
from speakers.engines import VoiceEngine
from speakers.models import (
    USER,
    ProfileVersion,
    UserThreshold,
    VoiceEmbedding,
    VoiceSample,
    pack,
    pack_copies,
    unpack_copies,
)
from speakers.policy import CANDIDATE_USER

log = logging.getLogger(__name__)

HEAVIEST = 30.0
"""Seconds beyond which a sample weighs no more: one long recording must not drown the others."""
HEAL_AT_ONCE = 20
"""Missing embeddings that one identification repairs before it goes on; ``manage.py reembed`` does the rest."""


class SampleGone(LookupError):
    """The sample was removed, or its voice forgotten (404)."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Who can be recognised: ids (``user`` or a person id), their ``profiles`` (n, copies, dimension; the copies as in
    ``conditions.CONDITIONS``) and the ``seconds`` of speech in each, row by row, of one engine."""

    ids: list[str]
    profiles: NDArray[np.float32]
    seconds: NDArray[np.float32]
    engine: str
    engine_version: str


def candidate_id(person_id: str) -> str:
    """Return the id under which a voice is a candidate of ``policy``: the person's, or CANDIDATE_USER for the user."""
    return CANDIDATE_USER if person_id == USER else person_id


def candidates(
    uid: str, engine: VoiceEngine, *, people: set[str] | None = None, heal_at_once: int = HEAL_AT_ONCE
) -> Candidates:
    """The user and all people with a profile for ``engine``; ``people`` limits the person ids to those that exist.

    Samples without an embedding for this engine are healed first, as far as their audio is still there, at most
    ``heal_at_once`` of them.
    """
    heal(uid, engine, limit=heal_at_once)
    shown = ProfileVersion.objects.filter(uid=uid, engine=engine.name, engine_version=engine.version, active=True)
    kept = [
        row for row in shown.order_by("person_id") if row.person_id == USER or people is None or row.person_id in people
    ]
    count = len(CONDITIONS)
    matrix = np.zeros((len(kept), count, engine.dimension), np.float32)
    for at, row in enumerate(kept):
        matrix[at] = unpack_copies(row.copies, row.array, count)
    seconds = np.array([row.voiced_seconds for row in kept], np.float32)
    return Candidates([candidate_id(row.person_id) for row in kept], matrix, seconds, engine.name, engine.version)


def embed_copies(engine: VoiceEngine, pcm: NDArray[np.int16]) -> NDArray[np.float32] | None:
    """Unit vectors (copies, dimension) of the voiced audio ``pcm`` of one voice in each of ``conditions.CONDITIONS``;
    None where the engine finds nothing in it."""
    evidence = pooled([pcm])
    cuts = pieces(evidence.seconds)
    vectors = [centroid(engine.embed_segments(simulated(evidence.pcm, name), cuts)) for name in CONDITIONS]
    clean = vectors[0]
    if clean is None:
        return None
    return np.stack([clean if vector is None else vector for vector in vectors])


def store_embedding(sample: VoiceSample, engine: VoiceEngine, copies: NDArray[np.float32]) -> VoiceEmbedding:
    """Store an engine's embedding of a sample, with the ``copies`` that ``embed_copies`` gives."""
    embedding, _ = VoiceEmbedding.objects.update_or_create(
        sample=sample,
        engine=engine.name,
        engine_version=engine.version,
        defaults={"vector": pack(copies[0]), "copies": pack_copies(copies)},
    )
    return embedding


def lock(uid: str) -> UserThreshold:
    """Inside a transaction: one writer of this user's gallery at a time. Gives the row that is held for it."""
    UserThreshold.objects.get_or_create(uid=uid)
    return UserThreshold.objects.select_for_update().get(uid=uid)


def wait_for_writers(uid: str) -> None:
    """Whoever erases, once its fence stands: writers of this user's gallery who looked before it have finished, and
    those who come later look at the fence under the same lock."""
    with transaction.atomic():
        row, made = UserThreshold.objects.get_or_create(uid=uid)
        if made:
            row.delete()
        else:
            UserThreshold.objects.select_for_update().filter(uid=uid).first()


def rebuild(uid: str, person_id: str, engine: str, engine_version: str, *, reason: str) -> ProfileVersion | None:
    """A new profile version from the accepted samples, in one transaction; None (and no active one) without samples."""
    with transaction.atomic():
        lock(uid)
        old = ProfileVersion.objects.filter(uid=uid, person_id=person_id, engine=engine, engine_version=engine_version)
        last = old.order_by("-number").first()
        rows = list(
            VoiceEmbedding.objects.filter(
                sample__uid=uid,
                sample__person_id=person_id,
                sample__status=VoiceSample.Status.ACCEPTED,
                engine=engine,
                engine_version=engine_version,
            ).select_related("sample")
        )
        weights = np.array([min(row.sample.voiced_seconds, HEAVIEST) for row in rows], np.float32)
        vector = centroid(np.stack([row.array for row in rows]), weights) if rows else None
        copies = _mean_copies(rows, weights) if vector is not None else b""
        old.filter(active=True).update(active=False)
        if vector is None:
            return None
        return ProfileVersion.objects.create(
            uid=uid,
            person_id=person_id,
            number=last.number + 1 if last else 1,
            engine=engine,
            engine_version=engine_version,
            vector=pack(vector),
            copies=copies,
            voiced_seconds=float(sum(row.sample.voiced_seconds for row in rows)),
            sample_ids=[str(row.sample_id) for row in rows],
            reason=reason,
        )


def _mean_copies(rows: list[VoiceEmbedding], weights: NDArray[np.float32]) -> bytes:
    count = len(CONDITIONS)
    stack = np.stack([unpack_copies(row.copies, row.array, count) for row in rows])
    means = [centroid(stack[:, at], weights) for at in range(count)]
    return pack_copies(np.stack([mean for mean in means if mean is not None]))


def rebuild_all_engines(uid: str, person_id: str, *, reason: str) -> None:
    """Every engine that ever embedded this voice gets its profile again: after a sample was accepted or removed."""
    engines = (
        ProfileVersion.objects.filter(uid=uid, person_id=person_id).values_list("engine", "engine_version").distinct()
    )
    embedded = VoiceEmbedding.objects.filter(sample__uid=uid, sample__person_id=person_id).values_list(
        "engine", "engine_version"
    )
    for engine, version in sorted({*engines, *embedded.distinct()}):
        rebuild(uid, person_id, engine, version, reason=reason)


def remove_sample(sample: VoiceSample, *, reason: str) -> None:
    """Take a sample out of its profile and erase its audio and embeddings; the row stays as provenance. Repeatable."""
    with transaction.atomic():
        if not _refreshed(sample):
            return
        retire(sample, reason=reason)
        rebuild_all_engines(sample.uid, sample.person_id, reason="sample removed")


def retire(sample: VoiceSample, *, reason: str) -> None:
    """Within the caller's transaction: remove a sample from the gallery, and its audio once that is committed.

    The audio is due for the sweeper from then on, so a storage that is out of reach only delays it.
    """
    sample.status = VoiceSample.Status.REMOVED
    sample.removed_at = timezone.now()
    sample.removed_reason = reason[:255]
    sample.save(update_fields=["status", "removed_at", "removed_reason"])
    sample.embeddings.all().delete()
    if sample.audio:
        try:
            audio.keep(audio.get(sample.audio), timedelta(0))
        except audio.AudioNotFound:
            return
        transaction.on_commit(lambda: _erase_audio(sample))


def _erase_audio(sample: VoiceSample) -> None:
    try:
        audio.delete(sample.audio)
    except ProviderError as error:
        log.warning("the audio of sample %s is left to the sweeper: %s", sample.id, error)
        return
    VoiceSample.objects.filter(pk=sample.pk).update(audio="")


def accept_sample(sample: VoiceSample) -> None:
    """A person confirmed a candidate: it becomes part of the profile. Raises SampleGone."""
    with transaction.atomic():
        if not _refreshed(sample):
            raise SampleGone("The sample was removed")
        sample.status = VoiceSample.Status.ACCEPTED
        sample.confirmed = True
        sample.save(update_fields=["status", "confirmed"])
        rebuild_all_engines(sample.uid, sample.person_id, reason="sample accepted")


def _refreshed(sample: VoiceSample) -> bool:
    """Inside a transaction: the sample as it is now, with this user's gallery held; False where it is gone."""
    lock(sample.uid)
    try:
        sample.refresh_from_db()
    except VoiceSample.DoesNotExist:
        return False
    return sample.status != VoiceSample.Status.REMOVED


def heal(uid: str | None, engine: VoiceEngine, *, limit: int = HEAL_AT_ONCE) -> int:
    """Embed samples that lack an embedding of ``engine`` and rebuild their profiles; the number of those healed.

    A sample whose audio is gone or broken is marked, logged and not tried again with this engine: the others must not
    suffer from it. Raises ProviderError where the engine or the storage is out of reach.
    """
    by_owner: set[tuple[str, str]] = set()
    count = 0
    if uid is not None and not _to_heal(uid, engine):
        return 0
    for sample in list(without_embedding(uid, engine).exclude(unreadable_by=engine_key(engine))[:limit]):
        copies = None
        with workspace.temporary("heal-") as folder:
            try:
                with Recording(audio.local_copy(sample.audio, Path(folder))) as recording:
                    copies = embed_copies(engine, voiced(recording.cut(0.0, recording.seconds)))
            except (audio.AudioNotFound, BadRecording) as error:
                log.warning("sample %s cannot be embedded: %s", sample.id, error)
        if copies is None:
            VoiceSample.objects.filter(pk=sample.pk).update(unreadable_by=engine_key(engine))
            continue
        with transaction.atomic():
            if not _refreshed(sample):  # its voice was forgotten while it was heard
                continue
            store_embedding(sample, engine, copies)
        by_owner.add((sample.uid, sample.person_id))
        count += 1
    for owner, person_id in sorted(by_owner):
        rebuild(owner, person_id, engine.name, engine.version, reason="embedded by " + engine.name)
    return count


_TO_HEAL = """
SELECT 1 FROM speakers_voicesample AS sample
WHERE uid = %s AND status <> 'removed' AND audio <> '' AND unreadable_by <> %s AND NOT EXISTS (
    SELECT 1 FROM speakers_voiceembedding
    WHERE sample_id = sample.id AND engine = %s AND engine_version = %s AND length(copies) > 0)
LIMIT 1
"""
"""As text: asked for every recording on a path that a user waits for, and nearly always answered by "none"."""


def _to_heal(uid: str, engine: VoiceEngine) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_TO_HEAL, [uid, engine_key(engine), engine.name, engine.version])
        return cursor.fetchone() is not None


def without_embedding(uid: str | None, engine: VoiceEngine) -> QuerySet[VoiceSample]:
    """Kept samples that ``engine`` has not embedded, or not in all conditions."""
    there = VoiceEmbedding.objects.filter(
        engine=engine.name, engine_version=engine.version, sample=OuterRef("pk")
    ).exclude(copies=b"")
    missing = VoiceSample.objects.exclude(status=VoiceSample.Status.REMOVED).exclude(audio="").exclude(Exists(there))
    return missing if uid is None else missing.filter(uid=uid)


def engine_key(engine: VoiceEngine) -> str:
    """Return an engine's name and version as one text, which a sample keeps where that engine cannot read it."""
    return f"{engine.name} {engine.version}"


def has_profile(uid: str, person_id: str = USER) -> bool:
    """Whether there is an accepted sample of this voice: true also while its embedding waits to be healed."""
    return VoiceSample.objects.filter(uid=uid, person_id=person_id, status=VoiceSample.Status.ACCEPTED).exists()


def similarities(uid: str, person_id: str) -> tuple[list[VoiceSample], NDArray[np.float32]]:
    """Return the samples that are not removed, with the cosine of each pair (NaN where the engine has no embedding of
    one)."""
    engine: VoiceEngine = one("voices")
    samples = list(VoiceSample.objects.filter(uid=uid, person_id=person_id).exclude(status=VoiceSample.Status.REMOVED))
    vectors = {
        row.sample_id: row.array
        for row in VoiceEmbedding.objects.filter(sample__in=samples, engine=engine.name, engine_version=engine.version)
    }
    missing = np.full(engine.dimension, np.nan, np.float32)
    matrix = (
        np.stack([vectors.get(sample.id, missing) for sample in samples]) if samples else np.zeros((0, 1), np.float32)
    )
    return samples, matrix @ matrix.T
