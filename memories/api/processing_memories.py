"""``/v1/processing-memories/{id}``: a conversation that is still going on (docs/reference/app-protocol.md)."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories.api.long_memories import InTurn
from memories.api.reading import body
from memories.api.rendering import as_json
from memories.api.shapes import Detail, PatchedProcessingMemory, PatchProcessingMemory, ProcessingMemoryBrief
from memories.mirror.models import ProcessingMemoryRow
from memories.repository import listing, processing
from memories.shapes import ProcessingMemory
from omi.accounts.requests import uid_of

BYTES_A_SECOND = 100
"""Of a conversation as JSON, nearly: 1 MB is some three hours of talk."""


class ProcessingMemoryViewSet(InTurn, viewsets.ViewSet):
    """A long conversation is read in its turn, as the memory is that it becomes."""

    def weight(self, request: Request) -> int:
        """Return about how many bytes the request reads. By how long it has lasted: while it goes on its row does not
        say how many segments there are."""
        name = self.kwargs["processing_memory_id"]
        row = ProcessingMemoryRow.objects.filter(uid=uid_of(request), processing_memory_id=name).first()
        if row is None:
            return 0
        seconds = row.last_audio if row.finished else (timezone.now() - row.created_at).total_seconds()
        return int(max(seconds * BYTES_A_SECOND, row.segments * listing.SEGMENT))

    @extend_schema(responses={200: ProcessingMemory, 404: Detail})
    def retrieve(self, request: Request, processing_memory_id: str) -> Response:
        return Response(as_json(processing.get(uid_of(request), processing_memory_id)))

    @extend_schema(
        request=PatchProcessingMemory,
        responses={200: PatchedProcessingMemory, 404: Detail, 422: Detail},
        description="Where the user is, and whether emotions are wanted. What is left out stays as it is.",
    )
    def partial_update(self, request: Request, processing_memory_id: str) -> Response:
        asked = body(PatchProcessingMemory, request)
        uid = uid_of(request)
        processing.get(uid, processing_memory_id)
        given = {name: getattr(asked, name) for name in asked.model_fields_set}
        if given.get("emotional_feedback", False) is None:
            del given["emotional_feedback"]
        if given:
            processing.mutate(uid, processing_memory_id, lambda current: dict(given))
        stored = processing.get(uid, processing_memory_id)
        brief = ProcessingMemoryBrief.model_validate(stored.model_dump())
        return Response({"result": as_json(brief)})
