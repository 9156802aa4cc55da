"""The Django app of the rows about hosts and the journals that lie on them."""

from __future__ import annotations

from django.apps import AppConfig


class HostsConfig(AppConfig):
    name = "transcription.hosts"
    label = "hosts"
    verbose_name = "Hosts"
