"""When a backup was last made is told, by whom it was made, and not before there is one."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import Error
from prometheus_client import CollectorRegistry

from memories.backup import making, metrics
from memories.backup.archive import BackupError
from omi.shared_metrics.collectors import RowCollector

pytestmark = pytest.mark.django_db


def last(by: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(RowCollector(metrics.families))
    return registry.get_sample_value(metrics.LAST, {"by": by})


@pytest.fixture
def backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command, with an archive that is there at once."""
    file = tmp_path / "omi-backup.zip"
    file.write_bytes(b"archive")
    made = making.Made(file, SimpleNamespace(parts=[], elsewhere=[]))  # type: ignore[arg-type]
    monkeypatch.setattr(making, "take", lambda _: made)
    return lambda *words: call_command("backup", str(tmp_path), *words)


def test_one_by_hand_expects_no_other(backup: Any) -> None:
    assert (last("timer"), last("hand")) == (None, None)
    backup()
    assert last("timer") is None
    assert last("hand") == pytest.approx(time.time(), abs=60)


def test_one_of_a_timer_is_told_apart(backup: Any) -> None:
    for _ in range(2):
        backup("--daily")
    assert last("timer") == pytest.approx(time.time(), abs=60)
    assert last("hand") is None
    assert (metrics.forget(), last("timer")) == (1, None)


def test_only_what_was_made_counts(backup: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call_command("backup", str(tmp_path / "receipts.json"), "--receipts")

    def refuse(_: Path) -> None:
        raise BackupError("no room")

    monkeypatch.setattr(making, "take", refuse)
    with pytest.raises(CommandError):
        backup("--daily")
    assert (last("timer"), last("hand")) == (None, None)


def test_a_backup_is_made_also_where_it_cannot_be_noted(backup: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise Error("the database is away")

    monkeypatch.setattr(metrics.SharedTotal.objects, "update_or_create", refuse)
    backup("--daily")
    assert last("timer") is None
