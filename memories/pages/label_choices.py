"""Folders and tags as a form offers them, and those that an address names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.utils.translation import gettext as _

from memories.api.errors import ApiError
from memories.labels import store


def choices(uid: str, bears: Sequence[str]) -> dict[str, list[tuple[store.Label, bool]]]:
    """Folders and tags for a form: each with whether it is chosen. Ids that are no label's are left out."""
    found = store.listed(uid)
    return {kind: [(label, label.id in bears) for label in found if label.kind == kind] for kind in ("folder", "tag")}


def require(called: Mapping[str, str], wanted: Sequence[str]) -> list[str]:
    """The names of the labels of these ids. Raises ApiError (404)."""
    if not set(wanted) <= called.keys():
        raise ApiError(404, _("This folder or tag is not there any more."))
    return [called[label] for label in wanted]
