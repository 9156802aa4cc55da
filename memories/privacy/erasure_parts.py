"""What a memory and a user leave in each store, how it is removed, and how one looks for what is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from memories.console import audit
from memories.experiments import upkeep as experiments
from memories.feedback import reports
from memories.insights import figures as insights
from memories.links import shared as links
from memories.mirror import rows as mirror
from memories.models import EventCounter, MemoryRow, PersonRow, ProcessingMemoryRow, UserEvent
from memories.offline import ending as offline
from memories.pipeline import service
from memories.pipeline.models import DailyUse, PostProcessingRun, UserTurn, VendorCall
from memories.recaps import reading as recaps
from memories.registry import records as registry
from memories.repository import processing
from memories.repository.memories import collection, glance, memory_path
from memories.reshaping import records as reshaping
from memories.search import word_index
from memories.user_events import log
from memories.vocabulary import healings
from memories.webhooks import hooks
from omi.accounts import revocation
from omi.accounts.users import user_path
from omi.core import console_history
from omi.core.batches import batches
from omi.core.host import several
from omi.core.ids import is_id
from omi.stores import audio, damaged
from omi.stores.documents import documents, path
from omi.stores.documents.base import Unreadable, Where
from omi.stores.models import AudioObject
from omi.stores.vectors import namespace, vector_id, vectors
from speakers import forget as speakers
from transcription import journal
from transcription.hosts import host_requests
from transcription.hosts.models import HostJournal

Part = tuple[str, Callable[[], Any]]


def memory_parts(uid: str, memory_id: str) -> list[Part]:
    """Return the parts of a memory's erasure in the order in which they are carried out. Later names may need what
    earlier ones still find."""
    return [
        ("runs", lambda: service.forget_memory(uid, memory_id)),
        ("voices", lambda: speakers.forget_memory(uid, memory_id)),
        ("vectors", lambda: erase_vectors(uid, memory_id)),
        ("audio", lambda: audio.forget_memory(uid, memory_id)),
        ("journals", lambda: _erase_journals(uid, memory_id)),
        ("hosts", lambda: host_requests.erase(uid, _sessions(uid, memory_id))),
        ("links", lambda: links.forget_memory(uid, memory_id)),
        ("events", lambda: log.forget_memory(uid, memory_id)),
        ("webhooks", lambda: hooks.forget_memory(uid, memory_id)),  # after the events that they are made from
        ("search", lambda: word_index.forget_memory(uid, memory_id)),
        ("feedback", lambda: reports.forget_memory(uid, memory_id)),
        ("experiments", lambda: experiments.forget_memory(uid, memory_id)),
        ("registry", lambda: registry.forget_memory(uid, memory_id)),
        ("recaps", lambda: recaps.forget_memory(uid, memory_id)),
        ("insights", lambda: insights.forget_memory(uid, memory_id)),
        ("reshaping", lambda: reshaping.forget_memory(uid, memory_id)),
        ("offline", lambda: offline.forget_memory(uid, memory_id)),
        ("vocabulary", lambda: healings.forget_memory(uid, memory_id)),
        ("originals", lambda: _erase_originals(uid, memory_id)),
        ("documents", lambda: _erase_documents(uid, memory_id)),
        ("rows", lambda: _erase_rows(uid, memory_id)),
    ]


def user_parts(uid: str) -> list[Part]:
    """Return the parts of a user's erasure by name, in the order in which they are done."""
    return [
        ("offline", lambda: offline.forget_user(uid)),  # first: a worker that is at a batch writes nothing more of it
        ("runs", lambda: service.forget_user(uid)),
        ("voices", lambda: speakers.forget_user(uid)),
        ("vectors", lambda: _erase_user_vectors(uid)),
        ("audio", lambda: audio.forget_user(uid)),
        ("journals", lambda: journal.forget_user(uid)),
        ("hosts", lambda: host_requests.erase(uid)),
        ("webhooks", lambda: hooks.forget_user(uid)),  # before the log: switching one off writes into it
        ("links", lambda: links.forget_user(uid)),
        ("events", lambda: log.forget_user(uid)),
        ("search", lambda: word_index.forget_user(uid)),
        ("feedback", lambda: reports.forget_user(uid)),
        ("experiments", lambda: experiments.forget_user(uid)),
        ("registry", lambda: registry.forget_user(uid)),
        ("recaps", lambda: recaps.forget_user(uid)),
        ("insights", lambda: insights.forget_user(uid)),
        ("reshaping", lambda: reshaping.forget_user(uid)),
        ("vocabulary", lambda: healings.forget_user(uid)),
        ("originals", lambda: _erase_originals(uid)),
        ("documents", lambda: _erase_tree(user_path(uid))),
        ("rows", lambda: _erase_user_rows(uid)),
    ]


def remains(uid: str) -> dict[str, int]:
    """How much of a user each store still holds. Asks the stores themselves, not only our rows about them."""
    left = AudioObject.objects.filter(uid=uid)
    return {
        "documents": count_tree(user_path(uid)),
        "originals": len(_tasks(uid)),
        "vectors": len(vectors_of(uid)),
        "audio": left.filter(deleted_at__isnull=True).count() + sum(audio.exists(row) for row in left),
        "journals": journal.remaining(uid) + HostJournal.objects.filter(uid=uid).count(),
        **host_requests.look(uid),
        "events": UserEvent.objects.filter(uid=uid).count() + EventCounter.objects.filter(uid=uid).count(),
        "webhooks": hooks.remaining(uid),
        "links": links.remaining(uid),
        "search": word_index.remaining(uid),
        "feedback": reports.remaining(uid),
        "experiments": experiments.remaining(uid),
        "registry": registry.remaining(uid),
        "recaps": recaps.remaining(uid),
        "insights": insights.remaining(uid),
        "reshaping": reshaping.remaining(uid),
        "offline": offline.remaining(uid),
        "vocabulary": healings.remaining(uid),
        "runs": PostProcessingRun.objects.filter(uid=uid).count(),
        "calls": VendorCall.objects.filter(uid=uid).count(),
        "use": DailyUse.objects.filter(uid=uid).count() + UserTurn.objects.filter(uid=uid).count(),
        "rows": sum(rows.objects.filter(uid=uid).count() for rows in (MemoryRow, ProcessingMemoryRow, PersonRow)),
        "sign_outs": revocation.remaining(uid),
        "console": console_history.of_user(uid).count() + audit.remaining(uid),
        **speakers.remaining(uid),
    }


def vectors_of(uid: str) -> list[str]:
    """Ids of a user's vectors. The prefix may fit another uid that goes on behind the hyphen: metadata decides."""
    store, space = vectors(), namespace()
    if not is_id(uid):  # of before the rule: no vector can have such an id, and asking for it is an error
        return []
    ids = list(store.list_ids(prefix=f"{uid}-", namespace=space))
    found: list[str] = []
    for part in batches(ids, 100):
        fetched = store.fetch(part, namespace=space)
        found += [identity for identity, vector in fetched.items() if vector.metadata.get("uid", uid) == uid]
    return found


def erase_vectors(uid: str, memory_id: str) -> int:
    """Delete a memory's vectors, by the id rule, and by metadata: whatever else was stored for this memory (parts of a
    transcript)."""
    store, space = vectors(), namespace()
    identity = vector_id(uid, memory_id)
    known = len(store.fetch([identity], namespace=space)) if is_id(uid) and is_id(memory_id) else 0
    if known:
        store.delete([identity], namespace=space)
    store.delete_where({"uid": uid, "memory_id": memory_id}, namespace=space)
    return known


def count_tree(root: str) -> int:
    """Return how many documents lie at and below a path; one that is damaged counts."""
    store = documents()
    try:
        here = int(store.get(root) is not None)
    except Unreadable:
        here = 1
    for name in store.collections(root):
        here += sum(count_tree(f"{root}/{name}/{identity}") for identity in store.document_ids(f"{root}/{name}"))
    return here


def _erase_tree(root: str) -> int:
    count = count_tree(root)
    documents().delete(root, recursive=True)
    damaged.forget(root)
    return count


def _erase_user_vectors(uid: str) -> int:
    store, space = vectors(), namespace()
    ids = vectors_of(uid)
    if ids:
        store.delete(ids, namespace=space)
    store.delete_where({"uid": uid}, namespace=space)
    return len(ids)


def _tasks(uid: str, memory_id: str | None = None) -> list[str]:
    """Paths of the emotion jobs that the original's server noted for a user (docs/reference/app-protocol.md)."""
    where = [Where("user_uid", "==", uid)]
    if memory_id is not None:
        where.append(Where("memory_id", "==", memory_id))
    return [found.path for found in documents().query("tasks", where=where)]


def _erase_originals(uid: str, memory_id: str | None = None) -> int:
    """What the original's server made of memories: emotion tasks, facts, and ids among its trends."""
    store = documents()
    doomed = _tasks(uid, memory_id)
    if memory_id is not None:
        facts = store.query(path("users", uid, "facts"), where=[Where("memory_id", "==", memory_id)])
        doomed += [found.path for found in facts]
    for name in doomed:
        store.delete(name, recursive=True)
    count = len(doomed)
    trends = store.document_ids("trends")
    gone = {memory_id} if memory_id is not None else set(store.document_ids(collection(uid))) if trends else set()
    for trend in trends:
        for topic in store.query(f"trends/{trend}/topics"):
            known = topic.data.get("memory_ids")
            if isinstance(known, list) and gone & set(known):
                store.update(topic.path, {"memory_ids": [item for item in known if item not in gone]})
                count += 1
    return count


def _conversation(uid: str, memory_id: str) -> str | None:
    found = glance(uid, memory_id)
    return found.processing_memory_id if found is not None else None


def _erase_journals(uid: str, memory_id: str) -> int:
    """The recordings of the sessions from which the memory was made, on this host."""
    sessions = _sessions(uid, memory_id)
    released = sum(journal.release(session, None, uid) for session in sorted(sessions))
    if any(journal.find(session, uid) for session in sessions):
        raise OSError("a journal cannot be removed")
    return released


def _sessions(uid: str, memory_id: str) -> set[str]:
    """The sessions from which a memory was made."""
    processing_id = _conversation(uid, memory_id)
    if not processing_id:
        return set()
    sessions = {entry.meta.session_id for entry in journal.for_conversation(uid, processing_id)}
    try:
        sessions.update(processing.get(uid, processing_id).session_ids)
    except (processing.ProcessingMemoryNotFound, Unreadable):
        pass
    if several():
        noted = HostJournal.objects.filter(uid=uid, conversation=processing_id)
        sessions.update(noted.values_list("session_id", flat=True))
    return sessions


def _erase_documents(uid: str, memory_id: str) -> int:
    processing_id = _conversation(uid, memory_id)
    count = 0
    if processing_id:
        count += _erase_tree(processing.processing_path(uid, processing_id))
    return count + _erase_tree(memory_path(uid, memory_id))


def _erase_rows(uid: str, memory_id: str) -> int:
    console_history.forget(MemoryRow.objects.filter(uid=uid, memory_id=memory_id))
    audit.forget_memory(uid, memory_id)
    rows = ProcessingMemoryRow.objects.filter(uid=uid, memory_id=memory_id)
    return mirror.forget_memory(uid, memory_id) + int(rows.delete()[0])


def _erase_user_rows(uid: str) -> dict[str, int]:
    console_history.forget(MemoryRow.objects.filter(uid=uid))
    audit.forget_user(uid)
    return {**mirror.forget_user(uid), "sign_outs": revocation.forget_user(uid)}
