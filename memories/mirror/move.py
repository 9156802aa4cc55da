"""Moving documents, vectors and audio from one store to another, compared both ways afterwards.

What is only in the target (erased in the source since an earlier move, or never ours) is told, and removed where the
caller says so. A move that was stopped goes on behind the last root or object; done again, it writes what differs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.core.files.base import File
from django.core.files.storage import Storage

from memories.mirror.models import MirrorProgress
from omi.core.batches import batches
from omi.stores import damaged
from omi.stores.documents.base import Document, Documents, Unreadable
from omi.stores.models import AudioObject
from omi.stores.vectors.base import Vectors

PAGE = 100
ROOTS = ("tasks", "trends", "users")
"""Top-level collections of an Omi project, in order: a stopped move knows by it what is done."""

Tick = Callable[[], None]


@dataclass(slots=True)
class Report:
    """What a move of a store did. ``different``: paths, ids or names that are not the same in the target. ``extra``:
    only there."""

    moved: int = 0
    different: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)


def move_documents(
    source: Documents, target: Documents, *, job: str, prune: bool = False, tick: Tick = lambda: None
) -> Report:
    """Copy and compare every document, those of missing parents too."""
    progress, _ = MirrorProgress.objects.get_or_create(job=job)
    report = Report()
    for root in ROOTS:
        ours = source.document_ids(root)
        for identity in ours:
            top = f"{root}/{identity}"
            if top > progress.position:
                _move_tree(source, target, top, report, prune, tick)
                progress.position, progress.done = top[:500], progress.done + 1
                progress.save()
        for identity in sorted(set(target.document_ids(root)) - set(ours)):
            _extra(target, f"{root}/{identity}", report, prune)
    progress.delete()
    return report


def _move_tree(source: Documents, target: Documents, top: str, report: Report, prune: bool, tick: Tick) -> None:
    moved = set()
    for document in tree(source, top, report.different):
        copied = target.get(document.path)
        if copied is None or copied.data != document.data:
            target.set(document.path, document.data)
            copied = target.get(document.path)
        if copied is None or copied.data != document.data:
            report.different.append(document.path)
        moved.add(document.path)
        report.moved += 1
        tick()
    for document in list(tree(target, top, report.different)):
        if document.path not in moved:
            _extra(target, document.path, report, prune, recursive=False)


def _extra(target: Documents, path: str, report: Report, prune: bool, *, recursive: bool = True) -> None:
    if prune:
        target.delete(path, recursive=recursive)
    else:
        report.extra.append(path)


def move_vectors(source: Vectors, target: Vectors, namespace: str, *, tick: Tick = lambda: None) -> Report:
    """Copy the vectors of a namespace that are not the same in the target. Compared by ``compare_vectors``, once the
    target shows what was written."""
    report = Report()
    for part in batches(source.list_ids(namespace=namespace), PAGE):
        ours, theirs = source.fetch(part, namespace=namespace), target.fetch(part, namespace=namespace)
        target.upsert([item for name, item in ours.items() if not _same(item, theirs.get(name))], namespace=namespace)
        report.moved += len(ours)
        tick()
    return report


def compare_vectors(source: Vectors, target: Vectors, namespace: str, *, prune: bool = False) -> Report:
    """Return the ids that are missing in the target or differ there (beyond the rounding of float32), and those only
    there."""
    report = Report()
    for part in batches(source.list_ids(namespace=namespace), PAGE):
        ours, theirs = source.fetch(part, namespace=namespace), target.fetch(part, namespace=namespace)
        report.different += [name for name, item in ours.items() if not _same(item, theirs.get(name))]
        report.moved += len(ours)
    for part in batches(target.list_ids(namespace=namespace), PAGE):
        extra = sorted(set(part) - source.fetch(part, namespace=namespace).keys())
        if extra and prune:
            target.delete(extra, namespace=namespace)
        elif extra:
            report.extra += extra
    return report


def move_audio(source: Storage, target: Storage, *, job: str, tick: Tick = lambda: None) -> Report:
    """Copy the bytes of every live audio object and read them back: they must have the digest of its row."""
    progress, _ = MirrorProgress.objects.get_or_create(job=job)
    report = Report()
    rows = AudioObject.objects.filter(deleted_at__isnull=True, complete=True, pk__gt=int(progress.position or 0))
    for row in rows.order_by("pk").iterator(PAGE):
        if not _holds(target, row):
            if target.exists(row.name):
                target.delete(row.name)
            if source.exists(row.name):
                with source.open(row.name, "rb") as content:
                    target.save(row.name, File(content, name=row.name))
            if not _holds(target, row):
                report.different.append(row.name)
        report.moved += 1
        progress.position, progress.done = str(row.pk), progress.done + 1
        progress.save()
        tick()
    progress.delete()
    return report


def tree(store: Documents, path: str, unreadable: list[str] | None = None) -> Iterator[Document]:
    """A document, if it is there, and everything below it; paths of damaged ones are added to ``unreadable``."""
    try:
        found = store.get(path)
    except Unreadable as error:
        damaged.report(path, error)
        if unreadable is not None:
            unreadable.append(path)
        found = None
    if found is not None:
        yield found
    for name in store.collections(path):
        for identity in store.document_ids(f"{path}/{name}"):
            yield from tree(store, f"{path}/{name}/{identity}", unreadable)


def _holds(storage: Storage, row: AudioObject) -> bool:
    if not storage.exists(row.name) or storage.size(row.name) != row.size:
        return False
    digest = hashlib.sha256()
    if row.size:  # a resumable download of nothing confuses clients of Cloud Storage
        with storage.open(row.name, "rb") as content:
            for piece in content.chunks(1024 * 1024):
                digest.update(piece)
    return digest.hexdigest() == row.sha256


def _same(vector: Any, copy: Any) -> bool:
    return (
        copy is not None
        and copy.metadata == vector.metadata
        and len(copy.values) == len(vector.values)
        and np.allclose(copy.values, vector.values, atol=1e-6)
    )
