"""Failures by kind: the list of all groups, and one group with what to do about it."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from memories.console import audit, failures, roles
from memories.console.models import FailedRun, FailureGroup
from memories.console.pages.base import answer, needs, number, paged, reason_of, sparkline

STATUSES = {"open": ["open"], "ignored": ["ignored"], "resolved": ["resolved"], "all": ["open", "ignored", "resolved"]}


@needs()
def listed(request: HttpRequest) -> HttpResponse:
    """Groups with one status, the last to have failed first."""
    status = str(request.GET.get("status", "open"))
    if status not in STATUSES:
        raise Http404
    lines = failures.lines(statuses=STATUSES[status], limit=failures.SHOWN)
    return answer(
        request, "failures", "Failures", status_shown=status, statuses=list(STATUSES),
        lines=[(line, sparkline(line.hours)) for line in lines], limit=failures.SHOWN,
    )  # fmt: skip


@needs(to_post=roles.MANAGE_FAILURES)
def one(request: HttpRequest, pk: int) -> HttpResponse:
    """One group; its POST changes what staff decided about it."""
    line = failures.line(pk)
    if line is None:
        raise Http404
    if request.method == "POST":
        return _change(request, line.group)
    runs = FailedRun.objects.filter(group=line.group).select_related("run").order_by("-at")
    return answer(
        request, "failure", str(line.group), line=line, bars=sparkline(line.hours), page=paged(request, runs),
        me=request.user.get_username(), tomorrow=timezone.localdate() + timedelta(1),
    )  # fmt: skip


def _change(request: HttpRequest, group: FailureGroup) -> HttpResponse:
    what = str(request.POST.get("do", ""))
    back = redirect("admin:console_failure", group.pk)
    reason = reason_of(request)
    if what == "assign":
        owner, note = str(request.POST.get("owner", "")).strip(), " ".join(str(request.POST.get("note", "")).split())
        with transaction.atomic():
            failures.assign(group, owner=owner, note=note)
            audit.record(audit.actor_of(request), roles.MANAGE_FAILURES, audit.thing("failures", group.pk), reason,
                         {"do": what, "owner": owner[:150]})  # fmt: skip
        messages.success(request, "Owner and note are kept.")
        return back
    if what not in ("ignore", "resolve", "reopen"):
        raise Http404
    if not reason:
        messages.error(request, "Nothing was changed: a reason is required.")
        return back
    try:
        with transaction.atomic():
            details: dict[str, object] = {"do": what}
            if what == "ignore":
                until = _day(str(request.POST.get("until", "")).strip())
                bounds = {name: number(request, name, least=0, default=0) for name in ("more", "more_users")}
                failures.ignore(group, until=until, **bounds)
                details |= {**bounds, "until": until.isoformat() if until else ""}
            elif what == "resolve":
                failures.resolve(group)
            else:
                failures.reopen(group)
            audit.record(
                audit.actor_of(request), roles.MANAGE_FAILURES, audit.thing("failures", group.pk), reason, details
            )
    except ValueError as error:
        messages.error(request, f"Nothing was changed: {error}.")
        return back
    said = {"ignore": "It is left out of what needs a human until then, and open again by itself.",
            "reopen": "It is open again.",
            "resolve": "It is resolved; the next failure of this kind opens it again."}  # fmt: skip
    messages.success(request, said[what])
    return back


def _day(text: str) -> datetime | None:
    """The first moment of a day in the reader's zone; None for "". Raises ValueError for what is no day."""
    if not text:
        return None
    try:
        return timezone.make_aware(datetime.combine(date.fromisoformat(text), time.min))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"“{text[:20]}” is no day; write it as {timezone.localdate() + timedelta(1)}") from error
