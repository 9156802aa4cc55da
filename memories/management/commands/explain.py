"""``manage.py explain MEMORY_ID``: the whole story of a memory in the terminal. No transcript text."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from memories.pipeline import failure_catalogue
from memories.pipeline.models import PostProcessingRun, RunStep, VendorCall
from memories.pipeline.operations import memory_summary
from memories.pipeline.states import StepState
from memories.pipeline.vendor_calls import records


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
        found = list(runs.prefetch_related("steps__history", "steps__reused_from", "vendor_calls", "events"))
        owners = sorted({run.uid for run in found} | ({options["uid"]} if options["uid"] else set()))
        if not owners:
            raise CommandError("No run knows this memory. With --uid UID it is told what is stored of it.")
        self.stdout.write(f"All times are UTC; it is {_at(timezone.now())} now.")
        for uid in owners:
            for line in memory_summary.lines(uid, options["memory_id"]):
                self.stdout.write(line)
        for run in found:
            self._run(run)
        if not found:
            self.stdout.write("No run ever worked on it.")

    def _run(self, run: PostProcessingRun) -> None:
        follows = f", follows run {run.follows_id}" if run.follows_id else ""
        self.stdout.write(f"\nRun {run.pk}: {run.kind} of {run.uid}/{run.memory_id}{follows}")
        self.stdout.write(f"  asked by {run.actor} at {_at(run.created_at)}: {run.reason or 'no reason given'}")
        self.stdout.write(f"  {run.state}{', in line behind the active run' if run.blocked else ''}, taken up by "
                          f"a worker {run.total_claims} times")  # fmt: skip
        if run.outcome:
            message = failure_catalogue.get(run.message_id)
            self.stdout.write(f"  ended {_at(run.finished_at)}: {run.outcome} ({message.id}) {message.sentence}")
            if run.detail:
                self.stdout.write(f"  detail: {run.detail}")
            if not run.succeeded or message.retryable:
                self.stdout.write(f"  what to do ({message.fault}): {message.what_to_do}")
            if message.retryable:
                self.stdout.write(
                    f"  to retry: manage.py reprocess {run.uid} {run.memory_id} --kind {run.kind} --reason …"
                )
        elif run.due_at:
            overdue = (timezone.now() - run.due_at).total_seconds()
            late = f" (OVERDUE by {overdue:.0f} s: is a worker running?)" if overdue > 60 else ""
            self.stdout.write(f"  goes on {_answer(run)}at {_at(run.due_at)}{late}")
        elif run.lease_until:
            self.stdout.write(f"  held by {run.lease_owner} until {_at(run.lease_until)}")
        for step in run.steps.all():
            self._step(step)
        calls = list(run.vendor_calls.all())
        if calls:
            twice = sum(call.duplicate for call in calls)
            self.stdout.write(f"  vendor calls: {len(calls)}, {sum(call.cost for call in calls):.4f} $ (estimated)"
                              f"{f', {twice} DOUBLED' if twice else ''}")  # fmt: skip
        for call in calls:
            latency = f"{call.latency:.2f} s" if call.latency is not None else "no answer seen"
            mark = "  DOUBLED" if call.duplicate else ""
            self.stdout.write(
                f"    {_at(call.started_at)} {call.vendor} {call.operation}: {call.outcome or 'no end seen'}"
                f"{_spaced(call.error_kind, call.error_code)} {latency}{_amount(call)}, {call.cost:.4f} $"
                f"{f', job {call.reference}' if call.reference else ''}{mark}"
            )
        self.stdout.write("  events:")
        for event in run.events.all():
            facts = ", ".join(
                f"{name}: {value}" for name, value in event.data.items() if value not in ("", None, False)
            )
            self.stdout.write(f"    {_at(event.at)} {event.type}{_spaced(event.step, event.actor)} {facts}".rstrip())

    def _step(self, step: RunStep) -> None:
        reused = f" (taken from run {step.reused_from.run_id})" if step.reused_from else ""
        said = (
            f"{step.state}{_spaced(step.outcome)} {step.seconds:.2f} s"
            if step.state != StepState.PENDING
            else "not yet"
        )
        note = "" if reused else step.note
        self.stdout.write(f"  {step.position + 1}. {step.name}: {said}{reused} {note}".rstrip())
        if step.name == "assess" and step.output:
            self.stdout.write(f"       accepted: {step.output.get('accepted')}  {step.output.get('figures')}")
        for item in step.history.all():
            self.stdout.write(
                f"       try {item.number} at {_at(item.started_at)}, {item.seconds:.2f} s: {item.result}"
                f"{_spaced(item.outcome, item.vendor, item.error_kind, item.error_code, item.detail)}"
            )


def _answer(run: PostProcessingRun) -> str:
    """Whose answer the run waits for, where a call is out."""
    call = records.of_step(run, run.current_step)
    return f"when {call.vendor} answers, or looks " if call is not None else ""


def _amount(call: VendorCall) -> str:
    audio = f", {call.audio_seconds:.0f} s of audio" if call.audio_seconds else ""
    tokens = f", {call.input_tokens}+{call.output_tokens} tokens" if call.input_tokens or call.output_tokens else ""
    return audio + tokens


def _spaced(*parts: str) -> str:
    return "".join(f" {part}" for part in parts if part)


def _at(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else "-"
