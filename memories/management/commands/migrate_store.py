"""``manage.py migrate_store --from local --to firestore``: move documents or vectors, and compare every one."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser
from django.utils.module_loading import import_string
from rich.console import Console
from rich.progress import Progress

from memories import store_move

DOCUMENTS = {
    "local": "omi.stores.documents.local.LocalDocuments",
    "firestore": "omi.stores.documents.firestore.FirestoreDocuments",
}
VECTORS = {
    "local": "omi.stores.vectors.local.LocalVectors",
    "pinecone": "omi.stores.vectors.pinecone.PineconeVectors",
}
PATIENCE = 60.0
"""Seconds for an eventually consistent store to show what was written."""


class Command(BaseCommand):
    help = "Copy all documents (local, firestore) or vectors (local, pinecone) to another store and verify the copy."

    def add_arguments(self, parser: CommandParser) -> None:
        names = sorted({*DOCUMENTS, *VECTORS})
        parser.add_argument("--from", dest="source", required=True, choices=names)
        parser.add_argument("--to", dest="target", required=True, choices=names)
        parser.add_argument("--what", choices=("documents", "vectors"), help="needed only for local to local")

    def handle(self, source: str, target: str, **options: Any) -> None:
        if source == target:
            raise CommandError("--from and --to are the same")
        table = next((table for table in (DOCUMENTS, VECTORS) if source in table and target in table), None)
        if table is None:
            raise CommandError(f"{source} and {target} are not stores of one kind")
        one, other = import_string(table[source])(), import_string(table[target])()
        with Progress(console=Console(stderr=True), disable=not self.stderr.isatty()) as bar:
            task = bar.add_task("copied", total=None)
            if table is DOCUMENTS:
                job = f"move {source} {target}"
                report = store_move.move_documents(one, other, job=job, tick=lambda: bar.advance(task))
            else:
                space = settings.OMI_VECTOR_NAMESPACE
                report = store_move.move_vectors(one, other, space, tick=lambda: bar.advance(task))
                deadline = time.monotonic() + PATIENCE
                while (different := store_move.compare_vectors(one, other, space)) and time.monotonic() < deadline:
                    time.sleep(2)
                report.different = different
        self.stdout.write(f"{report.documents} documents, {report.vectors} vectors copied and compared")
        if report.different:
            for name in report.different[:20]:
                self.stderr.write(name)
            raise CommandError(f"{len(report.different)} are not the same in {target}", returncode=1)
