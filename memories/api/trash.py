"""``/v1/trash``: what the user deleted and can still restore (docs/editing.md)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from drf_spectacular.utils import extend_schema
from pydantic import BaseModel, Field, RootModel
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories.api.reading import Query, parameters, query
from memories.api.rendering import as_json
from memories.api.shapes import Detail
from memories.privacy import trash
from omi.accounts.requests import uid_of


class TrashQuery(Query):
    """The query of the list of deleted memories."""

    before: str | None = Field(default=None, max_length=128, description="the last `memory_id` of the page before")
    limit: int = Field(default=50, ge=1, le=100)


class TrashedShown(BaseModel):
    """A deleted memory, and until when it can be restored."""

    memory_id: str
    title: str
    created_at: datetime
    deleted_at: datetime
    restorable_until: datetime


class TrashList(RootModel[list[TrashedShown]]):
    """A page, last deleted first."""


class Emptied(BaseModel):
    """What emptying the trash did. ``erased``: memories that are gone for good. ``left``: those still in the trash; ask
    again for them."""

    erased: int
    left: int


class TrashViewSet(viewsets.ViewSet):
    """Deleted memories of the user. Empty where ``OMI_RESTORE_DAYS`` is 0."""

    @extend_schema(parameters=parameters(TrashQuery), responses={200: TrashList, 404: Detail, 422: Detail})
    def list(self, request: Request) -> Response:
        """What can be restored."""
        asked = query(TrashQuery, request)
        found = trash.listed(uid_of(request), before=asked.before, limit=asked.limit)
        return Response([as_json(TrashedShown(**asdict(item))) for item in found])

    @extend_schema(responses={204: None, 404: Detail})
    def destroy(self, request: Request, memory_id: str) -> Response:
        """Erase a memory of the trash for good."""
        trash.empty(uid_of(request), memory_id)
        return Response(status=204)

    @extend_schema(
        responses={200: Emptied},
        description=f"Erases all of the trash for good, {trash.ERASED_AT_ONCE} memories with one request.",
    )
    def empty(self, request: Request) -> Response:
        """Erase the memories in the trash for good."""
        erased, left = trash.empty_all(uid_of(request))
        return Response(as_json(Emptied(erased=erased, left=left)))
