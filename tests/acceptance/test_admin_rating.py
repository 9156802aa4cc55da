"""Pairs are rated blind in a real browser by the keys alone: A, B, S (the same) and X (both are bad)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from demo.servers import Installation
from tests.acceptance.test_admin_browser import accessible, log_in
from tests.support.browsers import browser, opened
from tests.support.interpreter import Interpreter

__all__ = ["browser"]
pytestmark = [pytest.mark.process, pytest.mark.browser]

MAKE = """
from django.utils import timezone
from memories.experiments import deciding, declaring
from memories.experiments.models import ShadowResult
from memories.pipeline.engine import content_hash
from memories.repository import memories
from memories.shapes import Memory
from omi.accounts.users import update_user
update_user("rated", improvement={"learning": True, "cases": True, "shadow": True})
made = declaring.declare({
    "name": "keys", "hypothesis": "Another vendor mishears less than the one of today.", "tunable": "prerecorded_order",
    "variants": {"today": ["local"], "other": ["deepgram"]}, "control": "today", "mode": "shadow", "share": 1.0,
    "metric": "preferred", "guardrails": [], "planned": 100, "alpha": 0.05, "per_user": 1, "daily_cost": 1.0,
})
deciding.start(made, actor="test", reason="test")
now = timezone.now()
for number in range(4):
    memories.create_memory("rated", Memory(id=f"r-{number}", created_at=now))
    body = {"control": [[0, 1, "The fairy leaves."]], "variant": [[0, 1, "The ferry leaves."]]}
    ShadowResult.objects.create(experiment=made, uid="rated", memory_id=f"r-{number}", variant="other", state="done",
                                body=content_hash.pack(body)[1], values={"failed": 0.0}, at=now, ended_at=now)
print(made.pk)
"""
TOLD = """
import json
from memories.experiments.models import Rating
print(json.dumps(sorted(Rating.objects.values_list("value", flat=True))))
"""


def test_pairs_are_rated_by_keys(browser: Any, server: Installation, python: Interpreter) -> None:
    pk = int(python.printed(MAKE).split()[-1])
    with opened(browser) as page:
        log_in(page, server)
        page.goto(f"{server.url}/admin/experiments/experiment/{pk}/rate/")
        page.get_by_label("Reason").fill("weekly rating")
        page.get_by_role("button", name="Begin").click()
        accessible(page)
        for better in (True, True, False, False):
            first = page.locator("section[aria-labelledby=a]").inner_text()
            right = "a" if "ferry" in first else "B"  # wherever the right words stand
            alike = "S" if page.get_by_text("2 left").count() else "x"
            with page.expect_navigation():
                page.keyboard.press(right if better else alike)
        assert page.get_by_text("Nothing is left to rate").is_visible()
    values = json.loads(python.printed(TOLD))
    assert values == [0.5, 0.5, 1.0, 1.0]
