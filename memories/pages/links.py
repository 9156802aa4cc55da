"""Links to one memory that its owner gives away: made, listed with their views, ended."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from memories.api.links import NewLink
from memories.api.recordings import recording_of
from memories.links import shared
from memories.pages.edge import given, page
from memories.repository import memories as repository
from omi.accounts.erased import fence_of
from omi.accounts.principal import Principal


@page("GET", "POST")
def listed(request: HttpRequest, who: Principal, memory_id: str) -> HttpResponse:
    """The links of a memory; posted to, a new one, whose address this answer alone shows."""
    repository.require(who.uid, memory_id)
    told: dict[str, Any] = {
        "memory_id": memory_id, "here": "timeline", "recording": recording_of(who.uid, memory_id) is not None,
        "fields": [("title", _("Title")), ("overview", _("Overview")), ("action_items", _("To do")),
                   ("events", _("Events")), ("transcript", _("What was said, without names"))],
    }  # fmt: skip
    if request.method == "POST":
        said = given(NewLink, _form(request), "body")
        _link, secret = shared.make(who.uid, memory_id, said.fields, said.days, audio=said.audio, fence=fence_of(who))
        told["url"] = f"{settings.OMI_PUBLIC_URL or request.build_absolute_uri('/').rstrip('/')}/v1/shared/{secret}"
    told["links"] = [(link, link.expires_at <= timezone.now()) for link in shared.listed(who.uid, memory_id)]
    return render(request, "pages/links.html", told)


@page("POST")
def revoke(request: HttpRequest, who: Principal, memory_id: str, link_id: str) -> HttpResponse:
    """End a link at once."""
    shared.revoke(who.uid, memory_id, link_id)
    messages.success(request, _("The link has ended."))
    return redirect(f"/app/memories/{quote(memory_id, safe='')}/links")


def _form(request: HttpRequest) -> dict[str, Any]:
    days = request.POST.get("days", "")
    return {
        "fields": request.POST.getlist("fields"), "audio": "audio" in request.POST,
        "days": int(days) if days.isascii() and days.isdigit() and len(days) < 9 else days,
    }  # fmt: skip
