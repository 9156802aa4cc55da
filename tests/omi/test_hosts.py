"""A deployment on several hosts would lose audio: it is refused before it does."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from omi import checks


def test_one_host_is_well(settings: Any) -> None:
    assert checks.loses_audio_on_several_hosts(None) == []


def test_check_deploy_refuses_several_hosts_and_names_what_would_be_lost(settings: Any) -> None:
    settings.OMI_HOSTS = 2
    with pytest.raises(SystemCheckError) as refused:
        call_command("check", "--deploy")
    for wanted in ("omi.E006", "omi.E007", "omi.E008", "journal of live audio"):
        assert wanted in str(refused.value)


def test_several_hosts_are_refused_whatever_they_share(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OMI_HOSTS, settings.OMI_AUDIO = 3, "gcs"
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.postgresql")
    assert [item.id for item in checks.loses_audio_on_several_hosts(None)] == ["omi.E006"]


def test_production_does_not_start_on_several_hosts(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for emulator in ("FIRESTORE_EMULATOR_HOST", "FIREBASE_AUTH_EMULATOR_HOST", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(emulator, raising=False)
    settings.OMI_ENVIRONMENT, settings.SECRET_KEY, settings.DEBUG = "production", "x" * 60, False
    settings.OMI_AUTH = "firebase"
    checks.refuse_unsafe_production()
    settings.OMI_HOSTS = 2
    with pytest.raises(ImproperlyConfigured, match=r"omi\.E006"):
        checks.refuse_unsafe_production()
