"""The bytes of a batch's files: how they come in pieces, and how a whole file is put together of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from memories.offline import batches, ending
from memories.offline.models import SyncBatch, SyncFile
from omi.accounts.erased import Fence
from omi.stores import audio
from transcription.audio.convert import AudioError

MOST_PIECES: Final = 1024
"""Pieces that one file may come in: each is an object of the audio store."""


class Readable(Protocol):
    """The body of a request, or a file."""

    def read(self, size: int, /) -> bytes: ...


class WrongOffset(Exception):
    """The piece does not begin where the file ends that is here (409). ``offset``: where that is."""

    def __init__(self, offset: int) -> None:
        super().__init__(str(offset))
        self.offset = offset


class TooManyPieces(Exception):
    """The file came in as many pieces as it may (413)."""


class Longer(Exception):
    """The piece goes beyond the end that was announced for its file, or is larger than a piece may be (413)."""


class NotReceiving(Exception):
    """The batch or the file takes no more bytes (409)."""


def receive(
    uid: str, batch_id: str, number: int, offset: int, content: Readable, *, declared: int = 0, fence: Fence
) -> SyncFile:
    """Put a piece behind what is here of a file; with the last one the file is whole, with the last file the batch.

    ``declared``: bytes that the request says it has. The piece counts when all of it came; of two at the same place one
    does. Raises BatchNotFound, NotReceiving, WrongOffset, Longer, TooManyPieces, AudioNotFound (erased meanwhile),
    ProviderError and what ``fence`` raises.
    """
    found = batches.file(uid, batch_id, number)
    _may_follow(found, offset)
    room = min(found.size - offset, settings.OMI_SYNC_PIECE_BYTES)
    if declared > room:
        raise Longer
    left = found.batch.expires_at - timezone.now()
    stored = audio.put(uid, "sync", _pieces(content, room), suffix=".part",
                       keep_for=left + ending.LEFT_TO_WORK + ending.MARGIN, fence=fence)  # fmt: skip
    taken = False
    try:
        with transaction.atomic():
            batch = SyncBatch.objects.select_for_update().filter(pk=batch_id, uid=uid).first()
            if batch is None:
                raise batches.BatchNotFound
            fence()
            found = SyncFile.objects.select_for_update().select_related("batch").get(batch=batch, number=number)
            _may_follow(found, offset)
            if stored.size:
                found.pieces = [*found.pieces, stored.name]
                found.offset += stored.size
                taken = True
            if found.offset == found.size:
                found.state = SyncFile.State.WHOLE
            found.save(update_fields=["pieces", "offset", "state"])
            batches.queue_when_whole(batch)
    finally:
        if not taken:
            audio.delete(stored)
    return found


def _pieces(content: Readable, room: int) -> Iterator[bytes]:
    """What a request brings. Raises Longer where it is more than ``room`` bytes."""
    while data := content.read(min(audio.PIECE, room + 1)):
        room -= len(data)
        if room < 0:
            raise Longer
        yield data


def _may_follow(found: SyncFile, offset: int) -> None:
    if found.batch.state != SyncBatch.State.RECEIVING or found.state not in (
        SyncFile.State.WAITING, SyncFile.State.WHOLE
    ):  # fmt: skip
        raise NotReceiving
    if offset != found.offset:
        raise WrongOffset(found.offset)
    if len(found.pieces) >= MOST_PIECES:
        raise TooManyPieces


def put_together(found: SyncFile, path: Path) -> Path:
    """Write the pieces of a whole file to ``path``. Raises AudioError where the digest is not the announced one,
    AudioNotFound and ProviderError."""
    digest = hashlib.sha256()
    with path.open("wb") as target:
        for name in found.pieces:
            with audio.open(name) as source:
                while data := source.read(audio.PIECE):
                    digest.update(data)
                    target.write(data)
    if digest.hexdigest() != found.sha256:
        raise AudioError("checksum", "The file that came is not the one that was announced: its SHA-256 is another.")
    return path
