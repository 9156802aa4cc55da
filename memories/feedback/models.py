"""Rows of feedback: what a user said of a part of a memory, and cases of which the right answer is known."""

from __future__ import annotations

from django.db import models


class Part(models.TextChoices):
    """The parts of a memory that feedback judges."""

    TRANSCRIPT = "transcript"
    SPEAKERS = "speakers"
    SUMMARY = "summary"
    EMOTION = "emotion"
    SEARCH = "search"
    RECAP = "recap"
    OTHER = "other"


class Reason(models.TextChoices):
    """Why, in the user's choice; reports are grouped by it."""

    WRONG_WORDS = "wrong_words"
    MISSING_WORDS = "missing_words"
    INVENTED = "invented"
    WRONG_SPEAKER = "wrong_speaker"
    WRONG_LANGUAGE = "wrong_language"
    NOT_USEFUL = "not_useful"
    MISSED_SOMETHING = "missed_something"
    SHOULD_BE_KEPT = "should_be_kept"
    NOT_FOUND = "not_found"
    SLOW = "slow"
    PRIVACY = "privacy"
    OTHER = "other"


class Report(models.Model):
    """A thumb, or a problem, that a user told of one part of one memory (or of none).

    ``thumb`` 1 or -1, 0: none. ``cause`` is what support found; ``made_with`` names the versions that made what is
    judged (``memories.registry``). ``key`` is the same for the same user, memory, part and segment.
    """

    class State(models.TextChoices):
        """Whether support has looked at it."""

        OPEN = "open"
        CLOSED = "closed"

    id = models.CharField(max_length=40, primary_key=True)
    uid = models.CharField(max_length=128)
    key = models.CharField(max_length=64)
    memory_id = models.CharField(max_length=128, blank=True, default="")
    segment_id = models.CharField(max_length=128, blank=True, default="")
    part = models.CharField(max_length=16, choices=Part)
    thumb = models.SmallIntegerField(default=0)
    reasons = models.JSONField(default=list)
    text = models.CharField(max_length=1000, blank=True, default="")
    audio_consent = models.BooleanField(default=False, help_text="support may listen to the recording")
    made_with = models.JSONField(default=dict)
    language = models.CharField(max_length=32, blank=True, default="")
    cause = models.CharField(max_length=80, blank=True, default="")
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        verbose_name = "report"
        constraints = [models.UniqueConstraint(fields=["uid", "key"], name="feedback_report_once")]
        indexes = [
            models.Index(fields=["uid", "-created_at"], name="feedback_report_newest"),
            models.Index(fields=["expires_at"], name="feedback_report_expires"),
            models.Index(fields=["state", "part"], name="feedback_report_queue"),
        ]

    def __str__(self) -> str:
        return f"{self.part} of {self.memory_id or 'no memory'}: {self.thumb:+d}"


class LabelledCase(models.Model):
    """What the machine said, and what a person set instead.

    ``machine`` and ``person`` are small objects of the same form, by ``part``: transcript ``{text}``, speakers
    ``{is_user, person_id}``, summary ``{title}`` or ``{overview}`` and so on. ``shared``: the user permits that it is
    looked at and measured with; else it serves that user's own learning only. ``context`` is what the case is measured
    on: times of the segment, de-identified text.
    """

    id = models.CharField(max_length=40, primary_key=True)
    uid = models.CharField(max_length=128)
    memory_id = models.CharField(max_length=128)
    segment_id = models.CharField(max_length=128, blank=True, default="")
    part = models.CharField(max_length=16, choices=Part)
    cause = models.CharField(max_length=80, blank=True, default="")
    machine = models.JSONField(default=dict)
    person = models.JSONField(default=dict)
    context = models.JSONField(default=dict)
    made_with = models.JSONField(default=dict)
    language = models.CharField(max_length=32, blank=True, default="")
    shared = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        verbose_name = "labelled case"
        constraints = [
            models.UniqueConstraint(
                fields=["uid", "memory_id", "part", "segment_id", "cause"], name="feedback_case_once"
            )
        ]
        indexes = [
            models.Index(fields=["uid", "part", "-created_at"], name="feedback_case_newest"),
            models.Index(fields=["expires_at"], name="feedback_case_expires"),
            models.Index(fields=["part", "cause"], name="feedback_case_cause"),
        ]

    def __str__(self) -> str:
        return f"{self.part} case of {self.memory_id}"
