"""``manage.py explain MEMORY_ID``: the whole story of a memory in the terminal. No transcript text."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from memories.pipeline import messages
from memories.pipeline.models import PostProcessingRun, RunStep


class Command(BaseCommand):
    help = "Tell what happened to a memory: every run, step, attempt, vendor call and event."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("memory_id")
        parser.add_argument("--uid", help="only this user's")
        parser.add_argument("--last", action="store_true", help="the newest run only")

    def handle(self, **options: Any) -> None:
        runs = PostProcessingRun.objects.filter(memory_id=options["memory_id"]).order_by("id")
        if options["uid"]:
            runs = runs.filter(uid=options["uid"])
        if options["last"]:
            runs = runs.order_by("-id")[:1]
        found = list(runs.prefetch_related("steps__history", "vendor_calls", "events"))
        if not found:
            raise CommandError("No run knows this memory.")
        for run in found:
            self._run(run)

    def _run(self, run: PostProcessingRun) -> None:
        follows = f", follows run {run.follows_id}" if run.follows_id else ""
        self.stdout.write(f"\nRun {run.pk}: {run.kind} of {run.uid}/{run.memory_id}{follows}")
        self.stdout.write(f"  asked by {run.actor} at {_at(run.created_at)}: {run.reason or 'no reason given'}")
        self.stdout.write(f"  {run.state}{', in line' if run.held else ''}, claimed {run.total_claims} times")
        if run.outcome:
            message = messages.get(run.message_id)
            self.stdout.write(f"  ended {_at(run.finished_at)}: {run.outcome} ({message.id}) {message.sentence}")
            if run.detail:
                self.stdout.write(f"  detail: {run.detail}")
            if not run.succeeded:
                self.stdout.write(f"  what to do ({message.fault}): {message.what_to_do}")
        elif run.wake_at:
            self.stdout.write(f"  goes on at {_at(run.wake_at)}")
        elif run.lease_until:
            self.stdout.write(f"  held by {run.lease_owner} until {_at(run.lease_until)}")
        for step in run.steps.all():
            self._step(step)
        calls = list(run.vendor_calls.all())
        if calls:
            self.stdout.write("  vendor calls:")
        for call in calls:
            latency = f"{call.latency:.2f} s" if call.latency is not None else "no answer seen"
            doubled = "  DOUBLED" if call.doubled else ""
            self.stdout.write(
                f"    {_at(call.started_at)} {call.vendor} {call.operation}: {call.outcome or '?'} {call.error_code}"
                f" {latency}, {call.audio_seconds:.0f} s audio, {call.input_tokens}+{call.output_tokens} tokens,"
                f" {call.cost:.4f} ${doubled}"
            )
        for event in run.events.all():
            self.stdout.write(f"  {_at(event.at)} {event.type} {event.step} {event.actor} {event.data}")

    def _step(self, step: RunStep) -> None:
        reused = f" (taken from run {step.reused_from.run_id})" if step.reused_from else ""
        self.stdout.write(
            f"  {step.position + 1}. {step.name}: {step.state} {step.outcome} {step.seconds:.2f} s{reused} {step.note}"
        )
        if step.name == "assess" and step.output:
            self.stdout.write(f"       accepted: {step.output.get('accepted')}  {step.output.get('figures')}")
        for item in step.history.all():
            self.stdout.write(
                f"       {item.number}. {_at(item.started_at)} {item.seconds:.2f} s {item.result} {item.outcome}"
                f" {item.vendor} {item.error_kind} {item.error_code} {item.detail}"
            )


def _at(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else "-"
