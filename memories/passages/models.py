"""Rows of the passage index. They hold no words: vectors stand in the vectors store, letters as keyed digests."""

from __future__ import annotations

from django.db import models


class IndexedMemory(models.Model):
    """How far one memory is indexed beyond its words.

    ``wanted`` is a digest of what is to be embedded, ``embedded`` that of what was (with the model's name). ``due``: a
    worker has to look at it again, at ``next_at`` at the earliest. ``insights_due``: so have the insights.
    """

    uid = models.CharField(max_length=128)
    memory_id = models.CharField(max_length=128)
    created_at = models.DateTimeField(help_text="of the memory")
    revision = models.BigIntegerField(default=0)
    wanted = models.CharField(max_length=64, blank=True, default="")
    embedded = models.CharField(max_length=64, blank=True, default="")
    passages = models.PositiveIntegerField(default=0, help_text="Vectors that are stored.")
    open_items = models.PositiveIntegerField(default=0, help_text="Action items that are not done.")
    due = models.BooleanField(default=True)
    insights_due = models.BooleanField(default=True)
    next_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["uid", "memory_id"], name="passages_memory_once")]
        indexes = [
            models.Index(fields=["next_at"], name="passages_due", condition=models.Q(due=True)),
            models.Index(fields=["uid", "created_at"], name="passages_insights", condition=models.Q(insights_due=True)),
            models.Index(fields=["uid", "created_at"], name="passages_open", condition=models.Q(open_items__gt=0)),
        ]

    def __str__(self) -> str:
        return f"{self.uid}/{self.memory_id}@{self.revision}"


class IndexedEmotion(models.Model):
    """An emotion that leads in at least a tenth of a memory's measured time: what a search filters by."""

    pk = models.CompositePrimaryKey("entry_id", "emotion")
    entry = models.ForeignKey(IndexedMemory, on_delete=models.CASCADE, db_index=False, related_name="emotions")
    emotion = models.CharField(max_length=64)

    class Meta:
        indexes = [models.Index(fields=["emotion", "entry"], name="passages_emotion")]

    def __str__(self) -> str:
        return f"{self.emotion} in {self.entry_id}"


class SpellingGram(models.Model):
    """Three letters of one word of one user, both as keyed digests (63 bits): which words look like a misspelled one.

    ``size``: different grams of that word.
    """

    pk = models.CompositePrimaryKey("gram", "word")
    gram = models.BigIntegerField()
    word = models.BigIntegerField()
    size = models.PositiveSmallIntegerField()
    uid = models.CharField(max_length=128)

    class Meta:
        indexes = [models.Index(fields=["uid", "word"], name="passages_spelling_word")]

    def __str__(self) -> str:
        return f"{self.gram} of {self.word}"
