"""Rows that mirror documents, for support staff, filters and checks. They hold no words of anybody.

The documents are the truth: ``manage.py mirror --rebuild`` makes every row again.
"""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class MemoryRow(models.Model):
    """One memory. ``revision`` is that of the document it was made from: an older write never replaces a newer one."""

    uid = models.CharField(max_length=128)
    memory_id = models.CharField(max_length=128)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    language = models.CharField(max_length=32, default="", blank=True)
    source = models.CharField(max_length=64, default="", blank=True)
    category = models.CharField(max_length=32, default="", blank=True)
    discarded = models.BooleanField(default=False)
    deleted = models.BooleanField(default=False)
    deleted_at = models.DateTimeField(null=True, blank=True)
    visibility = models.CharField(max_length=16, default="private")
    postprocessing_status = models.CharField(max_length=16, default="", blank=True)
    active_transcript = models.CharField(max_length=100, default="", blank=True)
    processing_memory_id = models.CharField(max_length=128, default="", blank=True)
    segments = models.IntegerField(default=0)
    seconds = models.FloatField(default=0.0, help_text="End of the last segment.")
    revision = models.BigIntegerField(default=0)
    text_size = models.PositiveIntegerField(default=0, help_text="Characters of the transcript; 0 in older rows.")
    photo_size = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Bytes of the photos, nearly; 0 in older rows."
    )
    labels = models.CharField(
        max_length=500, blank=True, default="", db_default="",
        help_text="Ids of folder and tags, each between blanks; empty where there are none.",
    )  # fmt: skip
    words_stale = models.BooleanField(default=True, help_text="The word index has not seen this revision yet.")
    mirrored_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "memory"
        verbose_name_plural = "memories"
        constraints = [models.UniqueConstraint(fields=["uid", "memory_id"], name="memories_row_once")]
        indexes = [
            models.Index(fields=["uid", "-created_at"], name="memories_row_newest"),
            models.Index(fields=["memory_id"], name="memories_row_id"),
            models.Index(fields=["visibility", "-created_at"], name="memories_row_public"),
            models.Index(fields=["-created_at", "-id"], name="memories_row_by_time"),
            models.Index(fields=["uid", "-created_at"], name="memories_row_labelled", condition=~models.Q(labels="")),
            models.Index(
                fields=["uid", "-created_at"], name="memories_row_stale", condition=models.Q(words_stale=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.uid}/{self.memory_id}"


class ProcessingMemoryRow(models.Model):
    """The mirror of a conversation that goes on, or went on, without its words."""

    uid = models.CharField(max_length=128)
    processing_memory_id = models.CharField(max_length=128)
    device_id = models.CharField(max_length=200, default="", blank=True)
    memory_id = models.CharField(max_length=128, default="", blank=True)
    created_at = models.DateTimeField()
    finished = models.BooleanField(default=False)
    segments = models.IntegerField(default=0)
    last_audio = models.FloatField(default=0.0, help_text="Seconds since the first audio.")
    mirrored_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "conversation"
        constraints = [models.UniqueConstraint(fields=["uid", "processing_memory_id"], name="memories_processing_once")]
        indexes = [models.Index(fields=["finished", "created_at"], name="memories_processing_open")]

    def __str__(self) -> str:
        return f"{self.uid}/{self.processing_memory_id}"


class SessionRow(models.Model):
    """A live session of a conversation, so that support finds by its id what became of it. Gone with the conversation's
    row."""

    conversation = models.ForeignKey(ProcessingMemoryRow, on_delete=models.CASCADE, related_name="sessions")
    session_id = models.CharField(max_length=128, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["conversation", "session_id"], name="memories_session_once")]

    def __str__(self) -> str:
        return f"{self.session_id} of {self.conversation_id}"


class PersonRow(models.Model):
    """A person that a user knows. The name stays in the document."""

    uid = models.CharField(max_length=128)
    person_id = models.CharField(max_length=128)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    deleted = models.BooleanField(default=False)
    mirrored_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["uid", "person_id"], name="memories_person_once")]

    def __str__(self) -> str:
        return f"{self.uid}/{self.person_id}"


class ErasureReceipt(models.Model):
    """What one erasure removed and where, in counts. ``subject`` is a digest of uid and memory id.

    ``uid`` and ``memory_id`` stand here only until every store was reached: the unfinished are taken up again.
    """

    subject = models.CharField(max_length=32, db_index=True)
    kind = models.CharField(max_length=16, choices=[("memory", "memory"), ("user", "user")])
    uid = models.CharField(max_length=128, default="", blank=True)
    memory_id = models.CharField(max_length=128, default="", blank=True)
    erased = models.JSONField(default=dict)
    failed = models.JSONField(default=dict, help_text="Stores that were out of reach, with the kind of error.")
    complete = models.BooleanField(default=False)
    tries = models.IntegerField(default=0)
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["complete", "started_at"], name="memories_erasure_open")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"


class MirrorSample(models.Model):
    """What one comparison of a sample found. The worker writes it; whoever is asked for metrics reads the newest."""

    at = models.DateTimeField(default=timezone.now, db_index=True)
    checked = models.PositiveIntegerField(help_text="memories compared")
    differences = models.JSONField(default=dict, help_text="counts by kind")

    def __str__(self) -> str:
        return f"{self.checked} compared at {self.at:%Y-%m-%d %H:%M}"


class MirrorProgress(models.Model):
    """Where a rebuild or a move of stores stands, so that it goes on after a stop."""

    job = models.CharField(max_length=100, unique=True)
    position = models.CharField(max_length=500, default="", blank=True)
    done = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.job}: {self.done}"
