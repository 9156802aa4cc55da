"""The support console: everything that a button says it does is done, and is in the history with its reason."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from memories.console.models import AuditEntry
from memories.models import MemoryRow
from memories.pipeline import runner, service
from memories.pipeline.models import PostProcessingRun
from memories.repository import memories as repository
from memories.repository import transcripts
from memories.shapes import Memory, Structured
from omi.stores import audio
from transcription.segments import Segment

SECRET = "the surprise party is in the barn"


@pytest.fixture
def row(db: None) -> MemoryRow:
    segments = [Segment(id="s0", text=SECRET, speaker="SPEAKER_00", start=0, end=4)]
    repository.create_memory(
        "alice",
        Memory(
            id="m-1",
            created_at=datetime(2026, 11, 20, tzinfo=UTC),
            structured=Structured(title="Surprise party", overview="A barn."),
            transcript_segments=segments,
            active_transcript="deepgram_streaming",
        ),
    )
    transcripts.save_transcript("alice", "m-1", "deepgram_streaming", segments, {})
    return MemoryRow.objects.get(memory_id="m-1")


def staff(*permissions: str, superuser: bool = False) -> Client:
    user = User.objects.create_user("ana", is_staff=True, is_superuser=superuser)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def ana(row: MemoryRow) -> Client:
    return staff(superuser=True)


def page(row: MemoryRow, rest: str = "change/") -> str:
    return f"/admin/memories/memoryrow/{row.pk}/{rest}"


def token(page: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', page)
    return found[1] if found else ""


def act(client: Client, row: MemoryRow, name: str, **fields: str) -> str:
    """What a person does: look at what it would do, then submit that page. Where it cannot be done: that page."""
    address = page(row, f"do/{name}/")
    looked = client.get(address, fields)
    assert looked.status_code == 200
    shown = html.unescape(looked.content.decode())
    if not token(shown):
        return shown
    answer = client.post(address, {"token": token(shown), **fields}, follow=True)
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def entries(row: MemoryRow) -> list[tuple[str, str, str]]:
    """Action, who and why, of what the audit log says of the memory, oldest first."""
    of_memory = AuditEntry.objects.filter(uid=row.uid, memory_id=row.memory_id).order_by("id")
    return list(of_memory.values_list("action", "actor", "reason"))


def upload(memory_id: str = "m-1") -> Any:
    from datetime import timedelta

    return audio.put("alice", "upload", b"no audio", memory_id=memory_id, keep_for=timedelta(hours=1))


def test_the_list_filters_and_finds(ana: Client, row: MemoryRow) -> None:
    for query, there in [
        ("", True),
        ("?q=m-1", True),
        ("?q=alice", True),
        ("?q=nobody", False),
        ("?discarded__exact=1", False),
        ("?last_run=none", True),
        ("?last_run=success", False),
        ("?last_run=unfinished", False),
    ]:
        answer = ana.get(f"/admin/memories/memoryrow/{query}")
        assert answer.status_code == 200
        assert (f"/{row.pk}/change/" in answer.content.decode()) is there, query


def test_a_filter_by_what_is_empty_has_a_name(ana: Client, row: MemoryRow) -> None:
    """Of a memory that was never post-processed it was a link without a word."""
    text = ana.get("/admin/memories/memoryrow/").content.decode()
    shown = re.findall(r'<a href="\?postprocessing_status=">([^<]*)</a>', text)
    assert [html.unescape(item).strip() for item in shown] == ["none"]


def test_a_filter_offers_what_the_newest_rows_have_and_what_is_chosen(
    ana: Client, row: MemoryRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asked for the values of all rows: at a million runs the list took seconds."""
    monkeypatch.setattr("omi.core.readonly_admin.NEWEST", 1)
    MemoryRow.objects.create(uid="bob", memory_id="m-2", created_at=timezone.now(), language="de")
    MemoryRow.objects.create(uid="bob", memory_id="m-3", created_at=timezone.now(), language="fi")

    def offered(query: str = "") -> set[str]:
        text = ana.get(f"/admin/memories/memoryrow/{query}").content.decode()
        return set(re.findall(r'href="\?language=([a-z]*)', text))

    assert offered() == {"fi"}
    assert offered("?language=de") == {"de", "fi"}
    assert "m-2" in ana.get("/admin/memories/memoryrow/?language=de").content.decode()


def test_words_are_masked_until_a_reason_is_given_and_that_is_logged(ana: Client, row: MemoryRow) -> None:
    for path in ("/admin/memories/memoryrow/", page(row)):
        text = ana.get(path).content.decode()
        assert SECRET not in text
        assert "Surprise" not in text
    ana.post(page(row, "reveal/"), {"reason": ""})
    assert SECRET not in ana.get(page(row)).content.decode()
    assert entries(row) == []
    ana.post(page(row, "reveal/"), {"reason": "ticket 12"})
    text = ana.get(page(row)).content.decode()
    assert SECRET in text
    assert "Surprise party" in text
    assert entries(row) == [("reveal", "staff:ana", "ticket 12")]


def test_revealed_words_are_masked_again_after_a_while(
    ana: Client, row: MemoryRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    from omi.core import reveal

    ana.post(page(row, "reveal/"), {"reason": "ticket 12"})
    later = time.time() + reveal.MINUTES * 60 + 1
    monkeypatch.setattr(reveal.time, "time", lambda: later)
    assert SECRET not in ana.get(page(row)).content.decode()


def test_a_reveal_is_of_one_memory_and_one_session(ana: Client, row: MemoryRow) -> None:
    repository.create_memory("bob", Memory(id="m-2", created_at=timezone.now(), structured=Structured(title=SECRET)))
    other = MemoryRow.objects.get(memory_id="m-2")
    ana.post(page(row, "reveal/"), {"reason": "ticket 12"})
    assert SECRET not in ana.get(page(other)).content.decode()
    elsewhere = Client()
    elsewhere.force_login(User.objects.get(username="ana"))
    assert SECRET not in elsewhere.get(page(row)).content.decode()


def test_reprocess_starts_a_run_and_is_logged(ana: Client, row: MemoryRow) -> None:
    assert "Reason" in ana.get(page(row, "do/reprocess/")).content.decode()
    assert "This field is required" in act(ana, row, "reprocess", reason="")
    assert not PostProcessingRun.objects.exists()
    act(ana, row, "reprocess", reason="bad title")
    run = PostProcessingRun.objects.get()
    assert (run.kind, run.actor, run.reason) == ("reprocess", "staff:ana", "bad title")
    assert entries(row) == [("reprocess", "staff:ana", "bad title")]
    assert f"Run {run.pk}" in AuditEntry.objects.get().details["result"]


def test_post_process_again_follows_the_last_run_with_its_recording(ana: Client, row: MemoryRow) -> None:
    first = service.start("postprocess", "alice", "m-1", actor="user", audio=upload())
    assert "cancel it first" in act(ana, row, "post_process", reason="again")
    runner.work(first.pk)
    first.refresh_from_db()
    assert first.outcome == "invalid_input"
    act(ana, row, "post_process", reason="again")
    run = PostProcessingRun.objects.latest("id")
    assert (run.follows_id, run.audio, run.from_step) == (first.pk, first.audio, "prepare_audio")
    assert len(entries(row)) == 1


def test_post_process_without_a_recording_says_so_and_logs_nothing(ana: Client, row: MemoryRow) -> None:
    assert "No recording of this memory is stored" in act(ana, row, "post_process", reason="again")
    assert not PostProcessingRun.objects.exists()
    assert entries(row) == []


def test_cancel_stops_what_runs(ana: Client, row: MemoryRow) -> None:
    assert "Nothing is running" in act(ana, row, "cancel", reason="stuck")
    run = service.start("postprocess", "alice", "m-1", actor="user", audio=upload())
    act(ana, row, "cancel", reason="stuck")
    run.refresh_from_db()
    assert (run.state, run.outcome) == ("finished", "canceled")
    assert repository.get_memory("alice", "m-1").postprocessing.status == "canceled"  # type: ignore[union-attr]
    assert entries(row) == [("cancel", "staff:ana", "stuck")]


def test_set_status_changes_the_document_and_not_while_a_run_is_active(ana: Client, row: MemoryRow) -> None:
    act(ana, row, "set_status", reason="checked by hand", status="completed")
    assert repository.get_memory("alice", "m-1").postprocessing.status == "completed"  # type: ignore[union-attr]
    assert entries(row) == [("set_status", "staff:ana", "checked by hand")]
    service.start("reprocess", "alice", "m-1", actor="user")
    assert "cancel it first" in act(ana, row, "set_status", reason="x", status="failed")
    assert len(entries(row)) == 1


def test_an_action_on_the_list_asks_once_for_all_chosen_memories(ana: Client, row: MemoryRow) -> None:
    repository.create_memory("bob", Memory(id="m-2", created_at=timezone.now()))
    chosen = [str(item.pk) for item in MemoryRow.objects.all()]
    asked = ana.post("/admin/memories/memoryrow/", {"action": "reprocess", "_selected_action": chosen})
    assert "2 memories" in asked.content.decode()
    given = {"action": "reprocess", "_selected_action": chosen, "confirmed": "yes", "reason": "new model"}
    for _ in range(2):  # pressed twice
        ana.post("/admin/memories/memoryrow/", {**given, "token": token(asked.content.decode())})
    assert set(PostProcessingRun.objects.values_list("uid", "memory_id")) == {("alice", "m-1"), ("bob", "m-2")}
    assert PostProcessingRun.objects.count() == AuditEntry.objects.count() == 2


def test_a_failed_step_is_shown_with_its_error_and_what_to_do(ana: Client, row: MemoryRow) -> None:
    run = service.start("postprocess", "alice", "m-1", actor="user", audio=upload())
    runner.work(run.pk)
    text = html.unescape(ana.get(page(row)).content.decode())
    assert 'id="detail-title">prepare_audio' in text  # the step that failed is the one that is looked at
    assert "Not a recording: The file is not audio that can be read. (audio_not_audio; fault: user)" in text
    assert "Upload a WAV, Ogg, MP3, M4A, FLAC or WebM file." in text
    assert "A retry: about" in text
    assert "Failure: audio_not_audio (fault: user)" in text
    moved = ana.get(f"/admin/pipeline/postprocessingrun/{run.pk}/change/")
    assert moved.headers["Location"].endswith(f"?run={run.pk}")


def test_view_permission_looks_but_does_not_act_or_reveal(row: MemoryRow) -> None:
    client = staff("view_memoryrow")
    text = client.get(page(row)).content.decode()
    assert "Reveal for" not in text
    assert "do/reprocess/" not in text
    assert client.post(page(row, "do/cancel/"), {"reason": "x"}).status_code == 403
    assert client.post(page(row, "reveal/"), {"reason": "x"}).status_code == 403
    assert "Reprocess" not in client.get("/admin/memories/memoryrow/").content.decode()


def test_nobody_without_permission_gets_in(row: MemoryRow) -> None:
    assert staff().get(page(row)).status_code == 403
    assert Client().get(page(row)).status_code == 302


def test_a_memory_whose_document_is_gone_still_shows_its_runs(ana: Client, row: MemoryRow) -> None:
    from omi.stores.documents import documents

    run = service.start("reprocess", "alice", "m-1", actor="user")
    documents().delete("users/alice/memories/m-1")
    text = ana.get(page(row)).content.decode()
    assert "There is no document any more" in text
    assert f"Run {run.pk}" in text
    assert "The memory is gone" in act(ana, row, "reprocess", reason="x")


@pytest.mark.parametrize(
    "path",
    [
        "pipeline/postprocessingrun",
        "pipeline/vendorcall",
        "pipeline/vendorbreaker",
        "memories/userevent",
        "memories/processingmemoryrow",
        "memories/vendorcallback",
        "memories/erasurereceipt",
    ],
)
def test_other_lists_open_and_change_nothing(ana: Client, path: str) -> None:
    answer = ana.get(f"/admin/{path}/")
    assert answer.status_code == 200
    assert "addlink" not in answer.content.decode().split('id="content"')[1]
    assert ana.get(f"/admin/{path}/add/").status_code == 403
