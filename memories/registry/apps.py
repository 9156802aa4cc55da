"""The Django app of the registry, which knows what made which memory."""

from __future__ import annotations

from django.apps import AppConfig


class RegistryConfig(AppConfig):
    name = "memories.registry"
    label = "registry"
    verbose_name = "Registry of what made what"
