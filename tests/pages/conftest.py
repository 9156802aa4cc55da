"""People who are signed in to the pages, and memories of theirs."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from omi.accounts import tokens
from tests.api.conftest import make_memory

__all__ = ["make_memory"]


@pytest.fixture(autouse=True)
def tasks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What would be handed to a worker."""
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr("django_q.tasks.async_task", lambda *args, **kwargs: sent.append(args))
    return sent


class Visitor:
    """The browser of one user, signed in through the form."""

    def __init__(self, uid: str) -> None:
        self.uid = uid
        self.client = Client()
        answer = self.client.post("/app/sign-in", {"token": tokens.mint(uid), "next": "/app"})
        assert (answer.status_code, answer.headers["Location"]) == (302, "/app")

    def get(self, path: str, **more: Any) -> Any:
        return self.client.get(path, **more)

    def post(self, path: str, form: dict[str, Any] | None = None) -> Any:
        return self.client.post(path, form or {})


@pytest.fixture
def alice(db: None) -> Visitor:
    return Visitor("alice")


@pytest.fixture
def bob(db: None) -> Visitor:
    return Visitor("bob")
