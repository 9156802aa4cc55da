"""What is deleted by age, and that a schedule does it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import Schedule

from memories import upkeep
from memories.models import UserEvent, VendorCallback
from memories.user_events import log

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_journals")]


def test_events_and_callbacks_go_when_they_are_too_old_and_no_sooner() -> None:
    now, moment = timezone.now(), timedelta(minutes=1)
    for age in (log.KEPT + moment, log.KEPT - moment):
        number = log.append("ana", log.MEMORY_CREATE_FAILED, {"processing_memory_id": "p"})
        UserEvent.objects.filter(number=number).update(created_at=now - age)
    for name, age in (("old", upkeep.CALLBACKS_KEPT + moment), ("new", upkeep.CALLBACKS_KEPT - moment)):
        row = VendorCallback.objects.create(vendor="fal", callback_id=name)
        VendorCallback.objects.filter(pk=row.pk).update(received_at=now - age)
    assert upkeep.prune() == 2
    assert list(UserEvent.objects.values_list("number", flat=True)) == [2]
    assert list(VendorCallback.objects.values_list("callback_id", flat=True)) == ["new"]
    assert log.append("ana", log.MEMORY_CREATE_FAILED) == 3  # no number is given twice


def test_words_that_no_search_has_read_are_indexed_by_a_schedule() -> None:
    from memories.models import MemoryRow
    from memories.repository import memories
    from memories.search import word_index
    from memories.shapes import Memory

    for uid in ("ana", "ben"):
        for number in range(3):
            made = Memory(id=f"m{number}", created_at=timezone.now(), structured={"title": "Giraffe"})
            memories.create_memory(uid, made)
    assert upkeep.index_words(limit=4) == 4
    assert MemoryRow.objects.filter(words_stale=True).count() == 2
    assert upkeep.index_words() == 2
    assert upkeep.index_words() == 0
    assert len(word_index.find("ben", "giraffe")) == 3


def test_every_job_is_scheduled_once() -> None:
    upkeep.ensure_schedules()
    upkeep.ensure_schedules()
    ours = Schedule.objects.filter(func__startswith="memories.upkeep.")
    assert sorted(ours.values_list("func", flat=True)) == [
        f"memories.upkeep.{name}"
        for name in (
            "erasures",
            "index_passages",
            "index_words",
            "insights",
            "mirror_sample",
            "offline",
            "prune",
            "recaps",
            "reshapings",
            "retention",
            "webhooks",
        )
    ]
    assert all(callable(getattr(upkeep, func.rsplit(".", 1)[1])) for func in ours.values_list("func", flat=True))


def test_audio_of_a_run_that_is_not_over_waits_for_its_end() -> None:
    """In the original earlier audio was deleted before it was used. Here: workers were away for two days."""
    from memories.pipeline import service, tasks
    from memories.repository import memories
    from memories.shapes import Memory
    from omi.stores import audio

    for identity in ("waiting", "done"):
        memories.create_memory("ana", Memory(id=identity, created_at=timezone.now()))
        audio.put("ana", "upload", b"voice", memory_id=identity, keep_for=timedelta(seconds=-1))
    run = service.start("reprocess", "ana", "waiting", actor="test")
    assert tasks.housekeeping()["audio"] == 1
    assert len(audio.for_memory("ana", "waiting")) == 1
    service.cancel(run, actor="test", reason="over")
    assert tasks.housekeeping()["audio"] == 1
    assert audio.for_memory("ana", "waiting") == []
