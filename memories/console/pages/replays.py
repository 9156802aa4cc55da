"""Incident replays: the list, the form that previews before it begins, and a replay's own page."""

from __future__ import annotations

import math
import secrets
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone

from memories.console import audit, choosing, replay, roles, undoing
from memories.console.models import FailureGroup, Replay, ReplayItem
from memories.console.pages.base import answer, needs, paged, reason_of
from memories.registry import records

REFRESH = 5
"""Seconds after which the page of a replay at work is fetched again."""


WHEN = dict.fromkeys(("required", "invalid"), "Write day and time as 2026-11-29 14:30.")


class ReplayForm(forms.Form):
    """Which failures, when, how fast, up to what."""

    groups = forms.ModelMultipleChoiceField(
        FailureGroup.objects.none(), label="Failures", widget=forms.CheckboxSelectMultiple, required=False
    )
    made_with = forms.CharField(
        max_length=300, required=False, label="Or everything that was made with",
        widget=forms.TextInput(attrs={"size": 50, "placeholder": "provider=deepgram model=nova-3"}),
        help_text=f"NAME=VALUE, with blanks between them: {', '.join(records.CONDITIONS)}. The memory's page and "
        "manage.py explain name them. What was made in the time below is made anew, also where nothing failed.",
    )  # fmt: skip
    since = forms.DateTimeField(
        label="From", error_messages=WHEN,
        help_text="What failed (or was made) from then on: the last seven days, unless you change it. What fails after "
        "it has begun is not in it.",
    )  # fmt: skip
    until = forms.DateTimeField(label="Until", error_messages=WHEN)
    name = forms.CharField(
        max_length=100, label="Name of the incident", widget=forms.TextInput(attrs={"size": 50}),
        error_messages={"required": "Give it a name, by which colleagues find it."},
    )  # fmt: skip
    reason = forms.CharField(
        max_length=300, widget=forms.TextInput(attrs={"size": 80}),
        error_messages={"required": "A reason is required; it is kept in the audit log."},
    )  # fmt: skip
    rate_per_minute = forms.IntegerField(
        min_value=replay.RATES[0], max_value=replay.RATES[1], initial=60, label="Runs a minute",
        error_messages=dict.fromkeys(
            ("min_value", "max_value", "invalid"), f"Choose a whole number from {replay.RATES[0]} to {replay.RATES[1]}."
        ),
    )  # fmt: skip
    spend_cap = forms.FloatField(
        min_value=0, max_value=100_000, initial=10, label="Cap on spend (US dollars)",
        help_text="It pauses when this is reached. 0: no cap.",
        error_messages=dict.fromkeys(
            ("min_value", "max_value", "invalid"), "Write an amount in US dollars, as 12.50; 0 for no cap."
        ),
    )  # fmt: skip
    form_key = forms.CharField(max_length=40, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        groups = self.fields["groups"]
        assert isinstance(groups, forms.ModelMultipleChoiceField)
        groups.queryset = FailureGroup.objects.order_by("-last_seen")
        for name, word in (("since", "From"), ("until", "Until")):  # Django reads them in the reader's zone
            self.fields[name].label = f"{word} ({timezone.get_current_timezone_name()})"

    def clean_made_with(self) -> dict[str, str]:
        try:
            return choosing.asked(str(self.cleaned_data["made_with"]))
        except records.UnknownCondition as error:
            text = str(error)
            raise forms.ValidationError(f"{text[:1].upper()}{text[1:]}.") from error

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if "made_with" in given and not given.get("groups") and not given["made_with"]:
            raise forms.ValidationError(
                "Choose at least one group of failures, or what something was made with: a replay of everything is "
                "never meant."
            )
        return dict(given)

    def clean_spend_cap(self) -> float:
        value = float(self.cleaned_data["spend_cap"])
        if not math.isfinite(value):
            raise forms.ValidationError("Write an amount in US dollars, as 12.50; 0 for no cap.")
        return value


@needs()
def listed(request: HttpRequest) -> HttpResponse:
    """Answer with the list of incident replays, the newest first."""
    page = paged(request, Replay.objects.order_by("-id"))
    rows = [(row, replay.progress(row)) for row in page.rows[:20]] + [(row, None) for row in page.rows[20:]]
    return answer(request, "replays", "Incident replays", page=page, rows=rows)


@needs(roles.REPLAY)
def new(request: HttpRequest) -> HttpResponse:
    """First the form, then who is affected and what it may cost, then the replay begins."""
    form = ReplayForm(request.POST) if request.method == "POST" else ReplayForm(initial=_initial(request))
    seen = None
    if form.is_bound and form.is_valid():
        given = form.cleaned_data
        chosen = {
            "group_ids": sorted(group.pk for group in given["groups"]), "since": given["since"],
            "until": given["until"], "made_with": given["made_with"],
        }  # fmt: skip
        try:
            if "confirmed" in request.POST:
                made = replay.create(
                    name=given["name"], reason=given["reason"], actor=audit.actor_of(request),
                    form_key=given["form_key"], rate_per_minute=given["rate_per_minute"],
                    spend_cap=given["spend_cap"], **chosen,
                )  # fmt: skip
                return redirect("admin:console_replay", made.pk)
            seen = choosing.preview(**chosen)
        except choosing.Refused as error:
            form.add_error(None, str(error))
    return answer(
        request, "replay_new", "New incident replay", form=form, seen=seen, most=choosing.MOST,
        most_selected=choosing.MOST_SELECTED,
        minutes=math.ceil(seen.runs / form.cleaned_data["rate_per_minute"]) if seen else 0,
    )  # fmt: skip


def _initial(request: HttpRequest) -> dict[str, Any]:
    now = timezone.now().replace(microsecond=0)
    asked = request.GET.getlist("group")[:50]
    groups = [int(text) for text in asked if text.isascii() and text.isdecimal() and len(text) <= 12]
    since: datetime = now - replay.WINDOW
    asked_with = str(request.GET.get("made_with", ""))[:300]
    return {
        "groups": groups,
        "made_with": asked_with,
        "since": since,
        "until": now + timedelta(minutes=1),
        "form_key": secrets.token_hex(16),
    }


@needs(to_post=roles.REPLAY)
def one(request: HttpRequest, pk: int) -> HttpResponse:
    """Progress, items and log; its POST pauses, resumes, stops or undoes."""
    found = get_object_or_404(Replay, pk=pk)
    if request.method == "POST":
        return _steer(request, found)
    only = str(request.GET.get("state", ""))
    items = found.items.select_related("run", "new_run").order_by("id")
    if only in ReplayItem.State.values:
        items = items.filter(state=only)
    counts = replay.progress(found)
    ended = sum(count for state, count in counts.items() if state not in replay.BUSY)
    return answer(
        request, "replay", f"Replay: {found.name}", replay=found, counts=counts, ended=ended, only=only,
        spent=replay.spent(found), page=paged(request, items), log=list(found.log.order_by("-id")[:100]),
        busy=found.state in replay.AT_WORK or counts[ReplayItem.State.STARTED] > 0, refresh=REFRESH,
        able=_able(found), undone=undoing.told(found) if counts[ReplayItem.State.UNDONE] else "",
        since=datetime.fromisoformat(found.filters["since"]), until=datetime.fromisoformat(found.filters["until"]),
    )  # fmt: skip


def _able(found: Replay) -> dict[str, str]:
    """Each action and why it is not possible now ("" where it is)."""
    state = Replay.State(found.state)
    not_now = f"not while it is {found.get_state_display()}"
    return {
        "pause": "" if state == Replay.State.RUNNING else not_now,
        "resume": "" if state == Replay.State.PAUSED else not_now,
        "stop": "" if state in (Replay.State.RUNNING, Replay.State.PAUSED) else not_now,
        "undo": "" if state in (Replay.State.DONE, Replay.State.STOPPED) else not_now,
    }


def _steer(request: HttpRequest, found: Replay) -> HttpResponse:
    what, reason = str(request.POST.get("do", "")), reason_of(request)
    steer: dict[str, Any] = {
        "pause": replay.pause, "resume": replay.resume, "stop": replay.stop, "undo": replay.undo,
    }  # fmt: skip
    if what not in steer:
        raise Http404
    if not reason:
        messages.error(request, "Nothing was done: a reason is required.")
        return redirect("admin:console_replay", found.pk)
    more: dict[str, Any] = {}
    if what == "resume" and request.POST.get("spend_cap"):
        try:
            cap = float(str(request.POST["spend_cap"]))
        except ValueError:
            cap = math.nan
        if not 0 <= cap <= 100_000:
            messages.error(request, "Nothing was done: the cap is a number of US dollars.")
            return redirect("admin:console_replay", found.pk)
        more["spend_cap"] = cap
    try:
        steer[what](found, actor=audit.actor_of(request), reason=reason, **more)
    except choosing.Refused as error:
        messages.warning(request, str(error))
    else:
        messages.success(request, {"pause": "Paused.", "resume": "It goes on.", "stop": "Stopped.",
                                   "undo": "Earlier transcripts are shown again, one by one."}[what])  # fmt: skip
    return redirect("admin:console_replay", found.pk)
