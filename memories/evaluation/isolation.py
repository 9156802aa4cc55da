"""An evaluation runs in a child process whose stores are embedded ones in a folder of its own, gone afterwards.

So no recording of a dataset enters a deployment's stores, and each variant of the product begins alike. Vendors, models
and rules are the deployment's, as its environment configures them, with what the variant changes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from django.conf import settings
from django.core.management import call_command
from pydantic import TypeAdapter

from memories.evaluation.dataset import Dataset
from memories.evaluation.measure import Measurement, measure
from memories.evaluation.readers import load
from omi.core import child_process
from omi.core.providers import one

MADE: Final[TypeAdapter[Measurement]] = TypeAdapter(Measurement)
"""A measurement as JSON, as the child writes it and as the report keeps it."""

EMBEDDED: Final = {
    "OMI_DOCUMENTS": "local", "OMI_VECTORS": "local", "OMI_AUDIO": "local", "OMI_PUSH": "none", "OMI_EMOTIONS": "none",
    "OMI_AUTH": "dev", "OMI_MIN_RECORDING_SECONDS": "0.5", "OMI_LOG_LEVEL": "ERROR",
}  # fmt: skip
"""What every variant has: datasets hold single sentences, which are shorter than a recording that a phone sends."""
LEFT_OUT: Final = ("DATABASE_URL", "REDIS_URL", "GOOGLE_CLOUD_PROJECT", "OMI_PUBLIC_URL")
"""What leads to a deployment's stores, or lets a vendor ask the deployment's server for a recording it has not got."""
SECRET: Final = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL")


class Failed(Exception):
    """There is no measurement: the child ended without one, or would have written into a deployment's stores."""


@dataclass(frozen=True, slots=True)
class Variant:
    """The product with some settings set otherwise: environment variables by name."""

    name: str
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> dict[str, str]:
        """The settings as a report may show them: without secrets."""
        return {name: "..." if SECRET.search(name) else value for name, value in self.settings.items()}


def environment(variant: Variant, folder: Path) -> dict[str, str]:
    """The environment of the child that measures ``variant`` with its stores in ``folder``."""
    inherited = {name: value for name, value in child_process.environment().items() if name not in LEFT_OUT}
    return {**inherited, **EMBEDDED, "OMI_DATA_DIR": str(folder), **variant.settings}


def measured_apart(
    dataset: Path, variant: Variant, folder: Path, *, only: str = "*", nudge: int = 0, judged: bool | None = None
) -> Measurement:
    """Measure ``variant`` on ``dataset`` in a child process. ``only``: a pattern of item names. Raises Failed."""
    folder.mkdir(parents=True, exist_ok=True)
    answer = folder / "measurement.json"
    command = [sys.executable, str(child_process.ROOT / "manage.py"), "evaluate", str(dataset)]
    command += ["--measure-into", str(answer), "--nudge", str(nudge), "--only", only]
    command += [] if judged is None else ["--judge"] if judged else ["--no-judge"]
    done = subprocess.run(command, env=environment(variant, folder / "data"), check=False)
    if done.returncode != 0 or not answer.exists():
        raise Failed(f"the evaluation of {variant.name} ended with code {done.returncode}; its reason stands above")
    return MADE.validate_json(answer.read_bytes())


def measure_into(
    answer: Path, source: Path, *, only: str, nudge: int, judged: bool | None, tell: Callable[[str], None]
) -> None:
    """The child's side: measure this process's product on the items of ``source`` that match ``only``, and write the
    measurement as JSON. Raises DatasetError, MissingLibrary, and Failed where the stores are not embedded ones."""
    for name in ("OMI_DOCUMENTS", "OMI_VECTORS", "OMI_AUDIO"):
        if getattr(settings, name) != "local":
            raise Failed(f"{name} is {getattr(settings, name)}: an evaluation writes into no deployment's stores")
    call_command("migrate", verbosity=0)
    dataset = chosen(load(source, Path(settings.OMI_DATA_DIR)), only)
    if judged is None:
        judged = bool(one("structurer").remote)
    made = measure(dataset, nudge=nudge, judged=judged, tell=tell)
    answer.write_bytes(MADE.dump_json(made))


def chosen(dataset: Dataset, only: str) -> Dataset:
    """The items whose names match the pattern ``only``, and the questions that ask for none but these."""
    items = [item for item in dataset.items if fnmatch(item.name, only)]
    names = {item.name for item in items}
    questions = [question for question in dataset.questions if names.issuperset(question.items)]
    return dataset.model_copy(update={"items": items, "questions": questions})
