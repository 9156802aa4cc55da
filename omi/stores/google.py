"""Google's clients, made through one firebase-admin app per process.

With an emulator's variable set no credentials are looked up: firebase-admin wants a credential object all the same.
A gRPC channel does not survive a fork: the app belongs to a process id.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from django.conf import settings

from omi.core.env import env_str
from omi.core.errors import MissingDependency

EMULATOR_VARIABLES = ("FIRESTORE_EMULATOR_HOST", "FIREBASE_AUTH_EMULATOR_HOST", "STORAGE_EMULATOR_HOST")
HTTP_SECONDS = 10
"""For Firebase Auth and messaging; the SDK's own 120 would hold a request's thread that long."""

_lock = threading.Lock()


def emulated() -> bool:
    """Return whether an emulator stands for one of Google's services."""
    return any(env_str(name) for name in EMULATOR_VARIABLES)


def firebase_app() -> Any:
    """The firebase-admin app of this process and project. Raises MissingDependency without a project."""
    import firebase_admin

    project = settings.GOOGLE_CLOUD_PROJECT
    if not project:
        raise MissingDependency("google", "GOOGLE_CLOUD_PROJECT", "Set it to the id of the Google Cloud project.")
    name = f"omi-{project}-{os.getpid()}"
    with _lock:
        try:
            return firebase_admin.get_app(name)
        except ValueError:
            return firebase_admin.initialize_app(
                _credential(), {"projectId": project, "httpTimeout": HTTP_SECONDS}, name=name
            )


def _credential() -> Any:
    from firebase_admin import credentials

    if not emulated():
        return credentials.ApplicationDefault()
    from google.auth.credentials import AnonymousCredentials

    class Anonymous(credentials.Base):  # type: ignore[misc]
        def get_credential(self) -> AnonymousCredentials:
            return AnonymousCredentials()

    return Anonymous()
