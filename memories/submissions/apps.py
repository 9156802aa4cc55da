"""The Django app of submitted forms, which keeps a form from being acted on twice."""

from __future__ import annotations

from django.apps import AppConfig


class SubmissionsConfig(AppConfig):
    name = "memories.submissions"
    label = "submissions"
    verbose_name = "Submitted forms"
