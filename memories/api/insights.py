"""``/v1/insights``: how the user and the people they named speak (docs/search.md)."""

from __future__ import annotations

from datetime import date, timedelta

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from pydantic import Field
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories.api.errors import ApiError, invalid
from memories.api.reading import Query, parameters, query
from memories.api.rendering import as_json
from memories.api.shapes import Detail
from memories.insights import plots
from memories.insights.summary import Insights, insights
from omi.accounts.requests import uid_of
from omi.accounts.throttles import SearchRate, UserRate
from omi.accounts.users import zone_of

LONGEST = timedelta(days=366)


class InsightsQuery(Query):
    """The query of the insights: their first and last day."""

    start: date | None = Field(default=None, description="first day in the user's zone; four weeks before the last")
    end: date | None = Field(default=None, description="last day; today")


class InsightsViewSet(viewsets.ViewSet):
    """How the user and people they named speak, over a period."""

    throttle_classes = [UserRate, SearchRate]

    @extend_schema(parameters=parameters(InsightsQuery), responses={200: Insights, 422: Detail})
    def retrieve(self, request: Request) -> Response:
        """Talk time, turns, interruptions, questions, rate, vocabulary, topics, emotions, patterns."""
        return Response(as_json(_asked(request)))

    @extend_schema(
        parameters=parameters(InsightsQuery),
        responses={(200, "image/svg+xml"): OpenApiTypes.STR, 404: Detail, 422: Detail},
        description="`talk-time`, `topics` or `emotions` as SVG (`.svg`), or as a figure with its table (`.html`).",
    )
    def plot(self, request: Request, name: str, form: str) -> HttpResponse:
        """A plot of the insights."""
        if name not in plots.PLOTS or form not in ("svg", "html"):
            raise ApiError(404, "Plot not found")
        made = plots.PLOTS[name](_asked(request))
        headers = {"Cache-Control": "private, no-cache"}
        if form == "html":
            return HttpResponse(plots.figure(made), content_type="text/html; charset=utf-8", headers=headers)
        return HttpResponse(plots.svg(made), content_type="image/svg+xml", headers=headers)


def _asked(request: Request) -> Insights:
    return insights_of(uid_of(request), query(InsightsQuery, request))


def insights_of(uid: str, asked: InsightsQuery) -> Insights:
    """The insights of the days that are asked for. Raises ApiError (422)."""
    end = asked.end or timezone.now().astimezone(zone_of(uid)).date()
    if not date(1971, 1, 1) <= end < date(9999, 1, 1):
        raise invalid(("query", "end"), "Input should be a day of our time")
    start = asked.start or end - timedelta(days=27)
    if not timedelta(0) <= end - start <= LONGEST or start < date(1970, 1, 2):
        raise invalid(("query", "start"), f"should be at most {LONGEST.days} days before end")
    return insights(uid, start, end)
