"""The settings of a user: time zone, language, recaps."""

from __future__ import annotations

from typing import Any

import pytest

from omi.accounts.users import zone_of
from tests.api.conftest import Caller


def test_what_is_given_is_changed_and_the_rest_stays(alice: Caller, bob: Caller) -> None:
    assert alice.get("/v1/users/settings").json() == {
        "name": "", "time_zone": "UTC", "language": None, "recap_daily": True, "recap_weekly": True,
        "recap_push": False,
    }  # fmt: skip
    changed = alice.send("PATCH", "/v1/users/settings", {"time_zone": "Asia/Kathmandu", "language": "de"})
    assert (changed.status_code, changed.json()["time_zone"]) == (200, "Asia/Kathmandu")
    assert alice.send("PATCH", "/v1/users/settings", {"recap_push": True}).json()["language"] == "de"
    assert alice.send("PATCH", "/v1/users/settings", {"language": None}).json()["language"] is None
    assert str(zone_of("alice")) == "Asia/Kathmandu"
    assert bob.get("/v1/users/settings").json()["time_zone"] == "UTC"


@pytest.mark.parametrize(
    "body", [{"time_zone": "Mars/Olympus"}, {"language": "x y"}, {"recap_push": "yes"}, {"more": 1}, {"name": "n" * 61}]
)
def test_what_does_not_fit_is_422(alice: Caller, body: dict[str, Any]) -> None:
    assert alice.send("PATCH", "/v1/users/settings", body).status_code == 422
