"""``manage.py migrate_store --from local --to firestore``: move documents, vectors or audio, and compare both ways."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.core.files.storage import Storage
from django.core.management import BaseCommand, CommandError, CommandParser
from django.utils.module_loading import import_string
from rich.console import Console
from rich.progress import Progress

from memories.mirror import move

DOCUMENTS = {
    "local": "omi.stores.documents.local.LocalDocuments",
    "firestore": "omi.stores.documents.firestore.FirestoreDocuments",
}
VECTORS = {
    "local": "omi.stores.vectors.local.LocalVectors",
    "pinecone": "omi.stores.vectors.pinecone.PineconeVectors",
}
AUDIO = {"local": "django.core.files.storage.FileSystemStorage", "gcs": "omi.stores.gcs.AudioBucket"}
PATIENCE = 60.0
"""Seconds for an eventually consistent store to show what was written."""


class Command(BaseCommand):
    help = (
        "Copy all documents (local, firestore), vectors (local, pinecone) or audio (local, gcs), and verify the copy."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        names = sorted({*DOCUMENTS, *VECTORS, *AUDIO})
        parser.add_argument("--from", dest="source", required=True, choices=names)
        parser.add_argument("--to", dest="target", required=True, choices=names)
        parser.add_argument(
            "--prune", action="store_true", help="remove documents and vectors that are only in the target"
        )

    def handle(self, source: str, target: str, **options: Any) -> None:
        if source == target:
            raise CommandError("--from and --to are the same")
        table = next((table for table in (DOCUMENTS, VECTORS, AUDIO) if source in table and target in table), None)
        if table is None:
            raise CommandError(f"{source} and {target} are not stores of one kind")
        job, prune = f"move {source} {target}", bool(options.get("prune"))
        with Progress(console=Console(stderr=True), disable=not self.stderr.isatty()) as bar:
            task = bar.add_task("copied", total=None)

            def tick() -> None:
                bar.advance(task)

            if table is AUDIO:
                what = "audio objects"
                report = move.move_audio(_storage(source), _storage(target), job=job, tick=tick)
            else:
                one, other = import_string(table[source])(), import_string(table[target])()
                if table is DOCUMENTS:
                    what = "documents"
                    report = move.move_documents(one, other, job=job, prune=prune, tick=tick)
                else:
                    what = "vectors"
                    move.move_vectors(one, other, settings.OMI_VECTOR_NAMESPACE, tick=tick)
                    report = _compared(one, other, prune)
        self.stdout.write(f"{report.moved} {what} copied and compared")
        for told, names in (("not the same", report.different), ("only there", report.extra)):
            for name in names[:20]:
                self.stderr.write(f"{told}: {name}")
        if report.different or report.extra:
            raise CommandError(
                f"{len(report.different)} are not the same in {target}, {len(report.extra)} are only there",
                returncode=1,
            )


def _compared(source: Any, target: Any, prune: bool) -> move.Report:
    """Again for a while: what was written or removed a moment ago may not show yet."""
    deadline = time.monotonic() + PATIENCE
    while True:
        report = move.compare_vectors(source, target, settings.OMI_VECTOR_NAMESPACE, prune=prune)
        if not (report.different or report.extra) or time.monotonic() > deadline:
            return report
        time.sleep(2)


def _storage(name: str) -> Storage:
    """As settings would make it, whichever of the two is chosen there."""
    chosen = settings.STORAGES["audio"]
    if chosen["BACKEND"] == AUDIO[name]:
        found: Storage = import_string(AUDIO[name])(**chosen["OPTIONS"])
        return found
    if name == "gcs" and not settings.OMI_AUDIO_BUCKET:
        raise CommandError("OMI_AUDIO_BUCKET is not set: it names the bucket")
    options: dict[str, dict[str, Any]] = {
        "local": {
            "location": settings.OMI_AUDIO_FOLDER or settings.OMI_DATA_DIR / "audio",
            "base_url": None,
            "file_permissions_mode": 0o600,
        },
        "gcs": {"bucket_name": settings.OMI_AUDIO_BUCKET, "project_id": settings.GOOGLE_CLOUD_PROJECT or None},
    }
    other: Storage = import_string(AUDIO[name])(**options[name])
    return other
