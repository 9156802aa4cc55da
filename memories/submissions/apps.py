from __future__ import annotations

from django.apps import AppConfig


class SubmissionsConfig(AppConfig):
    name = "memories.submissions"
    label = "submissions"
    verbose_name = "Submitted forms"
