"""The Django app of the rows about hosts and the journals that lie on them; it registers its system check."""

from __future__ import annotations

from django.apps import AppConfig


class HostsConfig(AppConfig):
    name = "transcription.hosts"
    label = "hosts"
    verbose_name = "Hosts"

    def ready(self) -> None:
        from transcription.hosts import checks  # noqa: F401 (the check registers itself)
