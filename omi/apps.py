from __future__ import annotations

from django.apps import AppConfig


class OmiConfig(AppConfig):
    name = "omi"
    label = "omi"
    verbose_name = "Omi"
