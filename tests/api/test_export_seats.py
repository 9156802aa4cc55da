"""An export reads all that a user has: a user has one made at a time, and all together a few, by whatever door."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache

from memories.api import downloads
from omi.core.slots import Slots
from tests.api.conftest import Caller
from tests.pages.conftest import Visitor


@pytest.fixture(autouse=True)
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slots]:
    cache.clear()
    own = Slots("archives", seconds=3600.0)
    monkeypatch.setattr(downloads, "EXPORTS", own)
    yield own
    cache.clear()


def over(answer: Any) -> None:
    """The client has it all, or has left: what Django does at the end of an answer."""
    for close in answer._resource_closers:
        close()


@pytest.mark.parametrize("door", ["app", "browser"])
def test_a_user_has_one_export_made_at_a_time_and_nobody_else_waits_for_it(
    alice: Caller, bob: Caller, places: Slots, door: str
) -> None:
    """A hundred of one user, each read slowly, packed all that there is a hundred times over."""
    visitor = Visitor("alice") if door == "browser" else alice
    path = "/app/settings/export" if door == "browser" else "/v1/users/export"
    first = visitor.get(path)
    assert first.status_code == 200
    refused = alice.get("/v1/users/export")
    assert (refused.status_code, refused.json()["code"], refused.headers["Retry-After"]) == (429, "busy", "60")
    assert Visitor("alice").get("/app/settings/export").status_code == 429, "one bound for both doors"
    other = bob.get("/v1/users/export")
    assert other.status_code == 200
    assert b"".join(first)[:2] == b"PK"
    over(first)
    over(other)
    again = alice.get("/v1/users/export")
    assert again.status_code == 200
    over(again)
    assert places._taken == set()


def test_all_together_have_a_few(alice: Caller, places: Slots) -> None:
    for number in range(downloads.EXPORTS_IN_ALL):
        assert places.take(f"u{number}", per_user=1, in_all=downloads.EXPORTS_IN_ALL)
    assert alice.get("/v1/users/export").status_code == 429


def test_an_export_that_cannot_begin_gives_its_place_back(
    alice: Caller, places: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memories.privacy.account.export", lambda uid: 1 / 0)
    assert alice.get("/v1/users/export").status_code == 500
    assert places._taken == set()
