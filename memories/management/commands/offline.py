"""``manage.py offline``: batches of recordings captured offline that are not over, and those that were given up."""

from __future__ import annotations

from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from memories.console import audit, roles
from memories.offline import batches, ending
from memories.offline.models import SyncBatch


class Command(BaseCommand):
    help = "List offline batches that wait or failed; with --retry have those that failed tried again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--retry", action="store_true", help="have those that failed tried again")
        parser.add_argument("--batch", action="append", metavar="ID", help="only this batch (may be repeated)")
        parser.add_argument("--limit", type=int, default=100)
        parser.add_argument("--reason", default="", help="why (kept in the audit log; required with --retry)")
        parser.add_argument("--actor", default="manage.py", help="who asks")

    def handle(self, **options: Any) -> None:
        if options["retry"] and not options["reason"]:
            raise CommandError("--retry needs --reason: it is kept in the audit log.")
        waiting = SyncBatch.objects.filter(state__in=batches.UNFINISHED).order_by("created_at")
        failed = ending.given_up()
        if options["batch"]:
            waiting, failed = (rows.filter(pk__in=options["batch"]) for rows in (waiting, failed))
        for batch in [] if options["retry"] else waiting[: options["limit"]]:
            since = batch.due_at or batch.created_at
            at_work = " (a worker is at it)" if batch.until and batch.until > timezone.now() else ""
            self.stdout.write(f"{batch.pk}  {batch.uid}  {batch.state} since {since:%Y-%m-%d %H:%M} UTC{at_work}")
        for batch in list(failed[: options["limit"]]):
            told = f"{batch.pk}  {batch.uid}  failed {batch.ended_at:%Y-%m-%d %H:%M} UTC taken by {batch.tries} workers"
            said = self._again(batch, options["actor"], options["reason"]) if options["retry"] else ""
            self.stdout.write(told + said)
        self.stdout.write(f"{waiting.count()} unfinished, {failed.count()} failed")

    def _again(self, batch: SyncBatch, actor: str, reason: str) -> str:
        try:
            with transaction.atomic():
                ending.try_again(batch.pk)
                audit.record(actor, roles.RETRY, audit.batch(batch), reason)
        except batches.BatchNotFound:
            return "  -> somebody else had it tried again"
        except ending.NothingLeft:
            return "  -> not tried again: its files came again with another batch"
        return "  -> queued"
