"""The Django app of the vocabulary: rows of healings, by which old transcripts were corrected."""

from __future__ import annotations

from django.apps import AppConfig


class VocabularyConfig(AppConfig):
    name = "memories.vocabulary"
    label = "vocabulary"
    verbose_name = "Vocabulary"
