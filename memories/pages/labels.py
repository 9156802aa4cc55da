"""Folders and tags: made, renamed and deleted; put on a memory. And comments on a memory."""

from __future__ import annotations

from urllib.parse import quote

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from pydantic import BaseModel, Field

from memories.api.labels import LabelId, LabelsOfMemory, NewComment, NewLabel, RenamedLabel
from memories.api.long_memories import in_turn
from memories.changes import comments
from memories.labels import labelling, store
from memories.pages.edge import given, page
from memories.pages.memory import weight_of
from memories.repository import memories as repository
from omi.accounts.erased import fence_of
from omi.accounts.principal import Principal


class LabelsForm(BaseModel):
    """The form that puts labels on a memory. ``new_tag``: the name of a tag that is made and put on the memory, too."""

    folder: LabelId | None = None
    tags: list[LabelId] = Field(default_factory=list)
    new_tag: str = ""


@page("GET", "POST")
def listed(request: HttpRequest, who: Principal) -> HttpResponse:
    """The folders and tags with how many memories bear each; posted to, a new one."""
    if request.method == "POST":
        said = given(NewLabel, {name: request.POST.get(name, "") for name in ("kind", "name")}, "body")
        store.create(who.uid, said.kind, said.name, fence=fence_of(who))
        messages.success(request, _("It is there."))
        return redirect("/app/labels")
    counts = store.counts(who.uid)
    found = store.listed(who.uid)
    groups = [
        (kind, title, [{"label": label, "count": counts[label.id]} for label in found if label.kind == kind])
        for kind, title in (("folder", _("Folders")), ("tag", _("Tags")))
    ]
    told = {"here": "timeline", "longest": store.LONGEST_NAME, "groups": groups}
    return render(request, "pages/labels.html", told)


@page("POST")
def rename(request: HttpRequest, who: Principal, label_id: str) -> HttpResponse:
    """Give a folder or tag another name."""
    name = given(RenamedLabel, {"name": request.POST.get("name", "")}, "body").name
    store.rename(who.uid, label_id, name, fence=fence_of(who))
    messages.success(request, _("Saved."))
    return redirect("/app/labels")


@page("GET", "POST")
def delete(request: HttpRequest, who: Principal, label_id: str) -> HttpResponse:
    """Delete a folder or tag, after a question; its memories stay."""
    label = store.get(who.uid, label_id)
    if request.method == "POST":
        labelling.delete(who.uid, label_id)
        messages.success(request, _("It is gone. Its memories are still there."))
        return redirect("/app/labels")
    told = {"label": label, "count": store.count(who.uid, label_id), "here": "timeline"}
    return render(request, "pages/delete_label.html", told)


@page("POST")
def put(request: HttpRequest, who: Principal, memory_id: str) -> HttpResponse:
    """Put the memory into a folder, and tag it."""
    form = {"folder": request.POST.get("folder") or None, "tags": request.POST.getlist("tags")}
    said = given(LabelsForm, {**form, "new_tag": request.POST.get("new_tag", "").strip()}, "body")
    tags = list(said.tags)
    repository.require(who.uid, memory_id)
    with in_turn(who.uid, weight_of(who.uid, memory_id)):
        if said.new_tag:
            new = given(NewLabel, {"kind": "tag", "name": said.new_tag}, "body")
            tags.append(store.create(who.uid, "tag", new.name, fence=fence_of(who)).id)
        chosen = given(LabelsOfMemory, {"folder_id": said.folder, "tag_ids": tags}, "body")
        labelling.put(who.uid, memory_id, chosen.model_dump(), fence=fence_of(who))
    messages.success(request, _("Saved."))
    return _back(memory_id, "labels")


@page("POST")
def comment(request: HttpRequest, who: Principal, memory_id: str) -> HttpResponse:
    """Add a comment, or with ``comment`` change that one; ``delete`` takes it away."""
    which = request.POST.get("comment", "")
    repository.require(who.uid, memory_id)
    with in_turn(who.uid, weight_of(who.uid, memory_id)):
        if which and "delete" in request.POST:
            comments.delete(who.uid, memory_id, which, fence=fence_of(who))
            messages.success(request, _("The comment is deleted."))
            return _back(memory_id, "comments")
        words = given(NewComment, {"text": request.POST.get("text", "")}, "body").text
        if which:
            comments.edit(who.uid, memory_id, which, words, fence=fence_of(who))
        else:
            comments.add(who.uid, memory_id, words, fence=fence_of(who))
    messages.success(request, _("Saved."))
    return _back(memory_id, "comments")


def _back(memory_id: str, part: str) -> HttpResponse:
    return redirect(f"/app/memories/{quote(memory_id, safe='')}#{part}")
