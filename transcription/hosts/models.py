"""Rows that all hosts share: the hosts, the journals of sessions, and what a host was asked to erase."""

from __future__ import annotations

from django.db import models


class Host(models.Model):
    """One host. ``seen_at`` is its last heartbeat in the database's time, ``lost_at`` when it was declared lost."""

    id = models.CharField(max_length=64, primary_key=True)
    began_at = models.DateTimeField(help_text="its first heartbeat")
    seen_at = models.DateTimeField()
    clock_behind = models.FloatField(default=0.0, help_text="Seconds that its clock is behind the database's.")
    lost_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return str(self.id)


class HostJournal(models.Model):
    """Where the journal of one watched session lies: on a host's disk, or handed to the audio store.

    ``received`` and ``decided``: seconds of audio, and up to where words were stored, as of the host's last heartbeat.
    ``meta`` is what the journal says of itself (``transcription.journal.store.Meta``).
    """

    class State(models.TextChoices):
        """``OPEN``: its session goes on, or died. ``CLOSED``: it has ended, the audio is on its way. ``HANDED``: it
        lies in the audio store as ``audio``. ``LOST``: its host was declared lost before that."""

        OPEN = "open"
        CLOSED = "closed"
        HANDED = "handed"
        LOST = "lost"

    session_id = models.CharField(max_length=64, primary_key=True)
    uid = models.CharField(max_length=128, db_index=True)
    host = models.CharField(max_length=64)
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    conversation = models.CharField(max_length=128, default="", blank=True)
    received = models.FloatField(default=0.0)
    decided = models.FloatField(default=0.0)
    meta = models.JSONField(default=dict)
    audio = models.CharField(max_length=100, default="", blank=True, help_text="Name of the audio object.")
    keep_until = models.DateTimeField(null=True, blank=True, help_text="Set once no run needs the audio any more.")
    changed_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["host", "state"], name="hosts_journal_host")]

    def __str__(self) -> str:
        return f"{self.session_id} {self.state}"


class HostRequest(models.Model):
    """One host was asked to erase journals, or to look whether it has any. Names no user: ``folder`` is the hash under
    which the user's journals lie. ``left``: what lay there afterwards."""

    class Kind(models.TextChoices):
        ERASE = "erase"
        LOOK = "look"

    host = models.CharField(max_length=64)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    folder = models.CharField(max_length=64)
    session_id = models.CharField(max_length=64, default="", blank=True, help_text="Empty: all of the user.")
    asked_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True, blank=True)
    left = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["host", "kind", "folder", "session_id"], name="hosts_request_once")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.folder} on {self.host}"
