"""Tables of the local twins (documents, vectors) and of the audio objects, whose deletion deadlines are rows."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from omi.stores.fields import ByteOrderedCharField


class LocalDocument(models.Model):
    """One document. ``body`` is everything (see codec.py); the columns beside it only make queries fast."""

    path = ByteOrderedCharField(max_length=6144, primary_key=True)
    collection = ByteOrderedCharField(max_length=6144)
    body = models.TextField()
    facets = models.JSONField(default=dict, help_text="Top-level booleans and short texts, to filter in SQL.")
    created_key = ByteOrderedCharField(max_length=160, default="", help_text="Sorts as the field created_at does.")
    version = models.BigIntegerField(help_text="Microseconds since 1970, growing with each write.")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["collection", "created_key", "path"], name="stores_document_newest")]

    def __str__(self) -> str:
        return str(self.path)


class DamagedDocument(models.Model):
    """A document that somebody could not read (``omi.stores.damaged``). Holds its path, nothing of its contents."""

    path = ByteOrderedCharField(max_length=6144, unique=True)
    reason = models.CharField(max_length=100, help_text="kind of error")
    first_seen = models.DateTimeField(default=timezone.now)
    last_seen = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return str(self.path)


class LocalVector(models.Model):
    """One vector. ``version`` is its scope's counter at the time of the write: readers load only what is newer."""

    namespace = ByteOrderedCharField(max_length=512)
    vector_id = ByteOrderedCharField(max_length=512)
    uid = models.CharField(max_length=512, default="")
    version = models.BigIntegerField()
    dimension = models.IntegerField()
    values = models.BinaryField(help_text="float32, little-endian")
    metadata = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["namespace", "vector_id"], name="stores_vector_id")]
        indexes = [models.Index(fields=["namespace", "uid", "version"], name="stores_vector_scope")]

    def __str__(self) -> str:
        return f"{self.namespace}/{self.vector_id}"


class VectorScope(models.Model):
    """Counters of one user's vectors in one namespace; ``deletions`` is the version of the newest deletion."""

    namespace = ByteOrderedCharField(max_length=512)
    uid = models.CharField(max_length=512, default="")
    version = models.BigIntegerField(default=0)
    deletions = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["namespace", "uid"], name="stores_vector_scope_id")]

    def __str__(self) -> str:
        return f"{self.namespace}/{self.uid}@{self.version}"


class AudioObject(models.Model):
    """A stored recording. The row outlives the object (``deleted_at``) until the receipt of its erasure is old."""

    class Purpose(models.TextChoices):
        UPLOAD = "upload"
        RECORDING = "recording"
        SAMPLE = "sample"
        PROFILE = "profile"
        JOURNAL = "journal"
        SYNC = "sync"

    name = models.CharField(max_length=100, unique=True, help_text="Random: it gives nothing away.")
    uid = models.CharField(max_length=128, db_index=True)
    memory_id = models.CharField(max_length=128, default="", blank=True)
    purpose = models.CharField(max_length=16, choices=Purpose.choices)
    sha256 = models.CharField(max_length=64, default="", blank=True)
    size = models.BigIntegerField(default=0, help_text="Bytes.")
    complete = models.BooleanField(default=False, help_text="The bytes are all there.")
    created_at = models.DateTimeField(default=timezone.now)
    delete_after = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["uid", "memory_id", "purpose"], name="stores_audio_memory"),
            models.Index(
                fields=["delete_after"], name="stores_audio_deadline", condition=models.Q(deleted_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {self.name}"
