"""The trash: memories that the user deleted, to be brought back or erased for good. What was set aside is elsewhere."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from memories.api.long_memories import in_turn
from memories.api.trash import TrashQuery
from memories.pages.edge import given, page
from memories.pages.memory import weight_of
from memories.pipeline import service
from memories.privacy import erasure, trash
from omi.accounts.principal import Principal

SHOWN = 50


@page("GET")
def listed(request: HttpRequest, who: Principal) -> HttpResponse:
    """What can be brought back, last deleted first."""
    asked = given(TrashQuery, request.GET)
    found = trash.listed(who.uid, before=asked.before, limit=SHOWN + 1)
    told = {
        "memories": found[:SHOWN], "next": found[SHOWN - 1].memory_id if len(found) > SHOWN else None,
        "days": _plain(settings.OMI_RESTORE_DAYS), "here": "timeline",
    }  # fmt: skip
    return render(request, "pages/trash.html", told)


@page("POST")
def restore(request: HttpRequest, who: Principal, memory_id: str) -> HttpResponse:
    """Bring a memory back."""
    with in_turn(who.uid, weight_of(who.uid, memory_id)):
        service.bounded(who.uid, memory_id, settings.OMI_RETRIES_PER_DAY)
        erasure.restore_memory(who.uid, memory_id, actor=f"user:{who.uid}")
    messages.success(request, _("It is among your memories again."))
    return redirect("/app/trash")


@page("POST")
def erase(request: HttpRequest, who: Principal, memory_id: str) -> HttpResponse:
    """Erase a memory of the trash for good."""
    trash.empty(who.uid, memory_id)
    messages.success(request, _("The memory is erased, with everything that hung on it."))
    return redirect("/app/trash")


@page("GET", "POST")
def empty(request: HttpRequest, who: Principal) -> HttpResponse:
    """Erase all of the trash, after a question."""
    if request.method == "POST":
        _erased, left = trash.empty_all(who.uid)
        more = _("Some are erased. There were too many for one time: please empty it again.")
        messages.success(request, more if left else _("The trash is empty. What was in it is erased."))
        return redirect("/app/trash")
    return render(request, "pages/empty_trash.html", {"here": "timeline"})


def _plain(days: float) -> float | int:
    """Without a decimal point where there is nothing behind it."""
    return int(days) if days == int(days) else days
