"""Every transcript of a memory, under its model's name: ``users/{uid}/memories/{id}/{model}/...``.

The original writes one document per segment with random ids, so that each run doubles them.
We write one document per version, named by its content: saving the same twice is one version. Both forms are read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from memories.repository import large, stored, tombstones
from memories.repository.memories import find_memory, memory_path, require_alive
from memories.repository.parsing import segments_from
from memories.shapes import Memory, UserEdits
from omi.accounts.erased import Fence
from omi.stores import damaged
from omi.stores.documents import documents
from omi.stores.documents.base import AlreadyExists, Document, InvalidPath, Transaction
from transcription.segments import Segment

NOT_MODELS = frozenset({"photos", "hume", "emotions", large.CHUNKS})
"""Sub-collections of a memory that are no transcripts."""

_MODEL = re.compile(r"^[a-z0-9][a-z0-9_.\-]{0,99}\Z")


@dataclass(frozen=True, slots=True)
class TranscriptVersion:
    """A stored transcript of a memory. ``version`` names the content; ``active``: this is the version that the memory
    shows."""

    model: str
    segments: list[Segment]
    active: bool
    created_at: datetime
    meta: dict[str, Any] = field(default_factory=dict)
    version: str = ""


def save_transcript(
    uid: str,
    memory_id: str,
    model: str,
    segments: Sequence[Segment],
    meta: Mapping[str, Any] | None = None,
    *,
    fence: Fence | None = None,
) -> str:
    """Keep a transcript; nothing that was kept before is touched. Returns the version's id.

    Without ``fence`` the memory need not exist yet. ``fence`` is called inside of the transaction, which then raises
    MemoryNotFound where the memory is gone or deleted: nothing of an erased one comes back. Raises InvalidPath for a
    model's name that cannot name a collection.
    """
    if not _MODEL.match(model) or model in NOT_MODELS:
        raise InvalidPath(f"{model!r} cannot be the name of a transcript's model")
    values = [segment.model_dump(mode="python") for segment in segments]
    version = content_hash(segments)
    where = f"{memory_path(uid, memory_id)}/{model}/{version}"
    now = datetime.now(UTC)
    data = {"model": model, "created_at": now, "meta": dict(meta or {}), large.FIELD: values}
    data = tombstones.cleared(data, tombstones.people(uid))

    def alive(transaction: Transaction) -> None:
        if fence is not None:
            fence()
            require_alive(transaction, uid, memory_id)

    try:
        stored.create(where, data, before=alive)
    except AlreadyExists:
        documents().update(where, {"created_at": now, "meta": dict(meta or {})})
    return version


def list_transcripts(uid: str, memory_id: str) -> dict[str, TranscriptVersion]:
    """One version of each model (``preferred``). Empty where there is none (or no such memory)."""
    return {model: preferred(versions) for model, versions in all_versions(uid, memory_id).items()}


def preferred(versions: Sequence[TranscriptVersion]) -> TranscriptVersion:
    """Choose of one model's versions, newest first: the one that is shown, else the newest that no run rejected."""
    good = (item for item in versions if item.meta.get("accepted") is not False)
    return next((item for item in versions if item.active), None) or next(good, versions[0])


def all_versions(uid: str, memory_id: str, *, memory: Memory | None = None) -> dict[str, list[TranscriptVersion]]:
    """Every version of every model, newest first. Empty where there is none (or no such memory). ``memory``: the
    document, where it was read already."""
    try:
        where = memory_path(uid, memory_id)
    except InvalidPath:
        return {}
    models = [name for name in documents().collections(where) if name not in NOT_MODELS]
    memory = memory or (find_memory(uid, memory_id) if models else None)
    found = {model: _versions(where, model, memory, memory_id) for model in models}
    return {model: versions for model, versions in found.items() if versions}


def list_versions(uid: str, memory_id: str, model: str) -> list[TranscriptVersion]:
    """Every version of one model, newest first."""
    if not _MODEL.match(model) or model in NOT_MODELS:
        return []
    return _versions(memory_path(uid, memory_id), model, find_memory(uid, memory_id), memory_id)


def newest_live(uid: str, memory_id: str, model: str) -> list[Segment]:
    """The newest version that live sessions stored of a model, whichever is shown; empty where there is none.

    A conversation that goes on stores a longer version; the memory shows the one before until its next run.
    """
    versions = list_versions(uid, memory_id, model)
    return next((item.segments for item in versions if item.meta.get("source") == "live"), [])


def named_segments(
    uid: str, memory_id: str, stored: Mapping[str, TranscriptVersion], edits: UserEdits
) -> dict[str | None, list[Segment]]:
    """The segments of ``stored`` by model, and as ``model@version`` those of other versions that ``edits`` speak of."""
    known: dict[str | None, list[Segment]] = {model: item.segments for model, item in stored.items()}
    named = {(said.get("transcript"), said.get("version")) for said in edits.speakers.values()}
    for model, version in named:
        if model and version and (model not in stored or stored[model].version != version):
            known |= {f"{model}@{item.version}": item.segments for item in list_versions(uid, memory_id, model)}
    return known


def content_hash(segments: Sequence[Segment]) -> str:
    """Over what was heard and when, not over ids or names: labels may be set later."""
    told = [[item.text, item.speaker, round(item.start, 3), round(item.end, 3)] for item in segments]
    return hashlib.sha256(json.dumps(told, ensure_ascii=False).encode()).hexdigest()[:32]


def _versions(where: str, model: str, memory: Memory | None, memory_id: str) -> list[TranscriptVersion]:
    left_out = tombstones.people(where.split("/")[1])
    found = [
        replace(document, data=tombstones.cleared(document.data, left_out))
        for document in stored.read_all(documents().query(f"{where}/{model}"))
    ]
    ours = [document for document in found if "text" not in document.data]
    theirs = [document for document in found if "text" in document.data and _readable(document)]
    versions = []
    for document in ours:
        try:
            versions.append(_version(document, memory_id, model))
        except (ValueError, TypeError, AttributeError) as error:  # a version that is damaged hides no other
            damaged.report(document.path, error)
    versions.sort(key=lambda version: version.created_at, reverse=True)
    if theirs:
        versions.append(_legacy(theirs, memory_id, model))
    if memory is None or memory.active_transcript != model or not versions:
        return versions
    shown = _shown(versions, memory)
    return [replace(item, active=item.version == shown) for item in versions]


def _shown(versions: Sequence[TranscriptVersion], memory: Memory) -> str:
    """Which version is shown: as the memory says; in documents of older servers the one of the same content, else the
    newest that no run rejected (what is shown may have gone on after it was kept)."""
    names = {item.version for item in versions}
    told = (memory.active_version, content_hash(memory.heard()))
    return next((name for name in told if name in names), None) or preferred(versions).version


def _version(document: Document, memory_id: str, model: str) -> TranscriptVersion:
    data = document.data
    return TranscriptVersion(
        model=model,
        segments=segments_from(f"{memory_id}/{model}", data[large.FIELD]),
        active=False,
        created_at=data.get("created_at") or document.created_at,
        meta=dict(data.get("meta") or {}),
        version=document.id,
    )


def _readable(found: Document) -> bool:
    """Whether one segment of the original's can be read; one that cannot costs itself only."""
    try:
        Segment.model_validate({**found.data, "id": found.data.get("id") or found.id})
    except (ValueError, TypeError) as error:
        damaged.report(found.path, error)
        return False
    return True


def _legacy(found: list[Document], memory_id: str, model: str) -> TranscriptVersion:
    """The original's segments, one per document; the doubles that its runs left behind are dropped."""
    unique: dict[tuple[Any, ...], dict[str, Any]] = {}
    for document in found:
        data = {key: value for key, value in document.data.items() if key != large.FIELD}
        key = (data.get("start", 0.0), data.get("end", 0.0), data.get("speaker"), data.get("text"))
        unique.setdefault(key, {**data, "id": data.get("id") or document.id})
    values = [unique[key] for key in sorted(unique, key=lambda key: (float(key[0]), float(key[1])))]
    return TranscriptVersion(
        model=model,
        segments=segments_from(f"{memory_id}/{model}", values),
        active=False,
        created_at=min(document.created_at for document in found),
        meta={"source": "original"},
        version="original",
    )
