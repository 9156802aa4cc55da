"""Which structurer a user's memory is given to: the configured one, or what an experiment or a decision says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from memories.structuring.base import Structurer
from omi.core import providers, tuned


def chosen(uid: str, memory_id: str) -> tuple[Structurer, str]:
    """The structurer, and the name of the prompt's variant."""
    return of_value(tuned.value("structurer", {}, uid=uid, memory_id=memory_id))


def of_value(value: Mapping[str, str]) -> tuple[Structurer, str]:
    """What ``{"name", "model", "prompt"}`` asks for; what is left out is as configured."""
    usual: Structurer = providers.one("structurer")
    name, model = value.get("name", usual.name), value.get("model", "")
    made = usual if name == usual.name and not model else _made(settings.STRUCTURERS[name], model)
    return made, value.get("prompt", "")


@cache
def _made(backend: str, model: str) -> Any:
    return import_string(backend)(**({"model": model} if model else {}))
