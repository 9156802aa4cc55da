"""The people a user knows: documents ``users/{uid}/people/{id}``. A stranger's id, and a deleted one, is not found."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from omi.accounts.erased import Fence
from omi.core.one_line import is_one_line, is_seen
from omi.core.providers import one
from omi.stores import damaged
from omi.stores.documents.base import Document, Documents, InvalidPath, NotFound, Transaction, Unreadable
from speakers.forget import forget_person, has_voice
from speakers.shapes import Person
from speakers.signals import person_changed

SHORTEST_NAME, LONGEST_NAME = 2, 40
MOST_PEOPLE = 1000


class PersonNotFound(LookupError):
    """No such person of this user (404)."""


class InvalidName(ValueError):
    """The name is not ``SHORTEST_NAME`` to ``LONGEST_NAME`` characters (422)."""


class TooManyPeople(ValueError):
    """The user has ``MOST_PEOPLE`` already (422)."""


def get_person(uid: str, person_id: str) -> Person:
    """Return a person whom the user knows; raises PersonNotFound, for deleted people too."""
    person = _find(uid, person_id)
    if person is None or person.deleted:
        raise PersonNotFound("Person not found")
    return person


def _find(uid: str, person_id: str) -> Person | None:
    """Deleted people too; None for one that is damaged, which is reported."""
    try:
        return _read(_documents().get(_path(uid, person_id)))
    except InvalidPath:
        return None
    except Unreadable as error:
        damaged.report(_path(uid, person_id), error)
        return None


def list_people(uid: str) -> list[Person]:
    """Return the people whom the user knows and who are not deleted, by creation."""
    people = (_read(document) for document in _documents().query(_collection(uid)))
    return sorted((person for person in people if person and not person.deleted), key=lambda person: person.created_at)


def names(uid: str) -> dict[str, str]:
    """Return the names of the user's people by ``person_id``, of those that are not deleted."""
    return {person.id: person.name for person in list_people(uid)}


def create_person(uid: str, name: str, *, fence: Fence = lambda: None) -> Person:
    """Add a person to those whom the user knows; raises InvalidName, TooManyPeople. ``fence`` is called inside of the
    transaction; what it raises refuses the person."""
    clean = clean_name(name)
    if len(list_people(uid)) >= MOST_PEOPLE:
        raise TooManyPeople(f"There are {MOST_PEOPLE} people already")
    now = datetime.now(UTC)
    person = Person(id=str(uuid.uuid4()), name=clean, created_at=now, updated_at=now)

    def step(transaction: Transaction) -> None:
        fence()
        transaction.create(_path(uid, person.id), person.model_dump())

    _documents().transaction(step)
    person_changed.send(sender=create_person, uid=uid, person=person)
    return person


def rename_person(uid: str, person_id: str, name: str) -> Person:
    """Give a person another name and return the person; raises InvalidName, PersonNotFound."""
    return _change(uid, person_id, {"name": clean_name(name)})


def delete_person(uid: str, person_id: str) -> None:
    """The person is gone: from every document, transcript and label, at once and for whatever runs at the moment; the
    voice (samples, embeddings, audio) is erased. What stays is an id without a name, by which late writers are known.

    Raises PersonNotFound. Where the audio storage was out of reach it can be repeated until the voice is gone.
    """
    person = _find(uid, person_id)
    if person is None or (person.deleted and not has_voice(uid, person_id)):
        raise PersonNotFound("Person not found")
    if not person.deleted:
        # First of all: whoever looks from now on, the gallery and the runs included, finds nobody.
        _write(uid, person_id, {"deleted": True, "name": "", "speech_samples": []})
    forget_person(uid, person_id)


def clean_name(name: str) -> str:
    """Return the name with single spaces; raises InvalidName where it is too short, too long, or no visible line."""
    clean = " ".join(str(name).split())
    if not SHORTEST_NAME <= len(clean) <= LONGEST_NAME or not is_one_line(clean) or not is_seen(clean):
        raise InvalidName(f"A name has {SHORTEST_NAME} to {LONGEST_NAME} characters")
    return clean


def _change(uid: str, person_id: str, fields: dict[str, Any]) -> Person:
    get_person(uid, person_id)
    return _write(uid, person_id, fields)


def _write(uid: str, person_id: str, fields: dict[str, Any]) -> Person:
    try:
        document = _documents().update(_path(uid, person_id), {**fields, "updated_at": datetime.now(UTC)})
    except NotFound as error:
        raise PersonNotFound("Person not found") from error
    person = Person.model_validate(document.data)
    person_changed.send(sender=_write, uid=uid, person=person)
    return person


def _read(document: Document | None) -> Person | None:
    """None for no document, and for one that is no person: another program wrote it, and the others must be listed."""
    if document is None:
        return None
    if document.damaged:
        damaged.report(document.path, Unreadable(document.path))
        return None
    try:
        return Person.model_validate({"id": document.id, **document.data})
    except ValidationError as error:
        damaged.report(document.path, error)
        return None


def _documents() -> Documents:
    documents: Documents = one("documents")
    return documents


def _collection(uid: str) -> str:
    return f"users/{uid}/people"


def _path(uid: str, person_id: str) -> str:
    return f"{_collection(uid)}/{person_id}"
