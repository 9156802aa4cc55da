"""Everything that a user owns, as one zip that is made while it travels: JSON of the documents, and the audio.

``stream_user`` is for asynchronous views, ``export_user`` a file object for everything else. Neither holds more than
one document or a megabyte of audio in memory.
"""

from __future__ import annotations

import base64
import io
import itertools
import json
import zipfile
from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async

from memories.experiments import upkeep as experiments
from memories.feedback import reports
from memories.links import shared as links
from memories.models import UserEvent
from memories.offline import ending
from memories.pipeline import failure_catalogue
from memories.pipeline.models import PostProcessingRun
from memories.privacy.zip_stream import Pieces, Sink
from memories.registry import records as registry
from memories.repository import live_segments, stored, tombstones
from memories.repository.large import CHUNKS, Unreadable
from memories.reshaping import records as reshaping
from memories.vocabulary import healings
from memories.webhooks import hooks
from omi.accounts.users import user_path
from omi.core import workspace
from omi.stores import audio
from omi.stores.documents import documents
from omi.stores.documents.base import Document, Where
from speakers.models import VoiceConsent, VoiceSample
from transcription import journal
from transcription.hosts import handover
from transcription.journal.store import Entry

README = """Your data.

profile.json              what is stored about you
memories/ID.json          each memory; memories/ID/ holds its transcripts, photos and emotions
processing_memories/      conversations that are, or were, not yet a memory
people/                   the people you named
labels/                   your folders and tags; a memory's edits hold their ids
templates/                your own summary templates
recaps/                   what your days and weeks were about
audio/PURPOSE/            recordings and voice samples; audio.json says what each belongs to
journals/                 recordings that are not processed yet, as your device sent them; meta.json names the codec
events.json               what happened to your memories
webhooks.json             addresses that you have told of it, and what was told; their secrets are not repeated
links.json                links to memories and the calendar feed that you have made; their secrets are not known here
reshaping.json            which memories you merged or split, and what came of them
feedback.json             what you said of them, and your corrections as cases
experiments.json          what was tried for you or learned from you, and what each part of a memory was made with
healings.json             words that you had corrected in old memories
offline.json              batches of recordings that were captured offline, and which memories they became a part of
runs.json                 how they were processed: when, by which services, and how much those were used
voices.json               whose voices were learned from which samples, and the consents to it
tasks.json                emotion jobs of the app's earlier server
unreadable.json           only where there are any: what is stored and cannot be read at the moment; ask the support

Times are UTC. Numbers that are only derived from the above (search vectors, voice measurements) are not repeated.
"""


def export_user(uid: str) -> io.BufferedReader:
    """A readable, not seekable file. Raises ProviderError while reading where a store is out of reach."""
    return io.BufferedReader(Pieces(_zip(uid)), buffer_size=audio.PIECE)


async def stream_user(uid: str) -> AsyncIterator[bytes]:
    """Pieces of the zip; each is made in a thread, so that the event loop never waits for a store."""
    pieces = _zip(uid)
    while (piece := await sync_to_async(_next)(pieces)) is not None:
        yield piece


def _next(pieces: Iterator[bytes]) -> bytes | None:
    return next(pieces, None)


def _zip(uid: str) -> Generator[bytes]:
    sink = Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
        archive.writestr("README.txt", README)
        for name, value in _json_files(uid):
            archive.writestr(name, json.dumps(value, ensure_ascii=False, indent=1, default=_plain))
            yield from sink.take()
        index = []
        handed = {row.audio: row for row in handover.of_user(uid)}
        for row in audio.for_user(uid):
            if row.name in handed:  # below, in the shape of the other journals
                continue
            index.append(
                {"file": row.name, "purpose": row.purpose, "memory_id": row.memory_id, "created_at": row.created_at}
            )
            if row.complete:
                yield from _audio_file(archive, sink, row)
        archive.writestr("audio.json", json.dumps(index, indent=1, default=_plain))
        yield from _journals(archive, sink, journal.sessions(uid))
        for elsewhere in handed.values():
            with workspace.temporary() as folder:
                copy = handover.fetch(elsewhere, Path(folder))
                yield from _journals(archive, sink, [copy] if copy is not None else [])
    yield from sink.take()


def _audio_file(archive: zipfile.ZipFile, sink: Sink, row: Any) -> Iterator[bytes]:
    try:
        source = audio.open(row)
    except audio.AudioNotFound:
        return  # deleted since the list was read
    info = zipfile.ZipInfo(f"audio/{row.purpose}/{row.name}", row.created_at.timetuple()[:6])
    with source:
        yield from _copy(archive, sink, info, source)


def _journals(archive: zipfile.ZipFile, sink: Sink, entries: Iterable[Entry]) -> Iterator[bytes]:
    for entry in entries:
        began = entry.info.started_at.timetuple()[:6]
        about = {name: value for name, value in asdict(entry.meta).items() if name not in ("version", "marker")}
        for name, pieces in (("meta.json", iter([json.dumps(about).encode()])), ("audio.bin", journal.as_sent(entry))):
            info = zipfile.ZipInfo(f"journals/{entry.session_id}/{name}", began)
            try:
                yield from _pieces(archive, sink, info, pieces)
            except FileNotFoundError:
                continue  # processed and released since the list was read


def _pieces(archive: zipfile.ZipFile, sink: Sink, info: zipfile.ZipInfo, pieces: Iterator[bytes]) -> Iterator[bytes]:
    first = next(pieces, b"")  # raises before anything of the file is in the archive
    with archive.open(info, "w", force_zip64=True) as target:
        for piece in itertools.chain([first], pieces):
            target.write(piece)
            yield from sink.take()


def _copy(archive: zipfile.ZipFile, sink: Sink, info: zipfile.ZipInfo, source: Any) -> Iterator[bytes]:
    with archive.open(info, "w", force_zip64=True) as target:
        while piece := source.read(audio.PIECE):
            target.write(piece)
            yield from sink.take()


def _json_files(uid: str) -> Iterator[tuple[str, Any]]:
    root = user_path(uid)
    unreadable: list[str] = []
    for path in _tree(root):
        try:
            found = stored.read(path)
            found = live_segments.whole(found) if found is not None else None
        except Unreadable:
            unreadable.append(path.removeprefix(f"{root}/"))
            try:
                found = documents().get(path)  # its list is damaged, the rest of it is not
            except Unreadable:
                continue
        if found is not None and not (path.startswith(f"{root}/people/") and found.data.get("deleted")):
            found = tombstones.without(found)
            name = "profile" if path == root else path.removeprefix(f"{root}/")
            yield f"{name}.json", _readable(found)
    rows = UserEvent.objects.filter(uid=uid).order_by("number")
    yield "events.json", list(rows.values("number", "type", "memory_id", "payload", "created_at"))
    yield "webhooks.json", hooks.exported(uid)
    yield "links.json", links.exported(uid)
    yield "reshaping.json", reshaping.exported(uid)
    yield "feedback.json", reports.exported(uid)
    yield "experiments.json", {**experiments.exported(uid), "made_with": registry.exported(uid)}
    yield "offline.json", ending.exported(uid)
    yield "healings.json", healings.exported(uid)
    yield "runs.json", list(_runs(uid))
    yield "voices.json", _voices(uid)
    tasks = documents().query("tasks", where=[Where("user_uid", "==", uid)])
    yield "tasks.json", [_readable(found) for found in tasks]
    if unreadable:
        yield "unreadable.json", unreadable


def _runs(uid: str) -> Iterator[dict[str, Any]]:
    told = ("vendor", "operation", "started_at", "outcome", "audio_seconds", "input_tokens", "output_tokens", "cost")
    for run in PostProcessingRun.objects.filter(uid=uid).order_by("id").prefetch_related("vendor_calls"):
        yield {
            "memory_id": run.memory_id,
            "kind": run.kind,
            "state": run.state,
            "outcome": run.outcome,
            "sentence": failure_catalogue.get(run.message_id).sentence if run.message_id else "",
            "created_at": run.created_at,
            "finished_at": run.finished_at,
            "services": [{name: getattr(call, name) for name in told} for call in run.vendor_calls.all()],
        }


def _voices(uid: str) -> dict[str, Any]:
    samples = VoiceSample.objects.filter(uid=uid).order_by("created_at")
    told = ("person_id", "source", "status", "audio", "seconds", "memory_id", "segment_id", "created_at", "removed_at")
    consents = VoiceConsent.objects.filter(uid=uid).order_by("given_at")
    return {
        "samples": list(samples.values(*told)),
        "consents": list(consents.values("person_id", "version", "given_at", "withdrawn_at", "source")),
    }


def _readable(found: Document) -> dict[str, Any]:
    return {"id": found.id, **{key: value for key, value in found.data.items() if key != CHUNKS}}


def _tree(path: str) -> Iterator[str]:
    """Paths of a document and everything below it; chunks and pieces of long lists are part of their documents."""
    yield path
    store = documents()
    for name in store.collections(path):
        if name not in (CHUNKS, live_segments.COLLECTION):
            for identity in store.document_ids(f"{path}/{name}"):
                yield from _tree(f"{path}/{name}/{identity}")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} in a document")
