"""What a day or a week was about."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from memories.api.recaps import RecapsQuery
from memories.pages.edge import clock, given, page
from memories.pipeline import budgets
from memories.recaps import reading
from omi.accounts.erased import fence_of
from omi.accounts.principal import Principal

KINDS = ("day", "week")


@page("GET")
def listed(request: HttpRequest, who: Principal) -> HttpResponse:
    """The recaps, newest first."""
    asked = given(RecapsQuery, request.GET)
    rows = reading.of_user(who.uid, kind=asked.kind, before=asked.before, limit=asked.limit + 1)
    more = rows[asked.limit - 1].first if len(rows) > asked.limit else None
    today = timezone.localdate()
    told = {"rows": rows[: asked.limit], "more": more, "kind": asked.kind, "here": "recaps", "today": today,
            "yesterday": today - timedelta(days=1)}  # fmt: skip
    return render(request, "pages/recaps.html", told)


@page("GET", "POST")
def recap(request: HttpRequest, who: Principal, kind: str, day: str) -> HttpResponse:
    """One recap; posted to, a worker makes it again."""
    chosen = _day(day)
    if kind not in KINDS or chosen is None:
        raise reading.RecapNotFound
    if request.method == "POST":
        budgets.spend(who.uid, runs=1)
        reading.make_again(who.uid, kind, chosen, fence=fence_of(who))
        messages.success(request, _("The recap is being made. Reload the page in a moment."))
        return redirect(f"/app/recaps/{kind}/{chosen.isoformat()}")
    row, found = reading.get(who.uid, kind, chosen)
    return render(request, "pages/recap.html", {"row": row, "recap": _shown(found), "here": "recaps"})


def _shown(found: dict[str, Any] | None) -> dict[str, Any] | None:
    if found is None:
        return None
    for item in [*found.get("decisions", []), *found.get("quotes", [])]:
        item["clock"] = clock(item["start"])
    for item in found.get("summary", []):
        item["clock"] = clock(item["moment"]["start"])
    for item in found.get("memories", []):
        item["when"] = timezone.localtime(datetime.fromisoformat(item["at"]))
        item["clock"] = clock(item["seconds"])
    for item in found.get("people", []):
        item["clock"] = clock(item["seconds"])
    for item in found.get("moods", []):
        item["percent"] = round(100 * item["share"])
    return found


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None
    return day if day and date(1970, 1, 12) <= day <= date(9999, 1, 1) else None
