"""What makes a batch wait and costs it nothing: a store or a disk that is away, a day's budget, files that do not
come."""

from __future__ import annotations

import errno
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from memories.offline import ending, working
from memories.offline.models import SyncBatch
from omi.core.errors import ErrorKind, StoreError
from omi.stores import audio
from omi.stores.models import AudioObject
from tests.offline.conftest import TALK, UID, App, Make, memories, pcm, script, texts, told
from transcription import journal
from transcription.journal import whole

pytestmark = pytest.mark.django_db


def test_a_store_that_is_away_delays_the_batch_and_costs_it_nothing(
    app: App, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    script("one")
    batch = app.send((pcm(*TALK), 0, "pcm16"))

    def away(*_: Any, **__: Any) -> Any:
        raise StoreError("audio storage", "out of reach", kind=ErrorKind.TRANSIENT, code="timeout")

    with monkeypatch.context() as patch:
        patch.setattr(audio, "open", away)
        assert working.work(batch) == "waits"
    assert working.work(batch) == "not_claimed"
    SyncBatch.objects.update(due_at=timezone.now())
    assert working.tick() == 1
    assert working.work(batch) == "done"
    assert SyncBatch.objects.get().tries == 1
    make()
    assert len(memories()) == 1


def test_a_batch_whose_bytes_cannot_be_deleted_holds_up_no_other(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    content = pcm(*TALK, seed=1)
    late = app.announce(told(content, 0))
    app.piece(late["files"][0]["upload"], content[:1000])
    due = app.send((pcm(*TALK, seed=2), 60, "pcm16"))
    SyncBatch.objects.filter(pk=late["id"]).update(expires_at=timezone.now() - timedelta(seconds=1))

    def refused(_: Any) -> bool:
        raise StoreError("audio storage", "not allowed", kind=ErrorKind.PERMANENT, code="forbidden")

    with monkeypatch.context() as patch:
        patch.setattr(audio, "delete", refused)
        assert working.tick() == 1
    assert (app.shown(due)["state"], app.shown(late["id"])["state"]) == ("queued", "receiving")
    ending.expire()
    assert app.shown(late["id"])["state"] == "expired"


def test_a_user_whose_journals_fill_their_share_of_the_disk_waits_and_loses_nothing(
    app: App, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    script("one")
    batch = app.send((pcm(*TALK), 0, "pcm16"))

    def full(uid: str) -> None:
        raise OSError(errno.EDQUOT, "the user's journals fill their share of the disk")

    with monkeypatch.context() as patch:
        patch.setattr(whole.QUOTA, "require", full)
        assert working.work(batch) == "waits"
    assert list(journal.sessions(UID)) == []
    SyncBatch.objects.update(due_at=timezone.now())
    assert working.work(batch) == "done"
    make()
    assert [texts(memory) for memory in memories()] == [["one"]]


def test_past_the_days_budget_the_rest_waits_until_tomorrow(app: App, make: Make, settings: Any) -> None:
    settings.OMI_RUNS_PER_DAY = 1
    script("one", "two")
    batch = app.send((pcm(*TALK, seed=1), 0, "pcm16"), (pcm(*TALK, seed=2), 1000, "pcm16"))
    assert working.work(batch) == "waits"
    make()
    assert len(memories()) == 1
    assert [item["state"] for item in app.shown(batch)["conversations"]] == ["made", "waiting"]


def test_what_came_of_a_batch_that_was_never_finished_is_worked_on_when_its_time_is_over(app: App, make: Make) -> None:
    script("one")
    content, missing = pcm(*TALK, seed=1), pcm(*TALK, seed=2)
    batch = app.announce(told(content, 0), told(missing, 60))
    app.piece(batch["files"][0]["upload"], content)
    app.piece(batch["files"][1]["upload"], missing[:1000])
    SyncBatch.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    ending.expire()
    assert working.work(batch["id"]) == "done"
    assert app.states(batch["id"]) == ["placed", "missing"]
    assert not AudioObject.objects.filter(purpose="sync", deleted_at=None).exists()
