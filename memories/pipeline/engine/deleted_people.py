"""The results that runs keep name nobody who was deleted: segments with their labels, of runs that ended or go on.

A run that had its segments in hand when a person was deleted writes them afterwards. So each write of them holds the
rows of the people that they name: the deletion, whose first step is to mark that row, comes before it (then the label
is left out) or after it (then the clearing up finds what was written).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import structlog

from memories.mirror.models import PersonRow
from memories.pipeline.engine import content_hash
from memories.pipeline.models import StepArtifact
from memories.repository import tombstones

log = structlog.get_logger(__name__)

NAMES_PEOPLE: Final = "segments"
"""The results that hold labels; texts, vectors and vendors' answers know no people."""


def leave_out(uid: str, artifacts: Sequence[StepArtifact]) -> None:
    """Inside the transaction that writes ``artifacts``, before it does."""
    bodies = {at: _body(item) for at, item in enumerate(artifacts) if item.name == NAMES_PEOPLE}
    named = {person for body in bodies.values() for person in _people(body)}
    if not named:
        return
    held = PersonRow.objects.select_for_update().filter(uid=uid, person_id__in=named).order_by("person_id")
    away = frozenset(row.person_id for row in held if row.deleted)
    for at, body in bodies.items():
        _clear(artifacts[at], body, away)


def forget(uid: str, person_id: str) -> Iterator[int]:
    """Clear what is stored, artifact by artifact: 1 where the person was named, else 0. Repeatable."""
    ids = frozenset({person_id})
    kept = StepArtifact.objects.filter(step__run__uid=uid, name=NAMES_PEOPLE)
    for pk in list(kept.order_by("-id").values_list("pk", flat=True)):
        item = kept.filter(pk=pk).first()
        before = item.sha256 if item is not None else ""
        if item is None or not _clear(item, _body(item), ids):
            yield 0
            continue
        # Where a worker wrote it anew meanwhile, it left the person out itself.
        yield StepArtifact.objects.filter(pk=item.pk, sha256=before).update(sha256=item.sha256, body=item.body)


def _body(item: StepArtifact) -> Any:
    """None for one that is damaged: it names nobody, and the others must be cleared."""
    try:
        return content_hash.unpack(bytes(item.body))
    except (zlib.error, ValueError):
        log.error("artifact_damaged", artifact=item.pk, step=item.step_id)
        return None


def _people(body: Any) -> set[str]:
    items = body if isinstance(body, list) else []
    return {item["person_id"] for item in items if isinstance(item, dict) and item.get("person_id")}


def _clear(item: StepArtifact, body: Any, ids: frozenset[str]) -> bool:
    data = {"transcript_segments": body}
    after = tombstones.cleared(data, ids)
    if after is data:
        return False
    item.sha256, item.body = content_hash.pack(after["transcript_segments"])
    return True
