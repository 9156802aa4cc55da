"""The Django app of the links: rows that say which secret address shows what, and until when."""

from __future__ import annotations

from django.apps import AppConfig


class LinksConfig(AppConfig):
    name = "memories.links"
    label = "links"
    verbose_name = "Links"
