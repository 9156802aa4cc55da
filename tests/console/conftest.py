from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from memories.console import failures
from memories.models import MemoryRow
from memories.pipeline.models import PostProcessingRun, VendorBreaker, VendorCall

ROLES = ("viewer", "support", "senior", "admin")


def staff(role: str) -> Client:
    """A staff member with one role ("" for none, "root" for a superuser)."""
    user = User.objects.create_user(role or "nobody", is_staff=True, is_superuser=role == "root")
    if role in ROLES:
        user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def failed_run(
    number: int, *, uid: str = "", message_id: str = "vendor_quota", vendor: str = "fal", at: datetime | None = None
) -> PostProcessingRun:
    """A run that failed, counted in its group as the pipeline does it."""
    now = at or timezone.now()
    run = PostProcessingRun.objects.create(
        uid=uid or f"user-{number % 3}", memory_id=f"m-{number}", kind="postprocess", state="finished",
        outcome="quota", message_id=message_id, actor="test", plan=["prepare_audio", "transcribe"],
        current_step="transcribe", finished_at=now, notified=True,
    )  # fmt: skip
    failures.count(run.pk, run.uid, step="transcribe", vendor=vendor, message_id=message_id, at=now)
    return run


@pytest.fixture
def some(db: None) -> Callable[[int], list[PostProcessingRun]]:
    """As many memories with a failed run each, calls of it, and a breaker that is open."""

    def make(count: int) -> list[PostProcessingRun]:
        now = timezone.now()
        runs = [failed_run(number) for number in range(count)]
        MemoryRow.objects.bulk_create(
            MemoryRow(uid=run.uid, memory_id=run.memory_id, created_at=datetime(2026, 11, 1, tzinfo=UTC))
            for run in runs
        )
        VendorCall.objects.bulk_create(
            VendorCall(run=run, step="transcribe", fence=1, vendor="fal", operation="transcribe", request_key="k",
                       started_at=now, outcome="quota", error_code="402", reference=f"ref-{run.pk}")
            for run in runs
        )  # fmt: skip
        VendorBreaker.objects.update_or_create(
            vendor="fal", defaults={"open": True, "reason": "quota", "opened_at": now, "retry_at": now + timedelta(1)}
        )
        return runs

    return make


@pytest.fixture
def root(db: None) -> Any:
    return staff("root")
