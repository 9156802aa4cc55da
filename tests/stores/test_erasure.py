"""Erased means erased: every store is searched by itself, not through the rows that spoke of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from memories import erasure
from memories.models import ErasureReceipt, MemoryRow
from memories.repository import memories, transcripts
from memories.shapes import Memory
from omi.errors import ErrorKind, ProviderError
from omi.providers import one
from omi.stores import audio
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
    """omi-protocol 4.3 no. 71 and 72: vectors, recording, photos, transcripts and emotions stayed."""
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
    """omi-protocol 4.3 no. 72: deleting the account deleted nothing."""
    furnish("user-who-goes", "m1")
    furnish("user-who-goes-not", "m2")
    receipt = erasure.erase_user("user-who-goes")
    assert receipt.complete
    assert erasure.verify_user_erased("user-who-goes") == {}
    left = [
        item
        for item in everything_about("user-who-goes", tmp_path)
        if item not in everything_about("user-who-goes-not", tmp_path)
    ]
    assert left in ([], ["table stores_audioobject"] * len(left))
    assert memories.get_memory("user-who-goes-not", "m2").structured.title == "Secret title"
    assert sum(erasure.verify_user_erased("user-who-goes-not").values()) > 8
    audio_left = list((tmp_path / "audio").iterdir())
    assert len(audio_left) == 2


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


def test_the_command_erases_and_proves_it(furnish: Furnish) -> None:
    furnish("ana", "m")
    with pytest.raises(CommandError, match="documents"):
        call_command("erase_user", "ana", verify=True)
    out = StringIO()
    call_command("erase_user", "ana", yes=True, stdout=out)
    assert "nothing of this user is left" in out.getvalue()
    call_command("erase_user", "ana", verify=True, stdout=out)
