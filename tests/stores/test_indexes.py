"""Production needs a composite index for each query shape; the emulator does not ask for one. So the shapes are held
against ``firestore.indexes.json`` here."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from memories.repository import emotions, memories, processing, transcripts
from omi.providers import one
from omi.stores.documents.base import OrderBy, Where
from omi.stores.documents.compare import full_order

ROOT = Path(__file__).resolve().parents[2]
Shape = tuple[str, tuple[str, ...], tuple[tuple[str, bool], ...]]

QUERYING = {
    "memories/repository/memories.py",
    "memories/repository/processing.py",
    "memories/repository/transcripts.py",
    "memories/repository/emotions.py",
    "memories/mirror_check.py",
    "speakers/people.py",
}
"""Modules that query documents. A new one must be exercised below, or only read whole collections."""


def test_the_list_of_modules_that_query_is_complete() -> None:
    found = set()
    for room in ("omi", "memories", "transcription", "speakers", "emotions"):
        for file in (ROOT / room).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            if "stores/documents" not in str(file) and re.search(r"documents\(\)\s*\.query\(|documents\.query\(", text):
                found.add(str(file.relative_to(ROOT)))
    assert found <= QUERYING, f"these query documents too: {found - QUERYING}"


@pytest.mark.django_db
def test_every_query_has_its_index(monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import UTC, datetime

    shapes: set[Shape] = set()
    store = one("documents")
    query = store.query

    def recorded(collection: str, *, where: Sequence[Where] = (), order_by: Sequence[OrderBy] = (), **rest: Any) -> Any:
        equal = tuple(sorted(item.field for item in where if item.op == "=="))
        order = tuple((item.field, item.descending) for item in full_order(where, order_by))
        shapes.add((collection.rsplit("/", 1)[-1], equal, order))
        return query(collection, where=where, order_by=order_by, **rest)

    monkeypatch.setattr(store, "query", recorded)
    now = datetime.now(UTC)
    memories.list_memories("u")
    memories.list_memories("u", include_discarded=False)
    memories.list_memories("u", include_discarded=False, since=now, until=now)
    processing.latest_open("u", "phone")
    processing.latest_open("u", None)
    emotions.load_emotions("u", "m")
    transcripts.list_versions("u", "m", "fal_whisperx")
    assert len(shapes) >= 5
    indexes = _indexes()
    for collection, equal, order in shapes:
        if equal and order:
            assert (collection, equal, order) in indexes, f"no index for {collection} {equal} {order}"
        else:
            assert len(order) <= 1, "several orders need a composite index"


def test_every_index_is_used_for_newest_first() -> None:
    assert {(name, equal) for name, equal, _ in _indexes()} == {
        ("memories", ("deleted",)), ("memories", ("deleted", "discarded")), ("processing_memories", ("device_id",)),
    }  # fmt: skip


def test_clients_reach_no_document() -> None:
    rules = (ROOT / "firestore.rules").read_text()
    assert re.findall(r"allow [^;]*;", rules) == ["allow read, write: if false;"]


def _indexes() -> set[Shape]:
    told = json.loads((ROOT / "firestore.indexes.json").read_text())["indexes"]
    found = set()
    for index in told:
        fields = [(item["fieldPath"], item["order"] == "DESCENDING") for item in index["fields"]]
        # The last field is the order; those before are compared for equality.
        found.add((index["collectionGroup"], tuple(sorted(name for name, _ in fields[:-1])), (fields[-1],)))
    return found
