"""The Django app of the stores of documents, vectors and audio."""

from __future__ import annotations

from django.apps import AppConfig


class StoresConfig(AppConfig):
    name = "omi.stores"
    label = "stores"
    verbose_name = "Stores"
