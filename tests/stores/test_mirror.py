"""``manage.py mirror``: what differs is found, and the documents win."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from memories.mirror import compare, metrics
from memories.models import MemoryRow, MirrorProgress, PersonRow, ProcessingMemoryRow, SearchTerms, SessionRow
from memories.pipeline import service
from memories.repository import memories, processing
from memories.search import word_index
from memories.shapes import Memory
from omi.core.providers import one
from omi.stores import audio
from omi.stores.documents import documents, path
from omi.stores.models import LocalVector
from omi.stores.vectors.base import Vector
from tests.support.scrape import scraped
from transcription.ports import SessionInfo

pytestmark = pytest.mark.django_db
Furnish = Callable[[str, str], Memory]


def kinds(uid: str) -> set[tuple[str, str]]:
    return {(item.kind, item.store) for item in compare.check_user(uid)}


def test_stores_that_agree_have_no_differences(furnish: Furnish) -> None:
    furnish("ana", "m")
    assert list(compare.check_user("ana")) == []
    assert compare.check_sample() == []


def test_every_kind_of_difference_is_found_and_repaired_from_the_documents(furnish: Furnish) -> None:
    for identity in ("lost-row", "stale-row", "lost-vector", "stale-vector", "discarded"):
        furnish("ana", identity)
    MemoryRow.objects.filter(memory_id="lost-row").delete()
    MemoryRow.objects.filter(memory_id="stale-row").update(discarded=True)
    MemoryRow.objects.create(uid="ana", memory_id="extra-row", created_at="2026-01-01T00:00:00Z")
    one("vectors").delete(["ana-lost-vector"], namespace="ns1")
    LocalVector.objects.filter(vector_id="ana-stale-vector").update(metadata={"uid": "ana", "created_at": 1.7})
    memories.update_memory("ana", "discarded", {"discarded": True})
    ProcessingMemoryRow.objects.filter(processing_memory_id="p-lost-row").delete()
    ProcessingMemoryRow.objects.filter(processing_memory_id="p-stale-row").update(finished=True)
    ProcessingMemoryRow.objects.create(uid="ana", processing_memory_id="p-extra", created_at="2026-01-01T00:00:00Z")
    PersonRow.objects.filter(person_id="person-lost-row").delete()
    PersonRow.objects.filter(person_id="person-stale-row").update(deleted=True)
    audio.put("ana", "recording", b"x", memory_id="never-was", keep_for=None)
    assert kinds("ana") == {
        ("row_missing", "memories"), ("row_stale", "memories"), ("row_extra", "memories"),
        ("vector_missing", "vectors"), ("vector_stale", "vectors"), ("vector_extra", "vectors"),
        ("row_missing", "processing_memories"), ("row_stale", "processing_memories"),
        ("row_extra", "processing_memories"), ("row_missing", "people"), ("row_stale", "people"),
        ("audio_extra", "audio"),
    }  # fmt: skip
    assert compare.rebuild_user("ana") == 12
    assert kinds("ana") == set()
    assert compare.rebuild_user("ana") == 0


def test_all_sessions_of_a_conversation_of_an_earlier_version_are_told_again(furnish: Furnish) -> None:
    furnish("ana", "m")
    names = [f"s-{number}" for number in range(9)]
    processing.update("ana", "p-m", {"session_ids": names})
    SessionRow.objects.all().delete()
    assert [item.detail for item in compare.check_user("ana")] == ["sessions"]
    assert compare.rebuild_user("ana") == 1
    assert sorted(SessionRow.objects.values_list("session_id", flat=True)) == names
    assert kinds("ana") == set()


def test_lost_bytes_and_unreadable_documents_are_told_and_not_made_up(furnish: Furnish) -> None:
    furnish("ana", "m")
    audio.storage().delete(audio.for_memory("ana", "m")[0].name)
    documents().create(path("users", "ana", "memories", "bad"), {"structured": 1})
    assert kinds("ana") == {("audio_missing", "audio"), ("document_unreadable", "memories")}
    assert compare.rebuild_user("ana") == 0


def test_every_row_can_be_made_again(furnish: Furnish) -> None:
    for uid in ("ana", "ben"):
        furnish(uid, f"m-{uid}")
        word_index.refresh(uid)
    fields = [field.name for field in MemoryRow._meta.fields if field.name not in ("id", "mirrored_at")]
    before = list(MemoryRow.objects.order_by("uid").values(*fields))
    for rows in (MemoryRow, ProcessingMemoryRow, PersonRow, LocalVector, SearchTerms):
        rows.objects.all().delete()
    out = StringIO()
    call_command("mirror", rebuild=True, stdout=out, verbosity=0)
    assert list(MemoryRow.objects.order_by("uid").values(*fields)) == before
    assert (ProcessingMemoryRow.objects.count(), PersonRow.objects.count(), LocalVector.objects.count()) == (2, 2, 2)
    assert "8 repaired" in out.getvalue()
    assert [hit.memory_id for hit in word_index.find("ben", "secret")] == ["m-ben"]


def test_a_rebuild_goes_on_where_it_was_stopped(furnish: Furnish, monkeypatch: pytest.MonkeyPatch) -> None:
    for uid in ("a", "b", "c"):
        furnish(uid, "m")
    MemoryRow.objects.all().delete()
    done: list[str] = []

    def stops(uid: str) -> int:
        if uid == "b" and len(done) == 1:
            raise KeyboardInterrupt
        done.append(uid)
        return 0

    monkeypatch.setattr(compare, "rebuild_user", stops)
    with pytest.raises(KeyboardInterrupt):
        compare.rebuild(["c", "a", "b"])
    done.append("stopped")
    compare.rebuild(["a", "b", "c"])
    assert done == ["a", "stopped", "b", "c"]
    assert not MirrorProgress.objects.exists()


def test_the_command_lists_and_fails_when_something_differs(furnish: Furnish) -> None:
    furnish("ana", "m")
    out = StringIO()
    call_command("mirror", check=True, stdout=out, verbosity=0)
    assert "no differences" in out.getvalue()
    MemoryRow.objects.update(discarded=True)
    with pytest.raises(CommandError, match="1 differences"):
        call_command("mirror", check=True, json=True, stdout=out, verbosity=0)
    told = json.loads(out.getvalue().splitlines()[-1])
    assert (told["kind"], told["identity"], told["detail"]) == ("row_stale", "m", "discarded")


def metric(name: str, **labels: str) -> float:
    """As the web process tells it: from rows, for the sample is taken by a worker."""
    [value] = [
        sample.value
        for family in metrics.families()
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    return float(value)


def test_a_sample_feeds_the_metric_of_another_process(furnish: Furnish) -> None:
    furnish("ana", "m")
    MemoryRow.objects.update(language="xx")
    assert len(compare.check_sample()) == 1
    assert metric("omi_mirror_differences", kind="row_stale") == 1.0
    assert metric("omi_mirror_checked") == 1.0
    compare.rebuild_user("ana")
    compare.check_sample()
    assert metric("omi_mirror_differences", kind="row_stale") == 0.0


def test_the_metrics_are_scraped(furnish: Furnish) -> None:
    furnish("ana", "m")
    compare.check_sample()
    told = scraped()
    assert 'omi_mirror_differences{kind="vector_missing"} 0.0' in told
    assert "omi_words_stale 1.0" in told


def test_a_sample_notices_a_row_that_was_never_made_and_bytes_that_are_lost(furnish: Furnish) -> None:
    for identity in ("m1", "m2"):
        furnish("ana", identity)
    MemoryRow.objects.filter(memory_id="m2").delete()
    audio.storage().delete(audio.for_memory("ana", "m1")[0].name)
    found = {(item.kind, item.store) for item in compare.check_sample(1000)}
    assert found == {("row_missing", "memories"), ("audio_missing", "audio")}


# --- runs, words, bytes and strangers


def test_what_a_memory_says_of_its_run_is_compared_and_put_right(furnish: Furnish) -> None:
    for identity in ("lost", "wrong", "right", "at-work"):
        furnish("ana", identity)
    runs = {name: service.start("postprocess", "ana", name, actor="test") for name in ("wrong", "right", "at-work")}
    runs["gone"] = service.start("reprocess", "ana", "never-was", actor="test")
    for name in ("wrong", "right"):
        assert service.cancel(runs[name], actor="test")
    said = {"lost": ("in_progress", "999"), "wrong": ("completed", None), "at-work": ("in_progress", None)}
    for name, (status, run_id) in said.items():
        told = {"status": status, "run_id": run_id or str(runs[name].pk)}
        memories.update_memory("ana", name, {"postprocessing": told})
    found = {(item.kind, item.identity) for item in compare.check_user("ana")}
    assert found == {("run_missing", "lost"), ("run_stale", "wrong"), ("run_extra", "never-was")}
    assert compare.rebuild_user("ana") == 3
    assert list(compare.check_user("ana")) == []
    statuses = {
        name: memory.postprocessing.status.value
        for name in ("lost", "wrong", "right", "at-work")
        if (memory := memories.get_memory("ana", name)).postprocessing
    }
    assert statuses == {"lost": "failed", "wrong": "canceled", "right": "canceled", "at-work": "in_progress"}


def test_the_word_index_is_compared_and_made_again(furnish: Furnish) -> None:
    for identity in ("lost", "old", "whole"):
        furnish("ana", identity)
    assert word_index.refresh("ana") == 3
    assert kinds("ana") == set()
    SearchTerms.objects.filter(memory_id="lost").delete()
    SearchTerms.objects.filter(memory_id="old").update(revision=0)
    SearchTerms.objects.create(uid="ana", memory_id="never-was", revision=1, scheme="x", created_at="2026-01-01T00:00Z")
    assert kinds("ana") == {("words_missing", "words"), ("words_stale", "words"), ("words_extra", "words")}
    assert compare.rebuild_user("ana") == 3
    assert kinds("ana") == set()
    assert {hit.memory_id for hit in word_index.find("ana", "secret")} == {"lost", "old", "whole"}
    assert not MemoryRow.objects.filter(words_stale=True).exists()


def test_truncated_bytes_are_told(furnish: Furnish) -> None:
    furnish("ana", "m")
    Path(audio.storage().path(audio.for_memory("ana", "m")[0].name)).write_bytes(b"se")
    assert kinds("ana") == {("audio_stale", "audio")}
    assert compare.rebuild_user("ana") == 0


def test_what_belongs_to_nobody_is_found_and_removed(furnish: Furnish) -> None:
    from django.core.files.base import ContentFile

    furnish("ana", "m")
    vectors = one("vectors")
    values = [1.0] * 27
    vectors.upsert([Vector("gone-m", values, {"uid": "gone", "memory_id": "m", "created_at": 1})], namespace="ns1")
    vectors.upsert([Vector("ana-m-x", values, {"uid": "ana-m", "memory_id": "x", "created_at": 1})], namespace="ns1")
    stray = f"{'0' * 32}.wav"
    for name in (stray, "somebody-elses.txt"):
        audio.storage().save(name, ContentFile(b"voice"))
    found = {(item.kind, item.identity) for item in compare.check_strays()}
    assert found == {("vector_extra", "gone-m"), ("vector_extra", "ana-m-x"), ("audio_extra", stray)}
    with pytest.raises(CommandError, match="3 differences"):
        call_command("mirror", check=True, stdout=StringIO())
    call_command("mirror", rebuild=True, stdout=StringIO())
    assert list(compare.check_strays()) == []
    assert audio.storage().exists("somebody-elses.txt")
    assert list(vectors.list_ids(namespace="ns1")) == ["ana-m"]
    assert len(audio.for_memory("ana", "m")) == 2


def test_a_user_of_whom_only_audio_is_left_is_checked(furnish: Furnish) -> None:
    audio.put("only-audio", "recording", b"x", memory_id="m", keep_for=None)
    assert compare.users() == ["only-audio"]
    assert kinds("only-audio") == {("audio_extra", "audio")}


def test_a_broken_conversation_ends_no_check(furnish: Furnish) -> None:
    furnish("ana", "m")
    documents().create(path("users", "ana", "processing_memories", "bad"), {"transcript_segments": b"no"})
    assert kinds("ana") == {("document_unreadable", "processing_memories")}


# --- export and moving


def test_an_export_holds_everything_that_the_user_owns_and_nothing_else(furnish: Furnish, tmp_path: Path) -> None:
    import zipfile

    from memories.pipeline.models import VendorCall
    from memories.privacy import export
    from speakers.models import VoiceConsent, VoiceSample
    from transcription.journal import store

    for uid, identity in (("ana", "m"), ("user-ben", "other-memory")):
        furnish(uid, identity)
        run = service.start("reprocess", uid, identity, actor="test")
        VendorCall.objects.create(
            run=run, step="structure", fence=1, vendor="openai", operation="structure", request_key="k",
            started_at="2026-11-22T10:00:00Z", input_tokens=700, cost=0.25,
        )  # fmt: skip
        VoiceConsent.objects.create(uid=uid, version="1", source="app")
        VoiceSample.objects.create(uid=uid, source="upload", seconds=9, voiced_seconds=8, memory_id=identity)
        documents().create(f"tasks/{uid}", {"user_uid": uid, "memory_id": identity})
        heard = store.create(SessionInfo(uid, f"session-{uid}", datetime.now(UTC), "en", "pcm16", 16000), watch=False)
        heard.audio.write_bytes(b"as it was sent")
    file = tmp_path / "export.zip"
    with file.open("wb") as target, export.export_user("ana") as source:
        while piece := source.read(1000):
            target.write(piece)
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        names = set(archive.namelist())
        told = {name: archive.read(name).decode() for name in names if name.endswith(".json")}
        recordings = [archive.read(name) for name in names if name.startswith("audio/")]
    assert {"README.txt", "profile.json", "memories/m.json", "processing_memories/p-m.json", "events.json",
            "audio.json", "people/person-m.json", "memories/m/hume/1.json", "journals/session-ana/audio.bin",
            "journals/session-ana/meta.json", "runs.json", "voices.json", "tasks.json"} <= names  # fmt: skip
    [run] = json.loads(told["runs.json"])
    assert (run["memory_id"], run["kind"]) == ("m", "reprocess")
    assert [(call["vendor"], call["input_tokens"], call["cost"]) for call in run["services"]] == [("openai", 700, 0.25)]
    voices = json.loads(told["voices.json"])
    assert ([item["memory_id"] for item in voices["samples"]], len(voices["consents"])) == (["m"], 1)
    assert [item["memory_id"] for item in json.loads(told["tasks.json"])] == ["m"]
    assert json.loads(told["memories/m.json"])["transcript_segments"][0]["text"] == "secret words"
    assert sum(name.startswith("memories/m/fal_whisperx/") for name in names) == 1
    assert recordings == [b"secret voice"] * 2
    assert not any("other-memory" in text or "user-ben" in text for text in told.values())


def test_an_asynchronous_export_is_the_same(furnish: Furnish) -> None:
    import io
    import zipfile

    from asgiref.sync import async_to_sync

    from memories.privacy import export

    furnish("ana", "m")

    async def collect() -> bytes:
        return b"".join([piece async for piece in export.stream_user("ana")])

    with zipfile.ZipFile(io.BytesIO(async_to_sync(collect)())) as archive:
        assert "memories/m.json" in archive.namelist()
