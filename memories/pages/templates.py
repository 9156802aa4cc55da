"""Summary templates: the built-in ones, one's own, which category gets which; and the one of a memory."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from memories.api.long_memories import in_turn
from memories.api.templates import ChosenTemplate, Defaults, TemplateGiven, choose, shown
from memories.pages.edge import given, page
from memories.pages.memory import weight_of
from memories.shapes import Category
from memories.templates import store
from memories.templates.shapes import MOST_SECTIONS
from omi.accounts.erased import fence_of
from omi.accounts.principal import Principal


@page("GET", "POST")
def listed(request: HttpRequest, who: Principal) -> HttpResponse:
    """Answer with all templates with their sections; posted to, a new one."""
    if request.method == "POST":
        said = given(TemplateGiven, _form(request), "body")
        store.create(who.uid, said.name, said.kept_sections(), fence=fence_of(who))
        messages.success(request, _("It is there."))
        return redirect("/app/templates")
    told = {
        "templates": [{"template": item, "lines": _lines(item.sections)} for item in shown(who.uid)],
        "categories": [item.value for item in Category], "most": MOST_SECTIONS, "here": "settings",
    }  # fmt: skip
    return render(request, "pages/templates.html", told)


@page("POST")
def change(request: HttpRequest, who: Principal, template_id: str) -> HttpResponse:
    """Replace one of one's own templates, or with ``delete`` take it away."""
    if "delete" in request.POST:
        store.delete(who.uid, template_id)
        messages.success(request, _("It is gone. Memories keep what was made with it."))
    else:
        store.require(who.uid, template_id)
        said = given(TemplateGiven, _form(request), "body")
        store.change(who.uid, template_id, said.name, said.kept_sections(), fence=fence_of(who))
        messages.success(request, _("Saved. Memories keep what was made with it before."))
    return redirect("/app/templates")


@page("POST")
def default(request: HttpRequest, who: Principal) -> HttpResponse:
    """Say which template a category gets."""
    asked = {"category": request.POST.get("category", ""), "template_id": request.POST.get("template") or None}
    said = given(Defaults, asked, "body")
    store.set_default(who.uid, said.category.value, said.template_id, fence=fence_of(who))
    messages.success(request, _("Saved. It holds for what is put in order from now on."))
    return redirect("/app/templates")


@page("POST")
def of_memory(request: HttpRequest, who: Principal, memory_id: str) -> HttpResponse:
    """Have the sections of a memory made with a template."""
    said = given(ChosenTemplate, {"template_id": request.POST.get("template") or None}, "body")
    with in_turn(who.uid, weight_of(who.uid, memory_id)):
        choose(who.uid, memory_id, said.template_id)
    messages.success(request, _("The summary is being made. Look again in a moment."))
    return redirect(f"/app/memories/{quote(memory_id, safe='')}")


def _form(request: HttpRequest) -> dict[str, Any]:
    """A form's lines ``Heading: what belongs there``."""
    sections = []
    for line in request.POST.get("sections", "").splitlines()[: 4 * MOST_SECTIONS]:
        heading, _colon, instruction = line.partition(":")
        if heading.strip() or instruction.strip():
            sections.append({"heading": heading, "instruction": instruction.strip()})
    return {"name": request.POST.get("name", ""), "sections": sections}


def _lines(sections: list[Any]) -> str:
    return "\n".join(f"{item.heading}: {item.instruction}" if item.instruction else item.heading for item in sections)
