"""What an experiment or a learner may change, and within which bounds. The place that uses a value names it
(``omi.core.tuned.value``); a name that is not here cannot be declared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings

from memories.pipeline.rules import acceptance
from memories.search.query import WORDS
from memories.structuring import prompts
from memories.structuring.discard import MIN_CONTENT_WORDS
from speakers.policy import ACCEPT, SHIFT_LIMIT


class BadValue(ValueError):
    """The value is not one that may be in force; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Tunable:
    """A value that an experiment or a learner may change. ``check`` raises BadValue. ``default`` is what holds without
    any experiment. ``shadow``: another value's result can be had aside, on the same audio. ``used``: where it takes
    effect. ``learned_only``: a learner changes it in its own place, and no experiment can. ``vendors``: the setting
    that lists the vendors that are asked at all; a value may name others in shadow mode only."""

    used: str
    check: Callable[[Any], None]
    default: Callable[[], Any]
    shadow: bool = False
    learned_only: bool = False
    vendors: str = ""


def _number(least: float, most: float) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise BadValue(f"a number from {least:g} to {most:g}")

    return check


def _order(known: tuple[str, ...]) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if not isinstance(value, list) or not value or len(set(map(str, value))) < len(value):
            raise BadValue("a list of different vendors")
        if unknown := [name for name in value if name not in known]:
            raise BadValue(f"there is no vendor {unknown[0]!r}; there are {', '.join(known)}")

    return check


def _order_by_language(known: tuple[str, ...]) -> Callable[[Any], None]:
    order = _order(known)

    def check(value: Any) -> None:
        for one in value.values() if isinstance(value, dict) and value else [value]:
            order(one)

    return check


def _accuracy(value: Any) -> None:
    if not isinstance(value, dict) or set(value) - set(settings.LIVE_VENDORS):
        raise BadValue("a share of right words for each live vendor")
    for share in value.values():
        _number(0.0, 1.0)(share)


def _structurer(value: Any) -> None:
    if not isinstance(value, dict) or set(value) - {"name", "model", "prompt"}:
        raise BadValue("an object with name, model and prompt, each of which may be left out")
    if value.get("name", "local") not in settings.STRUCTURERS:
        raise BadValue(f"there is no structurer {value['name']!r}")
    if value.get("prompt", "") not in prompts.VARIANTS:
        raise BadValue(f"there is no prompt {value['prompt']!r}; there are {', '.join(filter(None, prompts.VARIANTS))}")
    if not isinstance(value.get("model", ""), str) or (value.get("model") and value.get("name") != "openai"):
        raise BadValue("a model is named with the structurer 'openai'")


def _texts(value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value) or len(value) > 100:
        raise BadValue("a list of at most 100 texts")


def _never_worse(value: Any) -> None:
    limits = {"length_ratio": (0.7, 0.95), "min_coverage": (0.35, 0.7)}
    if not isinstance(value, dict) or set(value) - set(limits):
        raise BadValue(f"an object with {' and '.join(limits)}")
    for name, number in value.items():
        _number(*limits[name])(number)


TUNABLES: Final[dict[str, Tunable]] = {
    "live_order": Tunable(
        "transcription.listen.authentication", _order(settings.LIVE_VENDORS), lambda: list(settings.OMI_LIVE),
        vendors="OMI_LIVE",
    ),
    "live_accuracy": Tunable(
        "transcription.listen.authentication", _accuracy, lambda: dict(settings.OMI_VENDOR_ACCURACY)
    ),
    "prerecorded_order": Tunable(
        "memories.pipeline.steps.transcribe", _order_by_language(settings.PRERECORDED_VENDORS),
        lambda: list(settings.OMI_PRERECORDED), shadow=True, vendors="OMI_PRERECORDED",
    ),
    "structurer": Tunable(
        "memories.structuring.choosing", _structurer, lambda: {"name": settings.OMI_STRUCTURER}, shadow=True
    ),
    "speaker_accept": Tunable(
        "speakers.learning", _number(ACCEPT - SHIFT_LIMIT, ACCEPT + SHIFT_LIMIT), lambda: ACCEPT
    ),
    "search_words": Tunable("memories.search.query", _number(0.5, 16), lambda: WORDS),
    "never_worse": Tunable(
        "memories.pipeline.steps.assess", _never_worse,
        lambda: {"length_ratio": acceptance.LENGTH_RATIO, "min_coverage": acceptance.MIN_COVERAGE},
    ),
    "vocabulary": Tunable("memories.vocabulary.terms", _texts, list, learned_only=True),
    "voice_samples_aside": Tunable("speakers.gallery", _texts, list, learned_only=True),
    "discard_below": Tunable("memories.structuring.discard", _number(2, 6), lambda: MIN_CONTENT_WORDS),
}  # fmt: skip


def checked(name: str, value: Any) -> Any:
    """The value, where it may be in force for this tunable. Raises BadValue."""
    if name not in TUNABLES:
        raise BadValue(f"there is no tunable {name!r}; there are {', '.join(TUNABLES)}")
    try:
        TUNABLES[name].check(value)
    except BadValue as error:
        raise BadValue(f"{name} is {error}, not {value!r}") from error
    return value


def effective(name: str, value: Any) -> Any:
    """The value, where it may be in force and would change what happens. Raises BadValue."""
    checked(name, value)
    setting = TUNABLES[name].vendors
    if setting:
        asked = getattr(settings, setting)
        for order in value.values() if isinstance(value, dict) else [value]:
            if missing := [vendor for vendor in order if vendor not in asked]:
                raise BadValue(f"{missing[0]} is not asked by anybody: add it to {setting} first")
    return value
