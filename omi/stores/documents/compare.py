"""Firestore's order of values and its query rules, for the local twin.

Values of different types are ordered null < bool < number < timestamp < text < bytes < list < map; a range condition
only ever matches values of its own type; a document without a field that the query filters or orders by is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from omi.stores.documents.base import Data, InvalidData, OrderBy, Where

_MISSING = object()
_RANGE = {"<", "<=", ">", ">="}
_INEQUALITIES = _RANGE | {"!="}


def order_key(value: Any) -> tuple[Any, ...]:
    """A tuple that sorts as Firestore sorts the value."""
    if value is None:
        return (0,)
    if isinstance(value, bool):
        return (1, value)
    if isinstance(value, int | float):
        return (2, 0, 0) if isinstance(value, float) and math.isnan(value) else (2, 1, value)
    if isinstance(value, datetime):
        return (3, value)
    if isinstance(value, str):
        return (4, value)
    if isinstance(value, bytes):
        return (5, value)
    if isinstance(value, list):
        return (6, tuple(order_key(item) for item in value))
    return (7, tuple((key, order_key(item)) for key, item in sorted(value.items())))


def field(data: Data, name: str) -> Any:
    """The value at a dotted name, or a marker that ``has`` knows."""
    node: Any = data
    for part in name.split("."):
        if not isinstance(node, dict) or part not in node:
            return _MISSING
        node = node[part]
    return node


def has(data: Data, name: str) -> bool:
    """Return whether the document has the field, which may be null."""
    return field(data, name) is not _MISSING


def matches(data: Data, where: Sequence[Where]) -> bool:
    """Return whether the document meets all conditions, by Firestore's rules."""
    return all(_holds(field(data, condition.field), condition) for condition in where)


def full_order(where: Sequence[Where], order_by: Sequence[OrderBy]) -> list[OrderBy]:
    """The order that Firestore really uses: fields with an inequality that the caller did not name come last."""
    order = list(order_by)
    descending = order[-1].descending if order else False
    named = {item.field for item in order}
    for name in sorted({condition.field for condition in where if condition.op in _INEQUALITIES} - named):
        order.append(OrderBy(name, descending))
    return order


def check(where: Sequence[Where], order_by: Sequence[OrderBy], limit: int | None, offset: int) -> None:
    """Refuse what Firestore refuses, so that a query that works here works there."""
    for condition in where:
        if condition.op == "in" and not (isinstance(condition.value, list | tuple) and 1 <= len(condition.value) <= 30):
            raise InvalidData("'in' takes a list of 1 to 30 values")
        if condition.value is None and condition.op not in {"==", "!="}:
            raise InvalidData("None can only be compared with == and !=")
    if sum(1 for condition in where if condition.op == "!=") > 1:
        raise InvalidData("a query may have one != condition")
    if len({item.field for item in order_by}) != len(order_by):
        raise InvalidData("a query orders by a field once")
    if offset < 0 or (limit is not None and limit < 0):
        raise InvalidData("limit and offset may not be negative")


def _holds(value: Any, condition: Where) -> bool:
    if value is _MISSING:
        return False
    wanted, op = condition.value, condition.op
    if op == "array_contains":
        return isinstance(value, list) and any(_equal(item, wanted) for item in value)
    if op == "in":
        return any(item is not None and _equal(value, item) for item in wanted)
    if op == "==":
        return _equal(value, wanted)
    if op == "!=":
        return value is not None and not _equal(value, wanted)
    mine, other = order_key(value), order_key(wanted)
    if mine[0] != other[0] or mine[1:2] == (0,) != other[1:2]:
        return False
    return {"<": mine < other, "<=": mine <= other, ">": mine > other, ">=": mine >= other}[op]


def _equal(value: Any, wanted: Any) -> bool:
    return order_key(value) == order_key(wanted)
