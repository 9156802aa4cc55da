"""``/v1/memories/{id}/post-processing``: upload, status, cancel, retry."""

from __future__ import annotations

from django.conf import settings
from drf_spectacular.utils import extend_schema
from pydantic import Field
from rest_framework import viewsets
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from memories import postprocessing
from memories.api.errors import ApiError, invalid
from memories.api.long_memories import InTurn
from memories.api.reading import Query, idempotency_key, key_parameter, parameters, query
from memories.api.rendering import as_json
from memories.api.shapes import Detail, RunStatus
from memories.api.uploads import limit_upload
from memories.pipeline import budgets, queries, service, status
from memories.pipeline.models import PostProcessingRun
from memories.repository import memories as repository
from memories.shapes import Memory
from omi.accounts.requests import fence_of, uid_of

_UPLOAD = {
    "multipart/form-data": {
        "type": "object",
        "properties": {"file": {"type": "string", "format": "binary"}},
        "required": ["file"],
    }
}
_KEY = key_parameter("same key, same file: same run")


class UploadQuery(Query):
    """The query of an upload: whether emotions are measured."""

    emotional_feedback: bool = False


class RetryQuery(Query):
    """The query of a retry: the step from which on everything is done anew."""

    from_step: str | None = Field(default=None, max_length=64)


class PostProcessingViewSet(InTurn, viewsets.ViewSet):
    """The answer comes at once; ``GET`` and the events tell how it goes on."""

    parser_classes = [MultiPartParser]

    def weight(self, request: Request) -> int:
        """Return the bytes that the request reads. Only the upload's answer holds the memory."""
        return super().weight(request) if self.action == "create" else 0

    @extend_schema(
        request=_UPLOAD,
        parameters=[*parameters(UploadQuery), _KEY],
        responses={200: Memory, 400: Detail, 404: Detail, 409: Detail, 413: Detail, 422: Detail, 429: Detail,
                   503: Detail},
        description="The recording of the memory. Answers at once with `postprocessing.status = in_progress`. The same "
        "recording again joins its run; another one while a run is active waits for it.",
    )  # fmt: skip
    def create(self, request: Request, memory_id: str) -> Response:
        asked = query(UploadQuery, request)
        uid = uid_of(request)
        memory = repository.get_memory(uid, memory_id)  # before a byte of the upload is read
        self.give_way()  # an upload is read and looked at for longer than a memory, and others wait for their turn
        postprocessing.require_kept(uid, memory)
        limit_upload(request)
        upload = request.FILES.get("file")
        if upload is None:
            raise invalid(("body", "file"), "Field required", "missing")
        key = idempotency_key(request)
        budgets.spend(uid, runs=1, upload_bytes=upload.size or 0)
        postprocessing.begin(
            uid, memory, upload, emotional_feedback=asked.emotional_feedback, idempotency_key=key, actor=f"user:{uid}",
            fence=fence_of(request), before_start=lambda: self.take_turn(request),
        )  # fmt: skip
        return Response(as_json(repository.get_memory(uid, memory_id)))

    @extend_schema(responses={200: RunStatus, 404: Detail})
    def retrieve(self, request: Request, memory_id: str) -> Response:
        return Response(status.document(_latest(request, memory_id)))

    @extend_schema(request=None, responses={200: RunStatus, 404: Detail, 409: Detail})
    def cancel(self, request: Request, memory_id: str) -> Response:
        run = _latest(request, memory_id)
        service.cancel(run, actor=f"user:{uid_of(request)}", reason="asked by the user")
        return Response(status.document(_latest(request, memory_id)))

    @extend_schema(
        request=None,
        parameters=parameters(RetryQuery),
        responses={200: RunStatus, 404: Detail, 409: Detail, 429: Detail},
        description="A new run that follows the last one and takes over what is already done and unchanged. At most "
        "`OMI_RETRIES_PER_DAY` of a memory within a day.",
    )
    def retry(self, request: Request, memory_id: str) -> Response:
        asked = query(RetryQuery, request)
        run = _latest(request, memory_id)
        if asked.from_step and asked.from_step not in run.plan:
            raise invalid(("query", "from_step"), f"The steps are {', '.join(run.plan)}")
        budgets.spend(run.uid, runs=1)
        run = service.retry(
            run, actor=f"user:{uid_of(request)}", reason="asked by the user", from_step=asked.from_step,
            most=settings.OMI_RETRIES_PER_DAY,
        )  # fmt: skip
        return Response(status.document(run))


def _latest(request: Request, memory_id: str) -> PostProcessingRun:
    """The memory's latest post-processing, for its owner; the latest run of another kind where there was none."""
    uid = uid_of(request)
    repository.require(uid, memory_id)
    run = queries.latest_run(uid, memory_id, "postprocess") or queries.latest_run(uid, memory_id)
    if run is None:
        raise ApiError(404, "This memory was never post-processed")
    return run
