"""What the owner chose to show: read without a token (docs/reference/app-protocol.md)."""

from __future__ import annotations

from django.conf import settings
from drf_spectacular.utils import extend_schema
from pydantic import Field
from rest_framework import viewsets
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from memories import sharing
from memories.api.errors import ApiError
from memories.api.long_memories import InTurn, weight
from memories.api.reading import Query, parameters, query
from memories.api.rendering import for_strangers
from memories.api.shapes import Detail
from memories.repository import listing
from memories.shapes import Memory
from omi.accounts.throttles import StrangerRate


class PublicQuery(Query):
    """The query of the page of public memories."""

    offset: int = Field(default=0, ge=0, le=1_000_000)
    limit: int = Field(default=100, ge=1, le=1000)


class PublicViewSet(InTurn, viewsets.ViewSet):
    """Memories that their owners share or publish, read without a token."""

    authentication_classes = []
    permission_classes = [AllowAny]
    throttle_classes = [StrangerRate]

    def weight(self, request: Request) -> int:
        """Return the bytes that the request reads. Of the shared memory, or of the page of public ones."""
        if self.action == "retrieve":
            return weight(sharing.rows_of(self.kwargs["memory_id"]))
        asked = query(PublicQuery, request)
        return weight(sharing.public_rows()[asked.offset : asked.offset + asked.limit], listed=True)

    @extend_schema(
        auth=[],
        responses={200: Memory, 404: Detail},
        description="A memory that is `shared` or `public`, without its place. Everything else is 404 "
        "`Memory is private`, whether it exists or not.",
    )
    def retrieve(self, request: Request, memory_id: str) -> Response:
        memory = sharing.find_shared(memory_id)
        if memory is None:
            raise ApiError(404, "Memory is private")
        return Response(for_strangers(listing.trimmed(memory, settings.OMI_ANSWER_BYTES)))

    @extend_schema(
        auth=[],
        parameters=parameters(PublicQuery),
        responses={200: Memory},
        description="`public` memories only, newest first, deleted and discarded ones left out before the page is cut.",
    )
    def list(self, request: Request) -> Response:
        asked = query(PublicQuery, request)
        return Response([for_strangers(memory) for memory in sharing.list_public(asked.offset, asked.limit)])
