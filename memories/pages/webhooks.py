"""Addresses that are told what happens to the memories."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from memories.api.webhooks import NewWebhook
from memories.pages.edge import given, page
from memories.webhooks import hooks
from omi.accounts.erased import fence_of
from omi.accounts.principal import Principal


@page("POST")
def add(request: HttpRequest, who: Principal) -> HttpResponse:
    """Add an address. This page is the only one that shows its secret."""
    chosen = request.POST.getlist("kinds")
    asked = {"url": request.POST.get("url", "").strip(), **({"kinds": chosen} if chosen else {})}
    said = given(NewWebhook, asked, "body")
    hook, secret = hooks.create(who.uid, said.url, said.kinds, fence=fence_of(who))
    return render(request, "pages/webhook_secret.html", {"hook": hook, "secret": secret, "here": "settings"})


@page("POST")
def remove(request: HttpRequest, who: Principal, webhook_id: str) -> HttpResponse:
    """Remove an address, with the log of what it was told."""
    hooks.delete(who.uid, webhook_id)
    messages.success(request, _("Removed."))
    return redirect("/app/settings")
