"""``python -m memories.evaluation.worker DATASET ANSWER`` is the child process that measures one variant.

Its environment names stores of its own. Progress goes to standard error, a line an item.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command


def main() -> int:
    """Measure, write the measurement as JSON, and answer the exit code: 2 for a dataset that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("answer", type=Path)
    parser.add_argument("--only", default="*")
    parser.add_argument("--nudge", type=int, default=0)
    parser.add_argument("--judge", action=argparse.BooleanOptionalAction, default=None)
    options = parser.parse_args()
    django.setup()
    # What follows needs the settings: Django's models are defined when these modules are loaded.
    from memories.evaluation import isolation, measure, readers
    from memories.evaluation.dataset import DatasetError
    from memories.evaluation.wording import MissingLibrary
    from omi.providers import one

    call_command("migrate", verbosity=0)
    judged = options.judge if options.judge is not None else one("structurer").remote
    try:
        dataset = readers.load(options.dataset, Path(settings.OMI_DATA_DIR))
        chosen = [item for item in dataset.items if fnmatch.fnmatch(item.name, options.only)]
        known = {item.name for item in chosen}
        questions = [question for question in dataset.questions if known.issuperset(question.items)]
        dataset = dataset.model_copy(update={"items": chosen, "questions": questions})
        made = measure.measure(dataset, nudge=options.nudge, judged=judged, tell=_tell)
    except (DatasetError, MissingLibrary) as error:
        _tell(str(error))
        return 2
    options.answer.write_bytes(isolation.MADE.dump_json(made))
    return 0


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
