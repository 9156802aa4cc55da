"""The installation's own secret key where none is given: made once, kept in a file that only its owner may read.

A key that stands in the source would let anybody who can reach the server sign tokens for everybody.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

FILE = "secret.key"
MIN_LENGTH = 50
"""Characters. Django's own check asks for as many."""


def load_or_make(folder: Path) -> str:
    """The key in ``folder``; made there where there is none. Processes that start together agree on one.

    Raises ImproperlyConfigured where others may read the file, or where it holds no key.
    """
    file = folder / FILE
    if not file.exists():
        _make(file)
    mode = file.stat().st_mode & 0o777
    if mode & 0o077:
        raise ImproperlyConfigured(f"{file} may be read by others (mode {mode:o}): chmod 600 it, or set SECRET_KEY.")
    key = file.read_text(encoding="utf-8").strip()
    if len(key) < MIN_LENGTH:
        raise ImproperlyConfigured(f"{file} holds no key of {MIN_LENGTH} characters: delete it, or set SECRET_KEY.")
    return key


def _make(file: Path) -> None:
    """Written whole under another name first, then linked: a link never replaces what another process has made."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{FILE}-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as target:
            target.write(secrets.token_urlsafe(64) + "\n")
            target.flush()
            os.fsync(target.fileno())
        os.link(name, file)
    except FileExistsError:
        pass
    finally:
        Path(name).unlink()
