"""How hard the attack suites try: a little in ``make test``, ``ATTACK`` times as much in ``make attack``."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

TIMES = max(1, int(os.environ.get("ATTACK", "1")))


def tries(examples: int, **more: Any) -> settings:
    return settings(
        max_examples=examples * TIMES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        **more,
    )
