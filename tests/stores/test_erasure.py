"""Erased means erased: every store is searched by itself, not through the rows that spoke of it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from memories.models import ErasureReceipt, MemoryRow
from memories.pipeline import budgets, service
from memories.pipeline.models import PostProcessingRun, VendorCall
from memories.pipeline.vendor_calls import records
from memories.privacy import erasure
from memories.repository import memories, transcripts
from memories.shapes import Memory
from omi.accounts import revocation, tokens
from omi.core.errors import ErrorKind, ProviderError
from omi.core.providers import one
from omi.stores import audio
from omi.stores.documents import documents
from omi.stores.documents.base import AlreadyExists
from omi.stores.models import LocalDocument, LocalVector

pytestmark = pytest.mark.django_db
Furnish = Callable[[str, str], Memory]


def everything_about(text: str, folder: Path) -> list[str]:
    """Every row of every table and every file in which the text stands."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            columns = [item.name for item in connection.introspection.get_table_description(cursor, table)]
            where = " OR ".join(f'CAST("{column}" AS TEXT) LIKE %s' for column in columns)
            cursor.execute(f'SELECT COUNT(*) FROM "{table}" WHERE {where}', [f"%{text}%"] * len(columns))
            found += [f"table {table}"] * cursor.fetchone()[0]
    for parent, _, files in os.walk(folder):
        found += [f"file {parent}/{file}" for file in files if text.encode() in Path(parent, file).read_bytes()]
    return found


def test_a_deleted_memory_leaves_nothing_anywhere_and_its_neighbours_everything(
    furnish: Furnish, tmp_path: Path
) -> None:
    """A fault of the original: vectors, recording, photos, transcripts and emotions stayed."""
    furnish("ana", "memory-to-go")
    furnish("ana", "memory-to-stay")
    receipt = erasure.erase_memory("ana", "memory-to-go")
    assert receipt.complete
    assert receipt.failed == {}
    assert (receipt.erased["vectors"], receipt.erased["audio"], receipt.erased["events"]) == (1, 2, 1)
    assert receipt.erased["documents"] == 1 + 1 + 2 + 1 + 1  # processing memory, memory, transcripts, photo, emotions
    tables = {item for item in everything_about("memory-to-go", tmp_path) if item.startswith("table")}
    # Their rows say only that an audio object or a person was there; neither has a part in the memory's content.
    assert tables <= {"table stores_audioobject", "table memories_personrow", "table stores_localdocument"}
    assert not LocalDocument.objects.filter(path__contains="memories/memory-to-go").exists()
    assert not LocalVector.objects.filter(vector_id="ana-memory-to-go").exists()
    assert len(transcripts.list_transcripts("ana", "memory-to-stay")) == 2
    assert LocalVector.objects.filter(vector_id="ana-memory-to-stay").exists()
    assert len(audio.for_memory("ana", "memory-to-stay")) == 2


def test_a_deleted_account_leaves_nothing_anywhere_and_other_users_everything(furnish: Furnish, tmp_path: Path) -> None:
    """A fault of the original: deleting the account deleted nothing."""
    furnish("user-who-goes", "m1")
    furnish("user-who-goes-not", "m2")
    receipt = erasure.erase_user("user-who-goes")
    assert receipt.complete
    assert erasure.verify_user_erased("user-who-goes") == {}
    # Whoever looks for the one finds the other, too: what is left is what is found more often.
    left = Counter(everything_about("user-who-goes", tmp_path))
    left.subtract(everything_about("user-who-goes-not", tmp_path))
    assert {table for table, count in left.items() if count} <= {"table stores_audioobject"}
    assert memories.get_memory("user-who-goes-not", "m2").structured.title == "Secret title"
    assert sum(erasure.verify_user_erased("user-who-goes-not").values()) > 8
    audio_left = list((tmp_path / "audio").iterdir())
    assert len(audio_left) == 2


def test_an_erased_account_is_not_remembered_as_signed_out_and_its_tokens_stay_refused(
    furnish: Furnish, tmp_path: Path
) -> None:
    """The row of a sign-out names the user."""
    furnish("user-who-goes", "m1")
    client = Client(headers={"Authorization": f"Bearer {tokens.mint('user-who-goes')}"})
    revocation.sign_out("user-who-goes", reason="a lost phone")
    assert erasure.verify_user_erased("user-who-goes")["sign_outs"] == 1
    erasure.erase_user("user-who-goes")
    assert erasure.verify_user_erased("user-who-goes") == {}
    assert set(everything_about("user-who-goes", tmp_path)) <= {"table stores_audioobject"}
    assert client.get("/v1/memories").status_code == 401


def test_what_was_used_in_a_day_and_paid_outside_of_runs_is_searched_for_and_erased(furnish: Furnish) -> None:
    furnish("ana", "m1")
    budgets.spend("ana", runs=1, searches=1)
    with records.outside("ana", "openai", "embed_query", remote=True):
        pass
    found = erasure.verify_user_erased("ana")
    assert (found["use"], found["calls"]) == (2, 1)
    erasure.erase_user("ana")
    assert erasure.verify_user_erased("ana") == {}


def test_verification_looks_into_the_stores_themselves(furnish: Furnish) -> None:
    """A store that says that it deleted but did not is found out."""
    furnish("ana", "m")
    name = audio.for_memory("ana", "m", "recording")[0].name
    erasure.erase_user("ana")
    audio.storage().save(name, __import__("django.core.files.base", fromlist=["ContentFile"]).ContentFile(b"back"))
    one("documents").create("users/ana/facts/f1", {"x": 1})
    assert erasure.verify_user_erased("ana") == {"audio": 1, "documents": 2 - 1}


def test_a_stranger_erases_nothing(furnish: Furnish) -> None:
    furnish("owner", "m")
    with pytest.raises(memories.MemoryNotFound):
        erasure.erase_memory("stranger", "m")
    assert memories.get_memory("owner", "m")


def test_an_erased_memory_is_never_made_again(furnish: Furnish) -> None:
    made = furnish("ana", "m")
    erasure.erase_memory("ana", "m")
    with pytest.raises(AlreadyExists):
        memories.create_memory("ana", made)
    with pytest.raises(memories.MemoryNotFound):
        erasure.erase_memory("ana", "m")
    assert memories.create_memory("another", made).id == "m"


def test_a_store_that_is_down_keeps_no_other_from_its_work_and_is_taken_up_again(
    furnish: Furnish, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish("ana", "m")
    store = one("vectors")

    def down(*_: Any, **__: Any) -> None:
        raise ProviderError("vectors", "down", kind=ErrorKind.TRANSIENT, code="503")

    with monkeypatch.context() as patch:
        patch.setattr(store, "delete_where", down)
        receipt = erasure.erase_memory("ana", "m")
    assert not receipt.complete
    assert receipt.failed == {"vectors": "503"}
    assert audio.for_memory("ana", "m") == []
    with pytest.raises(memories.MemoryNotFound):
        memories.get_memory("ana", "m")  # nobody finds it, though not all of it is gone
    row = ErasureReceipt.objects.get()
    assert (row.uid, row.memory_id) == ("ana", "m")
    assert erasure.finish_pending() >= 1
    row.refresh_from_db()
    assert row.complete
    assert (row.uid, row.memory_id, row.failed) == ("", "", {})
    assert not LocalDocument.objects.filter(path__contains="memories/m").exists()
    assert erasure.finish_pending() == 0


def test_a_receipt_names_nobody(furnish: Furnish) -> None:
    furnish("ana@example", "m")
    erasure.erase_user("ana@example")
    assert "ana" not in json.dumps(list(ErasureReceipt.objects.values()), default=str)


def test_a_memory_can_be_restored_for_as_long_as_the_deployment_says_and_is_then_gone(
    furnish: Furnish, settings: Any
) -> None:
    settings.OMI_RESTORE_DAYS = 7
    furnish("ana", "m")
    receipt = erasure.erase_memory("ana", "m")
    assert receipt.restorable_until is not None
    assert receipt.restorable_until > datetime.now(UTC) + timedelta(days=6)
    assert not LocalVector.objects.exists()
    assert erasure.finish_pending() == 0
    with pytest.raises(memories.MemoryNotFound):
        erasure.restore_memory("stranger", "m")
    erasure.restore_memory("ana", "m")
    assert memories.get_memory("ana", "m").transcript_segments[0].text == "secret words"
    with pytest.raises(memories.MemoryNotFound):
        erasure.restore_memory("ana", "m")
    erasure.erase_memory("ana", "m")
    MemoryRow.objects.update(deleted_at=datetime.now(UTC) - timedelta(days=8))
    assert erasure.finish_pending() == 1
    with pytest.raises(memories.MemoryNotFound):
        erasure.restore_memory("ana", "m")
    assert not LocalDocument.objects.filter(path__contains="memories/m").exists()


def test_a_damaged_memory_is_its_owners_to_delete(furnish: Furnish, client: Client) -> None:
    """A transcript that cannot be unpacked made DELETE answer 500, for ever."""
    furnish("ana", "m")
    documents().update("users/ana/memories/m", {"transcript_segments": b"not what it should be"})
    headers = {"Authorization": f"Bearer {tokens.mint('ana')}"}
    assert client.get("/v1/memories/m", headers=headers).status_code == 500
    assert client.delete("/v1/memories/m", headers=headers).status_code == 204
    assert ErasureReceipt.objects.get().complete
    assert not LocalDocument.objects.filter(path__contains="memories/m").exists()
    assert not MemoryRow.objects.exists()


def test_a_damaged_memory_can_be_hidden_and_goes_when_its_time_is_over(furnish: Furnish, settings: Any) -> None:
    settings.OMI_RESTORE_DAYS = 7
    furnish("ana", "m")
    documents().update("users/ana/memories/m", {"transcript_segments": b"not what it should be"})
    assert erasure.erase_memory("ana", "m").restorable_until
    with pytest.raises(memories.MemoryNotFound):
        erasure.erase_memory("ana", "m")
    MemoryRow.objects.update(deleted_at=datetime.now(UTC) - timedelta(days=8))
    assert erasure.finish_pending() == 1
    assert not LocalDocument.objects.filter(path__contains="memories/m").exists()


@pytest.mark.parametrize("what", ["memory", "user"])
def test_what_the_originals_server_made_of_memories_goes_too(furnish: Furnish, what: str) -> None:
    """A fault of the original: facts, trends and tasks stayed."""
    furnish("ana", "m")
    store = documents()
    store.create("tasks/1", {"user_uid": "ana", "memory_id": "m", "status": "done"})
    store.create("tasks/2", {"user_uid": "ben", "memory_id": "m", "status": "done"})
    store.create("users/ana/facts/1", {"content": "Ana likes boats", "memory_id": "m"})
    store.create("users/ana/facts/2", {"content": "Ana likes trains", "memory_id": "another"})
    store.create("trends/ceo", {"type": "best"})
    store.create("trends/ceo/topics/x", {"topic": "x", "memory_ids": ["m", "of-ben"]})
    receipt = erasure.erase_memory("ana", "m") if what == "memory" else erasure.erase_user("ana")
    assert receipt.complete
    assert receipt.erased["originals"] == (3 if what == "memory" else 2)
    assert store.document_ids("users/ana/facts") == (["2"] if what == "memory" else [])
    assert store.document_ids("tasks") == ["2"]
    topic = store.get("trends/ceo/topics/x")
    assert topic is not None
    assert topic.data == {"topic": "x", "memory_ids": ["of-ben"]}


def test_a_task_of_the_originals_is_found_by_the_search_for_what_is_left(furnish: Furnish) -> None:
    erasure.erase_user("ana")
    documents().create("tasks/1", {"user_uid": "ana", "memory_id": "m"})
    assert erasure.verify_user_erased("ana") == {"originals": 1}


def test_the_consoles_history_keeps_the_act_and_names_nobody(furnish: Furnish, tmp_path: Path) -> None:
    from django.contrib.admin.models import CHANGE, LogEntry
    from django.contrib.auth import get_user_model
    from django.contrib.contenttypes.models import ContentType

    furnish("user-who-goes", "m")
    row = MemoryRow.objects.get()
    staff = get_user_model().objects.create_user("staff")
    LogEntry.objects.create(
        user=staff, content_type=ContentType.objects.get_for_model(MemoryRow), object_id=str(row.pk),
        object_repr=str(row), action_flag=CHANGE, change_message="Transcript revealed. Reason: user-who-goes called",
    )  # fmt: skip
    assert erasure.verify_user_erased("user-who-goes")["console"] == 1
    erasure.erase_user("user-who-goes")
    assert set(everything_about("user-who-goes", tmp_path)) <= {"table stores_audioobject"}
    entry = LogEntry.objects.get()
    assert (entry.user, entry.change_message, entry.object_repr) == (staff, "Transcript revealed.", "erased")


def test_what_runs_keep_of_an_erased_memory_says_nothing_of_it(furnish: Furnish) -> None:
    furnish("ana", "m")
    run = service.start(
        "postprocess", "ana", "m", actor="test", reason="what I said to Ben", idempotency_key="user:talk with Ben"
    )
    VendorCall.objects.create(
        run=run, step="transcribe", fence=1, vendor="nobody", operation="poll", request_key="k", reference="job-7",
        started_at=datetime.now(UTC),
    )  # fmt: skip
    erasure.erase_memory("ana", "m")
    kept = json.dumps([*PostProcessingRun.objects.values(), *VendorCall.objects.values()], default=str)
    assert "Ben" not in kept
    assert "job-7" not in kept


def test_a_journal_that_cannot_be_removed_keeps_the_receipt_open(
    furnish: Furnish, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transcription import journal
    from transcription.journal import store

    folder = store.user_folder("ana") / "session"
    folder.mkdir(parents=True)
    (folder / "audio").write_bytes(b"voice")  # no meta.json: nobody's session, and still the user's voice
    assert erasure.verify_user_erased("ana") == {"journals": 1}

    def refuses(*_: Any, **__: Any) -> None:
        raise PermissionError("read-only")

    with monkeypatch.context() as patch:
        patch.setattr(store.shutil, "rmtree", refuses)
        receipt = erasure.erase_user("ana")
    assert not receipt.complete
    assert list(receipt.failed) == ["journals"]
    assert erasure.finish_pending() == 1
    assert journal.remaining("ana") == 0


def test_the_command_erases_and_proves_it(furnish: Furnish) -> None:
    furnish("ana", "m")
    with pytest.raises(CommandError, match="documents"):
        call_command("erase_user", "ana", verify=True)
    out = StringIO()
    call_command("erase_user", "ana", yes=True, stdout=out)
    assert "nothing of this user is left" in out.getvalue()
    call_command("erase_user", "ana", verify=True, stdout=out)
