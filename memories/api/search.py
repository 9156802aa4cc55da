"""``POST /v1/memories/search``."""

from __future__ import annotations

import time

from drf_spectacular.utils import extend_schema
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories.api.reading import body
from memories.api.rendering import as_json
from memories.api.shapes import Detail, SearchAnswer, SearchBody
from memories.pipeline import budgets
from memories.search import query
from omi.accounts.requests import uid_of
from omi.accounts.throttles import SearchRate, UserRate
from omi.core.metrics import search_seconds


class SearchViewSet(viewsets.ViewSet):
    """The search in a user's memories by meaning and words, as the app asks for it."""

    throttle_classes = [UserRate, SearchRate]

    @extend_schema(
        request=SearchBody,
        responses={200: SearchAnswer, 422: Detail, 429: Detail, 503: Detail},
        description="By meaning and by words (names, acronyms), best first, in the user's own memories.",
    )
    def create(self, request: Request) -> Response:
        asked = body(SearchBody, request)
        filters = query.Filters(
            include_discarded=asked.include_discarded,
            category=asked.category,
            person_id=asked.person_id,
            start=asked.start_date,
            end=asked.end_date,
        )
        budgets.spend(uid_of(request), searches=1)
        began = time.perf_counter()
        outcome = "failed"
        try:
            hits = query.search(uid_of(request), asked.query, asked.limit, filters)
            outcome = "answered"
        finally:
            search_seconds.labels(outcome).observe(time.perf_counter() - began)
        return Response(
            {
                "hits": [
                    {
                        "memory": as_json(hit.memory),
                        "score": hit.score,
                        "semantic": hit.semantic,
                        "lexical": hit.lexical,
                        "matched": hit.matched,
                        "snippet": hit.snippet,
                    }
                    for hit in hits
                ]
            }
        )
