"""The people whom the user has named, and why a voice was not taken for one of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any
from urllib.parse import quote

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from memories.pages.edge import page
from omi.accounts.erased import fence_of
from omi.accounts.principal import Principal
from speakers import people
from speakers.explain import near_misses
from speakers.models import USER, VoiceSample

MOST_MISSES = 3
"""Near misses that are told of one person."""


@page("GET", "POST")
def listed(request: HttpRequest, who: Principal) -> HttpResponse:
    """Everybody; posted to, one more."""
    if request.method == "POST":
        people.create_person(who.uid, request.POST.get("name", "")[:200], fence=fence_of(who))
        messages.success(request, _("Saved."))
        return redirect("/app/people")
    accepted = VoiceSample.objects.filter(uid=who.uid, status=VoiceSample.Status.ACCEPTED)
    samples = Counter(accepted.values_list("person_id", flat=True))
    misses: dict[str | None, list[dict[str, Any]]] = defaultdict(list)
    for voice in near_misses(who.uid):
        mine = misses[voice["best"]["person_id"]]
        if len(mine) < MOST_MISSES:
            mine.append(voice)
    rows = [
        {
            "id": person.id,
            "name": person.name,
            "samples": samples[person.id],
            "misses": misses[person.id],
            "samples_address": f"/v1/users/people/{quote(person.id, safe='')}/samples",
        }
        for person in people.list_people(who.uid)
    ]
    own = {"samples": samples[USER], "misses": misses[None]}
    return render(request, "pages/people.html", {"people": rows, "own": own, "here": "people"})


@page("POST")
def rename(request: HttpRequest, who: Principal, person_id: str) -> HttpResponse:
    """Give a person another name, in all memories at once."""
    people.rename_person(who.uid, person_id, request.POST.get("name", "")[:200])
    messages.success(request, _("Saved."))
    return redirect("/app/people")


@page("GET", "POST")
def delete(request: HttpRequest, who: Principal, person_id: str) -> HttpResponse:
    """Forget a person and their voice, after a question."""
    person = people.get_person(who.uid, person_id)
    if request.method == "POST":
        people.delete_person(who.uid, person.id)
        messages.success(request, _("The person and their voice are erased."))
        return redirect("/app/people")
    return render(request, "pages/delete_person.html", {"person": person, "here": "people"})
