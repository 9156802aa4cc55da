"""The installation's own key: nobody can know it who cannot read its folder, and it serves this machine only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core import signing
from django.core.exceptions import ImproperlyConfigured

from omi.core import secret_key
from omi.core.addresses import is_loopback

ROOT = Path(__file__).parents[2]
OLD_KEY = "insecure-development-key-do-not-use-where-others-can-reach-you"
"""What stood in the source once, and in every installation that did not set a key."""


def environment(folder: Path, **more: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("OMI_", "DJANGO_", "SECRET_"))}
    return {**own, "OMI_DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "omi.settings", **more}


def manage(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT, env=environment(folder, **more), capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    key = secret_key.load_or_make(tmp_path)
    assert len(key) >= secret_key.MIN_LENGTH
    assert secret_key.load_or_make(tmp_path) == key
    assert (tmp_path / secret_key.FILE).stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == [secret_key.FILE]


def test_two_installations_have_different_keys(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    assert secret_key.load_or_make(tmp_path / "a") != secret_key.load_or_make(tmp_path / "b")


def test_a_key_that_another_process_made_first_is_kept(tmp_path: Path) -> None:
    key = secret_key.load_or_make(tmp_path)
    secret_key._make(tmp_path / secret_key.FILE)  # the slower of two that found no file
    assert secret_key.load_or_make(tmp_path) == key


@pytest.mark.parametrize(("mode", "text"), [(0o644, "k" * 60), (0o600, "short"), (0o600, "")])
def test_a_file_that_others_read_or_that_holds_no_key_is_refused(tmp_path: Path, mode: int, text: str) -> None:
    file = tmp_path / secret_key.FILE
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(ImproperlyConfigured, match=r"secret\.key"):
        secret_key.load_or_make(tmp_path)


def test_a_token_signed_with_the_key_of_the_source_code_opens_nothing(tmp_path: Path) -> None:
    """In a process without any settings, as a newcomer starts it."""
    forged = signing.dumps({"uid": "victim", "iat": 1.0, "exp": 4e9}, key=OLD_KEY, salt="omi.accounts.tokens")
    code = (
        "import django; django.setup(); from omi.accounts import tokens\n"
        "assert tokens.read(tokens.mint('ana')).uid == 'ana'\n"
        "import sys\ntry: tokens.read(sys.argv[1])\nexcept tokens.BadToken: print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, forged],
        cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.strip() == "refused", done.stderr[-800:]


def test_serve_refuses_an_address_beyond_loopback_without_a_key_of_the_operators(tmp_path: Path) -> None:
    done = manage(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0")
    assert done.returncode != 0
    assert "SECRET_KEY" in done.stderr
    assert not (tmp_path / "omi.sqlite3").exists()  # refused before anything began


def test_production_does_not_start_with_development_tokens(tmp_path: Path) -> None:
    done = manage(tmp_path, "migrate", "--plan", OMI_ENVIRONMENT="production", SECRET_KEY="x" * 60)
    assert done.returncode != 0
    assert "OMI_AUTH is dev" in done.stderr


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("localhost", True), ("::1", True), ("[::1]", True),
     ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("example.org", False), ("", False)],
)  # fmt: skip
def test_what_counts_as_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
