"""Runs, vendor calls and breakers, over all memories."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from memories.admin.badges import badge, short_id
from memories.models import MemoryRow
from memories.pipeline.models import PostProcessingRun, VendorBreaker, VendorCall
from omi.core.readonly_admin import ReadOnlyAdmin


@admin.register(PostProcessingRun)
class RunAdmin(ReadOnlyAdmin):
    """The list of runs over all memories."""

    list_display = ["id", "what", "memory", "uid", "how", "current_step", "message_id", "actor", "created", "took"]
    list_filter = ["kind", "state", "outcome", "dead_letter", "blocked", "message_id", "created_at"]
    search_fields = ["=id", "memory_id", "uid"]
    list_per_page = 50

    class Media:
        css = {"all": ["memories/support.css"]}

    @admin.display(description="kind", ordering="kind")
    def what(self, run: PostProcessingRun) -> str:
        return run.kind

    @admin.display(description="memory", ordering="memory_id")
    def memory(self, run: PostProcessingRun) -> SafeString:
        return short_id(run.memory_id)

    @admin.display(description="created (UTC)", ordering="created_at")
    def created(self, run: PostProcessingRun) -> str:
        return f"{run.created_at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="state", ordering="state")
    def how(self, run: PostProcessingRun) -> SafeString:
        return badge(run.outcome or run.state)

    @admin.display(description="seconds")
    def took(self, run: PostProcessingRun) -> str:
        if run.started_at is None or run.finished_at is None:
            return "–"
        return f"{(run.finished_at - run.started_at).total_seconds():.1f}"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A run is shown on its memory's page, where its neighbours are."""
        run: PostProcessingRun | None = self.get_object(request, object_id)
        if run is None:
            raise Http404("There is no such run")
        row = MemoryRow.objects.filter(uid=run.uid, memory_id=run.memory_id).first()
        if row is None:
            return super().change_view(request, object_id, form_url, extra_context)
        return HttpResponseRedirect(reverse("admin:memories_memoryrow_change", args=[row.pk]) + f"?run={run.pk}")


@admin.register(VendorCall)
class VendorCallAdmin(ReadOnlyAdmin):
    """The list of calls to vendors over all runs."""

    list_display = ["id", "vendor", "operation", "run_link", "result", "latency", "audio_seconds", "cost", "duplicate"]
    list_filter = ["vendor", "operation", "outcome", "duplicate", "started_at"]
    search_fields = ["reference", "run__memory_id", "run__uid", "uid"]
    list_select_related = ["run"]
    list_per_page = 50

    class Media:
        css = {"all": ["memories/support.css"]}

    @admin.display(description="run")
    def run_link(self, call: VendorCall) -> SafeString | str:
        if call.run_id is None:
            return f"none ({call.uid})"
        address = reverse("admin:pipeline_postprocessingrun_change", args=[call.run_id])
        return format_html('<a href="{}">{}</a>', address, call.run_id)

    @admin.display(description="outcome")
    def result(self, call: VendorCall) -> SafeString:
        return badge(call.outcome or "no answer seen")


@admin.register(VendorBreaker)
class VendorBreakerAdmin(ReadOnlyAdmin):
    """The list of vendors' circuit breakers in the pipeline."""

    list_display = ["vendor", "open", "failures", "reason", "opened_at", "retry_at"]
