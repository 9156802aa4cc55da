"""The routes that exist: read from the OpenAPI document and from Django's own URL table, never listed by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

METHODS = ("get", "post", "put", "patch", "delete")
UNDOCUMENTED = {"/v1/events", "/v1/vendors/audio/{}", "/v1/vendors/fal/webhook", "/v3/speech-samples/{}"}
"""Not in the document: a stream, a vendor's callback that carries no user, and links that are their own permission."""


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    parameters: tuple[dict[str, Any], ...]
    bodies: tuple[str, ...]
    body_schema: Any
    needs_token: bool

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


@cache
def document() -> dict[str, Any]:
    from drf_spectacular.generators import SchemaGenerator

    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return made


def operations() -> Iterator[Operation]:
    for path, methods in document()["paths"].items():
        for method in METHODS:
            if method not in methods:
                continue
            found = methods[method]
            content = found.get("requestBody", {}).get("content", {})
            yield Operation(
                method.upper(),
                path,
                tuple(item for item in found.get("parameters", ()) if item["in"] != "path"),
                tuple(content),
                next((given["schema"] for kind, given in content.items() if kind == "application/json"), None),
                bool(found.get("security")),
            )


def routes() -> set[str]:
    """Paths of the API in the URL table, with ``{}`` for what changes."""
    from django.urls import URLPattern, get_resolver

    def walk(patterns: Any, prefix: str) -> Iterator[str]:
        for item in patterns:
            here = prefix + str(item.pattern)
            if isinstance(item, URLPattern):
                yield here
            else:
                yield from walk(item.url_patterns, here)

    found = {"/" + re.sub(r"<[^>]+>", "{}", path) for path in walk(get_resolver().url_patterns, "")}
    return {path for path in found if re.match(r"/v\d/", path)}


def example(schema: Any, hint: str | None, known: dict[str, str] | None = None) -> Any:
    """A value that fits ``schema``; ``known`` gives ids by field name."""
    if schema is None:
        return {}
    if "$ref" in schema:
        return example(document()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], hint, known)
    if hint is not None:
        return hint
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            return example(schema[name][0], hint, known)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: example(field, (known or {}).get(name), known) for name, field in properties.items()}
    if kind == "array":
        return [example(schema.get("items", {}), None, known)]
    if kind == "string":
        return "2026-11-20T09:00:00Z" if schema.get("format") == "date-time" else "Anna"
    return {"integer": 1, "number": 1.5, "boolean": True}.get(kind)
