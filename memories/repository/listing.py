"""Many memories at once, within a bound of bytes: whoever lists or searches never holds more than one answer's worth.

A memory whose transcript is so long that it is stored apart from its document (``large``), or that no longer fits into
the answer, comes without its segments and says so (``segments_omitted``). Where not even that fits the page ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from django.db.models import Q

from memories.mirror import rows as mirror
from memories.mirror.models import MemoryRow
from memories.repository import large, tombstones
from memories.repository.memories import Page, cursor_of, memory_path, newest_first, position
from memories.repository.parsing import memory_from
from memories.shapes import Memory
from omi.core.batches import batches
from omi.stores import damaged
from omi.stores.documents import documents
from omi.stores.documents.base import Document, InvalidPath, Unreadable
from omi.stores.documents.values import document_size

SLICE = 20
"""Documents read at a time: at most 20 MiB, however large the page."""
SEGMENT = 300
"""Bytes of a segment's JSON beside its text."""
OMITTED = "segments_omitted"


class Room:
    """What is left of an answer, in bytes."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.full = False

    def fit(self, found: Document) -> Document | None:
        """The document, or the document without its segments; None where neither fits (the first always does)."""
        bare, weight = _weigh(found)
        if weight is None or weight > self.left:
            found, weight = _without_segments(found), bare
        if weight > self.left:
            self.full = True
            return None
        self.left -= weight
        return found


def trimmed(memory: Memory, size: int) -> Memory:
    """One memory for somebody who is not its owner: without its segments where they are more than ``size`` bytes."""
    if sum(SEGMENT + len(segment.text.encode()) for segment in memory.transcript_segments) <= size:
        return memory
    return memory.model_copy(update={"transcript_segments": [], OMITTED: True})


def list_bounded(uid: str, *, limit: int, offset: int, cursor: str | None, include_discarded: bool, size: int) -> Page:
    """List memories as ``list_memories``, within ``size`` bytes. A page that ends early has a cursor that goes on
    behind it."""
    room, page, wanted = Room(size), Page(), limit
    left_out = tombstones.people(uid)
    while wanted > 0:
        count = min(SLICE, wanted)
        found = newest_first(uid, count + 1, offset, cursor, include_discarded)
        more, found = len(found) > count, found[:count]
        for document in found:
            fitting = room.fit(document)
            if fitting is None and page.memories:
                return replace(page, next_cursor=cursor)
            memory = _parsed(fitting or _without_segments(document), left_out)
            page.memories.extend([] if memory is None else [memory])
            cursor = cursor_of(document)
        wanted, offset = wanted - count, 0
        if not more:
            return replace(page, next_cursor=None)
    return replace(page, next_cursor=cursor)


def list_labelled(
    uid: str, labels: Sequence[str], *, limit: int, offset: int, cursor: str | None, include_discarded: bool, size: int,
    only_discarded: bool = False,
) -> Page:  # fmt: skip
    """List memories as ``list_bounded``, of the memories that bear each of these labels (ids of folders and tags), or
    of the discarded ones alone. The rows know which these are; documents cannot be asked for several tags at once.

    Raises InvalidCursor.
    """
    rows = mirror.labelled(MemoryRow.objects.filter(uid=uid, deleted=False), labels)
    if only_discarded or not include_discarded:
        rows = rows.filter(discarded=only_discarded)
    if cursor:
        last = position(uid, cursor)
        rows = rows.filter(Q(created_at__lt=last.created_at) | Q(created_at=last.created_at, memory_id__lt=last.id))
    start = 0 if cursor else offset
    ordered = rows.order_by("-created_at", "-memory_id").values_list("memory_id", "created_at")
    found = list(ordered[start : start + limit + 1])
    room, page, left_out = Room(size), Page(), tombstones.people(uid)
    more, found = len(found) > limit, found[:limit]
    for part in batches(found, SLICE):
        there = documents().get_many([memory_path(uid, memory_id) for memory_id, _ in part])
        for memory_id, created_at in part:
            where = memory_path(uid, memory_id)
            if (document := there.get(where)) is not None:  # else its row is behind
                fitting = room.fit(document)
                if fitting is None and page.memories:
                    return replace(page, next_cursor=cursor)
                memory = _parsed(fitting or _without_segments(document), left_out)
                if memory is not None and not memory.deleted and set(labels) <= set(memory.edits.labels()):
                    page.memories.append(memory)
            cursor = cursor_of(Document(where, {"created_at": created_at}, "", created_at, created_at))
    return replace(page, next_cursor=cursor if more else None)


def get_bounded(keys: Sequence[tuple[str, str]], room: Room) -> Iterator[tuple[str, Memory]]:
    """(uid, memory) of those ``keys`` (uid, memory id) that are there and not deleted, in order, until the room is
    full."""
    left_out: dict[str, frozenset[str]] = {}
    for some in batches(keys, SLICE):
        part = {}
        for uid, memory_id in some:
            with contextlib.suppress(InvalidPath):
                part[memory_path(uid, memory_id)] = uid
        found = documents().get_many(list(part))
        for path, document in found.items():
            uid = part[path]
            fitting = room.fit(document)
            if fitting is None:
                return
            if uid not in left_out:
                left_out[uid] = tombstones.people(uid)
            memory = _parsed(fitting, left_out[uid])
            if memory is not None and not memory.deleted:
                yield uid, memory


def _parsed(found: Document, left_out: frozenset[str]) -> Memory | None:
    try:
        data = found.data if found.damaged else large.unpack(found.path, found.data, {})
        return memory_from(replace(found, data=tombstones.cleared(data, left_out)))
    except Unreadable as error:
        damaged.report(found.path, error)
        return None


def _weigh(found: Document) -> tuple[int, int | None]:
    """Bytes without the segments, and with them; None where those are stored apart."""
    bare = document_size(found.path, {key: item for key, item in found.data.items() if key != large.FIELD})
    segments: Any = found.data.get(large.FIELD)
    if found.data.get(large.CHUNKS):
        return bare, None
    if isinstance(segments, list):
        texts = (item.get("text") for item in segments if isinstance(item, dict))
        return bare, bare + sum(SEGMENT + len(text.encode()) for text in texts if isinstance(text, str))
    return bare, bare + 20 * len(segments or b"")  # compressed by an older server


def _without_segments(found: Document) -> Document:
    data = {key: item for key, item in found.data.items() if key != large.CHUNKS}
    return replace(found, data={**data, large.FIELD: [], OMITTED: True})
