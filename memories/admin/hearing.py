"""Recordings for staff: masked like words, and every playback is in the audit log."""

from __future__ import annotations

import time
from typing import Final

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase

from memories.admin import pictures
from memories.console import audit
from memories.models import MemoryRow
from memories.support.situation import PLAYABLE
from omi.stores import audio
from omi.stores.models import AudioObject
from omi.stores.ranged import ranged

PLAYBACK: Final = 60.0
"""Seconds within which the requests of one session for one recording are one playback: a player asks for ranges."""
_SESSION: Final = "played_recordings"


def find(row: MemoryRow, name: str) -> AudioObject:
    """A recording of this memory. Raises Http404 for any other."""
    try:
        found = audio.get(name, uid=row.uid)
    except audio.AudioNotFound as error:
        raise Http404 from error
    if found.memory_id != row.memory_id or found.purpose not in PLAYABLE:
        raise Http404
    return found


def play(request: HttpRequest, row: MemoryRow, found: AudioObject) -> HttpResponseBase:
    """Answer with the recording's bytes (or the range that was asked for), and note the playback in the audit log."""
    _note(request, row, found)
    return ranged(request, found)


def picture(found: AudioObject) -> HttpResponse:
    """Answer with the recording's loudness as an SVG picture, which the browser keeps for 300 s."""
    headers = {"Cache-Control": "private, max-age=300"}
    return HttpResponse(pictures.picture_of(found), content_type="image/svg+xml", headers=headers)


def _note(request: HttpRequest, row: MemoryRow, found: AudioObject) -> None:
    now = time.time()
    played = {name: at for name, at in request.session.get(_SESSION, {}).items() if now - at < PLAYBACK}
    if found.name not in played:
        target = audit.memory(row.uid, row.memory_id)
        audit.record(audit.actor_of(request), "play_audio", target, "", {"recording": found.name})
    request.session[_SESSION] = {**played, found.name: now}
