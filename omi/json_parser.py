"""JSON bodies of the API: what cannot be stored or sent back as JSON is refused where it comes in, not where it breaks.

Django REST framework's parser lets through what Python's does: numbers that become infinite (``1e400``), half of a
surrogate pair (no database takes it), NUL (PostgreSQL does not), and nesting that ends in a ``RecursionError``.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

MAX_DEPTH = 40
"""Levels; the deepest body of ours has five."""


class StrictJSONParser(JSONParser):
    """``application/json`` in UTF-8. Raises ParseError."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            text = codecs.decode(stream.read(), "utf-8")
            found = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        except RecursionError as error:
            raise ParseError("JSON parse error - nested too deeply") from error
        except ValueError as error:
            raise ParseError(f"JSON parse error - {error}") from error
        _check(found)
        return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"a number is out of range: {text[:20]}")
    return number


def _check(value: Any, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise ParseError("JSON parse error - nested too deeply")
    if isinstance(value, str):
        if "\0" in value:
            raise ParseError("JSON parse error - a text holds NUL")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ParseError("JSON parse error - a text holds half of a surrogate pair") from error
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)
    elif isinstance(value, dict):
        for name, item in value.items():
            _check(name, depth + 1)
            _check(item, depth + 1)
