"""Rows of the voice gallery: consent, samples with their embeddings, profile versions, and what was decided.

``person_id`` is the id of ``users/{uid}/people/{id}``; the empty string is the user's own voice. Audio objects are
named, not referenced: the store that holds them has its own life and retention.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import numpy as np
from django.db import models

if TYPE_CHECKING:
    from numpy.typing import NDArray

USER = ""
"""``person_id`` of the user's own voice."""


class VoiceConsent(models.Model):
    """The proof that a voice may be kept, by whom, to which text (version) and when. Withdrawing erases; the row stays
    as proof."""

    uid = models.CharField(max_length=128, db_index=True)
    person_id = models.CharField(max_length=128, blank=True, default=USER)
    version = models.CharField(max_length=32)
    given_at = models.DateTimeField(auto_now_add=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    source = models.CharField(max_length=32)

    class Meta:
        indexes = [models.Index(fields=["uid", "person_id"])]

    def __str__(self) -> str:
        return f"consent {self.version} of {self.uid}/{self.person_id or 'user'}"


class VoiceSample(models.Model):
    """One recording of one voice, with where it came from. Removing it takes it out of the profile."""

    class Status(models.TextChoices):
        ACCEPTED = "accepted"
        CANDIDATE = "candidate"  # passed the gates but disagrees with the gallery: a person has to confirm it
        REMOVED = "removed"

    class Source(models.TextChoices):
        PROFILE = "profile"  # the app's enrolment recording
        UPLOAD = "upload"  # a sample of a person, uploaded
        SEGMENT = "segment"  # learned from an assigned segment

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    uid = models.CharField(max_length=128)
    person_id = models.CharField(max_length=128, blank=True, default=USER)
    source = models.CharField(max_length=16, choices=Source)
    status = models.CharField(max_length=16, choices=Status, default=Status.ACCEPTED)
    audio = models.CharField(max_length=255, blank=True, help_text="name of the audio object")
    seconds = models.FloatField()
    voiced_seconds = models.FloatField()
    quality = models.JSONField(default=dict)
    memory_id = models.CharField(max_length=128, blank=True, default="")
    segment_id = models.CharField(max_length=128, blank=True, default="")
    segment_index = models.IntegerField(null=True, blank=True)
    start = models.FloatField(null=True, blank=True, help_text="seconds in the memory's time")
    end = models.FloatField(null=True, blank=True)
    confirmed = models.BooleanField(default=False, help_text="a person said explicitly that this is the voice")
    unreadable_by = models.CharField(
        max_length=140, blank=True, help_text="the engine that could not embed it: audio gone, or nothing in it"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True, blank=True)
    removed_reason = models.CharField(max_length=255, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["uid", "person_id", "status"]),
            models.Index(fields=["uid", "memory_id"]),
        ]
        ordering = ["created_at"]

    def __str__(self) -> str:
        return f"{self.get_source_display()} of {self.uid}/{self.person_id or 'user'}, {self.seconds:.1f} s"


class VoiceEmbedding(models.Model):
    """What one engine (name and version) makes of one sample. Embeddings of two engines are never compared."""

    sample = models.ForeignKey(VoiceSample, on_delete=models.CASCADE, related_name="embeddings")
    engine = models.CharField(max_length=64)
    engine_version = models.CharField(max_length=64)
    vector = models.BinaryField()
    copies = models.BinaryField(default=b"", help_text="the sample in each of conditions.CONDITIONS; empty: not made")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sample", "engine", "engine_version"], name="one_embedding_per_engine")
        ]

    def __str__(self) -> str:
        return f"{self.engine} {self.engine_version} of {self.sample_id}"

    @property
    def array(self) -> NDArray[np.float32]:
        return unpack(self.vector)


class ProfileVersion(models.Model):
    """The centroid of a voice's accepted samples at one moment, for one engine. Old versions stay until forgotten."""

    uid = models.CharField(max_length=128)
    person_id = models.CharField(max_length=128, blank=True, default=USER)
    number = models.PositiveIntegerField()
    engine = models.CharField(max_length=64)
    engine_version = models.CharField(max_length=64)
    vector = models.BinaryField()
    copies = models.BinaryField(default=b"", help_text="the profile in each of conditions.CONDITIONS; empty: not made")
    voiced_seconds = models.FloatField()
    sample_ids = models.JSONField(default=list)
    reason = models.CharField(max_length=64)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["uid", "person_id", "engine", "engine_version", "number"], name="profile_numbers"
            ),
            models.UniqueConstraint(
                fields=["uid", "person_id", "engine", "engine_version"],
                condition=models.Q(active=True),
                name="one_active_profile",
            ),
        ]

    def __str__(self) -> str:
        return f"profile {self.number} of {self.uid}/{self.person_id or 'user'} ({self.engine} {self.engine_version})"

    @property
    def array(self) -> NDArray[np.float32]:
        return unpack(self.vector)


class SpeakerDecision(models.Model):
    """What was decided about one diarized voice of one memory, with everything that is needed to explain it.

    ``turns`` are the stretches that were heard (seconds of the recording), so that the voice can be listened to, and
    found again in the recording while that is kept. No embedding of the voice is stored here: strangers did not
    consent.
    """

    uid = models.CharField(max_length=128)
    memory_id = models.CharField(max_length=128)
    voice = models.CharField(max_length=64)
    is_user = models.BooleanField(default=False)
    person_id = models.CharField(max_length=128, blank=True, default="")
    manual = models.BooleanField(default=False)
    reason = models.CharField(max_length=32)
    probability = models.FloatField(default=0.0)
    score = models.FloatField(null=True, blank=True)
    best = models.CharField(max_length=128, blank=True, default="", help_text="'user' or a person id")
    runner_up = models.CharField(max_length=128, blank=True, default="")
    runner_up_score = models.FloatField(null=True, blank=True)
    margin = models.FloatField(null=True, blank=True)
    evidence_seconds = models.FloatField(default=0.0)
    suggestion = models.CharField(max_length=128, blank=True, default="")
    suggestion_probability = models.FloatField(default=0.0)
    turns = models.JSONField(default=list)
    facts = models.JSONField(default=dict, help_text="further numbers that decided: bar, coverage, rival...")
    engine = models.CharField(max_length=64, blank=True, default="")
    engine_version = models.CharField(max_length=64, blank=True, default="")
    created_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["uid", "memory_id", "voice"], name="one_decision_per_voice")]
        indexes = [models.Index(fields=["uid", "is_user", "person_id"])]

    def __str__(self) -> str:
        return f"{self.voice} of {self.memory_id}: {self.reason}"


class UserThreshold(models.Model):
    """The row of a user that writers of the user's gallery hold, one at a time (``gallery.lock``).

    ``shift`` and ``corrections`` are of the release before, whose hosts may still write them; nothing reads them.
    """

    uid = models.CharField(max_length=128, unique=True)
    shift = models.FloatField(default=0.0)
    corrections = models.PositiveIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.uid


def pack(vector: NDArray[np.float32]) -> bytes:
    """Little-endian float32 bytes of a unit vector; ValueError for a vector that is not finite or has no length."""
    array = np.asarray(vector, dtype="<f4").ravel()
    norm = float(np.linalg.norm(array))
    if not np.isfinite(norm) or norm < 1e-6:
        raise ValueError("an embedding must be finite and not zero")
    return bytes((array / norm).astype("<f4").tobytes())


def pack_copies(copies: NDArray[np.float32]) -> bytes:
    """(copies, dimension) rows, each as ``pack`` has it, one after the other."""
    return b"".join(pack(row) for row in copies)


def unpack_copies(blob: bytes | memoryview, clean: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """(``count``, dimension); where no copies were made each is the ``clean`` vector."""
    rows = unpack(blob)
    if rows.size != count * clean.size:
        return np.repeat(clean[None], count, axis=0)
    return rows.reshape(count, clean.size)


def unpack(blob: bytes | memoryview) -> NDArray[np.float32]:
    """Return the embedding that ``pack`` stored, as a one-dimensional float32 array."""
    return np.frombuffer(bytes(blob), dtype="<f4").astype(np.float32)
