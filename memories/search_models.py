"""Which words a user's memories hold, without holding the words: derived data, made again at any time."""

from __future__ import annotations

from django.db import models


class SearchTerms(models.Model):
    """The terms of a memory at ``revision``: keyed digests with counts, readable to nobody without the secret key.

    ``scheme`` names the key and the way of cutting words; another one means that the row must be made again.
    """

    uid = models.CharField(max_length=128)
    memory_id = models.CharField(max_length=128)
    revision = models.BigIntegerField()
    scheme = models.CharField(max_length=16)
    terms = models.TextField()
    created_at = models.DateTimeField(help_text="of the memory")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["uid", "memory_id"], name="memories_search_once")]
        indexes = [
            models.Index(fields=["uid", "-created_at"], name="memories_search_newest"),
            models.Index(fields=["uid", "scheme"], name="memories_search_scheme"),
        ]

    def __str__(self) -> str:
        return f"terms of {self.memory_id}@{self.revision}"
