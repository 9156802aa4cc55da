"""One user before all others: searches, creates and requests beyond a rate are 429, with the time to come back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache

from omi.accounts import throttles
from tests.api.conftest import Caller

NOW = 1_764_000_030.0
"""Half a minute into a window."""


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    cache.clear()

    class Clock:
        now = NOW

        @classmethod
        def time(cls) -> float:
            return cls.now

    monkeypatch.setattr(throttles, "time", Clock)
    yield Clock
    cache.clear()


BODY = {
    "started_at": "2026-11-20T10:00:00Z",
    "finished_at": "2026-11-20T10:01:00Z",
    "transcript_segments": [{"text": "Bread.", "speaker": "SPEAKER_00", "is_user": True, "start": 0, "end": 4}],
}


def search(caller: Caller) -> Any:
    return caller.send("POST", "/v1/memories/search", {"query": "bread"})


def create(caller: Caller) -> Any:
    return caller.send("POST", "/v1/memories?trigger_integrations=false", BODY)


def listed(caller: Caller) -> Any:
    return caller.get("/v1/memories")


@pytest.mark.parametrize(
    ("name", "ask"),
    [("OMI_SEARCHES_PER_MINUTE", search), ("OMI_CREATES_PER_MINUTE", create), ("OMI_REQUESTS_PER_MINUTE", listed)],
)
def test_beyond_the_rate_is_429_until_the_minute_is_over(
    alice: Caller, bob: Caller, settings: Any, clock: Any, name: str, ask: Any, caplog: pytest.LogCaptureFixture
) -> None:
    setattr(settings, name, 3)
    assert [ask(alice).status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    refused = ask(alice)
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert sum("throttled" in str(record.msg) for record in caplog.records) == 1
    assert ask(bob).status_code == 200  # each has a rate of their own
    clock.now += int(refused.headers["Retry-After"])
    assert ask(alice).status_code == 200


def test_a_list_is_no_create(alice: Caller, settings: Any) -> None:
    settings.OMI_CREATES_PER_MINUTE = 1
    assert [listed(alice).status_code for _ in range(3)] == [200] * 3


def test_a_cache_that_is_away_locks_nobody_out(alice: Caller, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: Any, **__: Any) -> None:
        raise ConnectionError("no Redis")

    settings.OMI_REQUESTS_PER_MINUTE = 1
    monkeypatch.setattr(throttles.cache, "add", down)
    assert [listed(alice).status_code for _ in range(3)] == [200] * 3
