"""Pinecone's filter language, evaluated in Python for the local twin.

A plain value means ``$eq``; on a list of texts ``$eq`` and ``$in`` ask for a member; a range needs a number; a record
without the key matches only ``$ne``, ``$nin`` and ``{"$exists": False}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omi.stores.vectors.base import Filter, InvalidVector, Metadata

_OPERATORS = {"$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists"}
_MISSING = object()


def check_filter(filter: Filter) -> None:
    """Make sure that a filter is one of the language, before any record is looked at; raises InvalidVector."""
    if not isinstance(filter, Mapping) or not filter:
        raise InvalidVector("a filter is a map that is not empty")
    for key, condition in filter.items():
        if key in {"$and", "$or"}:
            if not isinstance(condition, list | tuple) or not condition:
                raise InvalidVector(f"{key} takes a list of filters")
            for part in condition:
                check_filter(part)
        elif key.startswith("$"):
            raise InvalidVector(f"unknown filter operator {key}")
        elif isinstance(condition, Mapping):
            for operator, value in condition.items():
                _check_operator(operator, value)
        else:
            _check_operator("$eq", condition)


def matches(metadata: Metadata, filter: Filter) -> bool:
    """Return whether metadata meets a filter that ``check_filter`` has checked."""
    return all(_part(metadata, key, condition) for key, condition in filter.items())


def split_uid(filter: Filter | None) -> tuple[str | None, Filter]:
    """The user that the filter's top level names, and what is left to check."""
    rest = dict(filter or {})
    wanted = rest.get("uid")
    if isinstance(wanted, Mapping) and list(wanted) == ["$eq"]:
        wanted = wanted["$eq"]
    if isinstance(wanted, str):
        del rest["uid"]
        return wanted, rest
    return None, rest


def _check_operator(operator: str, value: Any) -> None:
    if operator not in _OPERATORS:
        raise InvalidVector(f"unknown filter operator {operator}")
    if operator in {"$gt", "$gte", "$lt", "$lte"} and not _number(value):
        raise InvalidVector(f"{operator} takes a number")
    if operator in {"$in", "$nin"} and (not isinstance(value, list | tuple) or not value):
        raise InvalidVector(f"{operator} takes a list")
    if operator in {"$eq", "$ne"} and not isinstance(value, str | bool | int | float):
        raise InvalidVector(f"{operator} takes text, a number or a boolean")


def _part(metadata: Metadata, key: str, condition: Any) -> bool:
    if key == "$and":
        return all(matches(metadata, part) for part in condition)
    if key == "$or":
        return any(matches(metadata, part) for part in condition)
    value = metadata.get(key, _MISSING)
    if not isinstance(condition, Mapping):
        return _equal(value, condition)
    return all(_holds(value, operator, wanted) for operator, wanted in condition.items())


def _holds(value: Any, operator: str, wanted: Any) -> bool:
    if operator == "$eq":
        return _equal(value, wanted)
    if operator == "$ne":
        return not _equal(value, wanted)
    if operator == "$in":
        if isinstance(value, str):  # among a thousand ids, for each record
            return value in wanted
        return any(_equal(value, item) for item in wanted)
    if operator == "$nin":
        return not any(_equal(value, item) for item in wanted)
    if operator == "$exists":
        return (value is not _MISSING) is bool(wanted)
    if not _number(value):
        return False
    return bool(
        {"$gt": value > wanted, "$gte": value >= wanted, "$lt": value < wanted, "$lte": value <= wanted}[operator]
    )


def _equal(value: Any, wanted: Any) -> bool:
    if isinstance(value, list):
        return wanted in value
    return value is not _MISSING and isinstance(value, bool) is isinstance(wanted, bool) and bool(value == wanted)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
