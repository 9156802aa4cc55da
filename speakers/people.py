"""The people a user knows: documents ``users/{uid}/people/{id}``. A stranger's id, and a deleted one, is not found."""

from __future__ import annotations

import logging
import uuid
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from omi.providers import one
from omi.stores.documents.base import Document, Documents, InvalidPath, NotFound
from speakers.shapes import Person
from speakers.signals import person_changed

log = logging.getLogger(__name__)

SHORTEST_NAME, LONGEST_NAME = 2, 40
MOST_PEOPLE = 1000


class PersonNotFound(LookupError):
    """No such person of this user (404)."""


class InvalidName(ValueError):
    """The name is not ``SHORTEST_NAME`` to ``LONGEST_NAME`` characters (422)."""


class TooManyPeople(ValueError):
    """The user has ``MOST_PEOPLE`` already (422)."""


def get_person(uid: str, person_id: str) -> Person:
    """Raises PersonNotFound, for deleted people too."""
    try:
        person = _read(_documents().get(_path(uid, person_id)))
    except InvalidPath:
        person = None
    if person is None or person.deleted:
        raise PersonNotFound("Person not found")
    return person


def list_people(uid: str) -> list[Person]:
    """People that are not deleted, by creation."""
    people = (_read(document) for document in _documents().query(_collection(uid)))
    return sorted((person for person in people if person and not person.deleted), key=lambda person: person.created_at)


def names(uid: str) -> dict[str, str]:
    """``person_id`` to name, of people that are not deleted."""
    return {person.id: person.name for person in list_people(uid)}


def create_person(uid: str, name: str) -> Person:
    clean = clean_name(name)
    if len(list_people(uid)) >= MOST_PEOPLE:
        raise TooManyPeople(f"There are {MOST_PEOPLE} people already")
    now = datetime.now(UTC)
    person = Person(id=str(uuid.uuid4()), name=clean, created_at=now, updated_at=now)
    _documents().create(_path(uid, person.id), person.model_dump())
    person_changed.send(sender=create_person, uid=uid, person=person)
    return person


def rename_person(uid: str, person_id: str, name: str) -> Person:
    return _change(uid, person_id, {"name": clean_name(name)})


def delete_person(uid: str, person_id: str) -> None:
    """Soft delete of the document; the voice (samples, embeddings, audio) is erased for good."""
    from speakers.forget import forget_person

    get_person(uid, person_id)
    forget_person(uid, person_id)
    _change(uid, person_id, {"deleted": True, "speech_samples": []})


def clean_name(name: str) -> str:
    clean = " ".join(str(name).split())
    if not SHORTEST_NAME <= len(clean) <= LONGEST_NAME or not clean.isprintable():
        raise InvalidName(f"A name has {SHORTEST_NAME} to {LONGEST_NAME} characters")
    return clean


def _change(uid: str, person_id: str, fields: dict[str, Any]) -> Person:
    get_person(uid, person_id)
    try:
        document = _documents().update(_path(uid, person_id), {**fields, "updated_at": datetime.now(UTC)})
    except NotFound as error:
        raise PersonNotFound("Person not found") from error
    person = Person.model_validate(document.data)
    person_changed.send(sender=_change, uid=uid, person=person)
    return person


def _read(document: Document | None) -> Person | None:
    """None for no document, and for one that is no person: another program wrote it, and the others must be listed."""
    if document is None:
        return None
    try:
        return Person.model_validate({"id": document.id, **document.data})
    except ValidationError as error:
        log.warning("the document of person %s is not readable: %s", document.id, error.errors(include_input=False))
        return None


def _documents() -> Documents:
    documents: Documents = one("documents")
    return documents


def _collection(uid: str) -> str:
    return f"users/{uid}/people"


def _path(uid: str, person_id: str) -> str:
    return f"{_collection(uid)}/{person_id}"
