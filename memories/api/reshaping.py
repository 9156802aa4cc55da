"""``/v1/memories/merge``, ``.../split`` and ``/v1/reshapings``: made one, made two, and back (docs/editing.md)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from drf_spectacular.utils import extend_schema
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from memories.api.long_memories import in_turn, weight
from memories.api.reading import Query, body, parameters, query
from memories.api.rendering import as_json
from memories.api.shapes import Detail
from memories.models import MemoryRow
from memories.reshaping import asking, plans, records
from memories.reshaping.models import Reshaping
from omi.accounts.requests import fence_of, uid_of
from omi.accounts.throttles import CreateRate, UserRate
from omi.core.ids import checked


def _once(ids: list[str]) -> list[str]:
    if len(set(ids)) < len(ids):
        raise ValueError("each memory may be named once")
    return ids


Id = Annotated[str, AfterValidator(checked)]


class MergeMemories(BaseModel):
    """The memories that are to become one."""

    model_config = ConfigDict(extra="forbid")

    memory_ids: Annotated[list[Id], AfterValidator(_once)] = Field(min_length=2, max_length=plans.MOST_MEMORIES)


class SplitMemory(BaseModel):
    """Where a memory is split. ``segment_id``: the first segment of the second memory."""

    model_config = ConfigDict(extra="forbid")

    segment_id: str = Field(min_length=1, max_length=200)


class ReshapingQuery(Query):
    """The query of the list of merges and splits."""

    memory_id: str | None = Field(default=None, max_length=128, description="only those of this memory")
    limit: int = Field(default=50, ge=1, le=100)


class ReshapingShown(BaseModel):
    """A merge or a split, and how far it is. ``state``: ``making`` (nothing is changed yet), ``done``, ``failed``
    (nothing was changed), ``undoing``, ``undone``. ``originals``: what is, or was, replaced by ``made``. ``recording``:
    ``kept``, or why what was made has none; null before it is done. ``message``: why it failed or could not be undone.
    ``undo_until``: null where there is nothing to undo."""

    id: str
    kind: Literal["merge", "split"]
    state: Literal["making", "done", "failed", "undoing", "undone"]
    originals: list[str]
    made: list[str]
    recording: (
        Literal["kept", "not_recorded", "partly_recorded", "not_permitted", "overlapping", "too_long", "unreadable"]
        | None
    )
    message: str | None
    created_at: datetime
    done_at: datetime | None
    undo_until: datetime | None


class ReshapingList(RootModel[list[ReshapingShown]]):
    """The user's merges and splits, the newest first."""


class ReshapingViewSet(viewsets.ViewSet):
    """Merging and splitting of the user's memories. Somebody else's is 404."""

    def get_throttles(self) -> list[BaseThrottle]:
        return [UserRate(), CreateRate()] if self.action in ("merge", "split") else [UserRate()]

    @extend_schema(
        request=MergeMemories,
        responses={200: ReshapingShown, 404: Detail, 409: Detail, 422: Detail, 429: Detail},
        description="Has a worker make one memory of several, in the order of their times. They stay as they are until "
        "it is complete; then they are hidden for 30 days, in which this can be undone. The same set again gives the "
        "same answer, one that failed is tried again. 409: they cannot be merged (`code` says why), or one of them is "
        "being merged or split.",
    )
    def merge(self, request: Request) -> Response:
        """Make one memory of several."""
        asked = body(MergeMemories, request)
        uid = uid_of(request)
        rows = MemoryRow.objects.filter(uid=uid, memory_id__in=asked.memory_ids)
        with in_turn(uid, weight(rows)):
            return Response(as_json(shown(asking.merge(uid, asked.memory_ids, fence=fence_of(request)))))

    @extend_schema(
        request=SplitMemory,
        responses={200: ReshapingShown, 404: Detail, 409: Detail, 422: Detail, 429: Detail},
        description="Has a worker make two memories of one, of which the second begins with `segment_id`. As with "
        "merging it stays as it is until both are complete, and can come back within 30 days.",
    )
    def split(self, request: Request, memory_id: str) -> Response:
        """Make two memories of one."""
        asked = body(SplitMemory, request)
        uid = uid_of(request)
        with in_turn(uid, weight(MemoryRow.objects.filter(uid=uid, memory_id=memory_id))):
            return Response(as_json(shown(asking.split(uid, memory_id, asked.segment_id, fence=fence_of(request)))))

    @extend_schema(parameters=parameters(ReshapingQuery), responses={200: ReshapingList, 422: Detail})
    def list(self, request: Request) -> Response:
        """What was merged and split, newest first."""
        asked = query(ReshapingQuery, request)
        found = records.listed(uid_of(request), memory_id=asked.memory_id, limit=asked.limit)
        return Response([as_json(shown(row)) for row in found])

    @extend_schema(responses={200: ReshapingShown, 404: Detail})
    def retrieve(self, request: Request, reshaping_id: str) -> Response:
        """How far a merge, a split or its undoing is."""
        return Response(as_json(shown(records.find(uid_of(request), reshaping_id))))

    @extend_schema(
        request=None,
        responses={200: ReshapingShown, 404: Detail, 409: Detail},
        description="Has a worker bring the originals back exactly as they were; what was made of them goes, with what "
        "was changed in it since. 409: it is not done, its 30 days are over, or what was made is not there any more.",
    )
    def undo(self, request: Request, reshaping_id: str) -> Response:
        """Take a merge or a split back."""
        return Response(as_json(shown(asking.undo(uid_of(request), reshaping_id, fence=fence_of(request)))))


def shown(row: Reshaping) -> ReshapingShown:
    """A reshaping as its user sees it."""
    return ReshapingShown.model_validate({
        "id": row.pk, "kind": row.kind, "state": row.state, "originals": records.originals(row),
        "made": records.made(row), "recording": row.recording or None, "message": plans.REASONS.get(row.code),
        "created_at": row.created_at, "done_at": row.done_at,
        "undo_until": records.undo_until(row),
    })  # fmt: skip
