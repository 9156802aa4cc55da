"""Memories: the list, a memory's page, and what can be done to it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.forms import Script
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from memories import downloads
from memories.admin import acting, hearing, page, reveal, ticket
from memories.admin.badges import badge, short_id
from memories.console import audit, roles
from memories.models import MemoryRow
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.states import OUTCOMES
from memories.repository import memories as repository
from memories.submissions import once
from memories.support import ACTIONS, Action
from memories.support import situation as situations
from memories.support.situation import Situation
from omi.core.readonly_admin import ReadOnlyAdmin
from speakers import people

FROM_LIST = ("reprocess", "post_process", "cancel", "set_status")
"""Actions that the list offers for several memories at once; more than a page of them are an incident replay."""
MOST = 50


class LastOutcome(admin.SimpleListFilter):
    """The filter of the list of memories by how the last run ended."""

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
    """The list of memories and a memory's page, for support; words are shown where somebody revealed them."""

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
    ordering = ["-created_at"]
    list_per_page = 50
    actions = list(FROM_LIST)

    class Media:
        css = {"all": ["memories/support.css", "memories/console.css", "memories/memory.css"]}
        js = [Script("memories/memory.js", defer=True)]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        last = PostProcessingRun.objects.filter(uid=OuterRef("uid"), memory_id=OuterRef("memory_id")).order_by("-id")
        rows: QuerySet[Any] = super().get_queryset(request)
        annotated: QuerySet[Any] = rows.annotate(
            last_outcome=Subquery(last.values("outcome")[:1]), last_state=Subquery(last.values("state")[:1])
        )
        return annotated

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

    @admin.action(description=ACTIONS["reprocess"].verb, permissions=["retry"])
    def reprocess(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self._ask(request, queryset, ACTIONS["reprocess"])

    @admin.action(description=ACTIONS["post_process"].verb, permissions=["retry"])
    def post_process(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self._ask(request, queryset, ACTIONS["post_process"])

    @admin.action(description=ACTIONS["cancel"].verb, permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self._ask(request, queryset, ACTIONS["cancel"])

    @admin.action(description=ACTIONS["set_status"].verb, permissions=["set_status"])
    def set_status(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self._ask(request, queryset, ACTIONS["set_status"])

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return roles.may(request.user, roles.RETRY)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return roles.may(request.user, roles.CANCEL)

    def has_set_status_permission(self, request: HttpRequest) -> bool:
        return roles.may(request.user, roles.SET_STATUS)

    def _ask(self, request: HttpRequest, queryset: QuerySet[Any], action: Action) -> HttpResponse | None:
        """First the reason, then the deed; the form posts the chosen rows again."""
        rows = list(queryset.order_by("pk")[: MOST + 1])
        if len(rows) > MOST:
            self.message_user(
                request, f"At most {MOST} memories at once; more are an incident replay.", messages.WARNING
            )
            return None
        form = acting.form_of(action, request.POST if "confirmed" in request.POST else None)
        if form.is_bound and form.is_valid():
            try:
                claim = acting.claimed(request, action, rows, "")
            except acting.NoTurn as error:
                self.message_user(request, str(error), messages.WARNING)
                return None
            given = dict(form.cleaned_data)
            reason = given.pop("reason")
            for row in rows:
                sentence, level = acting.do(request, action, row, reason, given)
                self.message_user(request, f"Memory {row.memory_id}: {sentence}", level)
            claim.done(f"{action.verb} of {len(rows)} memories.")
            return None
        context = {
            **self._base(request, f"{action.verb}: {len(rows)} {'memory' if len(rows) == 1 else 'memories'}"),
            "action": action,
            "rows": rows,
            "form": form,
            "token": once.token(acting.purpose(request, action, rows), ""),
            "back": reverse("admin:memories_memoryrow_changelist"),
        }
        return TemplateResponse(request, "admin/memories/memoryrow/reason.html", context)

    # --- the page of one memory ---

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path("<int:pk>/do/<str:name>/", wrap(self.act_view), name="memories_memoryrow_act"),
            path("<int:pk>/reveal/", wrap(self.reveal_view), name="memories_memoryrow_reveal"),
            path("<int:pk>/audio/<str:name>/", wrap(self.audio_view), name="memories_memoryrow_audio"),
            path("<int:pk>/waveform/<str:name>.svg", wrap(self.waveform_view), name="memories_memoryrow_waveform"),
            path("<int:pk>/export/", wrap(self.export_view), name="memories_memoryrow_export"),
        ]
        return own + super().get_urls()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self._row(request, object_id)
        revealed = self._open(request, row)
        audible = roles.may(request.user, roles.PLAY_AUDIO)
        shown = page.of(row, request.GET, revealed=revealed, audible=audible)
        permitted = [name for name, action in ACTIONS.items() if roles.may(request.user, action.permission)]
        link = request.build_absolute_uri(_address(row, request.GET))
        context = {
            **self._base(request, f"Memory {row.memory_id}"),
            **shown,
            "actions": page.actions_of(shown["now"], permitted),
            "may_reveal": roles.may(request.user, roles.REVEAL),
            "may_retry": roles.may(request.user, roles.RETRY),
            "reveal_form": acting.ReasonForm(),
            "reveal_minutes": reveal.MINUTES,
            "revealed_until": reveal.until(request, row) if revealed else None,
            "ticket": ticket.text(row, shown["trace"], link),
            "here": request.get_full_path(),
        }
        return TemplateResponse(request, "admin/memories/memoryrow/page.html", context)

    def act_view(self, request: HttpRequest, pk: int, name: str) -> HttpResponse:
        """GET, and POST with ``preview``: what the action would do. POST: it is done, where nothing that was shown has
        changed."""
        action = ACTIONS.get(name)
        if action is None:
            raise Http404
        if not self.has_view_permission(request) or not roles.may(request.user, action.permission):
            raise PermissionDenied
        row = self._row(request, str(pk))
        now = situations.of(row.uid, row.memory_id)
        given = request.POST if request.method == "POST" else request.GET
        fields = acting.choices_of(action, now, given.dict())
        options = acting.chosen(fields, given.dict())
        preview = action.preview(now, options)
        impossible = preview.impossible or action.why_not(now)
        if request.method == "POST" and "preview" in request.POST:
            form = acting.form_kept(action, given.dict())
        else:
            form = acting.form_of(action, request.POST if request.method == "POST" else None)
        if form.is_bound and form.is_valid() and not (impossible and "token" not in request.POST):
            answer = self._do(request, action, row, now, dict(form.cleaned_data), options)
            if answer is not None:
                return answer
        context = {
            **self._base(request, f"{action.verb}: memory {row.memory_id}"),
            "action": action,
            "row": row,
            "preview": preview,
            "impossible": impossible,
            "choices": [
                {"name": key, "field": field, "chosen": options[key]} for key, field in fields.items()
            ],
            "form": form,
            "token": once.token(acting.purpose(request, action, [row]), _seen(now, options)),
            "back": reverse("admin:memories_memoryrow_change", args=[row.pk]),
        }  # fmt: skip
        status = 409 if request.method == "POST" and form.is_bound and form.is_valid() else 200
        return TemplateResponse(request, "admin/memories/memoryrow/action.html", context, status=status)

    def _do(
        self, request: HttpRequest, action: Action, row: MemoryRow, now: Situation, given: dict[str, str],
        options: dict[str, str],
    ) -> HttpResponse | None:  # fmt: skip
        """The deed; None where the page has to be looked at again."""
        back = HttpResponseRedirect(reverse("admin:memories_memoryrow_change", args=[row.pk]))
        try:
            claim = acting.claimed(request, action, [row], _seen(now, options))
        except acting.NoTurn as error:
            self.message_user(request, str(error), messages.WARNING)
            return None if error.look_again else back
        reason = given.pop("reason")
        sentence, level = acting.do(request, action, row, reason, {**options, **given})
        if level == messages.SUCCESS:
            claim.done(sentence)
        else:
            claim.undone()
        self.message_user(request, f"Memory {row.memory_id}: {sentence}", level)
        return back

    def reveal_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Words are shown for a while, to this session, after the reason was written into the audit log."""
        if not self.has_view_permission(request) or not roles.may(request.user, roles.REVEAL):
            raise PermissionDenied
        row = self._row(request, str(pk))
        form = acting.ReasonForm(request.POST)
        back = reverse("admin:memories_memoryrow_change", args=[pk])
        if request.method == "POST" and request.POST.get("hide"):
            reveal.close(request, row)
        elif request.method == "POST" and form.is_valid():
            target = audit.memory(row.uid, row.memory_id)
            details = {"minutes": reveal.MINUTES}
            audit.record(audit.actor_of(request), "reveal", target, form.cleaned_data["reason"], details)
            reveal.open_for(request, row)
            back += "#words"
        else:
            self.message_user(request, "A reason is needed to reveal the words.", messages.WARNING)
        return HttpResponseRedirect(back)

    def audio_view(self, request: HttpRequest, pk: int, name: str) -> HttpResponseBase:
        row = self._row(request, str(pk))
        self._must_hear(request, row)
        return hearing.play(request, row, hearing.find(row, name))

    def waveform_view(self, request: HttpRequest, pk: int, name: str) -> HttpResponse:
        row = self._row(request, str(pk))
        self._must_hear(request, row)
        return hearing.picture(hearing.find(row, name))

    def export_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The revealed words as a text file. By POST, so that no link in a ticket is an export."""
        row = self._row(request, str(pk))
        if request.method != "POST":
            raise Http404
        if not self._open(request, row):
            raise PermissionDenied
        try:
            memory = repository.get_memory(row.uid, row.memory_id)
        except repository.MemoryNotFound as error:
            raise Http404 from error
        audit.record(audit.actor_of(request), "export", audit.memory(row.uid, row.memory_id), "", {"format": "srt"})
        content = downloads.srt(memory, people.names(row.uid), "the user")
        headers = {
            "Content-Disposition": f'attachment; filename="memory-{row.pk}.srt"', "Cache-Control": "private, no-store"
        }  # fmt: skip
        return HttpResponse(content, content_type="application/x-subrip; charset=utf-8", headers=headers)

    def _must_hear(self, request: HttpRequest, row: MemoryRow) -> None:
        if not self._open(request, row) or not roles.may(request.user, roles.PLAY_AUDIO):
            raise PermissionDenied

    def _open(self, request: HttpRequest, row: MemoryRow) -> bool:
        """Whether this session may read the words now: it gave a reason, and still has the permission."""
        allowed = self.has_view_permission(request) and roles.may(request.user, roles.REVEAL)
        return allowed and reveal.is_open(request, row)

    def _base(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.model._meta,
            "media": self.media,
            "is_nav_sidebar_enabled": False,  # the page needs the width, and the way back stands above it
        }

    def _row(self, request: HttpRequest, object_id: str) -> MemoryRow:
        row: MemoryRow | None = self.get_object(request, object_id)
        if row is None:
            raise Http404("There is no such memory")
        return row


def _seen(now: Situation, options: dict[str, str]) -> str:
    return f"{now.seen}/{urlencode(options)}"


def _address(row: MemoryRow, query: QueryDict) -> str:
    """The page with what is chosen on it, and nothing else of the address."""
    kept = {key: query[key] for key in ("run", "step", "compare") if key in query}
    where: str = reverse("admin:memories_memoryrow_change", args=[row.pk])
    return f"{where}?{urlencode(kept)}" if kept else where
