"""Thumbs and words on a part of a memory, or on a recap."""

from __future__ import annotations

from urllib.parse import quote

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from memories.api.feedback import GiveFeedback, given_by
from memories.pages.edge import given, page
from omi.accounts.erased import fence_of
from omi.accounts.principal import Principal


@page("POST")
def give(request: HttpRequest, who: Principal) -> HttpResponse:
    """Keep what the user says; again for the same part, it replaces the first."""
    named = ("part", "memory_id", "thumb", "text", "audio_consent")
    said = given(GiveFeedback, {name: request.POST[name] for name in named if request.POST.get(name)}, "body")
    given_by(who.uid, said, fence=fence_of(who))
    messages.success(request, _("Thank you. This is kept for those who improve it."))
    if said.memory_id:
        return redirect(f"/app/memories/{quote(said.memory_id, safe='')}")
    return redirect("/app/search" if said.part.value == "search" else "/app/recaps")
