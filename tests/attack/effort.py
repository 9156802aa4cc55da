"""How hard tests with drawn examples try: a third of the stated number in ``make test``, ``ATTACK`` times as often in
``make attack``."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

TIMES = float(os.environ.get("ATTACK", "0.34"))


def examples(stated: int) -> int:
    return max(1, int(stated * TIMES))


def tries(stated: int, **more: Any) -> settings:
    return settings(
        max_examples=examples(stated),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        **more,
    )
