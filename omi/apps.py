"""The Django app of the foundation: it refuses to start an unsafe production, registers metrics, and takes what is
loaded by then out of garbage collection.
"""

from __future__ import annotations

import gc
import sys

from django.apps import AppConfig


class OmiConfig(AppConfig):
    name = "omi"
    label = "omi"
    verbose_name = "Omi"

    def ready(self) -> None:
        from omi import checks
        from omi.core import metrics

        if sys.argv[1:2] != ["check"]:  # which lists everything that is wrong instead
            checks.refuse_unsafe_production()
        metrics.register()
        # manage.py and the asgi module put the collector off while they load: what is there now is never garbage.
        gc.freeze()
        gc.enable()
