"""JSON bodies of the API: what cannot be stored or sent back as JSON is refused where it comes in, not where it breaks.

Django REST framework's parser lets through what Python's does: numbers that become infinite (``1e400``), half of a
surrogate pair (no database takes it), NUL (PostgreSQL does not), and nesting that ends in a ``RecursionError``.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Mapping
from itertools import count
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

MAX_DEPTH = 40
"""Levels; the deepest body of ours has five."""
MAX_CONTAINERS = 50_000
"""Objects and lists of one body. The largest that is meant has one for each of ``OMI_MAX_SEGMENTS`` segments."""


class StrictJSONParser(JSONParser):
    """Parses ``application/json`` in UTF-8. Raises ParseError."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            text = codecs.decode(stream.read(), "utf-8")
            if text.count("{") + text.count("[") > 2 * MAX_CONTAINERS:  # texts may hold some, too
                raise ParseError("JSON parse error - too many objects and lists")  # before they take memory
            found = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        except RecursionError as error:
            raise ParseError("JSON parse error - nested too deeply") from error
        except ValueError as error:
            raise ParseError(f"JSON parse error - {error}") from error
        if isinstance(found, str | list | dict):
            _check(found, count())
        return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"a number is out of range: {text[:20]}")
    return number


def _check(value: Any, containers: Iterator[int], depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise ParseError("JSON parse error - nested too deeply")
    if isinstance(value, str):
        if "\0" in value:
            raise ParseError("JSON parse error - a text holds NUL")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ParseError("JSON parse error - a text holds half of a surrogate pair") from error
        return
    if next(containers) > MAX_CONTAINERS:
        raise ParseError("JSON parse error - too many objects and lists")
    if isinstance(value, dict):
        for name in value:
            _check(name, containers, depth + 1)
        value = value.values()
    for item in value:
        if isinstance(item, str | list | dict):
            _check(item, containers, depth + 1)
