"""Every transcript of a memory by its model, and going back to another one."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories import edits
from memories.api.errors import ApiError
from memories.api.reading import uid_of
from memories.api.rendering import as_json
from memories.api.shapes import Detail, TranscriptInfo, TranscriptsByVendor, TranscriptVersions
from memories.repository import memories as repository
from memories.repository import transcripts
from memories.shapes import Memory

_KEYS = {
    "deepgram_streaming": "deepgram",
    "soniox_streaming": "soniox",
    "speechmatics_streaming": "speechmatics",
    "fal_whisperx": "whisperx",
}


class TranscriptViewSet(viewsets.ViewSet):
    @extend_schema(
        responses={200: TranscriptsByVendor, 404: Detail},
        description="The four vendors of the original, always all present. Every model: `/transcripts/versions`.",
    )
    def list(self, request: Request, memory_id: str) -> Response:
        repository.get_memory(uid_of(request), memory_id)
        stored = transcripts.list_transcripts(uid_of(request), memory_id)
        answer = TranscriptsByVendor.model_validate(
            {
                key: sorted(stored[model].segments, key=lambda segment: segment.start)
                for model, key in _KEYS.items()
                if model in stored
            }
        )
        return Response(as_json(answer))

    @extend_schema(responses={200: TranscriptVersions, 404: Detail})
    def versions(self, request: Request, memory_id: str) -> Response:
        memory = repository.get_memory(uid_of(request), memory_id)
        stored = transcripts.list_transcripts(uid_of(request), memory_id)
        found = [
            TranscriptInfo(
                model=model,
                active=model == memory.active_transcript,
                created_at=version.created_at,
                segments=sorted(version.segments, key=lambda segment: segment.start),
                meta=version.meta,
            )
            for model, version in stored.items()
        ]
        return Response([as_json(item) for item in found])

    @extend_schema(
        request=None,
        responses={200: Memory, 404: Detail, 409: Detail},
        description="Shows this model's transcript from now on and has the summary made again from it.",
    )
    def activate(self, request: Request, memory_id: str, model: str) -> Response:
        uid = uid_of(request)
        repository.get_memory(uid, memory_id)
        try:
            memory = edits.activate_transcript(uid, memory_id, model)
        except edits.NoSuchTranscript as error:
            raise ApiError(404, "Transcript not found") from error
        except edits.EmptyTranscript as error:
            raise ApiError(409, "This transcript is empty and cannot be shown in place of another") from error
        return Response(as_json(memory))
