"""Every address of the admin, whatever page it belongs to, for those who have no business there."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from memories.console.models import AuditEntry, FailureGroup, Replay
from memories.feedback.models import Report
from memories.models import MemoryRow
from memories.pipeline.models import PostProcessingRun
from omi.accounts import tokens
from speakers.models import VoiceSample
from tests.console.conftest import staff
from tests.console.test_replay import make_replay

OPEN = {"/admin/", "/admin/jsi18n/", "/admin/password_change/", "/admin/password_change/done/",
        "/admin/console/zone/"}  # fmt: skip
"""Of whoever may log in, without any role; "/admin/" names nobody's data then."""
WRITES = re.compile(r"^\s*(INSERT|UPDATE|DELETE)\b(?!.*(django_session|auth_user\"))", re.I | re.S)


@pytest.fixture
def addresses(some: Callable[[int], list[PostProcessingRun]]) -> list[str]:
    """Each route with what there is in its address; where there is nothing of a kind, with a number."""
    some(3)
    now = timezone.now()
    Report.objects.create(
        id="report-1", uid="user-1", key="k", part="summary", created_at=now, expires_at=now + timedelta(days=9)
    )
    sample = VoiceSample.objects.create(uid="user-1", source="upload", status="candidate", seconds=1, voiced_seconds=1)
    row = MemoryRow.objects.earliest("pk")
    known = {
        "console/failures/": FailureGroup.objects.get().pk, "console/replays/": make_replay().pk,
        "console/people/": "user-1", "console/vendors/": "fal", "memories/memoryrow/": row.pk,
        "feedback/report/": "report-1", "pipeline/postprocessingrun/": PostProcessingRun.objects.earliest("pk").pk,
        "speakers/voicesample/": sample.pk, "auth/user/": 1,
    }  # fmt: skip
    made = []
    for pattern in admin.site.get_urls():
        for inner in getattr(pattern, "url_patterns", [None]):
            route = str(pattern.pattern) + (str(inner.pattern) if inner is not None else "")
            if route.startswith("^") or route.startswith("(?P") or route in ("login/", "logout/"):
                continue
            key = next((value for head, value in known.items() if route.startswith(head)), 1)
            route = re.sub(
                r"<str:name>", "retry" if "/do/" in route else "fal" if "vendors" in route else "x.wav", route
            )
            made.append("/admin/" + re.sub(r"<[^>]+>", str(key), route))
    assert len(made) > 150
    return made


def outside(kind: str) -> Client:
    client = Client()
    if kind == "owner":  # of the memory, signed in to the app's pages and with the app's token
        client = Client(headers={"authorization": f"Bearer {tokens.mint('user-1')}"})
        client.post("/app/sign-in", {"token": tokens.mint("user-1"), "next": "/app"})
    elif kind == "stranger":
        client.force_login(User.objects.create_user("not-staff"))
    return client


@pytest.mark.parametrize("kind", ["nobody", "owner", "stranger"])
def test_who_is_no_staff_is_asked_to_log_in_everywhere(addresses: list[str], kind: str) -> None:
    client = outside(kind)
    for address in addresses:
        for answer in (client.get(address), client.post(address, {"do": "resolve", "reason": "x", "_save": "x"})):
            assert (answer.status_code, answer.get("Location", "")[:13]) == (302, "/admin/login/"), address


def test_staff_without_a_role_see_no_page(addresses: list[str]) -> None:
    client = staff("")
    for address in addresses:
        answer = client.get(address)
        if address not in OPEN:
            assert answer.status_code in (302, 403, 404, 405), address
        assert "user-1" not in answer.content.decode(), address


@pytest.mark.parametrize("role", ["", "viewer"])
def test_who_may_only_look_changes_nothing_by_any_post(addresses: list[str], role: str) -> None:
    client = staff(role)
    given: dict[str, Any] = {
        "do": "resolve", "reason": "x", "status": "failed", "token": "x", "confirmed": "yes", "action": "reprocess",
        "_selected_action": [str(MemoryRow.objects.earliest("pk").pk)], "verdict": "remove", "cause": "x",
        "post": "yes", "_save": "x", "reveal": "1",
    }  # fmt: skip
    for address in addresses:
        if address in ("/admin/console/zone/"):
            continue
        with CaptureQueriesContext(connection) as queries:
            answer = client.post(address, given)
        assert answer.status_code < 500, address
        wrote = [query["sql"][:200] for query in queries.captured_queries if WRITES.match(query["sql"])]
        assert wrote == [], address
    assert not AuditEntry.objects.filter(actor__startswith="staff:").exclude(action="replay").exists()
    assert not LogEntry.objects.exists()
    assert FailureGroup.objects.get().status == "open"
    assert Replay.objects.get().state == "running"
    assert VoiceSample.objects.get().status == "candidate"
