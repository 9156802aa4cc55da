"""The Django app of emotion measurement."""

from __future__ import annotations

from django.apps import AppConfig


class EmotionsConfig(AppConfig):
    """Names the app to Django; there is nothing to start."""

    name = "emotions"
    label = "emotions"
    verbose_name = "Emotions"
