"""Production needs a composite index for each query shape; the emulator does not ask for one. So the shapes are held
against ``firestore.indexes.json`` here."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from memories.labels import store as labels
from memories.mirror import compare
from memories.privacy import erasure, export, person_forgetting
from memories.repository import emotions, memories, processing, transcripts
from memories.shapes import Memory
from memories.templates import store as templates
from omi.core.providers import one
from omi.stores.documents.base import OrderBy, Where
from omi.stores.documents.compare import full_order
from speakers import people

ROOT = Path(__file__).resolve().parents[2]
Shape = tuple[str, tuple[str, ...], tuple[tuple[str, bool], ...]]

QUERYING = {
    "memories/labels/store.py",
    "memories/templates/store.py",
    "memories/repository/live_segments.py",
    "memories/repository/memories.py",
    "memories/repository/photos.py",
    "memories/repository/processing.py",
    "memories/repository/transcripts.py",
    "memories/repository/emotions.py",
    "memories/mirror/compare_parts.py",
    "memories/mirror/compare.py",
    "memories/privacy/erasure_parts.py",
    "memories/privacy/export.py",
    "memories/privacy/person_forgetting.py",
    "speakers/people.py",
}
"""Modules that query or count documents. A new one must be exercised below."""

NO_DOCUMENTS = {"memories/search/query.py"}
"""Calls of ``query`` that ask the vectors."""


def test_the_list_of_modules_that_query_is_complete() -> None:
    """Whatever the store is called there: every call of a method ``query``, and of ``count`` with an argument."""
    found = set()
    for room in ("omi", "memories", "transcription", "speakers", "emotions"):
        for file in (ROOT / room).rglob("*.py"):
            if "stores" in file.relative_to(ROOT).parts:
                continue
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    counts = node.func.attr == "count" and "documents()" in ast.unparse(node.func)
                    if node.func.attr == "query" or counts:
                        found.add(str(file.relative_to(ROOT)))
    assert found - NO_DOCUMENTS == QUERYING


@pytest.mark.django_db
def test_every_query_has_its_index(monkeypatch: pytest.MonkeyPatch, furnish: Callable[[str, str], Memory]) -> None:
    shapes: set[Shape] = set()
    asked: set[str] = set()
    store = one("documents")

    def watched(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(collection: str, *, where: Sequence[Where] = (), order_by: Sequence[OrderBy] = (), **rest: Any) -> Any:
            frame = sys._getframe(1)
            asked.add(str(Path(frame.f_code.co_filename).relative_to(ROOT)))
            equal = tuple(sorted(item.field for item in where if item.op == "=="))
            order = tuple((item.field, item.descending) for item in full_order(where, order_by))
            shapes.add((collection.rsplit("/", 1)[-1], equal, order))
            more = {"order_by": order_by} if order_by else {}
            return method(collection, where=where, **more, **rest)

        return call

    monkeypatch.setattr(store, "query", watched(store.query))
    monkeypatch.setattr(store, "count", watched(store.count))
    furnish("u", "m")
    now = datetime.now(UTC)
    memories.list_memories("u")
    memories.list_memories("u", include_discarded=False)
    memories.list_memories("u", include_discarded=False, since=now, until=now)
    memories.get_memory("u", "m")
    processing.latest_open("u", "phone")
    processing.latest_open("u", None)
    processing.of_device("u", "phone", until=datetime.now(UTC), limit=5)
    emotions.load_emotions("u", "m")
    transcripts.list_versions("u", "m", "fal_whisperx")
    people.list_people("u")
    labels.listed("u")
    templates.own("u")
    person_forgetting.forget("u", "nobody")
    list(compare.check_user("u"))
    compare.check_sample()
    export.export_user("u").read()
    erasure.erase_memory("u", "m")
    erasure.erase_user("u")
    assert asked == QUERYING
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
