"""What the local speech engine is, in one sentence for people: `manage.py doctor` and `manage.py providers`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transcription.engines.models import CATALOGUE, ModelCard
from transcription.engines.registry import check, detect
from transcription.engines.whisper import files

if TYPE_CHECKING:
    from pathlib import Path

WORD_ERRORS = {"whisper-base": "word errors on hard read English: 9.5 % pre-recorded, 16.1 % live (docs/benchmarks.md)"}
"""By model of the catalogue, measured by `python -m bench.speech`."""


def describe(folder: Path | None) -> str:
    """Engine, model, size, licence, provenance and measured word error rate. ProviderError where it cannot be used."""
    engine = detect(folder)
    check(folder)
    place = folder or files.bundled_model()
    card = _card(engine, place, bundled=folder is None)
    megabytes = sum(file.stat().st_size for file in place.iterdir() if file.is_file()) / 1e6
    if card is None:
        return f"{engine}: {place.name}, {megabytes:.0f} MB; licence, origin and word error rate are not known here"
    measured = WORD_ERRORS.get(card.name, "word error rate not measured here")
    return f"{engine}: {card.name}, {megabytes:.0f} MB, {card.licence}, {card.source}; {measured}"


def _card(engine: str, folder: Path, *, bundled: bool) -> ModelCard | None:
    if engine != "whisper":
        return next((card for card in CATALOGUE if card.name == folder.name), None)
    if bundled:
        return next(card for card in CATALOGUE if card.name == files.NAME)
    config = files.sha256(folder / "config.json")
    return next((card for card in CATALOGUE if card.sha256.get("config.json") == config), None)
