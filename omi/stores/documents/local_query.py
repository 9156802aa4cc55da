"""Queries of the local twin: SQL narrows and orders where it can do so exactly, Python decides.

"Newest first" within a collection, with conditions on booleans and short texts, is answered by SQL alone, page by
page; whatever else Firestore can be asked is answered by reading the collection's candidates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from omi.stores.documents.base import Document, OrderBy, Where
from omi.stores.documents.compare import check, field, full_order, has, matches, order_key
from omi.stores.documents.local_rows import INDEXED_FIELD, is_facet, one_of_many, sort_key

PAGE = 200
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def run(
    rows: Any,
    where: Sequence[Where],
    order_by: Sequence[OrderBy],
    limit: int | None,
    offset: int,
    start_after: Document | None,
) -> list[Document]:
    """Run one query over the rows; returns documents in order, behind ``start_after`` where it is given."""
    check(where, order_by, limit, offset)
    order = full_order(where, order_by)
    rows, rest = _narrow(rows, where)
    if not order or [item.field for item in order] == [INDEXED_FIELD]:
        if not rest:  # SQL knows it all, the page included
            end = None if limit is None else offset + limit
            return list(_in_sql_order(rows, order, start_after, slice(offset, end)))
        found: Iterator[Document] = _in_sql_order(rows, order, start_after, slice(0, None))
        found = (document for document in found if matches(document.data, rest))
    else:
        found = iter(_in_python_order(rows, rest, order, start_after))
    return list(islice(found, offset, None if limit is None else offset + limit))


def count(rows: Any, where: Sequence[Where]) -> int:
    """Return how many of the rows meet all conditions."""
    check(where, (), None, 0)
    rows, rest = _narrow(rows, where)
    if not rest:
        return int(rows.count())
    return sum(1 for row in rows.iterator(chunk_size=PAGE) if matches(one_of_many(row).data, rest))


def _narrow(rows: Any, where: Sequence[Where]) -> tuple[Any, list[Where]]:
    """Conditions that SQL answers exactly are taken off the list that Python checks."""
    from django.db.models.fields.json import KeyTransform

    rest = []
    for number, condition in enumerate(where):
        if condition.op == "==" and is_facet(condition.value) and _PLAIN.match(condition.field):
            # An alias, because a field may be called like one of Django's look-ups.
            alias = f"facet_{number}"
            rows = rows.alias(**{alias: KeyTransform(condition.field, "facets")}).filter(**{alias: condition.value})
        else:
            rest.append(condition)
    return rows, rest


def _in_sql_order(rows: Any, order: Sequence[OrderBy], start_after: Document | None, page: slice) -> Iterator[Document]:
    descending = bool(order) and order[0].descending
    if not order:
        rows = rows.order_by("path")
        if start_after is not None:
            rows = rows.filter(path__gt=start_after.path)
    else:
        rows = rows.filter(created_key__gt="")
        rows = rows.order_by("-created_key", "-path") if descending else rows.order_by("created_key", "path")
        if start_after is not None:
            rows = _after(rows, sort_key(field(start_after.data, INDEXED_FIELD)), start_after.path, descending)
    return (one_of_many(row) for row in rows[page].iterator(chunk_size=PAGE))


def _after(rows: Any, key: str, path: str, descending: bool) -> Any:
    from django.db.models import Q

    side = "lt" if descending else "gt"
    # The first condition alone lets the index seek; the second settles equal keys.
    return rows.filter(**{f"created_key__{side}e": key}).filter(
        Q(**{f"created_key__{side}": key}) | Q(created_key=key, **{f"path__{side}": path})
    )


def _in_python_order(
    rows: Any, rest: Sequence[Where], order: Sequence[OrderBy], start_after: Document | None
) -> list[Document]:
    documents = [
        document
        for document in map(one_of_many, rows.iterator(chunk_size=PAGE))
        if matches(document.data, rest) and all(has(document.data, item.field) for item in order)
    ]
    documents.sort(key=lambda document: document.path, reverse=order[-1].descending)
    for item in reversed(order):
        documents.sort(key=lambda document: order_key(field(document.data, item.field)), reverse=item.descending)
    if start_after is None:
        return documents
    position = _position(start_after, order)
    return [document for document in documents if _later(_position(document, order), position, order)]


def _position(document: Document, order: Sequence[OrderBy]) -> list[Any]:
    return [*(order_key(field(document.data, item.field)) for item in order), document.path]


def _later(position: list[Any], other: list[Any], order: Sequence[OrderBy]) -> bool:
    directions = [*(item.descending for item in order), order[-1].descending]
    for mine, theirs, descending in zip(position, other, directions, strict=True):
        if mine != theirs:
            return bool((mine < theirs) if descending else (mine > theirs))
    return False
