"""A deployment on several hosts that would lose audio is refused before it does."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from omi import checks
from omi.core import host
from tests.support.interpreter import Interpreter


def test_one_host_is_well(settings: Any) -> None:
    assert checks.loses_audio_on_several_hosts(None) == []


def test_check_deploy_refuses_several_hosts_and_names_what_they_must_share(settings: Any) -> None:
    settings.OMI_HOSTS = 2
    with pytest.raises(SystemCheckError) as refused:
        call_command("check", "--deploy")
    for wanted in ("omi.E006", "omi.E007", "omi.E008", "journals of live audio"):
        assert wanted in str(refused.value)


@pytest.mark.parametrize("shared", [{"OMI_AUDIO": "gcs"}, {"OMI_AUDIO_FOLDER": "/mnt/omi"}])
def test_several_hosts_that_share_all_they_must_are_let_in(
    settings: Any, monkeypatch: pytest.MonkeyPatch, shared: dict[str, str]
) -> None:
    settings.OMI_HOSTS, settings.REDIS_URL = 3, "redis://10.0.0.1/0"
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.postgresql")
    assert [item.id for item in checks.loses_audio_on_several_hosts(None)] == ["omi.E006"]
    for name, value in shared.items():
        setattr(settings, name, value)
    assert checks.loses_audio_on_several_hosts(None) == []


def test_production_does_not_start_on_several_hosts_without_a_shared_audio_store(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for emulator in ("FIRESTORE_EMULATOR_HOST", "FIREBASE_AUTH_EMULATOR_HOST", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(emulator, raising=False)
    settings.OMI_ENVIRONMENT, settings.SECRET_KEY, settings.DEBUG = "production", "x" * 60, False
    settings.OMI_AUTH = "firebase"
    checks.refuse_unsafe_production()
    settings.OMI_HOSTS = 2
    with pytest.raises(ImproperlyConfigured, match=r"omi\.E006"):
        checks.refuse_unsafe_production()


def test_a_host_keeps_its_name_in_its_data_folder(settings: Any, tmp_path: Path) -> None:
    settings.OMI_DATA_DIR = tmp_path
    first = host.host_id()
    assert host.host_id() == first == (tmp_path / host.FILE).read_text().strip()
    settings.OMI_HOST_ID = "web-1"
    assert host.host_id() == "web-1"


def test_two_only_hosts_on_one_postgresql_are_noticed(new_postgres: Callable[[str], str], tmp_path: Path) -> None:
    """``OMI_HOSTS`` was left at 1 on both, and nothing else is shared."""
    environment = {
        **os.environ, "DJANGO_SETTINGS_MODULE": "omi.settings", "DATABASE_URL": new_postgres("only_hosts"),
        "OMI_DATA_DIR": str(tmp_path), "OMI_HOST_ID": "first",
    }  # fmt: skip
    interpreter = Interpreter(environment)
    try:
        beats = interpreter.answer(BEATS)
        assert beats == [{"beat": 0, "uncounted": 0}, {"beat": 0, "uncounted": 1}, {"beat": 0, "uncounted": 1}]
        refused = interpreter.run("manage.py", "check", "--deploy")
        assert refused.returncode != 0
        assert "hosts.E001) OMI_HOSTS=1, but other hosts than this one (first)" in refused.stderr
        assert "the same database: second." in refused.stderr
        assert interpreter.answer(STOPPED) == []
        assert "hosts.E001" not in interpreter.run("manage.py", "check", "--deploy").stderr
    finally:
        interpreter.close()


BEATS = """
from django.conf import settings
from transcription.session import host_upkeep
answer = []
for name in ("first", "second", "first"):
    settings.OMI_HOST_ID = name
    answer.append(host_upkeep.tick())
"""
STOPPED = """
from django.conf import settings
from transcription.hosts import heartbeats
from transcription.session import host_upkeep
settings.OMI_HOST_ID = "second"
host_upkeep.leave()
settings.OMI_HOST_ID = "first"
answer = heartbeats.uncounted()
"""
