"""The templates that a user has: the built-in ones and their own, documents ``users/{uid}/templates/{id}``."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from django.db import transaction
from pydantic import ValidationError

from memories.templates import builtin
from memories.templates.shapes import Template, TemplateSection
from memories.user_events import log as events
from omi.accounts.erased import Fence
from omi.accounts.users import UserDoc, get_user, update_user
from omi.stores import damaged
from omi.stores.documents import documents, path
from omi.stores.documents.base import Document, InvalidPath, Unreadable

MOST_TEMPLATES: Final = 50
NONE: Final = "none"
"""Instead of a template's id: no sections, also where the category has a template."""


class TemplateNotFound(LookupError):
    """The user has no such template (404)."""


class TooManyTemplates(Exception):
    """The user has as many templates as may be (409)."""


class NameTaken(Exception):
    """Another template of the user bears this name (409)."""


def listed(uid: str, language: str | None) -> list[Template]:
    """The built-in templates, and then the user's own by name."""
    built_in = [found for name in builtin.IDS if (found := builtin.template(name, language))]
    return [*built_in, *own(uid)]


def own(uid: str) -> list[Template]:
    """The user's own templates, by name."""
    found = [read for document in documents().query(path("users", uid, "templates")) if (read := _read(document))]
    return sorted(found, key=lambda item: (item.name.casefold(), item.id))


def find(uid: str, template_id: str, language: str | None) -> Template | None:
    """A template that the user has; None where there is none of this id."""
    known = builtin.template(template_id, language)
    if known is not None:
        return known
    try:
        found = documents().get(_path(uid, template_id))
    except InvalidPath:
        return None
    except Unreadable as error:
        damaged.report(_path(uid, template_id), error)
        return None
    return _read(found) if found is not None else None


def require(uid: str, template_id: str) -> Template:
    """Return the template of this id, built-in or the user's; raises TemplateNotFound."""
    found = find(uid, template_id, None)
    if found is None:
        raise TemplateNotFound(template_id)
    return found


def create(uid: str, name: str, sections: Sequence[TemplateSection], *, fence: Fence) -> Template:
    """Keep a template. The same again, by name and sections, is given as it is.

    Raises NameTaken, TooManyTemplates and what ``fence`` raises.
    """
    with events.user_write(uid, fence):
        there = own(uid)
        same = next((item for item in there if item.name.casefold() == name.casefold()), None)
        if same is not None and same.sections == list(sections):
            return same
        if same is not None:
            raise NameTaken
        if len(there) >= MOST_TEMPLATES:
            raise TooManyTemplates
        made = Template(id=f"st_{secrets.token_hex(6)}", name=name, sections=list(sections))
        documents().create(_path(uid, made.id), {**_stored(made), "created_at": datetime.now(UTC)})
    return made


def change(uid: str, template_id: str, name: str, sections: Sequence[TemplateSection], *, fence: Fence) -> Template:
    """Put another name and other sections into the place of a template's; memories keep what was made with it.

    Raises TemplateNotFound (also for a built-in one), NameTaken and what ``fence`` raises.
    """
    with events.user_write(uid, fence):
        there = {item.id: item for item in own(uid)}
        if template_id not in there:
            raise TemplateNotFound(template_id)
        if any(item.name.casefold() == name.casefold() for item in there.values() if item.id != template_id):
            raise NameTaken
        changed = Template(id=template_id, name=name, sections=list(sections))
        documents().update(_path(uid, template_id), _stored(changed))
    return changed


def delete(uid: str, template_id: str) -> None:
    """Delete a template; memories keep what was made with it. Raises TemplateNotFound."""
    with transaction.atomic():
        events.lock(uid)
        if template_id not in {item.id for item in own(uid)}:
            raise TemplateNotFound(template_id)
        documents().delete(_path(uid, template_id))


def set_default(uid: str, category: str, template_id: str | None, *, fence: Fence) -> None:
    """Say which template the memories of a category get; None: none. Raises TemplateNotFound and what ``fence``
    raises."""
    if template_id is not None:
        require(uid, template_id)
    with transaction.atomic():
        events.lock(uid)
        chosen = {name: item for name, item in get_user(uid).templates.items() if name != category}
        update_user(uid, fence=fence, templates={**chosen, **({category: template_id} if template_id else {})})


def chosen(user: UserDoc, choice: str | None, category: str) -> str | None:
    """The id of the template for a memory: that which the user chose for it, else that of its category."""
    name = choice or user.templates.get(category)
    return None if name in (None, "", NONE) else name


def _stored(template: Template) -> dict[str, Any]:
    return template.model_dump(exclude={"id", "built_in"})


def _read(document: Document) -> Template | None:
    try:
        return Template.model_validate({**document.data, "id": document.id, "built_in": False})
    except ValidationError as error:
        damaged.report(document.path, error)
        return None


def _path(uid: str, template_id: str) -> str:
    return path("users", uid, "templates", template_id)
