"""Hosts that share one PostgreSQL while each takes itself for the only one (``OMI_HOSTS=1``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from omi import health
from transcription.hosts import checks, heartbeats, metrics
from transcription.hosts.models import Host
from transcription.session import host_upkeep

pytestmark = pytest.mark.django_db(transaction=True)
On = Callable[[str], None]


@pytest.fixture
def alone(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[On]:
    """``alone("a")``: what follows happens on host a. The database says that it is PostgreSQL, which here only decides
    whether hosts keep their rows (``tests/omi/test_hosts.py`` has a real one)."""
    monkeypatch.setattr(heartbeats, "connection", type("PostgreSQL", (), {"vendor": "postgresql"}))
    monkeypatch.setattr(host_upkeep, "_seldom_at", 0.0)

    def there(name: str) -> None:
        settings.OMI_DATA_DIR, settings.OMI_HOST_ID = tmp_path / name, name
        settings.OMI_DATA_DIR.mkdir(exist_ok=True)

    health.forget()
    yield there
    health.forget()


def silent_since(host: str, minutes: float) -> None:
    Host.objects.filter(pk=host).update(seen_at=timezone.now() - timedelta(minutes=minutes))


def test_two_hosts_that_each_take_themselves_for_the_only_one_are_noticed(
    alone: On, capsys: pytest.CaptureFixture[str], client: Client
) -> None:
    alone("a")
    assert host_upkeep.tick() == {"beat": 0, "uncounted": 0}
    assert checks.hosts_not_counted(None) == []
    alone("b")
    assert host_upkeep.tick() == {"beat": 0, "uncounted": 1}
    with pytest.raises(
        SystemCheckError, match=r"hosts\.E001\) OMI_HOSTS=1, but other hosts .* \(b\) .*: a\. "
    ) as refused:
        call_command("check", "--deploy")
    assert "Set OMI_HOSTS to the number of hosts" in str(refused.value)
    call_command("hosts")
    assert "b: the only host (OMI_HOSTS=1), but a live on this database, too" in capsys.readouterr().out
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["hosts_not_counted"]) == (200, ["a"])
    told = {family.name: family.samples[0].value for family in metrics.families()}
    assert told["omi_hosts_not_counted"] == 1


def test_a_host_that_has_stopped_is_no_other_host(alone: On) -> None:
    alone("a")
    host_upkeep.tick()
    alone("b")
    host_upkeep.tick()
    host_upkeep.leave()
    alone("a")
    assert heartbeats.uncounted() == []
    alone("b")
    host_upkeep.tick()
    silent_since("a", 2)  # killed, and its folder was made anew under another name
    assert heartbeats.uncounted() == []
    silent_since("a", 25 * 60)
    assert heartbeats.forget_stopped() == 1
    assert list(Host.objects.values_list("pk", flat=True)) == ["b"]


def test_a_database_that_is_away_is_no_matter_of_the_only_host(alone: On, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OperationalError("away")

    alone("a")
    for name in ("beat", "retire", "uncounted"):
        monkeypatch.setattr(heartbeats, name, away)
    assert host_upkeep.tick() == {"beat": -1}
    assert checks.hosts_not_counted(None) == []
    host_upkeep.leave()


def test_on_sqlite_the_only_host_keeps_no_row(alone: On, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "connection", connection)
    alone("a")
    assert not heartbeats.kept()
    assert host_upkeep.tick() == {}
    host_upkeep.leave()
    assert checks.hosts_not_counted(None) == []
    assert not Host.objects.exists()
