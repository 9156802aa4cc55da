"""Which words a user's memories hold, without holding the words: an inverted index, made again at any time."""

from __future__ import annotations

from django.db import models


class SearchTerms(models.Model):
    """A memory in the index, as it was at ``revision``; its words are ``SearchWord`` rows.

    ``scheme`` names the key and the way of cutting words; another one means that the row must be made again.
    """

    uid = models.CharField(max_length=128)
    memory_id = models.CharField(max_length=128)
    revision = models.BigIntegerField()
    scheme = models.CharField(max_length=16)
    created_at = models.DateTimeField(help_text="of the memory")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["uid", "memory_id"], name="memories_search_once")]
        indexes = [
            models.Index(fields=["uid", "-created_at"], name="memories_search_newest"),
            models.Index(fields=["uid", "scheme"], name="memories_search_scheme"),
        ]

    def __str__(self) -> str:
        return f"terms of {self.memory_id}@{self.revision}"


class SearchPerson(models.Model):
    """Who speaks in a memory of the index: what a search among one person's memories begins with."""

    pk = models.CompositePrimaryKey("entry_id", "person_id")
    entry = models.ForeignKey(SearchTerms, on_delete=models.CASCADE, db_index=False, related_name="people")
    person_id = models.CharField(max_length=128)

    class Meta:
        indexes = [models.Index(fields=["person_id", "entry"], name="memories_search_person")]

    def __str__(self) -> str:
        return f"{self.person_id} in {self.entry_id}"


class SearchWord(models.Model):
    """One word of one memory: a keyed digest of user and word (63 bits), readable to nobody without the secret key.

    ``at`` is the memory's ``created_at`` in seconds since 1970: the newest memories with a word are one stretch of the
    index, however many others there are.
    """

    pk = models.CompositePrimaryKey("entry_id", "word")
    entry = models.ForeignKey(SearchTerms, on_delete=models.CASCADE, db_index=False, related_name="words")
    word = models.BigIntegerField()
    count = models.PositiveIntegerField()
    at = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["word", "at"], name="memories_search_word")]

    def __str__(self) -> str:
        return f"{self.word} in {self.entry_id}"
