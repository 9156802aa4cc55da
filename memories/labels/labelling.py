"""Putting a memory into a folder and tagging it; taking labels off again, also where the label is deleted."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import structlog

from memories.document_parts import MOST_TAGS
from memories.labels import store
from memories.mirror import rows
from memories.mirror.models import MemoryRow
from memories.pipeline.engine import queue
from memories.repository import memories as repository
from memories.repository.large import Unreadable
from memories.shapes import Memory
from omi.accounts.erased import Fence
from omi.core.errors import ProviderError

log = structlog.get_logger(__name__)

CLEAR: Final = "memories.labels.labelling.clear"
CLEARED_AT_ONCE: Final = 50
"""Memories that a request takes a deleted label off; a worker does the rest, so many at a time."""


class TooManyTags(Exception):
    """A memory bears ``MOST_TAGS`` tags at most (422)."""


def put(uid: str, memory_id: str, given: dict[str, Any], *, fence: Fence) -> Memory:
    """Set ``folder_id`` (None: no folder) and ``tag_ids`` of a memory, as far as they are given.

    Raises MemoryNotFound, LabelNotFound, TooManyTags and what ``fence`` raises.
    """
    tags = None if given.get("tag_ids") is None else list(dict.fromkeys(given["tag_ids"]))
    if tags is not None and len(tags) > MOST_TAGS:
        raise TooManyTags
    repository.require(uid, memory_id)
    known = {label.id: label.kind for label in store.listed(uid)}
    _checked(known, "folder", [given["folder_id"]] if given.get("folder_id") else [])
    _checked(known, "tag", tags or [])

    def change(memory: Memory) -> dict[str, Any]:
        wanted: dict[str, Any] = {} if tags is None else {"tag_ids": tags}
        if "folder_id" in given:
            wanted["folder_id"] = given["folder_id"]
        edits = memory.edits.model_copy(update=wanted)
        return {} if edits == memory.edits else {"edits": edits}

    labelled = repository.mutate_memory(uid, memory_id, change, fence=fence)
    wanted = {*(tags or []), *filter(None, [given.get("folder_id")])}
    for label in wanted - {label.id for label in store.listed(uid)} if wanted else ():  # deleted in this very moment
        clear(uid, label)
        labelled = repository.get_memory(uid, memory_id)
    return labelled


def _checked(known: dict[str, store.Kind], kind: store.Kind, ids: Sequence[str]) -> None:
    for label in ids:
        if known.get(label) != kind:
            raise store.LabelNotFound(label)


def delete(uid: str, label_id: str) -> None:
    """Delete a folder or tag: nobody finds it from now on. Its memories stay, and lose it. Raises LabelNotFound."""
    store.remove(uid, label_id)
    clear(uid, label_id)


def clear(uid: str, label_id: str) -> None:
    """Take a deleted label off the memories that bear it, some now and the rest in a worker. May be repeated."""
    bearing = rows.labelled(MemoryRow.objects.filter(uid=uid), [label_id]).order_by("-created_at")
    found = list(bearing.values_list("memory_id", flat=True)[: CLEARED_AT_ONCE + 1])
    cleared = 0
    try:
        for memory_id in found[:CLEARED_AT_ONCE]:
            with contextlib.suppress(repository.MemoryNotFound, Unreadable):
                repository.mutate_memory(uid, memory_id, partial(_without, label_id), unless_deleted=False)
                cleared += 1
    except ProviderError as error:  # the store is away; nobody else would look for what is left
        log.warning("label_not_cleared_yet", uid=uid, error=type(error).__name__)
        queue.try_again(CLEAR, uid, label_id)
        return
    if cleared and len(found) > CLEARED_AT_ONCE:
        queue.send_on_commit(CLEAR, uid, label_id)


def _without(label_id: str, memory: Memory) -> dict[str, Any]:
    edits = memory.edits
    left = [tag for tag in edits.tag_ids if tag != label_id]
    folder = None if edits.folder_id == label_id else edits.folder_id
    if (left, folder) == (edits.tag_ids, edits.folder_id):
        return {}
    return {"edits": edits.model_copy(update={"tag_ids": left, "folder_id": folder})}
