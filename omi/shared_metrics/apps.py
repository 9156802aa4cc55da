"""The Django app of the shared counters: it registers collectors, and hears of each task of a worker."""

from __future__ import annotations

from django.apps import AppConfig


class SharedMetricsConfig(AppConfig):
    name = "omi.shared_metrics"
    label = "shared_metrics"
    verbose_name = "Shared metrics"

    def ready(self) -> None:
        from django_q.signals import post_execute_in_worker

        from omi.shared_metrics import counters, schedules

        counters.register()
        schedules.register()
        post_execute_in_worker.connect(counters.after_task, dispatch_uid="omi.shared_metrics")
        post_execute_in_worker.connect(schedules.after_task, dispatch_uid="omi.shared_metrics.schedules")
