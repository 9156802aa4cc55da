"""What is for those who run the server: figures, and what exactly is out of reach. Not for the public."""

from __future__ import annotations

import hmac

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django_prometheus.exports import ExportToDjangoView

from omi.core.addresses import is_loopback


def is_operator(request: HttpRequest) -> bool:
    """Who knows ``OMI_METRICS_TOKEN``; or asks from this very machine, not through a proxy on it."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    wanted = settings.OMI_METRICS_TOKEN
    if wanted and scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), wanted.encode()):
        return True
    forwarded = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
    return is_loopback(str(request.META.get("REMOTE_ADDR", ""))) and not forwarded


def metrics(request: HttpRequest) -> HttpResponse:
    """Answer ``/metrics`` for Prometheus; 401 without the operator's token."""
    if not is_operator(request):
        answer = JsonResponse({"detail": "The metrics need OMI_METRICS_TOKEN as a bearer token"}, status=401)
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    return ExportToDjangoView(request)  # type: ignore[no-any-return]
