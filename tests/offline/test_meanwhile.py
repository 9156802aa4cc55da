"""What the user does while a batch is worked on: merging the memory that it goes on with, erasing the account."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from memories.offline import working
from memories.offline.models import SyncBatch
from memories.privacy import erasure
from memories.reshaping import plans
from tests.offline.conftest import TALK, UID, App, Make, memories, pcm, script, texts
from transcription.journal import whole

pytestmark = pytest.mark.django_db


def test_a_memory_that_a_batch_will_go_on_with_is_not_merged_or_split_before(
    app: App, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its words would come to a memory that is hidden."""
    script("good morning", "and we go on")
    working.work(app.send((pcm(*TALK, seed=1), 0, "pcm16")))
    make()
    [memory] = memories()
    batch = app.send((pcm(*TALK, seed=2), 30, "pcm16"))

    def full(*_: Any) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(working._Work, "_store", full)
        assert working.work(batch) == "waits"
    with pytest.raises(plans.NotPossible) as refused:
        plans.check(UID, [memory])
    assert refused.value.code == "going_on"
    SyncBatch.objects.update(due_at=timezone.now())
    assert working.work(batch) == "done"
    make()
    [memory] = memories()
    assert texts(memory) == ["good morning", "and we go on"]
    plans.check(UID, [memory])


def test_an_erased_account_keeps_nothing_of_a_batch_that_is_being_worked_on(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = app.send((pcm(*TALK), 0, "pcm16"))
    real = whole.write

    def erased_meanwhile(*args: Any, **kwargs: Any) -> Any:
        erasure.erase_user(UID)
        return real(*args, **kwargs)

    monkeypatch.setattr(whole, "write", erased_meanwhile)
    assert working.work(batch) == "erased"
    assert {name: left for name, left in erasure.verify_user_erased(UID).items() if left} == {}
