"""Moving documents and vectors from one store to another, with a comparison of every one afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from memories.models import MirrorProgress
from omi.stores.documents.base import Document, Documents
from omi.stores.vectors.base import Vectors

PAGE = 100
ROOTS = ("users", "tasks", "trends")
"""Top-level collections of an Omi project (omi-protocol 3.4)."""


@dataclass(slots=True)
class Report:
    """``different``: paths or ids that are not the same on both sides after the move (should be none)."""

    documents: int = 0
    vectors: int = 0
    different: list[str] = field(default_factory=list)


def move_documents(
    source: Documents, target: Documents, *, job: str, tick: Callable[[], None] = lambda: None
) -> Report:
    """Copy and compare every document, those of missing parents too. A stopped move goes on behind the last root."""
    progress, _ = MirrorProgress.objects.get_or_create(job=job)
    report = Report()
    for root in ROOTS:
        for identity in source.document_ids(root):
            top = f"{root}/{identity}"
            if top <= progress.position:
                continue
            for document in tree(source, top):
                target.set(document.path, document.data)
                copied = target.get(document.path)
                if copied is None or copied.data != document.data:
                    report.different.append(document.path)
                report.documents += 1
                tick()
            progress.position, progress.done = top[:500], progress.done + 1
            progress.save()
    progress.delete()
    return report


def move_vectors(
    source: Vectors, target: Vectors, namespace: str, *, tick: Callable[[], None] = lambda: None
) -> Report:
    """Copy every vector of a namespace. Compared by ``compare_vectors``, once the target shows what was written."""
    report = Report()
    for part in _pages(source.list_ids(namespace=namespace)):
        found = source.fetch(part, namespace=namespace)
        target.upsert(list(found.values()), namespace=namespace)
        report.vectors += len(found)
        tick()
    return report


def compare_vectors(source: Vectors, target: Vectors, namespace: str) -> list[str]:
    """Ids that are missing in the target or differ there (beyond the rounding of float32)."""
    different = []
    for part in _pages(source.list_ids(namespace=namespace)):
        ours, theirs = source.fetch(part, namespace=namespace), target.fetch(part, namespace=namespace)
        for identity, vector in ours.items():
            copy = theirs.get(identity)
            if (
                copy is None
                or copy.metadata != vector.metadata
                or not np.allclose(copy.values, vector.values, atol=1e-6)
            ):
                different.append(identity)
    return different


def tree(store: Documents, path: str) -> Iterator[Document]:
    found = store.get(path)
    if found is not None:
        yield found
    for name in store.collections(path):
        for identity in store.document_ids(f"{path}/{name}"):
            yield from tree(store, f"{path}/{name}/{identity}")


def _pages(ids: Iterator[str]) -> Iterator[list[str]]:
    page: list[Any] = []
    for identity in ids:
        page.append(identity)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page
