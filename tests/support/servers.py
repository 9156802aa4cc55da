"""The web server in a process of its own: what a test client cannot show is reading, streaming and closing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from omi.accounts import tokens
from tests.support.migrated import ROOT, put_database
from tests.support.processes import free_port, listens, running

LIMIT = 600_000
"""Bytes of an upload: small, so that too large a one is quickly made."""

SETTINGS = {
    "OMI_MAX_UPLOAD_BYTES": str(LIMIT),
    "OMI_LOG_LEVEL": "WARNING",
    "OMI_REQUESTS_PER_MINUTE": "0",
    "OMI_STRANGERS_PER_MINUTE": "0",
    "OMI_CREATES_PER_MINUTE": "0",
}


class WebServer:
    """A running daphne: its address, its data folder, its log, and apps of users to speak to it."""

    def __init__(self, folder: Path, environment: dict[str, str], port: int, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.environment = environment
        self.port = port
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "web.log"

    def peak(self) -> int:
        """The most bytes that were ever resident in it."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024

    def app(self, uid: str) -> httpx.Client:
        """A client with a token of ``uid``. Minted here, with the key that the server inherits."""
        headers = {"Authorization": f"Bearer {tokens.mint(uid)}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)


@contextmanager
def web_server(
    folder: Path, *, application: str = "omi.asgi:application", database: bool = True, **settings: str
) -> Iterator[WebServer]:
    """Start daphne on an installation in ``folder``, until the block ends. ``settings`` go before ``SETTINGS``."""
    if database:
        put_database(folder)
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("OMI_", "DJANGO_"))},
        "DJANGO_SETTINGS_MODULE": "omi.settings",
        "OMI_DATA_DIR": str(folder),
        "PYTHONPATH": str(ROOT),
        **SETTINGS,
        **settings,
    }
    command = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), application]
    log = folder / "web.log"
    with running(command, ready=lambda: listens(port), log=log, env=environment) as process:
        yield WebServer(folder, environment, port, process)
