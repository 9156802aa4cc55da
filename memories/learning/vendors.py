"""Vendors' order and the consensus's weights, from what was measured of each, by language."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.utils import timezone

from memories.experiments.models import TunedValue
from memories.learning.learner import ByName, Proposal
from memories.learning.models import VendorFigure
from omi.core import tuned
from transcription.languages import base

LEAST_WORDS: Final = 1000
"""Reference words that each vendor must have been measured on, in a language."""
CLEARLY: Final = 0.005
"""Word errors by which a vendor must be better (half a per cent point), price and time included."""
DOLLAR: Final = 0.005
"""Word errors that a US dollar an hour is worth: two vendors alike, the cheaper one comes first."""
SLOW: Final = 0.005
"""Word errors that a second of processing for a second of audio is worth."""
FRESH: Final = timedelta(days=120)
"""Figures older than this are not used: vendors change their models."""


class BadFigures(Exception):
    """The file is not the JSON of an evaluation by provider."""


def take(file: Path, *, kind: str, language: str) -> int:
    """Read figures from ``manage.py evaluate --providers … --json``; how many items. Raises BadFigures."""
    try:
        raw = file.read_bytes()
        variants: dict[str, Any] = json.loads(raw)["variants"]
        rows = list(_rows(variants, kind, base(language) or "", hashlib.sha256(raw).hexdigest()[:16]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadFigures(f"{file} is no evaluation ({type(error).__name__})") from error
    VendorFigure.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def _rows(variants: Mapping[str, Any], kind: str, language: str, measured: str) -> Iterator[VendorFigure]:
    known = settings.PRERECORDED_VENDORS if kind == "prerecorded" else settings.LIVE_VENDORS
    for vendor, variant in variants.items():
        for item, found in variant["measurement"]["items"].items() if vendor in known else ():
            if "wer" in found["parts"]:
                wrong, words = found["parts"]["wer"]
                heard = found["heard"]
                yield VendorFigure(
                    vendor=vendor, kind=kind, language=language, measured=measured, item=item, wrong=wrong, words=words,
                    seconds=heard["latency"], audio=heard["seconds"], cost=heard["cost"], at=timezone.now(),
                )  # fmt: skip


class Order(ByName):
    """Learns the order of the vendors of recorded speech, by language."""

    name = "vendors"
    for_one = False

    def proposals(self, uid: str) -> Iterator[Proposal]:
        """The order of pre-recorded vendors by language, where another one is clearly better than the first of now."""
        usual = list(settings.OMI_PRERECORDED)
        now = tuned.value("prerecorded_order", usual, uid="")
        by_language: dict[str, list[str]] = dict(now) if isinstance(now, dict) else {"": list(now)}
        for language, figures in _figures("prerecorded", usual).items():
            order: list[str] = by_language.get(language) or by_language.get("") or usual
            chosen_on, held_out = _halves(figures)
            better = sorted(order, key=lambda vendor: (_burden(chosen_on, vendor), order.index(vendor)))
            if better[0] == order[0] or _burden(chosen_on, better[0]) > _burden(chosen_on, order[0]) - CLEARLY:
                continue
            value = {**by_language, language: better}
            yield Proposal(
                learner=self.name, name="prerecorded_order", value=value, now=now,
                why=f"{better[0]} before {order[0]} in {language or 'all languages'}: "
                f"burden {_burden(chosen_on, better[0]):.3f} against {_burden(chosen_on, order[0]):.3f} "
                f"(word errors, with {DOLLAR:g} a dollar an hour)",
                before=1 - _burden(held_out, order[0]), after=1 - _burden(held_out, better[0]),
                held_out=len({row.item for row in held_out}),
                evidence={vendor: round(_burden(figures, vendor), 4) for vendor in order},
            )  # fmt: skip

    def harm(self, row: TunedValue) -> str:
        """Newer figures say the opposite."""
        for language, figures in _figures("prerecorded", list(settings.OMI_PRERECORDED), since=row).items():
            order: list[str] = (row.value.get(language) if isinstance(row.value, dict) else row.value) or []
            for other in order[1:]:
                if _burden(figures, other) < _burden(figures, order[0]) - CLEARLY:
                    return f"{other} was measured better than {order[0]} since"
        return ""


class Weights(ByName):
    """Learns the weights of the live vendors in the consensus vote."""

    name = "weights"
    for_one = False

    def proposals(self, uid: str) -> Iterator[Proposal]:
        """Measured accuracy of the live vendors as the weights of the vote."""
        figures = [row for rows in _figures("live", list(settings.OMI_LIVE)).values() for row in rows]
        chosen_on, held_out = _halves(figures)
        if len(settings.OMI_LIVE) < 2 or not held_out:
            return
        now = dict(tuned.value("live_accuracy", dict(settings.OMI_VENDOR_ACCURACY), uid=""))
        value = {vendor: round(1 - _errors(chosen_on, vendor), 3) for vendor in settings.OMI_LIVE}
        if any(abs(value[vendor] - now.get(vendor, 0.9)) > CLEARLY for vendor in value):
            yield Proposal(
                learner=self.name, name="live_accuracy", value=value, now=now, why="measured accuracy of live vendors",
                before=1 - _distance(now, held_out), after=1 - _distance(value, held_out),
                held_out=len({row.item for row in held_out}), evidence=dict(value),
            )  # fmt: skip

    def harm(self, row: TunedValue) -> str:
        figures = [found for rows in _figures("live", list(settings.OMI_LIVE), since=row).values() for found in rows]
        away = _distance(row.value, figures) if figures else 0.0
        return f"newer figures are {away:.3f} away from these" if away > 0.1 else ""


def _figures(kind: str, vendors: Sequence[str], since: TunedValue | None = None) -> dict[str, list[VendorFigure]]:
    """Fresh figures by language, of items on which every one of ``vendors`` was measured, enough of them."""
    rows = VendorFigure.objects.filter(kind=kind, vendor__in=vendors, at__gt=timezone.now() - FRESH, words__gt=0)
    rows = rows.filter(at__gt=since.at) if since is not None else rows
    by_item: dict[tuple[str, str, str], dict[str, VendorFigure]] = defaultdict(dict)
    for row in rows.order_by("id"):
        by_item[(row.language, row.measured, row.item)][row.vendor] = row
    found: dict[str, list[VendorFigure]] = defaultdict(list)
    for (language, _, _), of_item in by_item.items():
        if len(of_item) == len(set(vendors)) > 1:
            found[language] += of_item.values()
    enough = LEAST_WORDS * len(set(vendors))
    return {language: rows for language, rows in found.items() if sum(row.words for row in rows) >= enough}


def _halves(rows: Sequence[VendorFigure]) -> tuple[list[VendorFigure], list[VendorFigure]]:
    kept: tuple[list[VendorFigure], list[VendorFigure]] = ([], [])
    for row in rows:
        kept[hashlib.sha256(f"{row.measured}{row.item}".encode()).digest()[0] % 2].append(row)
    return kept


def _errors(rows: Sequence[VendorFigure], vendor: str) -> float:
    own = [row for row in rows if row.vendor == vendor]
    words = sum(row.words for row in own)
    return sum(row.wrong for row in own) / words if words else 1.0


def _burden(rows: Sequence[VendorFigure], vendor: str) -> float:
    """Word errors, and what time and money are worth in word errors."""
    own = [row for row in rows if row.vendor == vendor]
    audio = sum(row.audio for row in own)
    dear = sum(row.cost for row in own) / (audio / 3600) if audio else 0.0
    slow = sum(row.seconds for row in own) / audio if audio else 0.0
    return _errors(rows, vendor) + DOLLAR * dear + SLOW * slow


def _distance(weights: Mapping[str, float], rows: Sequence[VendorFigure]) -> float:
    """Mean distance of the weights from the accuracy that was measured."""
    vendors = {row.vendor for row in rows}
    return sum(abs(weights.get(name, 0.9) - (1 - _errors(rows, name))) for name in vendors) / max(1, len(vendors))
