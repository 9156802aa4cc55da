"""Recordings that a device kept while it was out of reach: sent from the browser, and what became of them."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from memories.api.sync import BatchQuery, shown_of
from memories.offline import reading
from memories.pages.edge import given, page
from omi.accounts.principal import Principal
from omi.accounts.users import get_user


@page("GET")
def offline(request: HttpRequest, who: Principal) -> HttpResponse:
    """The page: its script sends files as an app does, the batches are shown as they are now."""
    asked = given(BatchQuery, request.GET.dict())
    found = reading.page(who.uid, before=asked.before, limit=asked.limit + 1)
    shown = shown_of(found[: asked.limit])
    told = {
        "batches": shown, "more": shown[-1].id if len(found) > asked.limit else "", "here": "live",
        "language": get_user(who.uid).language or "en", "piece": settings.OMI_SYNC_PIECE_BYTES,
        "most": settings.OMI_SYNC_FILES,
    }  # fmt: skip
    return render(request, "pages/offline.html", told)
