"""Writing and asking the registry. Everything about one user's memory takes the uid."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import ModuleType
from typing import Any, Final

from django.db.models import QuerySet
from django.utils import timezone

from memories.registry.models import MadeWith

PARTS: Final = ("transcript", "speakers", "structure", "sections", "index", "emotions")
CONDITIONS: Final = ("part", "provider", "model", "version", "prompt", "thresholds", "vocabulary")
"""What a selection may name."""
TOLD: Final = ("provider", "model", "version", "prompt", "thresholds", "vocabulary", "variant", "at")


class UnknownCondition(ValueError):
    """There is no such column of the registry; the sentence lists them."""


def digest_of(texts: Iterable[str]) -> str:
    """Names texts (prompts) by their content."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def thresholds_of(*modules: ModuleType, more: Mapping[str, Any] | None = None) -> str:
    """Names all numbers that ``modules`` define in capitals, and ``more``, by their content: whoever changes one makes
    another version without having to think of it."""
    numbers = {
        f"{module.__name__}.{name}": value
        for module in modules
        for name, value in sorted(vars(module).items())
        if name.isupper() and isinstance(value, int | float)
    }
    return digest_of([json.dumps([numbers, dict(more or {})], sort_keys=True, default=str)])


def keep(uid: str, memory_id: str, made: Mapping[str, Mapping[str, Any]], *, run_id: int | None = None) -> None:
    """Say what parts of the memory were made with, by part; the rows of earlier makings are replaced. One statement."""
    now = timezone.now()
    rows = [
        MadeWith(
            uid=uid, memory_id=memory_id, part=part, run_id=run_id, at=now,
            **{name: how[name] for name in TOLD if name in how and name != "at"},
        )
        for part, how in made.items()
    ]  # fmt: skip
    if rows:
        MadeWith.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["uid", "memory_id", "part"], update_fields=[*TOLD, "run_id"]
        )


def of_memory(uid: str, memory_id: str) -> dict[str, dict[str, Any]]:
    """Part to what made it; what is empty is left out, ``at`` is ISO 8601."""
    rows = MadeWith.objects.filter(uid=uid, memory_id=memory_id)
    return {
        row.part: {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name in TOLD
            if (value := getattr(row, name)) not in ("", {}, None)
        }
        for row in rows
    }


def lines(uid: str, memory_id: str) -> list[str]:
    """Return what made a memory for the terminal, one line a part."""
    found = of_memory(uid, memory_id)
    return [
        f"{part} made with " + ", ".join(f"{name} {value}" for name, value in found[part].items())
        for part in PARTS
        if part in found
    ]


def selected(conditions: Mapping[str, str], since: datetime, until: datetime | None = None) -> QuerySet[MadeWith]:
    """Everything made with these at or after ``since`` (before ``until``), oldest first. Raises UnknownCondition."""
    if not conditions or set(conditions) - set(CONDITIONS):
        raise UnknownCondition(f"a selection names at least one of {', '.join(CONDITIONS)}")
    rows = MadeWith.objects.filter(at__gte=since, **conditions)
    return (rows if until is None else rows.filter(at__lt=until)).order_by("at", "pk")


def forget_memory(uid: str, memory_id: str) -> int:
    """Delete what the registry knows of a memory; returns how many rows went."""
    return int(MadeWith.objects.filter(uid=uid, memory_id=memory_id).delete()[0])


def forget_user(uid: str) -> int:
    """Delete what the registry knows of a user's memories; returns how many rows went."""
    return int(MadeWith.objects.filter(uid=uid).delete()[0])


def remaining(uid: str) -> int:
    """Return how many of the user's rows the registry still holds."""
    return MadeWith.objects.filter(uid=uid).count()


def exported(uid: str) -> Sequence[dict[str, Any]]:
    """Return the user's rows for the export, the oldest first."""
    told = ("memory_id", "part", *TOLD)
    return list(MadeWith.objects.filter(uid=uid).order_by("at").values(*told))
