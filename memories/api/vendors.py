"""Callbacks of vendors: believed only with their signature."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.http import require_safe
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from memories import vendor_callbacks
from memories.api.errors import ApiError
from memories.pipeline.vendor_calls import signed_urls
from omi.core.metrics import vendor_callbacks_total
from omi.stores import audio
from omi.stores.ranged import ranged
from transcription.vendors.batch import webhook

PIECE = 64 * 1024


class FalWebhook(APIView):
    """The address that fal.ai calls when a job has ended."""

    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(exclude=True)
    def post(self, request: Request) -> Response:
        try:
            verified = webhook.verify(request.headers, _pieces(request._request))
        except webhook.WebhookRefused as error:
            vendor_callbacks_total.labels(webhook.VENDOR, "refused").inc()
            raise ApiError(401, "The signature is not valid") from error
        # The signed header, not the body: it is what the signature names.
        new = vendor_callbacks.accept(webhook.VENDOR, verified.request_id)
        vendor_callbacks_total.labels(webhook.VENDOR, "accepted" if new else "repeated").inc()
        return Response({"status": "ok", "repeated": not new})


def _pieces(request: HttpRequest) -> Iterator[bytes]:
    """The body as it lies on disk; the server has refused one over ``DATA_UPLOAD_MAX_MEMORY_SIZE``, and so does this
    where another server stands in front."""
    received = 0
    while piece := request.read(PIECE):
        received += len(piece)
        if received > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise ApiError(413, "The body is too large")
        yield piece


@require_safe
def vendor_audio(request: HttpRequest, token: str) -> HttpResponseBase:
    """A recording for the vendor that transcribes it: by signed address only, for a limited time, with ranges."""
    name = signed_urls.opened(token)
    if name is None:
        return HttpResponse(status=403)
    try:
        found = audio.get(name)
    except LookupError:
        return HttpResponse(status=404)
    return ranged(request, found)
