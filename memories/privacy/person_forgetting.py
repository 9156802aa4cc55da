"""A person was deleted: no document, transcript or conversation, and no kept result of a run, names them any more.

What is read leaves them out from the first moment (``memories.repository.tombstones``). Here the stored documents
follow:
the newest in the request that deleted the person, the rest in a worker.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import structlog

from memories.pipeline.engine import deleted_people, queue
from memories.repository import live_segments, memories, processing, stored, tombstones
from memories.repository.memories import collection
from memories.repository.transcripts import NOT_MODELS
from memories.shapes import Memory, ProcessingMemory
from omi.core.errors import ProviderError
from omi.stores.documents import documents, path
from omi.stores.documents.base import Document, DocumentError, NotFound, OrderBy

log = structlog.get_logger(__name__)

FINISH = "memories.privacy.person_forgetting.finish"
PAGE = 20
AT_ONCE = 2.0
"""Seconds of clearing up in the request that deletes a person: some hundreds of memories."""


def on_person_changed(*, uid: str, person: Any, **_: Any) -> None:
    """Receiver of ``speakers.signals.person_changed``, after the mirror's."""
    if not person.deleted:
        return
    try:
        done = forget(uid, person.id, seconds=AT_ONCE)
    except (ProviderError, DocumentError) as error:
        log.warning("person_not_forgotten_at_once", uid=uid, person_id=person.id, error=type(error).__name__)
        done = False
    if not done:
        queue.send_on_commit(FINISH, uid, person.id)


def finish(uid: str, person_id: str) -> bool:
    """Clear in a worker what the request left over; where a store is away it is tried again, until all is clear."""
    try:
        return forget(uid, person_id)
    except (ProviderError, DocumentError) as error:
        log.warning("person_not_forgotten_yet", uid=uid, person_id=person_id, error=type(error).__name__)
        queue.try_again(FINISH, uid, person_id)
        return False


def forget(uid: str, person_id: str, seconds: float | None = None) -> bool:
    """Clear every stored document of this user and what runs keep; repeatable. False where ``seconds`` did not suffice
    for all."""
    until = None if seconds is None else time.monotonic() + seconds
    ids = frozenset({person_id})
    cleared = 0
    for where in _places(uid):
        if until is not None and time.monotonic() > until:
            return False
        cleared += _clear(where, ids)
    kept = 0
    for changed in deleted_people.forget(uid, person_id):
        kept += changed
        if until is not None and time.monotonic() > until:
            return False
    log.info("person_forgotten", uid=uid, person_id=person_id, documents=cleared, results=kept)
    return True


def _places(uid: str) -> Iterator[Document]:
    """Every document that may name a person: memories, newest first, each with its transcripts; conversations,
    their pieces first."""
    for memory in _newest_first(collection(uid)):
        yield memory
        for name in documents().collections(memory.path):
            if name not in NOT_MODELS:
                yield from documents().query(f"{memory.path}/{name}")
    for conversation in _newest_first(path("users", uid, "processing_memories")):
        yield from documents().query(f"{conversation.path}/{live_segments.COLLECTION}")
        yield conversation


def _newest_first(name: str) -> Iterator[Document]:
    last: Document | None = None
    while page := documents().query(
        name, order_by=[OrderBy("created_at", descending=True)], limit=PAGE, start_after=last
    ):
        last = page[-1]
        yield from page


def _clear(found: Document, ids: frozenset[str]) -> int:
    """1 where the document named them. One that is damaged is reported and left to staff."""
    for document in stored.read_all([found]):
        if tombstones.cleared(document.data, ids) is document.data:
            return 0
        _, uid, kind, identity, *below = document.path.split("/")
        try:
            # What is read for the change names nobody who is gone, and is written as it was read.
            if kind == "memories" and not below:
                memories.mutate_memory(uid, identity, _memory_fields, unless_deleted=False)
            elif kind == "processing_memories" and not below:
                processing.mutate(uid, identity, _conversation_fields)
            else:
                stored.change(document.path, lambda data: (_fields(data, ids), None))
        except (NotFound, memories.MemoryNotFound, processing.ProcessingMemoryNotFound):
            return 0
        return 1
    return 0


def _memory_fields(memory: Memory) -> dict[str, Any]:
    return {"transcript_segments": memory.transcript_segments, "edits": memory.edits}


def _conversation_fields(conversation: ProcessingMemory) -> dict[str, Any]:
    return {"transcript_segments": conversation.transcript_segments, "assigned": conversation.assigned}


def _fields(data: dict[str, Any], ids: frozenset[str]) -> dict[str, Any]:
    after = tombstones.cleared(data, ids)
    return {name: value for name, value in after.items() if value is not data.get(name)}
