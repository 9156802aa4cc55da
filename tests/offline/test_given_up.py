"""A batch that was given up: what came of it is kept, seen by operators and support, and tried again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone
from prometheus_client import CollectorRegistry

from memories.console.models import AuditEntry
from memories.offline import batches, ending, metrics, working
from memories.offline.models import SyncBatch, SyncFile
from omi.shared_metrics.collectors import RowCollector
from omi.stores import audio
from omi.stores.models import AudioObject
from tests.console.conftest import staff
from tests.offline.conftest import TALK, App, Make, memories, pcm, script, texts, told

pytestmark = pytest.mark.django_db

PAGE = "/admin/console/offline/"


@pytest.fixture
def failed(app: App) -> str:
    """A batch that took as many workers along as it may; its id."""
    batch = app.send((pcm(*TALK), 0, "pcm16"))
    SyncBatch.objects.update(tries=working.MOST_TRIES)
    assert working.work(batch) == "gave_up"
    return batch


def figure(state: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(RowCollector(metrics.families))
    return registry.get_sample_value("omi_offline_batches", {"state": state})


def here() -> int:
    return AudioObject.objects.filter(purpose="sync", deleted_at=None).count()


def test_tried_again_it_becomes_the_memory_that_it_is(app: App, make: Make, failed: str) -> None:
    script("a walk")
    assert (figure("failed"), figure("queued")) == (1, 0)
    ending.try_again(failed)
    assert (figure("failed"), figure("queued")) == (0, 1)
    assert working.work(failed) == "done"
    make()
    assert [texts(memory) for memory in memories()] == [["a walk"]]
    assert here() == 0


def test_one_that_waited_in_vain_is_kept_beyond_its_time_too(app: App) -> None:
    """Its bytes were to go with the day that a batch has after its time."""
    batch = app.send((pcm(*TALK), 0, "pcm16"))
    SyncBatch.objects.update(expires_at=timezone.now() - ending.LEFT_TO_WORK - timedelta(seconds=1))
    AudioObject.objects.update(delete_after=timezone.now() + timedelta(minutes=1))
    assert ending.expire() == 1
    assert SyncBatch.objects.get(pk=batch).state == "failed"
    AudioObject.objects.filter(delete_after__lt=timezone.now() + timedelta(days=14)).update(delete_after=timezone.now())
    audio.sweep_expired()
    assert here() == 1


def test_after_a_fortnight_its_bytes_go_and_it_is_told_no_more(app: App, failed: str) -> None:
    assert ending.expire() == 0
    SyncBatch.objects.update(ended_at=timezone.now() - ending.FAILED_KEPT - timedelta(seconds=1))
    assert ending.expire() == 1
    assert (here(), figure("failed"), ending.expire()) == (0, 0, 0)
    with pytest.raises(batches.BatchNotFound):
        ending.try_again(failed)
    assert app.states(failed) == ["missing"]


def test_what_came_again_meanwhile_is_not_heard_twice(app: App, make: Make, failed: str) -> None:
    script("a walk")
    assert working.work(app.send((pcm(*TALK), 0, "pcm16"))) == "done"
    make()
    with pytest.raises(ending.NothingLeft):
        ending.try_again(failed)
    assert len(memories()) == 1


def test_where_its_words_go_is_decided_a_part_of_it_that_came_again_is_enough(app: App, failed: str) -> None:
    SyncBatch.objects.filter(pk=failed).update(placed=True)
    SyncFile.objects.get(batch=failed).batch.files.create(
        number=1, captured_at=timezone.now(), codec="pcm16", size=9, sha256="1" * 64, state="whole", pieces=["other"]
    )
    script("a walk")
    assert working.work(app.send((pcm(*TALK), 0, "pcm16"))) == "done"
    with pytest.raises(ending.NothingLeft):
        ending.try_again(failed)
    SyncBatch.objects.filter(pk=failed).update(placed=False)
    ending.try_again(failed)  # the worker leaves the one out


def test_one_whose_bytes_are_gone_is_not_told(failed: str) -> None:
    """As those are that an earlier release gave up."""
    SyncFile.objects.update(pieces=[])
    assert figure("failed") == 0


def test_its_bytes_count_for_as_long_as_they_are_here_and_its_user_may_drop_it(app: App, failed: str) -> None:
    file = told(pcm(*TALK, seed=9), 5, "pcm16")
    with override_settings(OMI_SYNC_BYTES=int(file["size"]) + 100):
        assert app.post("/v1/sync", {"device_id": "pendant", "files": [file]}).status_code == 429
        assert app.client.delete(f"/v1/sync/{failed}").status_code == 204
        assert here() == 0
        assert app.post("/v1/sync", {"device_id": "pendant", "files": [file]}).status_code == 200


def test_the_command_lists_and_tries_again(failed: str, capsys: Any) -> None:
    call_command("offline")
    assert f"{failed}  " in (said := capsys.readouterr().out)
    assert "taken by 9 workers" in said
    assert "0 unfinished, 1 failed" in said
    with pytest.raises(CommandError, match="--reason"):
        call_command("offline", retry=True)
    call_command("offline", retry=True, reason="the decoder was mended", actor="ops")
    assert "-> queued" in (said := capsys.readouterr().out)
    assert "1 unfinished, 0 failed" in said
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.target, entry.reason) == ("ops", "retry", failed, "the decoder was mended")


def test_support_sees_it_and_has_it_tried_again_for_a_reason(failed: str) -> None:
    support = staff("support")
    assert "1 offline batch" in support.get("/admin/").content.decode()
    shown = support.get(PAGE).content.decode()
    assert failed in shown
    assert "taken by 9 workers" in shown
    assert support.get("/admin/console/find/", data={"q": failed}).headers["Location"] == PAGE
    support.post(PAGE, {"batch": failed, "reason": " "})
    assert SyncBatch.objects.get().state == "failed"
    assert support.post(PAGE, {"batch": failed, "reason": "asked by its user"}, follow=True).status_code == 200
    assert SyncBatch.objects.get().state == "queued"
    assert AuditEntry.objects.get().reason == "asked by its user"
    answer = support.post(PAGE, {"batch": failed, "reason": "again"}, follow=True)
    assert "nothing to try again" in answer.content.decode()


def test_who_may_only_look_tries_nothing_again(failed: str) -> None:
    assert "reason" not in staff("viewer").get(PAGE).content.decode()
    assert staff("").get(PAGE).status_code == 403
    viewer = staff("admin")
    viewer.logout()
    assert viewer.post(PAGE, {"batch": failed, "reason": "x"}).status_code == 302
    assert SyncBatch.objects.get().state == "failed"
