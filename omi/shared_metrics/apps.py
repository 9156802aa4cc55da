"""The Django app of the shared counters: it registers their collector, and hands over what a worker counted."""

from __future__ import annotations

from django.apps import AppConfig


class SharedMetricsConfig(AppConfig):
    name = "omi.shared_metrics"
    label = "shared_metrics"
    verbose_name = "Shared metrics"

    def ready(self) -> None:
        from django_q.signals import post_execute_in_worker

        from omi.shared_metrics import counters

        counters.register()
        post_execute_in_worker.connect(counters.after_task, dispatch_uid="omi.shared_metrics")
