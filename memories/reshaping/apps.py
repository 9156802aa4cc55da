"""The Django app of merging and splitting: rows that say which memories took the place of which."""

from __future__ import annotations

from django.apps import AppConfig


class ReshapingConfig(AppConfig):
    name = "memories.reshaping"
    label = "reshaping"
    verbose_name = "Merging and splitting"
