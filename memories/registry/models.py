"""One row for each part of a memory: what made it, as it is now."""

from __future__ import annotations

from django.db import models


class MadeWith(models.Model):
    """What made one part of a memory. ``part``: transcript, speakers, structure, sections (``version`` is then the
    template's id), index, emotions. ``prompt`` and ``thresholds`` are hashes of the texts and numbers that were in
    force, ``vocabulary`` names the user's list; "" where there is none. ``variant`` maps an experiment
    (``memories.experiments``) to its variant. ``run_id`` is the pipeline's run."""

    uid = models.CharField(max_length=128)
    memory_id = models.CharField(max_length=128)
    part = models.CharField(max_length=16)
    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=120, blank=True, default="")
    version = models.CharField(max_length=64, blank=True, default="")
    prompt = models.CharField(max_length=64, blank=True, default="")
    thresholds = models.CharField(max_length=64, blank=True, default="")
    vocabulary = models.CharField(max_length=64, blank=True, default="")
    variant = models.JSONField(default=dict)
    run_id = models.BigIntegerField(null=True, blank=True)
    at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "made with"
        constraints = [models.UniqueConstraint(fields=["uid", "memory_id", "part"], name="registry_part_once")]
        indexes = [
            models.Index(fields=["part", "provider", "at"], name="registry_provider"),
            models.Index(fields=["part", "model", "at"], name="registry_model"),
        ]

    def __str__(self) -> str:
        return f"{self.part} of {self.memory_id}: {self.provider} {self.model}".rstrip()
