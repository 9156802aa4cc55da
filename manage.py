#!/usr/bin/env python
"""Entry point of every command: ``./manage.py help`` lists them."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Run the command that the command line names."""
    gc.disable()  # until the apps are loaded (omi/apps.py): to look for garbage then is a sixth of a start's time
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "omi.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError as error:
        raise SystemExit(
            "Django is not installed here: run `make setup`, then use .venv/bin/python manage.py"
        ) from error
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
