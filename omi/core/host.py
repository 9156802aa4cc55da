"""Which host this process runs on, where a deployment has several (``OMI_HOSTS``)."""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path

from django.conf import settings

FILE = "host-id"


def several() -> bool:
    """Whether this deployment has more than one host: journals are then handed to the audio store."""
    return bool(settings.OMI_HOSTS > 1)


def host_id() -> str:
    """The name of this host: ``OMI_HOST_ID``, else one that is made once and kept in its data folder. Processes that
    share a data folder are one host, and a data folder that is mounted elsewhere takes its name along."""
    if settings.OMI_HOST_ID:
        return str(settings.OMI_HOST_ID)[:64]
    file = Path(settings.OMI_DATA_DIR) / FILE
    while True:
        try:
            if found := file.read_text(encoding="utf-8").strip():
                return found[:64]
        except FileNotFoundError:
            pass
        made = file.with_name(f"{FILE}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
        made.write_text(f"{socket.gethostname()[:40]}-{uuid.uuid4().hex[:8]}\n", encoding="utf-8")
        try:
            os.link(made, file)  # another process of this host may have been faster: its name counts
        except FileExistsError:
            if not file.read_text(encoding="utf-8").strip():
                file.unlink(missing_ok=True)  # a crash left it empty
        finally:
            made.unlink()
