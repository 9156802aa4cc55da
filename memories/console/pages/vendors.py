"""Vendors: how they did today, what they cost, and the breaker, which staff may open and close."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from memories.console import audit, figures, roles
from memories.console.models import FailureGroup
from memories.console.pages.base import answer, needs, number, paged, reason_of
from memories.pipeline.models import VendorBreaker, VendorCall
from memories.pipeline.vendor_calls import circuit_breaker
from transcription.models import LiveVendorBreaker


@needs()
def listed(request: HttpRequest) -> HttpResponse:
    """Every vendor that was called today or has a breaker."""
    today = figures.today()
    breakers = {row.vendor: row for row in VendorBreaker.objects.order_by("vendor")[:200]}
    live = {row.vendor: row for row in LiveVendorBreaker.objects.order_by("vendor")[:200]}
    figured = {vendor.name: vendor for vendor in today.vendors}
    names = sorted({*breakers, *live, *figured})
    rows = [(name, figured.get(name), breakers.get(name), live.get(name)) for name in names]
    return answer(request, "vendors", "Vendors", rows=rows, today=today, now=timezone.now().timestamp())


@needs(to_post=roles.MANAGE_BREAKERS)
def one(request: HttpRequest, name: str) -> HttpResponse:
    """One vendor; its POST opens or closes the breaker."""
    breaker = VendorBreaker.objects.filter(pk=name).first()
    live = LiveVendorBreaker.objects.filter(pk=name).first()
    calls = VendorCall.objects.filter(vendor=name).order_by("-started_at")
    groups = list(FailureGroup.objects.filter(vendor=name).order_by("-last_seen")[:20])
    # A group of failures outlives the records of the calls that failed, and its page leads here.
    if breaker is None and live is None and not groups and not calls[:1]:
        raise Http404
    if request.method == "POST":
        return _steer(request, name)
    today = figures.today()
    asked = str(request.GET.get("only", ""))
    shown = calls.exclude(error_code="") if asked == "errors" else calls
    return answer(
        request, "vendor", f"Vendor {name}", vendor=name, breaker=breaker, live=live, today=today,
        figured=next((vendor for vendor in today.vendors if vendor.name == name), None), only=asked,
        page=paged(request, shown.select_related("run")),
        groups=groups,
        now=timezone.now().timestamp(),
    )  # fmt: skip


def _steer(request: HttpRequest, name: str) -> HttpResponse:
    what, reason = str(request.POST.get("do", "")), reason_of(request)
    if what not in ("open", "close"):
        raise Http404
    back = redirect("admin:console_vendor", name)
    if not reason:
        messages.error(request, "Nothing was done: a reason is required.")
        return back
    with transaction.atomic():
        minutes = number(request, "minutes", most=24 * 60, default=15)
        if what == "open":
            circuit_breaker.open_by_hand(name, minutes=minutes)
            said = f"{name} is not called for {minutes} minutes; runs that need it wait."
        else:
            closed = circuit_breaker.reset(name)
            said = f"{name} is called again." if closed else f"{name} was called already: its breaker was not open."
        audit.record(
            audit.actor_of(request), roles.MANAGE_BREAKERS, audit.thing("vendor", name), reason,
            {"do": what, "minutes": minutes if what == "open" else 0},
        )  # fmt: skip
    messages.success(request, said)
    return back
