"""Addresses that are told what happens to the memories."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from memories.api.errors import ApiError
from memories.api.webhooks import NewWebhook
from memories.pages.edge import given, page
from memories.webhooks import hooks, rules
from omi.accounts.erased import fence_of
from omi.accounts.principal import Principal


@page("POST")
def add(request: HttpRequest, who: Principal) -> HttpResponse:
    """Add an address. This page is the only one that shows its secret."""
    chosen = request.POST.getlist("kinds")
    asked = {"url": request.POST.get("url", "").strip(), **({"kinds": chosen} if chosen else {})}
    said = given(NewWebhook, asked, "body")
    try:
        hook, secret = hooks.create(who.uid, said.url, said.kinds, fence=fence_of(who))
    except rules.BadAddress as error:
        raise ApiError(422, str(error)) from error
    except hooks.SameAddress as error:
        raise ApiError(409, _("There is a webhook for this address.")) from error
    except hooks.TooManyWebhooks as error:
        told = _("There may be %(most)d webhooks.") % {"most": rules.MOST_PER_USER}
        raise ApiError(409, told) from error
    return render(request, "pages/webhook_secret.html", {"hook": hook, "secret": secret, "here": "settings"})


@page("POST")
def remove(request: HttpRequest, who: Principal, webhook_id: str) -> HttpResponse:
    """Remove an address, with the log of what it was told."""
    try:
        hooks.delete(who.uid, webhook_id)
    except hooks.WebhookNotFound as error:
        raise ApiError(404, _("There is no such webhook.")) from error
    messages.success(request, _("Removed."))
    return redirect("/app/settings")
