"""The commands of the foundations, run as a developer runs them."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from demo.vendors.server import VendorServer
from omi.accounts.identity import verify_token
from omi.accounts.users import get_user


def run(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


@pytest.mark.django_db
def test_devtoken_prints_a_token_alone_and_it_is_the_users() -> None:
    token = run("devtoken", "alice").strip()
    assert len(token.split()) == 1
    assert verify_token(token).uid == "alice"


@pytest.mark.django_db
def test_devtoken_gives_the_user_a_name_where_one_is_said() -> None:
    token = run("devtoken", "alice", "--name", "Alice").strip()
    assert verify_token(token).uid == "alice"
    assert get_user("alice").name == "Alice"
    run("devtoken", "alice")
    assert get_user("alice").name == "Alice"


def test_devtoken_is_refused_where_users_bring_their_own(settings: Any) -> None:
    settings.OMI_AUTH = "firebase"
    with pytest.raises(CommandError, match="OMI_AUTH"):
        run("devtoken", "alice")


def test_providers_prints_every_port(settings: Any) -> None:
    printed = run("providers")
    for port in settings.PROVIDERS:
        assert port in printed


@pytest.mark.django_db
def test_doctor_is_content_with_the_defaults() -> None:
    assert "FIX" not in run("doctor", no_color=True)


@pytest.mark.django_db
def test_doctor_names_the_missing_key_and_the_fix(settings: Any) -> None:
    settings.OMI_LIVE = ["deepgram"]
    settings.DEEPGRAM_API_KEY = ""
    out = StringIO()
    with pytest.raises(CommandError, match="1 to fix"):
        call_command("doctor", stdout=out, no_color=True)
    assert "DEEPGRAM_API_KEY is not set" in out.getvalue()


@pytest.mark.django_db
def test_doctor_says_that_nobody_listens_at_a_vendors_address(settings: Any) -> None:
    settings.OMI_STRUCTURER = "openai"
    settings.OPENAI_API_KEY = "key"
    settings.OPENAI_BASE_URL = "http://127.0.0.1:9/v1"
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("doctor", stdout=out, no_color=True)
    assert "OPENAI_BASE_URL" in out.getvalue()


@pytest.mark.django_db
def test_staffuser_makes_one_login_and_keeps_it(settings: Any, tmp_path: Path) -> None:
    settings.OMI_DATA_DIR = tmp_path
    run("staffuser")
    name, password = (tmp_path / "staff.txt").read_text().split()
    user = get_user_model().objects.get(username=name)
    assert user.check_password(password)
    assert user.is_superuser
    assert (tmp_path / "staff.txt").stat().st_mode & 0o077 == 0
    run("staffuser")
    user.refresh_from_db()
    assert user.check_password(password)


def test_models_lists_what_is_bundled_and_what_to_put_where() -> None:
    printed = run("models")
    assert "whisper-base" in printed
    assert "OMI_SPEECH_MODEL" in printed


def test_models_says_what_a_folder_lacks(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="looked for"):
        run("models", check=tmp_path)


def test_simulate_outage_makes_a_running_vendor_fail_and_ends_it() -> None:
    import httpx

    with VendorServer([]) as vendors:
        port = vendors.urls["OPENAI_BASE_URL"].split(":")[2].split("/")[0]
        ask = {"model": "text-embedding-3-large", "input": ["a"]}
        headers = {"Authorization": "Bearer sim-key"}

        def status() -> int:
            return httpx.post(f"{vendors.urls['OPENAI_BASE_URL']}/embeddings", json=ask, headers=headers).status_code

        run("simulate", "outage", "openai", "refuse", f"--port={port}", "--set=status=503")
        assert status() == 503
        run("simulate", "outage", f"--port={port}", "--end")
        assert status() == 200


def test_simulate_outage_says_when_nothing_runs() -> None:
    with pytest.raises(CommandError, match="simulate vendors"):
        run("simulate", "outage", "openai", "refuse", "--port=9")
