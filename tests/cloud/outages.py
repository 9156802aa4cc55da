"""Stores as an outage needs them: stopped, and started again on the same port with what they held."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import httpx

from tests.support.processes import free_port
from tests.support.services import firestore_emulator, redis_server


class Redis:
    """It holds nothing worth keeping: nudges, fal's keys."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process = ExitStack()

    def start(self) -> None:
        self._process.enter_context(redis_server(self.folder, self.port))

    def stop(self) -> None:
        self._process.close()


class Firestore:
    """The official emulator. ``stop`` exports everything, ``start`` imports it: production forgets nothing either."""

    def __init__(self, folder: Path, project: str) -> None:
        self.folder, self.project = folder, project
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self._process = ExitStack()
        self._exports = 0

    def start(self) -> None:
        kept = self.folder / f"export-{self._exports}" / f"export-{self._exports}.overall_export_metadata"
        self._process.enter_context(firestore_emulator(self.folder, self.port, kept if self._exports else None))

    def stop(self) -> None:
        self._exports += 1
        name = f"export-{self._exports}"
        answer = httpx.post(
            f"http://{self.host}/emulator/v1/projects/{self.project}:export",
            json={
                "database": f"projects/{self.project}/databases/(default)",
                "export_directory": str(self.folder),
                "export_name": name,
            },
            timeout=30,
        )
        answer.raise_for_status()
        self._process.close()

    def close(self) -> None:
        self._process.close()

    def client(self) -> Any:
        """Google's own client, as anyone else's program would read the project."""
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import firestore

        with mock.patch.dict(os.environ, {"FIRESTORE_EMULATOR_HOST": self.host}):
            return firestore.Client(project=self.project, credentials=AnonymousCredentials())
