"""Memories: the list, a memory's page, and what can be done to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from memories import support
from memories.admin import page, reveal
from memories.admin.badges import badge, short_id
from memories.models import MemoryRow
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.states import OUTCOMES
from memories.shapes import PostProcessingStatus
from omi.core.errors import ProviderError
from omi.core.readonly_admin import ReadOnlyAdmin

TITLES = {
    "reprocess": "Reprocess",
    "post_process": "Post-process again",
    "cancel": "Cancel",
    "set_status": "Set status",
}
EXPLAINED = {
    "reprocess": "Makes title, overview, action items and search entry again from the transcript that is shown.",
    "post_process": "Transcribes the stored recording again. The better transcript wins; both are kept.",
    "cancel": "Stops every run of the memory that has not ended.",
    "set_status": "Changes what the memory says of its post-processing. No run is started.",
}


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=300, widget=forms.TextInput(attrs={"size": 80}), help_text="Kept in the history of the memory."
    )


class StatusForm(ReasonForm):
    status = forms.ChoiceField(
        choices=[(item.value, item.value.replace("_", " ")) for item in PostProcessingStatus if item != "in_progress"]
    )
    field_order = ["status", "reason"]


class LastOutcome(admin.SimpleListFilter):
    title = "last run"
    parameter_name = "last_run"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("unfinished", "Not ended"), ("none", "No run"), *OUTCOMES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "unfinished":
            return queryset.filter(last_outcome="")
        if self.value() == "none":
            return queryset.filter(last_outcome=None)
        return queryset.filter(last_outcome=self.value()) if self.value() else queryset


@admin.register(MemoryRow)
class MemoryAdmin(ReadOnlyAdmin):
    list_display = ["memory", "uid", "created", "status", "last_run", "duration", "category", "flags"]
    list_filter = [
        "postprocessing_status",
        LastOutcome,
        "discarded",
        "deleted",
        "visibility",
        "category",
        "language",
        "source",
        "created_at",
    ]
    search_fields = ["uid", "memory_id", "processing_memory_id"]
    search_help_text = "User id, memory id or processing memory id. Words of a memory are not searched here."
    date_hierarchy = "created_at"
    ordering = ["-created_at"]
    list_per_page = 50
    actions = ["reprocess", "post_process", "cancel", "set_status"]

    class Media:
        css = {"all": ["memories/support.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        last = PostProcessingRun.objects.filter(uid=OuterRef("uid"), memory_id=OuterRef("memory_id")).order_by("-id")
        rows: QuerySet[Any] = super().get_queryset(request)
        annotated: QuerySet[Any] = rows.annotate(
            last_outcome=Subquery(last.values("outcome")[:1]), last_state=Subquery(last.values("state")[:1])
        )
        return annotated

    def has_act_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Looking needs the view permission; doing something, and reading words, the change permission."""
        return request.user.has_perm("memories.change_memoryrow")

    @admin.display(description="memory", ordering="memory_id")
    def memory(self, row: MemoryRow) -> SafeString:
        return short_id(row.memory_id)

    @admin.display(description="created (UTC)", ordering="created_at")
    def created(self, row: MemoryRow) -> str:
        return f"{row.created_at:%Y-%m-%d %H:%M}"

    @admin.display(description="post-processing", ordering="postprocessing_status")
    def status(self, row: MemoryRow) -> SafeString:
        return badge(row.postprocessing_status)

    @admin.display(description="last run")
    def last_run(self, row: Any) -> SafeString | str:
        if row.last_state is None:
            return "–"
        return badge(row.last_outcome or row.last_state)

    @admin.display(description="length", ordering="seconds")
    def duration(self, row: MemoryRow) -> str:
        return f"{int(row.seconds) // 60}:{int(row.seconds) % 60:02d}"

    @admin.display(description="flags")
    def flags(self, row: MemoryRow) -> str:
        named = [("deleted", row.deleted), ("discarded", row.discarded), (row.visibility, row.visibility != "private")]
        return ", ".join(name for name, shown in named if shown) or "–"

    # --- actions on the list ---

    @admin.action(description=TITLES["reprocess"], permissions=["act"])
    def reprocess(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self._ask(request, queryset, "reprocess")

    @admin.action(description=TITLES["post_process"], permissions=["act"])
    def post_process(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self._ask(request, queryset, "post_process")

    @admin.action(description=TITLES["cancel"], permissions=["act"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self._ask(request, queryset, "cancel")

    @admin.action(description=TITLES["set_status"], permissions=["act"])
    def set_status(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self._ask(request, queryset, "set_status")

    def _ask(
        self, request: HttpRequest, queryset: QuerySet[Any], name: str, *, back: str | None = None
    ) -> HttpResponse | None:
        """First the reason, then the deed; the form posts the chosen rows again."""
        kind = StatusForm if name == "set_status" else ReasonForm
        form = kind(request.POST) if "confirmed" in request.POST else kind()
        rows = list(queryset)
        if form.is_bound and form.is_valid():
            for row in rows:
                self._do(request, row, name, form.cleaned_data)
            return HttpResponseRedirect(back) if back else None
        context = {
            **self.admin_site.each_context(request),
            "title": f"{TITLES[name]}: {len(rows)} {'memory' if len(rows) == 1 else 'memories'}",
            "explained": EXPLAINED[name],
            "verb": TITLES[name],
            "name": name,
            "rows": rows,
            "form": form,
            "back": back or reverse("admin:memories_memoryrow_changelist"),
            "from_list": back is None,
            "opts": self.model._meta,
            "media": self.media + form.media,
        }
        return TemplateResponse(request, "admin/memories/memoryrow/reason.html", context)

    def _do(self, request: HttpRequest, row: MemoryRow, name: str, given: dict[str, Any]) -> None:
        actor = f"staff:{request.user.get_username()}"
        arguments: dict[str, Any] = {"actor": actor, "reason": given["reason"]}
        if name == "set_status":
            arguments["status"] = PostProcessingStatus(given["status"])
        deed: Callable[..., str] = getattr(support, name)
        try:
            sentence = deed(row.uid, row.memory_id, **arguments)
        except support.Impossible as error:
            self.message_user(request, f"Memory {row.memory_id}: {error}", messages.WARNING)
            return
        except ProviderError as error:
            self.message_user(request, f"Memory {row.memory_id}: {error.message}", messages.ERROR)
            return
        self.log_change(request, row, f"{TITLES[name]}: {sentence} Reason: {given['reason']}")
        self.message_user(request, f"Memory {row.memory_id}: {sentence}", messages.SUCCESS)

    # --- the page of one memory ---

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path("<int:pk>/do/<str:name>/", wrap(self.act_view), name="memories_memoryrow_act"),
            path("<int:pk>/reveal/", wrap(self.reveal_view), name="memories_memoryrow_reveal"),
        ]
        return own + super().get_urls()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self._row(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            **page.of(row, revealed=reveal.is_open(request, row)),
            "title": f"Memory {row.memory_id}",
            "opts": self.model._meta,
            "media": self.media,
            "actions": [(name, TITLES[name], EXPLAINED[name]) for name in TITLES],
            "may_act": self.has_act_permission(request),
            "reveal_form": ReasonForm(),
            "reveal_minutes": reveal.MINUTES,
        }
        return TemplateResponse(request, "admin/memories/memoryrow/page.html", context)

    def act_view(self, request: HttpRequest, pk: int, name: str) -> HttpResponse:
        if not self.has_act_permission(request):
            raise PermissionDenied
        if name not in TITLES:
            raise Http404
        row = self._row(request, str(pk))
        back = reverse("admin:memories_memoryrow_change", args=[pk])
        answer = self._ask(request, self.get_queryset(request).filter(pk=row.pk), name, back=back)
        return answer or HttpResponseRedirect(back)

    def reveal_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Words are shown for a while, to this session, after the reason was written into the history."""
        if not self.has_act_permission(request):
            raise PermissionDenied
        row = self._row(request, str(pk))
        form = ReasonForm(request.POST)
        if request.method == "POST" and form.is_valid():
            self.log_change(request, row, f"Transcript revealed. Reason: {form.cleaned_data['reason']}")
            reveal.open_for(request, row)
        else:
            self.message_user(request, "A reason is needed to reveal the words.", messages.WARNING)
        return HttpResponseRedirect(reverse("admin:memories_memoryrow_change", args=[pk]))

    def _row(self, request: HttpRequest, object_id: str) -> MemoryRow:
        row: MemoryRow | None = self.get_object(request, object_id)
        if row is None:
            raise Http404("There is no such memory")
        return row
