"""``manage.py check --deploy``: hosts that live on one database and do not know of each other."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, register
from django.core.checks import Error as CheckError
from django.db import Error

from omi.core.host import host_id
from transcription.hosts import heartbeats


@register(deploy=True)
def hosts_not_counted(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """E001: another host lives on this database, and OMI_HOSTS is 1. Whether the audio store is shared or not: each
    keeps the journals of its sessions on its own disk, and erases nothing on that of the other."""
    try:
        others = heartbeats.uncounted()
    except Error:  # the database is away, or was not migrated yet: other commands say so
        return []
    if not others:
        return []
    return [
        CheckError(
            f"OMI_HOSTS=1, but other hosts than this one ({host_id()}) live on the same database: "
            f"{', '.join(others[:10])}. What one has heard the workers of the others cannot read, and what a user "
            "erases stays on their disks.",
            hint="Set OMI_HOSTS to the number of hosts on all of them, with what they must share (docs/scaling.md), or "
            "stop the other.",
            id="hosts.E001",
        )
    ]
