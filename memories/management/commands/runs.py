"""``manage.py runs``: what is unfinished and how old it is, and of what runs failed lately. For whoever is called."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management import BaseCommand, CommandParser
from django.db.models import Count
from django.utils import timezone

from memories.pipeline import failure_catalogue
from memories.pipeline.models import PostProcessingRun, StepAttempt
from memories.pipeline.states import GOOD, State


class Command(BaseCommand):
    help = "List unfinished runs, oldest first; --failed MINUTES counts what failed lately by step, vendor and reason."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--failed", type=int, metavar="MINUTES", help="what failed in the last MINUTES")
        parser.add_argument("--limit", type=int, default=20)

    def handle(self, **options: Any) -> None:
        if options["failed"]:
            self._failed(options["failed"], options["limit"])
        else:
            self._unfinished(options["limit"])

    def _unfinished(self, limit: int) -> None:
        now = timezone.now()
        states = [state for state in State if state is not State.FINISHED]
        runs = PostProcessingRun.objects.filter(state__in=states)
        by_state = runs.values("state").order_by("state").annotate(count=Count("pk"))
        counted = ", ".join(f"{row['count']} {row['state']}" for row in by_state)
        self.stdout.write(f"Unfinished: {counted or 'none'}.")
        for run in runs.order_by("created_at")[:limit]:
            age = int((now - run.created_at).total_seconds())
            waits = f", due {run.due_at:%H:%M:%S} UTC" if run.due_at else ""
            holder = f", held by {run.lease_owner}" if run.lease_owner else ""
            self.stdout.write(
                f"run {run.pk}  {age} s old  {run.kind}  {run.state} at {run.current_step or 'its beginning'}"
                f"{waits}{holder}  {run.uid}/{run.memory_id}"
            )

    def _failed(self, minutes: int, limit: int) -> None:
        since = timezone.now() - timedelta(minutes=minutes)
        runs = PostProcessingRun.objects.filter(finished_at__gte=since)
        ended = runs.count()
        bad = runs.exclude(outcome__in=GOOD)
        self.stdout.write(f"{ended} runs ended in the last {minutes} minutes, {bad.count()} of them not well.")
        for row in bad.values("kind", "current_step", "message_id").annotate(n=Count("pk")).order_by("-n")[:limit]:
            message = failure_catalogue.get(row["message_id"])
            self.stdout.write(
                f"{row['n']} runs  {row['kind']} at {row['current_step'] or 'its beginning'}: {message.id}. "
                f"{message.what_to_do}"
            )
        tries = StepAttempt.objects.filter(finished_at__gte=since).exclude(outcome__in=GOOD)
        by_vendor = tries.values("step__name", "vendor", "outcome", "error_code").order_by().annotate(n=Count("pk"))
        for group in by_vendor.order_by("-n")[:limit]:
            self.stdout.write(
                f"{group['n']} attempts  {group['step__name']} with {group['vendor'] or 'no vendor'}: "
                f"{group['outcome']} {group['error_code']}".rstrip()
            )
        for run in bad.order_by("-finished_at")[:3]:
            self.stdout.write(f"See one: manage.py explain {run.memory_id} --uid {run.uid}")
