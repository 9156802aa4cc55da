"""The report says of everything that is kept for a time how much there is, when it goes and why it is here."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from memories import retained, upkeep
from memories.models import ErasureReceipt, UserEvent
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.states import State
from omi.stores.models import AudioObject
from transcription import journal
from transcription.audio.codecs import codec
from transcription.ports import SessionInfo

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_folder(settings: Any, tmp_path: Path) -> None:
    settings.OMI_DATA_DIR = tmp_path


def lines() -> list[dict[str, Any]]:
    """Every line that the command prints and that counts something."""
    out = StringIO()
    call_command("retention", "--report", "--json", stdout=out)
    return [line for line in map(json.loads, out.getvalue().splitlines()) if line["count"]]


def keep(name: str, memory_id: str, **more: Any) -> None:
    """A row of an audio object of 100 bytes."""
    AudioObject.objects.create(name=name, uid="ana", memory_id=memory_id, size=100, complete=True, **more)


def test_audio_says_whether_a_run_or_the_schedule_keeps_it() -> None:
    past, later = timezone.now() - timedelta(hours=1), timezone.now() + timedelta(hours=1)
    keep("a", "busy", purpose="upload", delete_after=past)
    keep("b", "idle", purpose="upload", delete_after=past)
    keep("c", "", purpose="upload", delete_after=past)
    keep("d", "idle", purpose="upload", delete_after=later)
    keep("e", "idle", purpose="recording")
    keep("f", "idle", purpose="recording", deleted_at=past)
    PostProcessingRun.objects.create(uid="ana", memory_id="busy", kind="postprocess", state=State.QUEUED)
    PostProcessingRun.objects.create(uid="ana", memory_id="", kind="postprocess", state=State.QUEUED)
    found = {(line["what"], line["why"]): (line["count"], line["size"]) for line in lines() if "audio" in line["what"]}
    assert found == {
        ("audio past its time", "a run still needs it"): (1, 100),
        ("audio past its time", "the housekeeping has not come to it"): (2, 200),
        ("audio of processing", "its time"): (1, 100),
        ("audio: recording", "the user permits recordings"): (1, 100),
        ("rows of deleted audio", "proof; no bytes are left"): (1, None),
    }


def test_journals_say_how_far_their_life_has_gone() -> None:
    chosen = codec("pcm16")
    for name in ("open", "kept", "released"):
        session = SessionInfo("ana", name, datetime.now(UTC), "en", "pcm16", chosen.sample_rate)
        written = journal.Journal.open(session, chosen, watch=True)
        written.append([b"\0\1" * 500])
        written.abandon()
    journal.release("kept", datetime.now(UTC) + timedelta(hours=1), "ana")
    found = {line["why"]: line["count"] for line in lines() if line["what"] == "journals"}
    assert sum(found.values()) == 3
    assert found["released by its run, kept for a retry"] == 1


def test_runs_that_are_over_and_older_than_their_time_wait_for_the_schedule() -> None:
    for days in (1, 200):
        ended = timezone.now() - timedelta(days=days)
        PostProcessingRun.objects.create(
            uid="ana",
            memory_id=f"m{days}",
            kind="postprocess",
            state=State.FINISHED,
            outcome="success",
            finished_at=ended,
            notified=True,
        )
    found = [(line["count"], line["goes"]) for line in lines() if line["what"] == "runs that are over"]
    assert found == [(1, "180 days after the end of the run (OMI_RUN_KEEP_DAYS)"), (1, retained.DAILY)]


def test_nothing_is_kept_for_ever_unless_the_setting_says_so(settings: Any) -> None:
    settings.OMI_RUN_KEEP_DAYS = 0
    PostProcessingRun.objects.create(
        uid="ana",
        memory_id="m",
        kind="postprocess",
        state=State.FINISHED,
        outcome="success",
        finished_at=timezone.now(),
        notified=True,
    )
    (line,) = [line for line in lines() if line["what"] == "runs that are over"]
    assert line["why"] == "OMI_RUN_KEEP_DAYS=0 keeps them for ever"


def test_an_erasure_that_is_not_complete_is_told() -> None:
    ErasureReceipt.objects.create(subject="d" * 32, kind="user", uid="ben")
    assert [line["count"] for line in lines() if line["what"] == "erasures not complete"] == [1]


def test_whatever_the_daily_schedule_prunes_has_a_line() -> None:
    """The report is complete by what ``upkeep.prune`` deletes, as its statements tell."""
    with CaptureQueriesContext(connection) as pruned:
        upkeep.prune()
    asked = {table for query in pruned for table in re.findall(r'FROM "(\w+)"', query["sql"])}
    assert "memories_webhookdelivery" in asked
    with CaptureQueriesContext(connection) as reported:
        list(retained.report())
    counted = {table for query in reported for table in re.findall(r'FROM "(\w+)"', query["sql"])}
    assert asked <= counted


def test_the_work_is_bounded_at_any_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retained, "MOST", 3)
    with CaptureQueriesContext(connection) as empty:
        list(retained.report())
    UserEvent.objects.bulk_create(
        UserEvent(uid="ana", number=number, type="memory_updated", payload={}) for number in range(9)
    )
    with CaptureQueriesContext(connection) as full:
        (events,) = [held for held in retained.report() if held.what == "events"]
    assert (events.count, events.more) == (3, True)
    assert len(full) == len(empty)
    assert all("LIMIT 4" in query["sql"] for query in full)
    out = StringIO()
    call_command("retention", "--report", stdout=out)
    assert "events: more than 3." in out.getvalue()


def test_the_command_deletes_nothing_and_says_so() -> None:
    with pytest.raises(CommandError, match="deleted by schedules"):
        call_command("retention")
