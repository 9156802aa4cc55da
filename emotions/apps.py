"""The Django app of emotion measurement."""

from __future__ import annotations

from django.apps import AppConfig


class EmotionsConfig(AppConfig):
    name = "emotions"
    label = "emotions"
    verbose_name = "Emotions"
