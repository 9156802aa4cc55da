"""What became of notifications is counted by device, and a device that was not reached is told of in the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from omi.accounts.users import add_fcm_token
from omi.core.errors import ErrorKind, ProviderError
from omi.push import SENT, push
from omi.push.base import PushResult
from omi.shared_metrics import counters

pytestmark = pytest.mark.django_db


class Service:
    """Devices say by their names what becomes of a notification to them."""

    name = "fake"

    def send(self, tokens: Sequence[str], title: str, body: str, data: Mapping[str, str]) -> PushResult:
        failure = ProviderError("fcm", "refused", kind=ErrorKind.PERMANENT, code="403")
        if any(token.startswith("unsent") for token in tokens):
            raise failure
        gone = tuple(token for token in tokens if token.startswith("gone"))
        bad = [token for token in tokens if token.startswith("bad")]
        return PushResult(len(tokens) - len(gone) - len(bad), gone, failure if bad else None)


@pytest.fixture(autouse=True)
def service(settings: Any) -> None:
    settings.PROVIDERS = {**settings.PROVIDERS, "push": {"BACKEND": f"{__name__}.Service"}}
    counters.flush()


def sent(*tokens: str) -> dict[str, float]:
    """What a push to these devices adds to the counter."""
    before = SENT.totals()
    for token in tokens:
        add_fcm_token("ana", token)
    try:
        push("ana", "Title", "Body")
    except ProviderError:
        assert not any(token.startswith("here") for token in tokens)
    counters.flush()
    return {outcome: value - before.get((outcome,), 0) for (outcome,), value in SENT.totals().items()}


def test_each_device_counts_by_what_became_of_it() -> None:
    assert sent("here1", "here2", "gone1", "bad1") == {"delivered": 2, "unregistered": 1, "failed": 1}


def test_a_failure_beside_a_device_that_was_reached_is_logged() -> None:
    with capture_logs() as logged:
        sent("here", "bad")
    assert [(line["event"], line["code"], line["failed"]) for line in logged] == [("push_failed", "403", 1)]


def test_where_none_could_be_tried_all_failed() -> None:
    assert sent("unsent1", "unsent2") == {"failed": 2}


def test_no_push_at_all_counts_nothing(settings: Any) -> None:
    settings.PROVIDERS = {**settings.PROVIDERS, "push": {"BACKEND": "omi.push.none.NoPush"}}
    assert sent("here") == {}


def test_every_outcome_is_told_from_the_start() -> None:
    assert set(SENT.begin) == {("delivered",), ("failed",), ("unregistered",)}
