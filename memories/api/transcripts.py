"""Every transcript of a memory by its model, and going back to another one."""

from __future__ import annotations

from dataclasses import replace

from django.conf import settings
from drf_spectacular.utils import extend_schema
from pydantic import Field
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories import editing
from memories.api.long_memories import InTurn
from memories.api.reading import Query, parameters, query
from memories.api.rendering import as_json
from memories.api.shapes import Detail, OtherVersion, TranscriptInfo, TranscriptsByVendor, TranscriptVersions
from memories.pipeline import budgets, service
from memories.repository import listing, transcripts
from memories.repository import memories as repository
from memories.repository.transcripts import TranscriptVersion
from memories.shapes import Memory
from omi.accounts.requests import uid_of

_KEYS = {
    "deepgram_streaming": "deepgram",
    "soniox_streaming": "soniox",
    "speechmatics_streaming": "speechmatics",
    "fal_whisperx": "whisperx",
}


def _within(chosen: dict[str, TranscriptVersion]) -> dict[str, TranscriptVersion]:
    """Those that fit into ``OMI_ANSWER_BYTES``, the one that is shown first."""
    left = settings.OMI_ANSWER_BYTES
    fitting: dict[str, TranscriptVersion] = {}
    for model, version in sorted(chosen.items(), key=lambda item: not item[1].active):
        left -= sum(listing.SEGMENT + len(segment.text.encode()) for segment in version.segments)
        if left >= 0 or not fitting:
            fitting[model] = version
    return fitting


class ActivateQuery(Query):
    """The query that shows another transcript: which version of its model."""

    version: str | None = Field(default=None, max_length=100)


class TranscriptViewSet(InTurn, viewsets.ViewSet):
    """The transcripts of a memory by model and version."""

    @extend_schema(
        responses={200: TranscriptsByVendor, 404: Detail},
        description="The four vendors of the original, always all present. Every model: `/transcripts/versions`.",
    )
    def list(self, request: Request, memory_id: str) -> Response:
        repository.require(uid_of(request), memory_id)
        stored = _within(transcripts.list_transcripts(uid_of(request), memory_id))
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
        repository.require(uid_of(request), memory_id)
        found = []
        everything = transcripts.all_versions(uid_of(request), memory_id)
        chosen = {model: transcripts.preferred(versions) for model, versions in everything.items()}
        fitting = _within(chosen)
        for model, versions in everything.items():
            first = fitting.get(model) or replace(chosen[model], segments=[])
            found.append(
                TranscriptInfo(
                    model=model,
                    version=first.version,
                    active=first.active,
                    created_at=first.created_at,
                    segments=sorted(first.segments, key=lambda segment: segment.start),
                    meta=first.meta,
                    others=[
                        OtherVersion(version=item.version, created_at=item.created_at, meta=item.meta)
                        for item in versions
                        if item.version != first.version
                    ],
                )
            )
        return Response([as_json(item) for item in found])

    @extend_schema(
        request=None,
        parameters=parameters(ActivateQuery),
        responses={200: Memory, 404: Detail, 409: Detail, 429: Detail},
        description="Shows this model's transcript from now on and has the summary made again from it, at most "
        "`OMI_RETRIES_PER_DAY` times a day. Without `version` the newest that no run rejected; `/transcripts/versions` "
        "names them.",
    )
    def activate(self, request: Request, memory_id: str, model: str) -> Response:
        uid = uid_of(request)
        asked = query(ActivateQuery, request)
        repository.require(uid, memory_id)
        service.bounded(uid, memory_id, settings.OMI_RETRIES_PER_DAY)
        budgets.spend(uid, runs=1)
        memory = editing.activate_transcript(uid, memory_id, model, asked.version)
        return Response(as_json(memory))
