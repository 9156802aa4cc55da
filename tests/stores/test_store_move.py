"""``manage.py migrate_store``: everything is copied, compared both ways, and goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage
from django.core.management import CommandError, call_command

from memories.mirror import move
from memories.models import MirrorProgress
from memories.shapes import Memory
from omi.core.providers import one
from omi.stores import audio
from omi.stores.documents.base import Document
from omi.stores.vectors.local import LocalVectors

pytestmark = pytest.mark.django_db
Furnish = Callable[[str, str], Memory]


class Empty:
    """A new store: as much of the documents port as a move asks of its target."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}

    def get(self, path: str) -> Document | None:
        now = datetime.now(UTC)
        return Document(path, self.data[path], "", now, now) if path in self.data else None

    def set(self, path: str, data: Any) -> Any:
        self.data[path] = data

    def create(self, path: str, data: Any) -> Any:
        self.data[path] = data

    def delete(self, path: str, *, recursive: bool = False) -> None:
        self.data = {
            name: value
            for name, value in self.data.items()
            if name != path and not (recursive and name.startswith(f"{path}/"))
        }

    def collections(self, path: str) -> list[str]:
        return self._below(path)

    def document_ids(self, collection: str) -> list[str]:
        return self._below(collection)

    def _below(self, path: str) -> list[str]:
        start = f"{path}/"
        return sorted({name.removeprefix(start).split("/")[0] for name in self.data if name.startswith(start)})


class Elsewhere(LocalVectors):
    """Another index, in another corner of the same table."""

    written: list[int]

    def __init__(self) -> None:
        super().__init__()
        self.written = []

    def upsert(self, vectors: Any, *, namespace: str) -> None:
        self.written.append(len(vectors))
        super().upsert(vectors, namespace=f"else-{namespace}")

    def fetch(self, ids: Any, *, namespace: str) -> Any:
        return super().fetch(ids, namespace=f"else-{namespace}")

    def delete(self, ids: Any, *, namespace: str) -> None:
        super().delete(ids, namespace=f"else-{namespace}")

    def list_ids(self, *, prefix: str = "", namespace: str) -> Iterator[str]:
        return super().list_ids(prefix=prefix, namespace=f"else-{namespace}")


def paths(store: Any) -> set[str]:
    return {document.path for root in move.ROOTS for name in store.document_ids(root)
            for document in move.tree(store, f"{root}/{name}")}  # fmt: skip


def test_documents_of_every_root_arrive_and_are_compared_both_ways(furnish: Furnish) -> None:
    """The roots were walked as "users, tasks, trends" and skipped by order: no task was ever copied."""
    furnish("ana", "m")
    source, target = one("documents"), Empty()
    source.create("tasks/t1", {"user_uid": "ana"})
    source.create("trends/x/topics/y", {"memory_ids": ["m"]})
    report = move.move_documents(source, target, job="test")
    assert (report.different, report.extra) == ([], [])
    assert report.moved == 10
    assert paths(target) == paths(source)
    source.delete("users/ana/memories/m", recursive=True)
    target.create("users/stranger", {"n": 1})
    report = move.move_documents(source, target, job="test")
    assert "users/ana/memories/m" in report.extra  # erased meanwhile: it must not live on in the copy
    assert "users/stranger" in report.extra
    assert move.move_documents(source, target, job="test", prune=True).extra == []
    assert paths(target) == paths(source)
    assert not MirrorProgress.objects.exists()


def test_a_move_that_was_stopped_goes_on_and_a_copy_that_fails_is_told(furnish: Furnish) -> None:
    for uid in ("ana", "ben", "cem"):
        furnish(uid, "m")
    source, target = one("documents"), Empty()
    seen: list[str] = []

    class Stops(Empty):
        def set(self, path: str, data: Any) -> Any:
            if path == "users/ben" and not seen:
                seen.append(path)
                raise KeyboardInterrupt
            return super().set(path, data)

    with pytest.raises(KeyboardInterrupt):
        move.move_documents(source, Stops(), job="test")
    assert MirrorProgress.objects.get().position == "users/ana"
    assert move.move_documents(source, target, job="test").moved == 16
    assert not any(path.startswith("users/ana") for path in paths(target))  # done before the stop

    class Loses(Empty):
        def set(self, path: str, data: Any) -> Any:
            return super().set(path, data) if path != "users/ana" else None

    assert move.move_documents(source, Loses(), job="test").different == ["users/ana"]


def test_vectors_that_are_the_same_are_not_written_again(furnish: Furnish) -> None:
    for number in range(3):
        furnish("ana", f"m{number}")
    source, target = LocalVectors(), Elsewhere()
    for _ in range(2):
        assert move.move_vectors(source, target, "ns1").moved == 3
    assert target.written == [3, 0]
    assert move.compare_vectors(source, target, "ns1") == move.Report(moved=3)
    source.delete(["ana-m0"], namespace="ns1")
    target.delete(["ana-m1"], namespace="ns1")
    report = move.compare_vectors(source, target, "ns1")
    assert (report.different, report.extra) == (["ana-m1"], ["ana-m0"])
    move.compare_vectors(source, target, "ns1", prune=True)
    assert list(target.list_ids(namespace="ns1")) == ["ana-m2"]


def test_audio_is_copied_and_read_back(furnish: Furnish, tmp_path: Path) -> None:
    furnish("ana", "m")
    audio.put("ana", "recording", b"", memory_id="m", keep_for=None)
    source, target = audio.storage(), FileSystemStorage(location=tmp_path / "other")
    whole, damaged, empty = audio.for_memory("ana", "m")
    target.save(damaged.name, BytesIO(b"cut off"))
    report = move.move_audio(source, target, job="test")
    assert (report.moved, report.different) == (3, [])
    assert [target.open(row.name).read() for row in (whole, damaged, empty)] == [b"secret voice"] * 2 + [b""]
    source.delete(whole.name)
    target.delete(whole.name)
    assert move.move_audio(source, target, job="test").different == [whole.name]


def test_the_command_moves_audio_to_the_bucket_and_back(
    furnish: Furnish, gcs_url: str, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_url)
    settings.OMI_AUDIO_BUCKET, settings.GOOGLE_CLOUD_PROJECT = "omi-audio", "demo-move"
    furnish("ana", "m")
    out = StringIO()
    call_command("migrate_store", source="local", target="gcs", stdout=out)
    for row in audio.for_memory("ana", "m"):
        Path(audio.storage().path(row.name)).unlink()
    call_command("migrate_store", source="gcs", target="local", stdout=out)
    assert out.getvalue().count("2 audio objects copied and compared") == 2
    assert [audio.open(row).read() for row in audio.for_memory("ana", "m")] == [b"secret voice"] * 2


def test_the_command_refuses_stores_of_different_kinds() -> None:
    with pytest.raises(CommandError, match="not stores of one kind"):
        call_command("migrate_store", source="firestore", target="pinecone")
    with pytest.raises(CommandError, match="the same"):
        call_command("migrate_store", source="local", target="local")
