"""The console's pages of experiments: declare, look, decide, rate pairs blind."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse

from memories.experiments import analysis, deciding, declaring, rating
from memories.experiments.models import DecisionRecord, Experiment, ShadowResult, TunedValue
from memories.experiments.tunables import TUNABLES
from omi.core import reveal
from omi.core.readonly_admin import ReadOnlyAdmin
from omi.core.sent_files import sent
from omi.stores import audio

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Experiment]
    Form = forms.ModelForm[Experiment]
else:
    Base, Form = admin.ModelAdmin, forms.ModelForm

REVEALED = "revealed_experiments"
FIELDS = (
    "name", "hypothesis", "tunable", "variants", "control", "mode", "share", "metric", "guardrails", "planned", "alpha",
    "per_user", "daily_cost",
)  # fmt: skip


class ExperimentForm(Form):
    """A declaration, checked as one from a file is."""

    tunable = forms.ChoiceField(choices=[(name, name) for name, it in TUNABLES.items() if not it.learned_only])
    metric = forms.ChoiceField(choices=[(name, name) for name in declaring.METRICS])

    class Meta:
        model = Experiment
        fields = FIELDS

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        try:
            declaring.checked_declaration({name: value for name, value in given.items() if name in FIELDS})
        except declaring.Refused as error:
            raise forms.ValidationError(str(error)) from error
        return dict(given)


@admin.register(Experiment)
class ExperimentAdmin(Base):
    """One that was declared is not changed: its page shows what it says by now, and takes decisions with a reason."""

    form = ExperimentForm
    fields = FIELDS
    list_display = ["name", "state", "tunable", "mode", "metric", "started_at", "ended_at"]
    list_filter = ["state", "mode", "tunable"]
    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Experiment | None = None) -> Any:
        return FIELDS if obj is not None else ()

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/rate/", wrap(self.rate_view), name="experiments_experiment_rate"),
            path("sound/<int:pk>/", wrap(self.sound_view), name="experiments_experiment_sound"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        experiment = self.get_object(request, object_id)
        if experiment is None:
            raise Http404
        if request.method == "POST":
            if not self.has_change_permission(request, experiment):
                raise PermissionDenied
            self._decide(request, experiment)
            return HttpResponseRedirect(reverse("admin:experiments_experiment_change", args=[experiment.pk]))
        context = {
            "verdicts": analysis.analyse(experiment).verdicts.values(),
            "decisions": DecisionRecord.objects.filter(experiment=experiment)[:50],
            "acts": [(title, title) for title in _acts(experiment)],
        }
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def _decide(self, request: HttpRequest, experiment: Experiment) -> None:
        why, asked = request.POST.get("why", "").strip(), request.POST.get("_do", "")
        how = {"actor": request.user.get_username(), "reason": why}
        try:
            if not why:
                raise declaring.Refused("say why: it is kept in the record")
            if asked not in _acts(experiment):
                raise declaring.Refused("this cannot be done now")
            if asked == "Start":
                deciding.start(experiment, **how)
            elif asked == "Stop":
                deciding.stop(experiment, **how)
            elif asked == "Roll back":
                deciding.roll_back(experiment, **how)
            else:
                deciding.promote(experiment, asked.removeprefix("Promote "), **how)
        except declaring.Refused as error:
            messages.error(request, f"Nothing was done: {error}.")
        else:
            messages.success(request, f"{asked}: done.")

    def rate_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        experiment = get_object_or_404(Experiment, pk=pk, mode=Experiment.Mode.SHADOW)
        if not self.has_change_permission(request, experiment):
            raise PermissionDenied
        rater, opened = request.user.get_username(), reveal.is_open(request, REVEALED, str(pk))
        if request.method == "POST":
            reason = request.POST.get("reason", "").strip()
            if not opened and reason:
                reveal.open_for(request, REVEALED, str(pk))
                self.log_change(request, experiment, f"Read shadow results to rate them: {reason[:200]}")
            elif opened and request.POST.get("choice") in rating.CHOICES:
                number = request.POST.get("result", "")
                result = get_object_or_404(
                    ShadowResult, pk=int(number) if number.isdecimal() else 0, experiment=experiment
                )
                rating.rate(result, rater, request.POST["choice"])
            return HttpResponseRedirect(request.path)
        pair = rating.next_pair(experiment, rater) if opened else None
        context = {
            **self.admin_site.each_context(request), "title": f"Rate {experiment.name}", "experiment": experiment,
            "opened": opened, "pair": pair, "minutes": reveal.MINUTES, "left": rating.left(experiment, rater),
            "first": list(_lines(pair.first)) if pair else [], "second": list(_lines(pair.second)) if pair else [],
            "sound": _sound(pair.result) is not None if pair else False,
        }  # fmt: skip
        return render(request, "admin/experiments/rate.html", context)

    def sound_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        result = get_object_or_404(ShadowResult, pk=pk)
        if not self.has_change_permission(request) or not reveal.is_open(request, REVEALED, str(result.experiment_id)):
            raise PermissionDenied
        row = _sound(result)
        if row is None:
            raise Http404
        try:
            return sent(audio.open(row), content_type="audio/wav")
        except audio.AudioNotFound as error:
            raise Http404 from error


def _acts(experiment: Experiment) -> list[str]:
    """What may be decided now."""
    left = [name for name in experiment.variants if name not in experiment.stopped and name != experiment.control]
    promote = [f"Promote {name}" for name in left]
    return {
        Experiment.State.DRAFT: ["Start"], Experiment.State.RUNNING: ["Stop", *promote],
        Experiment.State.STOPPED: promote, Experiment.State.PROMOTED: ["Roll back"],
    }.get(Experiment.State(experiment.state), [])  # fmt: skip


def _lines(made: Any) -> Iterable[str]:
    """A transcript's segments, or a summary's fields, as lines."""
    if isinstance(made, dict):
        for name in ("title", "overview", "category"):
            yield f"{name.capitalize()}: {made.get(name, '')}"
        yield from (f"To do: {item.get('description', '')}" for item in made.get("action_items", []))
        yield from (f"Event: {item.get('title', '')}, {item.get('start', '')}" for item in made.get("events", []))
    else:
        yield from (str(text) for _, _, text in made or [])


def _sound(result: ShadowResult) -> Any:
    """The recording, while the user keeps it."""
    kept = [row for row in audio.for_memory(result.uid, result.memory_id, "recording") if row.complete]
    return kept[-1] if kept else None


@admin.register(TunedValue)
class TunedValueAdmin(ReadOnlyAdmin):
    """What is in force instead of a setting, and what was taken back."""

    list_display = ["name", "uid", "state", "origin", "shown", "at", "ended_at"]
    list_filter = ["state", "name", "origin"]
    search_fields = ["uid"]
    exclude = ["value"]

    @admin.display(description="value")
    def shown(self, row: TunedValue) -> str:
        """A user's own words are not shown."""
        return f"{len(row.value)} terms" if row.name == "vocabulary" else json.dumps(row.value)[:80]


@admin.register(DecisionRecord)
class DecisionRecordAdmin(ReadOnlyAdmin):
    """The list of what was decided about experiments and learned values."""

    list_display = ["at", "subject", "action", "variant", "actor", "reason"]
    list_filter = ["action", "at"]
    search_fields = ["subject"]
