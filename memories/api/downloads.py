"""``GET /v1/memories/{id}/download/{format}``: a memory as a file."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import IO

from django.http import HttpResponse, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import viewsets
from rest_framework.request import Request

from memories import downloads, vault
from memories.api.errors import ApiError
from memories.api.shapes import Detail
from memories.privacy import account
from memories.repository import memories as repository
from omi.accounts.requests import uid_of
from omi.accounts.users import get_user, zone
from omi.core.sent_files import sent
from omi.core.slots import Kept, Slots
from speakers import people

DOWNLOADS = Slots("downloads", seconds=120.0)
PER_USER, PER_PROCESS = 1, 2
"""At a time: a talk of 9 MB takes two seconds of the interpreter, which everybody's requests share."""
PATIENCE_SECONDS = 10.0

EXPORTS = Slots("archives", seconds=3600.0)
EXPORTS_IN_ALL = 4
"""In a web process, one of them for a user: each packs all that somebody has, for as long as somebody reads it."""


class Format(StrEnum):
    """The formats of a memory as a file."""

    SRT = "srt"
    VTT = "vtt"
    TXT = "txt"
    MARKDOWN = "md"
    JSON = "json"


_TYPES = {
    Format.SRT: "application/x-subrip",
    Format.VTT: "text/vtt",
    Format.TXT: "text/plain",
    Format.MARKDOWN: "text/markdown",
    Format.JSON: "application/json",
}


class DownloadViewSet(viewsets.ViewSet):
    """A memory as a file."""

    @extend_schema(
        parameters=[OpenApiParameter("file_format", str, OpenApiParameter.PATH, enum=list(Format))],
        responses={(200, "text/plain"): OpenApiTypes.BINARY, 404: Detail, 429: Detail},
        description="`srt` and `vtt` with times of the recording, `txt` and `md` to read, `json` as the API has it. "
        "Speakers have the names that the user gave them.",
    )
    def retrieve(self, request: Request, memory_id: str, file_format: str) -> HttpResponse:
        return file_of(uid_of(request), memory_id, file_format)


def file_of(uid: str, memory_id: str, file_format: str) -> HttpResponse:
    """The memory as a file, in its turn. Raises ApiError (404), MemoryNotFound, Busy."""
    if file_format not in set(Format):
        raise ApiError(404, f"There is no such format; there are {', '.join(Format)}")
    with DOWNLOADS.held(uid, per_user=PER_USER, in_all=PER_PROCESS, patience=PATIENCE_SECONDS, may_wait=PER_USER):
        return _file(uid, memory_id, Format(file_format))


def export_of(uid: str) -> HttpResponseBase:
    """Answer with all that the user has, as a ZIP file. Raises Busy."""
    return _archive(uid, lambda: account.export(uid), "omi-export.zip")


def vault_of(uid: str, since: str = "") -> HttpResponseBase:
    """The user's memories as linked notes, as a ZIP file. Raises Busy, ApiError (422) for a bad cursor."""
    return _archive(uid, lambda: vault.vault(uid, since), "omi-vault.zip")


def _archive(uid: str, make: Callable[[], IO[bytes]], name: str) -> HttpResponseBase:
    """A file that is made while it is read; its place is kept until then.

    Raises Busy at once: an archive may take minutes, and nobody waits that long.
    """
    place = Kept(EXPORTS.held(uid, per_user=1, in_all=EXPORTS_IN_ALL, again=60))
    try:
        file = make()
    except BaseException:
        place.close()
        raise
    return sent(file, content_type="application/zip", filename=name, ended=place.close)


def _file(uid: str, memory_id: str, wanted: Format) -> HttpResponse:
    memory = repository.get_memory(uid, memory_id)
    user = get_user(uid)
    names = people.names(uid)
    match wanted:
        case Format.SRT:
            content = downloads.srt(memory, names, user.name)
        case Format.VTT:
            content = downloads.vtt(memory, names, user.name)
        case Format.TXT:
            content = downloads.txt(memory, names, user.name, zone(user))
        case Format.MARKDOWN:
            content = downloads.markdown(memory, names, user.name, zone(user))
        case Format.JSON:
            content = memory.model_dump_json(indent=2)
    return HttpResponse(
        content,
        content_type=f"{_TYPES[wanted]}; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{memory_id}.{wanted}"',
            "Cache-Control": "private, no-store",
        },
    )
