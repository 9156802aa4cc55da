"""``/v1/templates``: built-in and own summary templates; ``/v1/memories/{id}/template`` (docs/structuring.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from drf_spectacular.utils import extend_schema
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories import editing
from memories.api.labels import one_line
from memories.api.long_memories import InTurn
from memories.api.memories import put_in_order
from memories.api.reading import body
from memories.api.rendering import as_json
from memories.api.shapes import Detail
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.states import State
from memories.repository import memories as repository
from memories.shapes import Category, Memory
from memories.structuring.base import LONGEST_INSTRUCTION
from memories.templates import store
from memories.templates.shapes import LONGEST_NAME, MOST_SECTIONS, SECTIONS_ONLY, Template, TemplateSection
from omi.accounts import users
from omi.accounts.requests import fence_of, uid_of


def _words(text: str) -> str:
    return " ".join(text.replace("\0", " ").split())


Name = Annotated[str, AfterValidator(one_line), Field(max_length=LONGEST_NAME)]
Instruction = Annotated[str, AfterValidator(_words), Field(max_length=LONGEST_INSTRUCTION)]
TemplateId = Annotated[str, Field(min_length=1, max_length=40)]


class SectionGiven(BaseModel):
    """A section of a template that the user makes. ``instruction``: what belongs into the section."""

    model_config = ConfigDict(extra="forbid")

    heading: Name
    instruction: Instruction = ""


class TemplateGiven(BaseModel):
    """A summary template that the user makes or replaces."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    sections: list[SectionGiven] = Field(min_length=1, max_length=MOST_SECTIONS)

    def kept_sections(self) -> list[TemplateSection]:
        """Return the sections in the form in which they are stored."""
        return [TemplateSection(heading=item.heading, instruction=item.instruction) for item in self.sections]


class SectionShown(BaseModel):
    """A section of a template: its heading, and what belongs into it."""

    heading: str
    instruction: str


class TemplateShown(BaseModel):
    """A summary template. ``categories``: memories of these get the template where the user chose no other."""

    id: str
    name: str
    built_in: bool
    sections: list[SectionShown]
    categories: list[Category]


class TemplateList(RootModel[list[TemplateShown]]):
    """The built-in templates, and then the user's own by name."""


class ChosenTemplate(BaseModel):
    """The template that the user chooses for a memory. ``none``: no sections; null: the template of the memory's
    category."""

    model_config = ConfigDict(extra="forbid")

    template_id: TemplateId | None


class Defaults(BaseModel):
    """The template that memories of a category get. ``template_id`` null: the category has none any more."""

    model_config = ConfigDict(extra="forbid")

    category: Category
    template_id: TemplateId | None


class TemplateViewSet(viewsets.ViewSet):
    """Summary templates of the user. Somebody else's, and changing a built-in one, is 404."""

    @extend_schema(responses={200: TemplateList})
    def list(self, request: Request) -> Response:
        """All templates that there are."""
        return Response([as_json(item) for item in shown(uid_of(request))])

    @extend_schema(request=TemplateGiven, responses={200: TemplateShown, 409: Detail, 422: Detail})
    def create(self, request: Request) -> Response:
        """Keep a template; the same again is answered as it is. 409: another has this name, or there are 50."""
        given = body(TemplateGiven, request)
        made = store.create(uid_of(request), given.name, given.kept_sections(), fence=fence_of(request))
        return Response(as_json(_one(uid_of(request), made)))

    @extend_schema(request=TemplateGiven, responses={200: TemplateShown, 404: Detail, 409: Detail, 422: Detail})
    def update(self, request: Request, template_id: str) -> Response:
        """Replace a template. Memories keep what was made with it."""
        given, uid = body(TemplateGiven, request), uid_of(request)
        changed = store.change(uid, template_id, given.name, given.kept_sections(), fence=fence_of(request))
        return Response(as_json(_one(uid, changed)))

    @extend_schema(responses={204: None, 404: Detail})
    def destroy(self, request: Request, template_id: str) -> Response:
        """Delete a template. Memories keep what was made with it."""
        store.delete(uid_of(request), template_id)
        return Response(status=204)

    @extend_schema(request=Defaults, responses={200: TemplateList, 404: Detail, 422: Detail})
    def default(self, request: Request) -> Response:
        """Say which template the memories of a category get from now on."""
        given, uid = body(Defaults, request), uid_of(request)
        store.set_default(uid, given.category.value, given.template_id, fence=fence_of(request))
        return Response([as_json(item) for item in shown(uid)])


class MemoryTemplateViewSet(InTurn, viewsets.ViewSet):
    """The template of one memory."""

    @extend_schema(
        request=ChosenTemplate,
        responses={200: Memory, 404: Detail, 422: Detail, 429: Detail},
        description="Chooses the summary template of this memory, also for later runs, and has a worker fill its "
        "sections, at most `OMI_RETRIES_PER_DAY` times a day. Title and overview stay.",
    )
    def update(self, request: Request, memory_id: str) -> Response:
        """Have the sections made with a template."""
        uid, given = uid_of(request), body(ChosenTemplate, request)
        choose(uid, memory_id, given.template_id)
        return Response(as_json(repository.get_memory(uid, memory_id)))


def choose(uid: str, memory_id: str, template_id: str | None) -> None:
    """Keep the choice, and start the run that fills the sections. Raises MemoryNotFound, TemplateNotFound,
    TooManyRetries, BudgetSpent."""
    repository.require(uid, memory_id)
    if template_id not in (None, store.NONE):
        store.require(uid, template_id)
    # A run that stands in line may be about the whole summary: the new one, which takes its place, is then, too.
    unfinished = PostProcessingRun.objects.filter(uid=uid, memory_id=memory_id).exclude(state=State.FINISHED)
    only = all(run.options.get(SECTIONS_ONLY) for run in unfinished)
    options = {"template": template_id, **({SECTIONS_ONLY: True} if only else {})}
    put_in_order(uid, memory_id, options, before=lambda: editing.set_template(uid, memory_id, template_id))


def shown(uid: str) -> Sequence[TemplateShown]:
    """The user's templates with the categories that get them."""
    user = users.get_user(uid)
    return [_with(item, user.templates) for item in store.listed(uid, user.language)]


def _one(uid: str, template: Template) -> TemplateShown:
    return _with(template, users.get_user(uid).templates)


def _with(template: Template, by_category: dict[str, str]) -> TemplateShown:
    known = set(Category)
    mine = [name for name, chosen in sorted(by_category.items()) if chosen == template.id]
    categories = [Category(name) for name in mine if name in known]
    sections = [SectionShown(heading=item.heading, instruction=item.instruction) for item in template.sections]
    return TemplateShown(
        id=template.id, name=template.name, built_in=template.built_in, sections=sections, categories=categories
    )
