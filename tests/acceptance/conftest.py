"""One real installation for the whole folder: daphne and qcluster on a free port, with a data folder of its own.

Tests are clients: they know addresses, tokens and what the app would read, and nothing of the code behind. Every test
takes users of its own (``make_app``), so that none depends on another.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.material import bundled, pcm
from demo.servers import DemoError, Installation, installation
from tests.acceptance.wire import App
from tests.support import sound
from tests.support.interpreter import Interpreter
from tests.support.migrated import migrated

MAX_UPLOAD = 3 * 1024 * 1024
"""Bytes: small, so that too large a file is quickly made; 80 s of the bundled talk fit."""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("acceptance") / "data"
    # Django's own test settings are not for the processes that the tests start.
    settings = {
        "DJANGO_SETTINGS_MODULE": "omi.settings",
        "OMI_MAX_UPLOAD_BYTES": str(MAX_UPLOAD),
        "OMI_LOG_LEVEL": "INFO",
        # A user of these tests does within seconds what takes people days.
        "OMI_REQUESTS_PER_MINUTE": "0",
        "OMI_STRANGERS_PER_MINUTE": "0",
        "OMI_CREATES_PER_MINUTE": "0",
        "OMI_SEARCHES_PER_MINUTE": "0",
    }
    try:
        with installation(folder, settings=settings, database=migrated()) as running:
            yield running
            _no_server_error(running.folder)
    except DemoError as error:
        pytest.fail(str(error))


def _no_server_error(folder: Path) -> None:
    """Nothing that the clients of this folder did may have left a traceback behind."""
    for name in ("web.log", "worker.log"):
        text = (folder / name).read_text(errors="replace")
        at = text.find("Traceback (most recent call last)")
        assert at < 0, f"{name} holds a traceback: {text[max(0, at - 600) : at + 3000]}"


_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def python(server: Installation) -> Iterator[Interpreter]:
    """For code and commands in the installation."""
    started = Interpreter(server.environment)
    yield started
    started.close()


@pytest.fixture(scope="session")
def mint(python: Interpreter) -> Callable[..., str]:
    """Tokens of this installation; minted here, in the form of ``manage.py devtoken``."""
    from omi.accounts import tokens

    assert python.run("manage.py", "devtoken", "somebody").stdout.strip().count(":") == 2
    return tokens.mint


@pytest.fixture(scope="session")
def make_app(server: Installation, mint: Callable[..., str]) -> Iterator[Callable[..., App]]:
    opened: list[App] = []

    def make(uid: str | None = None) -> App:
        name = uid or f"user-{next(_numbers)}"
        opened.append(App(server.url, name, mint(name)))
        return opened[-1]

    yield make
    for app in opened:
        app.http.close()


@pytest.fixture
def app(make_app: Callable[..., App]) -> App:
    """A user that nobody else has used."""
    return make_app()


@pytest.fixture(scope="session")
def talk() -> bytes:
    """16 kHz PCM of the bundled conversation."""
    return pcm(bundled().recording)


@pytest.fixture(scope="session")
def speech_wav(talk: bytes) -> bytes:
    """Twelve seconds of two voices: the shortest recording that is worth post-processing."""
    return sound.wav(talk[: 12 * 32000])


@pytest.fixture(scope="session")
def lived(make_app: Callable[..., App], talk: bytes) -> dict[str, Any]:
    """A user with everything: a conversation streamed and post-processed, a person, a voice, events.

    ``messages`` is all that the socket said, in order; ``memory`` the memory after post-processing.
    """
    from tests.acceptance.living import live

    return live(make_app("lived"), talk)
