"""What a user chooses: zone, language, recaps, consents, vocabulary."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from memories.api.retention import ChangedRetention
from memories.api.user_settings import ChangedSettings
from memories.feedback import permissions
from memories.pages.edge import given, page
from memories.privacy import account, recordings_kept
from memories.vocabulary import terms
from memories.webhooks import hooks, rules
from omi.accounts import users
from omi.accounts.erased import fence_of
from omi.accounts.principal import Principal

RECAPS = ("recap_daily", "recap_weekly", "recap_push")
KEEP_DAYS = (7, 30, 90, 180, 365)
CONSENTS = ("learning", "cases", "shadow")


@page("GET", "POST")
def settings(request: HttpRequest, who: Principal) -> HttpResponse:
    """The settings; posted to, name, zone, language and recaps."""
    user = users.get_user(who.uid)
    if request.method == "GET":
        words = terms.of(who.uid)
        told = {
            "user": user, "zones": sorted(available_timezones()), "words": words, "most_words": terms.MOST_TERMS,
            "kept": recordings_kept.told(who.uid), "keep_days": _offered(user.recordings_keep_days),
            "hooks": list(hooks.of_user(who.uid)), "kinds": rules.NAMES, "here": "settings",
        }  # fmt: skip
        return render(request, "pages/settings.html", told)
    form = request.POST
    asked: dict[str, Any] = {name: form.get(name, "").strip() for name in ("name", "time_zone")}
    asked |= {"language": form.get("language", "").strip() or None, **{name: name in form for name in RECAPS}}
    users.update_user(who.uid, fence=fence_of(who), **given(ChangedSettings, asked, "body").model_dump())
    return _saved(request)


@page("POST")
def consents(request: HttpRequest, who: Principal) -> HttpResponse:
    """Whether recordings are kept, and what may be learned from them. What is withdrawn is erased."""
    before, wanted = users.get_user(who.uid), "store_recording_permission" in request.POST
    asked = _days(request.POST.get("recordings_keep_days", ""))
    days = given(ChangedRetention, asked, "body").recordings_keep_days  # before anything is erased
    if "recordings_keep_days" in request.POST and days != before.recordings_keep_days:
        recordings_kept.keep_recordings_for(who.uid, days, fence=fence_of(who))
    if wanted is not before.store_recording_permission:
        account.set_recording_permission(who.uid, wanted, fence=fence_of(who))
    permissions.change(who.uid, {name: name in request.POST for name in CONSENTS}, fence=fence_of(who))
    return _saved(request)


@page("POST")
def vocabulary(request: HttpRequest, who: Principal) -> HttpResponse:
    """Words that recognition shall know, one a line."""
    lines = request.POST.get("terms", "").splitlines()
    terms.put(who.uid, lines[:1000], fence=fence_of(who))
    return _saved(request)


def _offered(days: int | None) -> list[int]:
    """Numbers of days to choose from; the one that was set over the API among them."""
    return sorted({*KEEP_DAYS, *([days] if days is not None else [])})


def _days(text: str) -> dict[str, Any]:
    """As the API takes it: empty means until they are deleted."""
    number = text.isascii() and text.isdecimal() and len(text) < 9
    return {"recordings_keep_days": int(text) if number else text or None}


def _saved(request: HttpRequest) -> HttpResponse:
    messages.success(request, _("Saved."))
    return redirect("/app/settings")
