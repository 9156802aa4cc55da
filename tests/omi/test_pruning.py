"""What is too old goes in pieces, all of it, and nothing else; and every function that prunes does it so."""

from __future__ import annotations

import ast
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from memories.user_events import log
from memories.user_events.models import UserEvent
from omi.core import pruning

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("omi", "transcription", "speakers", "emotions", "memories")
MOST = 3


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "PIECE", MOST)


def events(ages: list[int]) -> None:
    UserEvent.objects.bulk_create(
        UserEvent(uid="ana", number=number, type="memory_updated", payload={}) for number in range(len(ages))
    )
    for number, days in enumerate(ages):
        UserEvent.objects.filter(number=number).update(created_at=timezone.now() - timedelta(days=days))


@pytest.mark.django_db
def test_all_that_is_too_old_goes_a_few_rows_at_a_time(small: None) -> None:
    events([9] * 4 + [0] + [9] * 5 + [0])
    with CaptureQueriesContext(connection) as asked:
        assert log.prune(timezone.now() - timedelta(days=5)) == 9
    deleted = [query["sql"] for query in asked if query["sql"].startswith("DELETE")]
    assert len(deleted) == 3
    assert all(statement.partition(" IN (")[2].count(",") < MOST for statement in deleted)
    assert set(UserEvent.objects.values_list("number", flat=True)) == {4, 10}
    assert log.prune(timezone.now() - timedelta(days=5)) == 0


@pytest.mark.django_db
def test_one_call_is_bounded_and_the_next_one_goes_on(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "PIECES", 2)
    events([9] * 8)
    before = timezone.now() - timedelta(days=5)
    assert [log.prune(before) for _ in range(3)] == [2 * MOST, 2, 0]


@pytest.mark.django_db
def test_a_row_that_is_wanted_again_when_its_piece_goes_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the deletion somebody renews a row."""
    events([9, 9])
    rows = UserEvent.objects.filter(created_at__lt=timezone.now() - timedelta(days=5))

    class Renewing(type(rows)):  # type: ignore[misc]
        """Rows of which one is renewed as soon as they have been looked at."""

        def values_list(self, *fields: Any, **how: Any) -> Any:
            found = list(super().values_list(*fields, **how)[: pruning.PIECE])
            UserEvent.objects.filter(number=0).update(created_at=timezone.now())
            return found

    rows.__class__ = Renewing
    assert pruning.delete_in_pieces(rows) == 1
    assert list(UserEvent.objects.values_list("number", flat=True)) == [0]


def by_age(call: ast.Call) -> bool:
    """Whether this is ``.filter(when__lt=…)….delete()``: rows that are found by their age and not by their owner."""
    if not (isinstance(call.func, ast.Attribute) and call.func.attr == "delete"):
        return False
    inside = [part for part in ast.walk(call.func.value) if isinstance(part, ast.Call)]
    names = {word.arg or "" for part in inside for word in part.keywords}
    older = any(name.endswith(("__lt", "__lte")) for name in names)
    return older and not names & {"uid", "pk__in", "word__lte"}  # those of a user, and a piece of the spelling's words


def test_nothing_is_deleted_by_its_age_in_one_statement() -> None:
    found = []
    for file in (file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        text = file.read_text()
        if ".delete()" not in text:
            continue
        tree = ast.parse(text)
        calls = [part for part in ast.walk(tree) if isinstance(part, ast.Call) and by_age(part)]
        for function in (part for part in ast.walk(tree) if isinstance(part, ast.FunctionDef) and part.name == "prune"):
            calls += [part for part in ast.walk(function) if ast.unparse(part).endswith(".delete()")
                      and isinstance(part, ast.Call)]  # fmt: skip
        found += [f"{file.relative_to(ROOT)}:{call.lineno}" for call in calls]
    assert found == []
