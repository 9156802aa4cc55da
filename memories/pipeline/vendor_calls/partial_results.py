"""Where the finished parts of a step's request are kept: beside its other large results, erased with the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from django.db import transaction
from django.db.models import Q

from memories.pipeline.engine import content_hash, durable, fault_injection, lease
from memories.pipeline.models import StepArtifact

if TYPE_CHECKING:
    from memories.pipeline.engine.context import Context
    from memories.pipeline.vendor_calls.ledger import Entry

PREFIX: Final = "part:"
CALL: Final = "call:"
"""Of what came back late (``late_answers``): it goes with the parts."""


class KeptParts:
    """The parts of one ledger entry. A run that does the step anew sees only what it has paid for itself.

    ``fence`` begins each transaction that keeps something; it raises LeaseLost or RunCanceled.
    """

    def __init__(self, ctx: Context, entry: Entry, fence: Callable[[], None] | None = None) -> None:
        self._ctx, self._entry = ctx, entry
        self._fence = fence or (lambda: lease.write(ctx.lease, claims=1))

    def get(self, part: str) -> Any:
        ctx = self._ctx
        rows = StepArtifact.objects.filter(name=_name(part), step__name=ctx.step.name, step__run__uid=ctx.uid,
                                           step__run__memory_id=ctx.memory_id)  # fmt: skip
        found = (rows.filter(step=ctx.step) if ctx.anew(ctx.step.name) else rows).order_by("-id")
        row = durable.write(found.first)
        if row is None:
            return None
        ctx.has_parts = True
        return content_hash.unpack(bytes(row.body))

    def keep(self, part: str, answer: Any) -> None:
        """Raises LeaseLost or RunCanceled: nothing more is paid for then."""
        ctx = self._ctx
        sha, body = content_hash.pack(answer)
        ctx.has_parts = True

        def once() -> None:
            with transaction.atomic():
                self._fence()
                StepArtifact.objects.update_or_create(
                    step=ctx.step, name=_name(part), defaults={"sha256": sha, "body": body}
                )

        durable.write(once)
        ctx.more_time()
        fault_injection.point(f"{ctx.step.name}-part")

    def spent(
        self, *, input_tokens: int = 0, output_tokens: int = 0, audio_seconds: float = 0.0, cost: float = 0.0
    ) -> None:
        self._entry.input_tokens += input_tokens
        self._entry.output_tokens += output_tokens
        self._entry.audio_seconds += audio_seconds
        self._entry.cost += cost


IN_BETWEEN: Final = Q(name__startswith=PREFIX) | Q(name__startswith=CALL)
"""What is no result of a step, but on the way to one."""


def drop(ctx: Context, step_name: str) -> None:
    """The whole result is stored: its parts are not needed any more. Call it inside that transaction."""
    if ctx.has_parts:
        of_step = StepArtifact.objects.filter(
            step__name=step_name, step__run__uid=ctx.uid, step__run__memory_id=ctx.memory_id
        )
        of_step.filter(IN_BETWEEN).delete()


def _name(part: str) -> str:
    return f"{PREFIX}{part[:24]}"
