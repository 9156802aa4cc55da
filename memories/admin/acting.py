"""The page of one action: what it would do, the reason, and then the deed, once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest

from memories.console import audit
from memories.models import MemoryRow
from memories.pipeline.budgets import BudgetSpent
from memories.shapes import PostProcessingStatus
from memories.submissions import once
from memories.support import Action, Impossible
from memories.support import marks as mark_actions
from memories.support import runs as run_actions
from memories.support.situation import Situation
from omi.core.errors import ProviderError

REASON = 300
STATUSES = [(item.value, item.value.replace("_", " ")) for item in PostProcessingStatus if item != "in_progress"]


class ReasonForm(forms.Form):
    """The form of an action: why it is done."""

    reason = forms.CharField(
        max_length=REASON,
        widget=forms.TextInput(attrs={"size": 80, "autocomplete": "off"}),
        help_text="Kept in the audit log, with your name.",
    )


class StatusForm(ReasonForm):
    """The form of the action that sets a status: the status, and why it is set."""

    status = forms.ChoiceField(choices=STATUSES)
    field_order = ["status", "reason"]


def choices_of(action: Action, now: Situation, given: Mapping[str, str]) -> dict[str, forms.Field]:
    """The fields on which the preview of an action depends. They are chosen before it, by a GET."""
    found: dict[str, forms.Field] = {}
    if "run" in action.fields and now.ended:
        listed = [(str(run.pk), f"Run {run.pk}: {run.kind}, {run.outcome.replace('_', ' ')}") for run in now.ended]
        found["run"] = forms.ChoiceField(choices=listed, label="Run")
        chosen = next((run for run in now.ended if str(run.pk) == given.get("run")), now.ended[0])
        steps = [(name, f"from {name} on") for name in run_actions.steps_of(chosen)]
        found["from_step"] = forms.ChoiceField(
            choices=[("", "only what failed or changed"), *steps], label="What is done again", required=False
        )
    if "version" in action.fields:
        listed = [
            (
                name,
                f"{item.model} {item.version[:8]}, {item.created_at:%Y-%m-%d %H:%M}, {mark_actions.words(item)} words",
            )
            for name, item in mark_actions.others(now)
        ]
        found["version"] = forms.ChoiceField(choices=listed, label="Version")
    return found


def chosen(fields: Mapping[str, forms.Field], given: Mapping[str, str]) -> dict[str, str]:
    """What of ``given`` is a choice that there is; the first choice of each field otherwise."""
    made = {}
    for name, field in fields.items():
        assert isinstance(field, forms.ChoiceField)
        listed = [str(value) for value, _ in field.choices]  # type: ignore[union-attr, misc]
        made[name] = given.get(name, "") if given.get(name, "") in listed else next(iter(listed), "")
    return made


class NoTurn(Exception):
    """Why a form does nothing, in a sentence for staff. ``look_again``: its page has to be seen as it is now."""

    def __init__(self, sentence: str, *, look_again: bool) -> None:
        super().__init__(sentence)
        self.look_again = look_again


def purpose(request: HttpRequest, action: Action, rows: list[MemoryRow]) -> str:
    """What a form's token was made for."""
    return f"{request.user.pk}:{action.name}:{','.join(str(row.pk) for row in rows)}"


def do(
    request: HttpRequest, action: Action, row: MemoryRow, reason: str, options: Mapping[str, str]
) -> tuple[str, int]:
    """Do an action and write it into the audit log, both or neither; returns the sentence about it and the message's
    level."""
    actor = audit.actor_of(request)
    try:
        with transaction.atomic():
            sentence = action.deed(row.uid, row.memory_id, actor=actor, reason=reason, **options)
            target = audit.memory(row.uid, row.memory_id)
            audit.record(actor, action.name, target, reason, {**options, "result": sentence[:300]})
    except (Impossible, BudgetSpent) as error:
        return str(error), messages.WARNING
    except ProviderError as error:
        return error.message, messages.ERROR
    return sentence, messages.SUCCESS


def claimed(request: HttpRequest, action: Action, rows: list[MemoryRow], seen: str) -> once.Claim:
    """The form's one turn. Raises NoTurn."""
    try:
        return once.claim(request.POST.get("token", ""), purpose(request, action, rows), seen)
    except once.SubmittedBefore as error:
        came = f"it was done then: {error.answer}" if error.answer else "is being done."
        raise NoTurn(f"This form was submitted before, and {came}", look_again=False) from error
    except once.Stale as error:
        raise NoTurn(f"{error} Nothing was done; please look again.", look_again=True) from error


def form_of(action: Action, data: Any = None) -> ReasonForm:
    """Return the form of an action's page: the reason, and the new status where the action sets one."""
    kind = StatusForm if "status" in action.fields else ReasonForm
    return kind(data)


def form_kept(action: Action, given: Mapping[str, str]) -> ReasonForm:
    """The form with what was typed into it so far, which is not judged yet: only another preview was asked for."""
    made = form_of(action)
    made.initial = {name: given.get(name, "")[:REASON] for name in made.fields if name in given}
    return made
