"""What a user does with recaps: read, list, have one made again. Everything takes the uid."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from memories.recaps import making, periods
from memories.recaps.content import TAG
from memories.recaps.models import Recap, RecapSource, RecapTurn
from memories.user_events import log as events
from omi.accounts.erased import Fence
from omi.accounts.users import get_user, zone
from omi.stores.documents import documents
from speakers import people

USER, NOBODY = "you", "somebody"
"""For a user without a name, and for a person who was deleted."""


class RecapNotFound(Exception):
    """There is no recap of this period, and nothing to make one of."""


def of_user(uid: str, *, kind: str | None, before: date | None, limit: int) -> list[Recap]:
    """Return the user's recaps, the newest first; ``before`` is a day before which they begin."""
    rows = Recap.objects.filter(uid=uid)
    rows = rows.filter(kind=kind) if kind else rows
    rows = rows.filter(first__lt=before) if before else rows
    return list(rows.order_by("-first", "kind")[:limit])


def get(uid: str, kind: str, day: date) -> tuple[Recap, dict[str, Any] | None]:
    """The recap of the period that a day lies in, with names as they are now; no text while it is being made.

    Raises RecapNotFound.
    """
    row = Recap.objects.filter(uid=uid, kind=kind, first=periods.first_of(kind, day)).first()
    if row is None:
        raise RecapNotFound
    found = documents().get(making.document_path(uid, row.kind, row.first))
    return row, None if found is None else _named(uid, dict(found.data))


def _named(uid: str, told: dict[str, Any]) -> dict[str, Any]:
    """Who was deleted is no person any more: what they said stays, as said by somebody."""
    names = people.names(uid)
    told.pop("created_at", None)
    known = {None, *names}
    told["people"] = [item for item in told.get("people", []) if item["person_id"] in known]
    for item in [*told["people"], *told.get("quotes", []), *told.get("decisions", [])]:
        item["person_id"] = item["person_id"] if item["person_id"] in names else None
        item["name"] = names.get(item["person_id"] or "")
    told.pop("written_from", None)
    called = _called(uid, told.pop("voices", {}), names) if told.get("summary") else {}
    told["summary"] = [
        {**said, "text": _capital(TAG.sub(lambda tag: called.get(tag[0], NOBODY), said["text"]))}
        for said in told.get("summary", [])
    ]
    return told


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _called(uid: str, voices: dict[str, str | None], names: Mapping[str, str]) -> dict[str, str]:
    """What to write for each tag of a summary: names as they are now."""
    own = get_user(uid).name or USER
    return {tag: own if person is None else names.get(person, NOBODY) for tag, person in voices.items()}


def make_again(uid: str, kind: str, day: date, *, fence: Fence) -> Recap:
    """Have a worker make the recap of a period, also of one that is not over. Raises RecapNotFound where it has no
    memories."""
    first = periods.first_of(kind, day)
    user = get_user(uid)
    if (
        periods.bounds(kind, first, zone(user))[0] > timezone.now()
        or not making.memories_of(uid, kind, first, user).exists()
    ):
        raise RecapNotFound
    with events.user_write(uid, fence):
        row, _ = Recap.objects.get_or_create(uid=uid, kind=kind, first=first)
        Recap.objects.filter(pk=row.pk).update(due=True, tries=0)
        Recap.objects.filter(pk=row.pk, claim="").update(until=None)  # nobody is at it: it only waits after a failure
        transaction.on_commit(lambda: async_task("memories.recaps.making.make", row.pk))
    row.due = True
    return row


def forget_memory(uid: str, memory_id: str) -> int:
    """Erase the text of recaps that were made of a memory, and have them made without it."""
    rows = Recap.objects.filter(uid=uid, sources__memory_id=memory_id)
    count = 0
    for row in list(rows):
        with transaction.atomic():
            events.lock_if_there(uid)
            documents().delete(making.document_path(uid, row.kind, row.first))
            RecapSource.objects.filter(recap=row).delete()
            count += Recap.objects.filter(pk=row.pk).update(due=True, tries=0, until=None)
    return count


def forget_user(uid: str) -> int:
    """Erase a user's recaps; their texts go with the user's documents, too."""
    rows = Recap.objects.filter(uid=uid)
    RecapSource.objects.filter(recap__in=rows).delete()
    RecapTurn.objects.filter(uid=uid).delete()
    return int(rows.delete()[0])


def remaining(uid: str) -> int:
    """Rows of this user that are still here."""
    return Recap.objects.filter(uid=uid).count() + RecapTurn.objects.filter(uid=uid).count()
