"""Each action says beforehand what it would do, does that, once, and is in the audit log with its reason."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from bench import memory_page
from memories import support
from memories.console.models import AuditEntry
from memories.models import MemoryRow
from memories.pipeline import service
from memories.pipeline.models import PostProcessingRun
from memories.privacy import erasure
from memories.repository import memories as repository
from memories.repository import transcripts
from memories.submissions import once
from memories.submissions.models import Submission
from memories.support import situation
from omi.stores import audio


@pytest.fixture
def row(db: None) -> MemoryRow:
    built: MemoryRow = memory_page.build(runs=2, attempts=2, segments=6, seconds=2.0)
    return built


@pytest.fixture
def ana(row: MemoryRow) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("ana"))
    return client


def address(row: MemoryRow, name: str) -> str:
    return f"/admin/memories/memoryrow/{row.pk}/do/{name}/"


def look(client: Client, row: MemoryRow, name: str, **query: str) -> str:
    answer = client.get(address(row, name), query)
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def form(shown: str) -> dict[str, str]:
    """The hidden fields of the page's last form, and what is chosen for it further up."""
    chosen = {}
    for name, listed in re.findall(r'<select [^>]*name="(\w+)" form="act"[^>]*>(.*?)</select>', shown, re.S):
        (chosen[name],) = re.findall(r'<option value="([^"]*)" selected>', listed)
    part = shown.split('<form class="reason-form"')[1]
    return {**chosen, **dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', part))}


def press(client: Client, row: MemoryRow, name: str, shown: str, **fields: str) -> str:
    answer = client.post(address(row, name), {**form(shown), "reason": "ticket 7", **fields}, follow=True)
    return html.unescape(answer.content.decode())


def log() -> list[tuple[str, str, str]]:
    return list(AuditEntry.objects.order_by("id").values_list("action", "actor", "reason"))


def now(row: MemoryRow) -> situation.Situation:
    return situation.of(row.uid, row.memory_id)


def test_a_retry_from_a_step_shows_what_runs_and_what_is_reused_and_does_that(ana: Client, row: MemoryRow) -> None:
    first = PostProcessingRun.objects.earliest("id")
    shown = look(ana, row, "retry", run=str(first.pk), from_step="structure")
    steps = dict(re.findall(r'<th scope="row">(\w+)</th><td[^>]*><span class="badge[^>]*>(\w+)</span>', shown))
    assert list(steps) == first.plan
    assert steps["structure"] == steps["publish"] == "runs"
    assert f"follows run {first.pk} (upstream_error)" in shown
    assert "In all" in shown
    assert "What could get worse" in shown
    assert not AuditEntry.objects.exists()
    assert f"does run {first.pk} again from structure on" in press(ana, row, "retry", shown)
    made = PostProcessingRun.objects.latest("id")
    assert (made.follows_id, made.from_step, made.actor, made.reason) == (
        first.pk,
        "structure",
        "staff:ana",
        "ticket 7",
    )
    assert log() == [("retry", "staff:ana", "ticket 7")]
    assert AuditEntry.objects.get().details["from_step"] == "structure"


def test_a_reason_that_was_typed_stays_when_something_else_is_chosen(ana: Client, row: MemoryRow) -> None:
    """It was lost: the choice was a form of its own. The reason is not in the address either, which servers log."""
    fields = {**form(look(ana, row, "retry")), "from_step": "structure", "reason": 'ticket "7"', "preview": "yes"}
    answer = ana.post(address(row, "retry"), fields)
    assert answer.status_code == 200
    shown = html.unescape(answer.content.decode())
    assert '<option value="structure" selected>' in shown
    assert 'name="reason" value="ticket "7""' in shown
    assert "This field is required" not in html.unescape(
        ana.post(address(row, "retry"), {**fields, "reason": ""}).content.decode()
    )
    assert not AuditEntry.objects.exists()
    assert "again from structure on" in press(ana, row, "retry", shown)


def test_what_was_chosen_and_not_looked_at_is_not_done(ana: Client, row: MemoryRow) -> None:
    shown = look(ana, row, "retry")
    answer = ana.post(address(row, "retry"), {**form(shown), "from_step": "structure", "reason": "ticket 7"})
    assert answer.status_code == 409
    told = html.unescape(answer.content.decode())
    assert "Nothing was done; please look again" in told
    assert '<option value="structure" selected>' in told
    assert 'name="reason" value="ticket 7"' in told
    assert not AuditEntry.objects.exists()


def test_pressing_twice_does_nothing_twice(ana: Client, row: MemoryRow) -> None:
    shown = look(ana, row, "set_status")
    press(ana, row, "set_status", shown, status="completed")
    again = press(ana, row, "set_status", shown, status="failed")
    assert "submitted before, and it was done then: Status changed from none to completed" in again
    memory = repository.get_memory(row.uid, row.memory_id)
    assert memory.postprocessing is not None
    assert memory.postprocessing.status == "completed"
    assert len(log()) == 1


def test_a_page_whose_facts_have_changed_has_to_be_looked_at_again(ana: Client, row: MemoryRow) -> None:
    shown = look(ana, row, "reprocess")
    service.start("reprocess", row.uid, row.memory_id, actor="user:x")
    answer = ana.post(address(row, "reprocess"), {**form(shown), "reason": "ticket 7"})
    assert answer.status_code == 409
    assert "has changed meanwhile. Nothing was done" in html.unescape(answer.content.decode())
    assert not AuditEntry.objects.exists()
    assert PostProcessingRun.objects.count() == 3


def test_a_token_is_good_for_one_person_one_action_and_one_memory(ana: Client, row: MemoryRow) -> None:
    shown = look(ana, row, "reprocess")
    other = Client()
    other.force_login(User.objects.create_superuser("ben"))
    for client, name, fields in (
        (other, "reprocess", form(shown)),
        (ana, "set_status", {**form(shown), "status": "failed"}),
        (ana, "reprocess", {"token": form(shown)["token"][:-1] + "x"}),
        (ana, "reprocess", {}),
    ):
        assert client.post(address(row, name), {**fields, "reason": "x"}).status_code == 409
    assert not AuditEntry.objects.exists()


def test_what_did_not_work_may_be_tried_again_with_the_same_page(
    ana: Client, row: MemoryRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = look(ana, row, "delete_audio")

    def away(*_: Any) -> bool:
        raise audio._unreachable(OSError("no"))

    with monkeypatch.context() as patched:
        patched.setattr(audio, "delete", away)
        assert "out of reach" in press(ana, row, "delete_audio", shown)
    assert not AuditEntry.objects.exists()
    assert "1 of 1 recordings were deleted" in press(ana, row, "delete_audio", shown)
    assert audio.for_memory(row.uid, row.memory_id) == []
    assert log() == [("delete_audio", "staff:ana", "ticket 7")]


def test_where_it_cannot_be_written_down_it_is_not_done(
    ana: Client, row: MemoryRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    from memories.console import audit

    shown = look(ana, row, "set_status")

    def full(*_: Any, **__: Any) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(audit, "record", full)
    with pytest.raises(RuntimeError):
        press(ana, row, "set_status", shown, status="completed")
    assert repository.get_memory(row.uid, row.memory_id).postprocessing is None


def test_another_version_is_shown_with_what_it_has_less_of(ana: Client, row: MemoryRow) -> None:
    other = transcripts.list_transcripts(row.uid, row.memory_id)["fal_whisperx"]
    shown = look(ana, row, "activate", version=f"fal_whisperx@{other.version}")
    assert "The guard rejected this version" in shown
    assert "in place of" in shown
    assert "is shown now" in press(ana, row, "activate", shown)
    memory = repository.get_memory(row.uid, row.memory_id)
    assert (memory.active_transcript, memory.active_version) == ("fal_whisperx", other.version)
    run = PostProcessingRun.objects.latest("id")
    assert (run.kind, run.actor, run.reason) == ("reprocess", "staff:ana", "ticket 7")
    assert log() == [("activate", "staff:ana", "ticket 7")]


def test_speakers_are_identified_again_without_transcribing(ana: Client, row: MemoryRow) -> None:
    last = PostProcessingRun.objects.latest("id").pk
    shown = look(ana, row, "identify")
    assert "No word is transcribed again" in shown
    assert f"identifies the speakers of run {last} again" in press(ana, row, "identify", shown)
    made = PostProcessingRun.objects.latest("id")
    assert (made.follows_id, made.from_step) == (last, "identify_speakers")
    assert log() == [("identify", "staff:ana", "ticket 7")]


def test_a_deleted_memory_is_restored_while_that_can_be(ana: Client, row: MemoryRow, settings: Any) -> None:
    assert "It is not deleted." in look(ana, row, "restore")
    settings.OMI_RESTORE_DAYS = 7
    erasure.erase_memory(row.uid, row.memory_id)
    text = html.unescape(ana.get(f"/admin/memories/memoryrow/{row.pk}/change/").content.decode())
    assert "Its user deleted the memory." in text
    assert "It is erased for good in 6 d" in text
    shown = look(ana, row, "restore")
    assert "The memory is there again" in press(ana, row, "restore", shown)
    assert not repository.get_memory(row.uid, row.memory_id).deleted
    assert log() == [("restore", "staff:ana", "ticket 7")]


def test_what_cannot_work_is_shown_with_its_reason_and_is_not_done(ana: Client, row: MemoryRow) -> None:
    audio.forget_memory(row.uid, row.memory_id)
    service.start("reprocess", row.uid, row.memory_id, actor="user:x")
    why = {name: action.why_not(now(row)) for name, action in support.ACTIONS.items()}
    assert {name for name, reason in why.items() if not reason} == {"retry", "reprocess", "activate", "cancel"}
    text = html.unescape(ana.get(f"/admin/memories/memoryrow/{row.pk}/change/").content.decode())
    for name, reason in why.items():
        if reason:
            assert f'id="why-{name}">{reason}<' in text
            assert f"/do/{name}/" not in text
            shown = look(ana, row, name)
            assert "This cannot be done now" in shown
            assert reason in shown
            assert 'name="token"' not in shown
            token = once.token(f"{User.objects.get().pk}:{name}:{row.pk}", f"{now(row).seen}/")
            ana.post(address(row, name), {"token": token, "reason": "x", "status": "failed"})
    assert not AuditEntry.objects.exists()
    assert "this run would fail at once" in look(ana, row, "retry")


def test_rows_of_submitted_forms_go_after_days(row: MemoryRow) -> None:
    Submission.objects.create(pk="old")
    Submission.objects.update(at=datetime.now(UTC) - once.KEPT - timedelta(hours=1))
    Submission.objects.create(pk="new")
    assert once.prune() == 1
    assert [item.pk for item in Submission.objects.all()] == ["new"]
