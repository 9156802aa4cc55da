"""The Django app of the passages: rows that say which memory is indexed how far."""

from __future__ import annotations

from django.apps import AppConfig


class PassagesConfig(AppConfig):
    name = "memories.passages"
    label = "passages"
    verbose_name = "Passages of memories"
