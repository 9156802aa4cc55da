"""The console's queue of feedback, grouped by what is wrong; words are masked until a reason is given."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse

from memories.feedback import reports
from memories.feedback.models import LabelledCase, Report
from omi.core import reveal
from omi.core.readonly_admin import ReadOnlyAdmin

REVEALED = "revealed_feedback"
CLOSE = "console.close_reports"
"""The permission of the console to close a report."""
READ_TEXT = "Read the text: "
"""How the history says that the words of a report were revealed, before the reason."""
MASK = "•••••"
GROUPED = 5000
"""Of the open reports, the newest ones that are counted by cause."""


@admin.register(Report)
class ReportAdmin(ReadOnlyAdmin):
    """The newest first; ``By cause`` shows how many of each kind are open."""

    list_display = ["created_at", "part", "thumb_shown", "reasons_shown", "state", "cause", "uid", "memory_id"]
    list_filter = ["state", "part", "thumb", "cause", "language", "created_at"]
    search_fields = ["uid", "memory_id"]
    ordering = ["-created_at"]
    change_list_template = "admin/feedback/report_list.html"

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("causes/", wrap(self.causes_view), name="feedback_report_causes"),
            path("<str:pk>/look/", wrap(self.look_view), name="feedback_report_look"),
            *super().get_urls(),
        ]

    @admin.display(description="thumb")
    def thumb_shown(self, row: Report) -> str:
        """Return the thumb in words: a picture of a thumb is read by nobody who cannot see it."""
        return {1: "up", -1: "down"}.get(row.thumb, "–")

    @admin.display(description="reasons")
    def reasons_shown(self, row: Report) -> str:
        return ", ".join(row.reasons) or "–"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = get_object_or_404(Report, pk=object_id)  # an id that can be none is a part of no address
        return HttpResponseRedirect(reverse("admin:feedback_report_look", args=[row.pk]))

    def causes_view(self, request: HttpRequest) -> HttpResponse:
        """Open reports and labelled cases, counted by part, reason and what made it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request), "title": "Feedback by cause", "groups": groups(),
            "cases": LabelledCase.objects.values("part", "cause").annotate(count=Count("pk")).order_by("-count")[:50],
        }  # fmt: skip
        return render(request, "admin/feedback/causes.html", context)

    def look_view(self, request: HttpRequest, pk: str) -> HttpResponse:
        """One report; its words after a reason, its audio in the memory's own page where the user consents."""
        row = get_object_or_404(Report, pk=pk)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        may_read, may_close = request.user.has_perm(reveal.READ), request.user.has_perm(CLOSE)
        opened = may_read and reveal.is_open(request, REVEALED, pk)
        if request.method == "POST":
            if "reveal" in request.POST:
                if not may_read:
                    raise PermissionDenied
                why = request.POST.get("reason", "").strip()
                if why:
                    reveal.open_for(request, REVEALED, pk)
                    self.log_change(request, row, f"{READ_TEXT}{why[:200]}")
                else:
                    messages.warning(request, "A reason is needed to show the text.")
            elif may_close:
                reports.close(row, cause=request.POST.get("cause", "").strip())
                self.log_change(request, row, "closed")
                messages.success(request, "Closed.")
            else:
                raise PermissionDenied
            return HttpResponseRedirect(request.path)
        context = {
            **self.admin_site.each_context(request), "title": f"Feedback on {row.get_part_display()}", "row": row,
            "opened": opened, "minutes": reveal.MINUTES, "text": row.text if opened else MASK,
            "made_with": sorted(row.made_with.items()), "may_read": may_read, "may_close": may_close,
        }  # fmt: skip
        return render(request, "admin/feedback/look.html", context)


def groups() -> list[dict[str, Any]]:
    """Open reports by part, first reason, and model that made the part: the largest group first."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in Report.objects.filter(state=Report.State.OPEN).order_by("-created_at")[:GROUPED]:
        of = {"summary": "structure"}.get(row.part, row.part)
        model = str((row.made_with.get(of) or {}).get("model", "")) or "–"
        for reason in row.reasons or ["no reason"]:
            group = found.setdefault(
                (row.part, reason, model),
                {
                    **dict(zip(("part", "reason", "model"), (row.part, reason, model), strict=True)),
                    "count": 0,
                    "users": set(),
                    "newest": row.created_at,
                },
            )
            group["count"] += 1
            group["users"].add(row.uid)
    told = [{**group, "users": len(group["users"])} for group in found.values()]
    return sorted(told, key=lambda group: -group["count"])


@admin.register(LabelledCase)
class LabelledCaseAdmin(ReadOnlyAdmin):
    """Which cases there are. What they say is in the export of the shared ones alone."""

    list_display = ["created_at", "part", "cause", "language", "shared", "uid", "memory_id", "expires_at"]
    list_filter = ["part", "cause", "shared", "language"]
    search_fields = ["uid", "memory_id"]
    exclude = ["machine", "person", "context"]
    ordering = ["-created_at"]
