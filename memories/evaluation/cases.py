"""How many reported cases are right now: of a dataset that ``manage.py export_cases`` wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from memories.evaluation.dataset import DatasetError
from memories.evaluation.measure import Measured, Measurement
from memories.feedback.cases import CASES
from memories.pipeline.rules.tokens import tokens_in

WORDS_MISSED: Final = 0.0
"""Share of a corrected sentence's words that may still be wrong."""


@dataclass(frozen=True, slots=True)
class NowRight:
    """How many labelled cases are right by now: ``right`` of ``whole`` cases; ``open``: names of those that still are
    wrong. Where an earlier evaluation was compared with: ``mended`` were wrong in it and are right, ``broken`` the
    other way round."""

    right: int
    whole: int
    open: tuple[str, ...]
    mended: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        changed = [
            f"{len(names)} {word}" for names, word in ((self.mended, "mended"), (self.broken, "broken")) if names
        ]
        since = f" ({', '.join(changed)} since the baseline)" if changed else ""
        return f"{self.right} of {self.whole} reported cases are right now{since}."


def wanted_of(dataset: Path) -> dict[str, dict[str, Any]]:
    """What the cases of a dataset want, by item; empty where it holds none. Raises DatasetError."""
    file = dataset / CASES
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {str(name): dict(case) for name, case in found.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DatasetError(file, f"it holds no cases ({type(error).__name__})") from error


def now_right(
    wanted: Mapping[str, Mapping[str, Any]], made: Measurement, before: Measurement | None = None
) -> NowRight:
    """Which of the cases the product gets right, of those that were measured; ``before``: by an earlier evaluation."""
    seen = {name: case for name, case in wanted.items() if name in made.items}
    wrong = tuple(name for name, case in seen.items() if not _right(case, made.items[name]))
    both = {name: case for name, case in seen.items() if before is not None and name in before.items}
    earlier = {name for name, case in both.items() if before is not None and not _right(case, before.items[name])}
    mended = tuple(name for name in both if name in earlier and name not in wrong)
    broken = tuple(name for name in both if name not in earlier and name in wrong)
    return NowRight(len(seen) - len(wrong), len(seen), wrong, mended, broken)


def _right(case: Mapping[str, Any], measured: Measured) -> bool:
    heard = measured.heard
    if heard.failure:
        return False
    if case["part"] == "transcript":
        wrong, said = measured.parts.get("wer", (1.0, 1.0))
        return bool(said) and wrong / said <= WORDS_MISSED
    expected = case.get("expected", {})
    if "discarded" in expected and bool(expected["discarded"]) != heard.discarded:
        return False
    if heard.structured is None:
        return False
    return all(_alike(str(getattr(heard.structured, name, "")), text) for name, text in _texts(expected))


def _texts(expected: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in expected.items() if name in ("title", "overview", "category")]


def _alike(said: str, wanted: str) -> bool:
    """Whether what the machine says holds most of what the person wrote: no two people write one title alike."""
    want = set(tokens_in(wanted))
    return not want or len(want & set(tokens_in(said))) / len(want) >= 0.6
