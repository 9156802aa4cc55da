"""Writes the journal of a session whose audio is all there already: it was captured while nobody listened.

The folder is made under a name that no reader looks at and renamed when the disk has all of it. A process that dies on
the way leaves nothing that could pass for a session, and the next try begins anew.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime

from transcription.audio.codecs import Codec
from transcription.journal import disk
from transcription.journal.quota import QUOTA
from transcription.journal.records import MARKER_BYTES, MAX_PAYLOAD, Record, batches, encode, joined
from transcription.journal.store import FINISHED, VERSION, Entry, Meta, find, user_folder
from transcription.ports import OFFLINE, SessionInfo


def write(
    info: SessionInfo,
    codec: Codec,
    frames: Iterable[bytes],
    *,
    conversation: str,
    conversation_started_at: datetime,
    offset: float,
) -> Entry:
    """The journal of a finished session of ``conversation`` (an id), ``offset`` seconds into it; one that is there
    already is given as it is. ``frames``: packets, or pieces of PCM.

    Raises OSError where the disk is full, or the user's journals fill their share of it.
    """
    there = find(info.session_id, info.uid)
    if there is not None:
        return there
    QUOTA.require(info.uid)
    making = user_folder(info.uid) / f".{info.session_id}"
    shutil.rmtree(making, ignore_errors=True)  # of a process that died
    making.mkdir(parents=True, mode=0o700)
    meta = Meta(
        uid=info.uid,
        session_id=info.session_id,
        started_at=info.started_at.astimezone(UTC).isoformat(),
        language=info.language,
        codec=codec.name,
        sample_rate=codec.sample_rate,
        device_id=info.device_id or "",
        state=FINISHED,
        conversation=conversation,
        conversation_started_at=conversation_started_at.isoformat(),
        offset=offset,
        reason=OFFLINE,
        signed_in=info.signed_in,
        version=VERSION,
        marker=secrets.token_hex(MARKER_BYTES),
    )
    entry = Entry(making, meta)
    try:
        _audio(entry, codec, frames)
        entry.save()
        entry.folder = making.rename(making.with_name(info.session_id))
        entry.sync_meta()
    except BaseException:
        with contextlib.suppress(OSError):
            shutil.rmtree(making)
        raise
    QUOTA.wrote(info.uid, entry.audio.stat().st_size)
    return entry


def _audio(entry: Entry, codec: Codec, frames: Iterable[bytes]) -> None:
    marker = bytes.fromhex(entry.meta.marker)
    with os.fdopen(os.open(entry.audio, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        for record in _records(codec, frames):
            file.write(encode(marker, record))
        file.flush()
        refused = disk.sync(file.fileno())
    if refused is not None:
        raise refused


def _records(codec: Codec, frames: Iterable[bytes]) -> Iterable[Record]:
    if codec.packets:
        yield from batches(0, ((joined((frame,)), codec.ticks(frame)) for frame in frames))
        return
    tick = 0
    for frame in frames:
        for at in range(0, len(frame), MAX_PAYLOAD):
            piece = frame[at : at + MAX_PAYLOAD]
            yield Record(tick, len(piece), piece)
            tick += len(piece)
