"""Passages, emotions and open tasks of a memory brought into the index by a worker, whenever the memory changed.

The word index, which reads every memory that changed, marks it here; nothing of this happens in the web process.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

import structlog
from django.utils import timezone

from emotions.base import EmotionTimeline
from memories.passages import cutting
from memories.passages.models import IndexedEmotion, IndexedMemory
from memories.pipeline import subprocess_runner, vector_writes
from memories.pipeline.vendor_calls import records
from memories.repository import emotions as emotions_repository
from memories.repository import memories as repository
from memories.shapes import Memory
from omi.core import providers
from omi.core.batches import batches
from omi.core.errors import ProviderError
from omi.stores.vectors import namespace, vector_id, vectors
from omi.stores.vectors.base import InvalidVector, Vector

log = structlog.get_logger(__name__)

KIND = "passage"
AT_ONCE = 64
"""Texts of one question to the embedder."""
COMPUTING = 120.0
AGAIN = timedelta(minutes=10)
LEADING = 0.1
MOST_EMOTIONS = 10


def row_of(uid: str, memory: Memory) -> IndexedMemory:
    """What ``mark`` writes of a memory that changed. A digest of all its words: made before a transaction begins."""
    return IndexedMemory(
        uid=uid, memory_id=memory.id, created_at=memory.created_at, revision=memory.revision,
        wanted=_digest(memory), open_items=sum(not item.completed for item in memory.structured.action_items),
        due=True, insights_due=True, next_at=timezone.now(),
    )  # fmt: skip


def mark(row: IndexedMemory) -> None:
    """This memory changed: a worker has to look at it. Inside of the word index's transaction."""
    IndexedMemory.objects.bulk_create(
        [row], update_conflicts=True, unique_fields=["uid", "memory_id"],
        update_fields=["created_at", "revision", "wanted", "open_items", "due", "insights_due", "next_at"],
    )  # fmt: skip


def _digest(memory: Memory) -> str:
    """Of what is embedded, and of what stands beside the vectors; empty where nothing is."""
    if memory.discarded or not any(segment.text.strip() for segment in memory.transcript_segments):
        return ""
    digest = hashlib.sha256(f"{memory.created_at.timestamp()}/{memory.structured.category}".encode())
    for segment in memory.transcript_segments:
        digest.update(f"\n{segment.start:.2f} {segment.text}".encode("utf-8", "replace"))
    return digest.hexdigest()[:32]


def index_due(limit: int) -> int:
    """Bring up to ``limit`` memories into the index, newest first. How many were looked at."""
    now = timezone.now()
    rows = list(IndexedMemory.objects.filter(due=True, next_at__lte=now).order_by("-created_at")[:limit])
    by_uid: dict[str, list[IndexedMemory]] = defaultdict(list)
    for row in rows:
        by_uid[row.uid].append(row)
    for uid, mine in by_uid.items():
        for part in batches(mine, 20):
            _index(uid, part)
    return len(rows)


def _index(uid: str, rows: list[IndexedMemory]) -> None:
    memories = repository.get_memories(uid, [row.memory_id for row in rows])
    embedder = providers.one("embedder")
    for row in rows:
        memory = memories.get(row.memory_id)
        if memory is None:  # deleted; the word index drops the row with its next look
            IndexedMemory.objects.filter(pk=row.pk).update(due=False)
            continue
        # Only as it was read: a mark that was set meanwhile stays.
        mine = IndexedMemory.objects.filter(pk=row.pk, revision=row.revision, next_at=row.next_at)
        try:
            wanted = _digest(memory)
            done = f"{embedder.model_name[:30]}/{wanted}" if wanted else ""
            changed: dict[str, Any] = {"due": False}
            if done != row.embedded:
                changed |= {"passages": _embed(uid, memory, row.passages, embedder, wanted), "embedded": done}
            _emotions(row, emotions_repository.load_emotions(uid, memory.id))
            mine.update(**changed)
        except (ProviderError, InvalidVector) as error:
            log.warning("passages_not_indexed", uid=uid, memory_id=row.memory_id, error=type(error).__name__)
            IndexedMemory.objects.filter(pk=row.pk).update(next_at=timezone.now() + AGAIN)


def _embed(uid: str, memory: Memory, before: int, embedder: Any, wanted: str) -> int:
    """Bring the vectors of a memory that is shown up to date; how many passages there are now."""
    count = _written(uid, memory, before, embedder, wanted)
    if count and vector_writes.gone(uid, memory.id):  # deleted meanwhile: leave no orphan
        vectors().delete_where({"uid": uid, "memory_id": memory.id}, namespace=namespace())
    return count


def _written(uid: str, memory: Memory, before: int, embedder: Any, wanted: str) -> int:
    """Write the vectors of all passages, and take away those of earlier ones beyond; how many there are now."""
    found = cutting.passages(memory.transcript_segments) if wanted else []
    for part in batches(found, AT_ONCE):
        values = _values(uid, embedder, [item.text for item in part])
        vectors().upsert(
            [Vector(identity(uid, memory.id, item.number), value, _metadata(uid, memory, item))
             for item, value in zip(part, values, strict=True) if any(value)],
            namespace=namespace(),
        )  # fmt: skip
    left = [identity(uid, memory.id, number) for number in range(len(found), before)]
    if left:
        vectors().delete(left, namespace=namespace())
    return len(found)


def prepare(uid: str, memory: Memory) -> None:
    """Write the passages of a memory that nobody sees yet, and note that it is done: when it is shown, nothing is
    embedded a second time. Raises ProviderError, InvalidVector."""
    embedder, row = providers.one("embedder"), row_of(uid, memory)
    before = IndexedMemory.objects.filter(uid=uid, memory_id=memory.id).values_list("passages", flat=True).first()
    row.passages, row.due = _written(uid, memory, before or 0, embedder, row.wanted), False
    row.embedded = f"{embedder.model_name[:30]}/{row.wanted}" if row.wanted else ""
    IndexedMemory.objects.bulk_create(
        [row],
        update_conflicts=True,
        unique_fields=["uid", "memory_id"],
        update_fields=["wanted", "embedded", "passages"],
    )


def values_of(uid: str, texts: list[str]) -> list[list[float]]:
    """The embeddings of texts, by the embedder that is configured. Raises ProviderError."""
    return _values(uid, providers.one("embedder"), texts)


def _values(uid: str, embedder: Any, texts: list[str]) -> list[list[float]]:
    with records.outside(uid, embedder.name, "embed", remote=embedder.remote) as call:
        call.input_tokens = sum(map(len, texts)) // 4 if embedder.remote else 0
        call.cost = embedder.price * call.input_tokens / 1e6
        if embedder.remote:
            answer: list[list[float]] = embedder.embed(texts)
            return answer
        # On this machine in a child process, which is killed when it takes too long, and gives its memory back.
        backend, options = providers.named("embedder", embedder)
        arguments = {"backend": backend, "options": options, "texts": texts}
        made: list[list[float]] = subprocess_runner.call(
            "memories.pipeline.audio_analysis.embed", arguments, timeout=COMPUTING
        )
        return made


def identity(uid: str, memory_id: str, number: int) -> str:
    """The id of a passage's vector: behind that of its memory, so that whoever erases by prefix finds it."""
    return f"{vector_id(uid, memory_id)}#{number}"


def _metadata(uid: str, memory: Memory, passage: cutting.Passage) -> dict[str, Any]:
    return {
        **vector_writes.metadata_of(uid, memory), "kind": KIND, "number": passage.number,
        "start": round(passage.start, 2), "end": round(passage.end, 2),
    }  # fmt: skip


def _emotions(row: IndexedMemory, timeline: EmotionTimeline | None) -> None:
    names = leading(timeline)
    IndexedEmotion.objects.filter(entry=row).delete()
    IndexedEmotion.objects.bulk_create([IndexedEmotion(entry=row, emotion=name) for name in names])


def leading(timeline: EmotionTimeline | None) -> list[str]:
    """Return the emotions that lead in at least a tenth of the measured time, most first."""
    seconds: dict[str, float] = defaultdict(float)
    for span in timeline.spans if timeline is not None else []:
        if name := span.leading:
            seconds[name.strip().lower()[:64]] += max(0.0, span.end - span.start)
    whole = sum(seconds.values())
    named = sorted(((count, name) for name, count in seconds.items() if name and count >= LEADING * whole > 0))
    return [name for _, name in reversed(named)][:MOST_EMOTIONS]


def index_again(uid: str, ids: Sequence[str] | None = None) -> None:
    """Have a worker look at memories again: of ``ids`` the passages are embedded anew, of all (None) those whose text
    or model is another now."""
    rows = IndexedMemory.objects.filter(uid=uid)
    if ids is None:
        rows.update(due=True, next_at=timezone.now())
    else:
        rows.filter(memory_id__in=ids).update(due=True, next_at=timezone.now(), embedded="")


def last_passages(uid: str, ids: Collection[str]) -> dict[str, str]:
    """The id of the last passage's vector of each of these memories that has passages and waits for nothing."""
    rows = IndexedMemory.objects.filter(uid=uid, memory_id__in=ids, due=False, passages__gt=0)
    return {name: identity(uid, name, count - 1) for name, count in rows.values_list("memory_id", "passages")}


def forget_memory(uid: str, memory_id: str) -> int:
    """Drop the rows of a memory; its vectors go with those of the memory (``privacy.erasure_parts``)."""
    return int(IndexedMemory.objects.filter(uid=uid, memory_id=memory_id).delete()[0])


def forget_user(uid: str) -> int:
    """Drop the rows of a user."""
    rows = IndexedMemory.objects.filter(uid=uid)
    IndexedEmotion.objects.filter(entry__in=rows).delete()
    return int(rows.delete()[0])


def remaining(uid: str) -> int:
    """Rows of this user that are still here."""
    return IndexedMemory.objects.filter(uid=uid).count()
