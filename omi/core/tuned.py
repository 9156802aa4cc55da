"""Values that are one setting for everybody, and may be another one for a user: by an experiment, or because it was
learned. The place that uses a value asks here, and knows nothing of experiments:

    tuned.value("search_words", WORDS, uid=uid)

``memories.experiments`` gives the answers (``serve``); where nobody does, the default holds. Which names there are, and
what each may be, stands in ``memories.experiments.tunables``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Source = Callable[[str, str, str], Any]
"""Name, uid and memory (or "") to the value; None: the default. It never raises."""

Variants = Callable[[str, str], dict[str, str]]
"""Uid and memory to the variants that took effect, by experiment."""

_sources: list[Source] = []
_named: list[Variants] = []


def serve(source: Source, named: Variants) -> None:
    """Let these answer from now on; one of each at a time."""
    _sources[:], _named[:] = [source], [named]


def value(name: str, default: Any, *, uid: str, memory_id: str = "") -> Any:
    """What is in force for this user. ``memory_id``: the memory that it takes effect on, which then stays with the same
    variant of an experiment whatever happens to its runs. It may read the database, so never ask on an event loop."""
    found = _sources[0](name, uid, memory_id) if _sources else None
    return default if found is None else found


def variants(uid: str, memory_id: str) -> dict[str, str]:
    """Experiment to the variant that took effect on the memory; empty where none did."""
    return _named[0](uid, memory_id) if _named else {}
