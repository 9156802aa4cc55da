"""The Django app of reports and corrections by users."""

from __future__ import annotations

from django.apps import AppConfig


class FeedbackConfig(AppConfig):
    name = "memories.feedback"
    label = "feedback"
    verbose_name = "Feedback"
