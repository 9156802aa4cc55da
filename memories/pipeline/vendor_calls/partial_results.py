"""The finished parts of a request that takes several calls, kept beside the step's large results.

They are erased with the memory, and go when the step's result is stored.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction

from memories.pipeline.engine import checkpoints, content_hash, fault_injection, lease
from memories.pipeline.engine.context import Context
from memories.pipeline.models import StepArtifact, VendorCall
from omi.accounts.erased import Fence


class StoredPartialResults:
    """The parts of one call. A run that does the step anew sees only what it has paid for itself.

    ``fence`` begins each transaction that keeps something; it raises LeaseLost or RunCanceled: nothing more is paid for
    then.
    """

    def __init__(self, ctx: Context, call: VendorCall, fence: Fence | None = None) -> None:
        self._ctx, self._call = ctx, call
        self._fence = fence or self._as_worker

    def get(self, part: str) -> Any:
        """The answer that was kept for ``part`` by this run or an earlier one of the memory, or None."""
        ctx = self._ctx
        kept = StepArtifact.objects.filter(
            name=_name(part), step__name=self._call.step, step__run__uid=ctx.uid, step__run__memory_id=ctx.memory_id
        )
        if ctx.anew(self._call.step):
            kept = kept.filter(step__run=ctx.run)
        row = checkpoints.retrying(kept.order_by("-id").first)
        if row is None:
            return None
        ctx.has_parts = True
        return content_hash.unpack(bytes(row.body))

    def keep(self, part: str, answer: Any) -> None:
        """Store the answer of ``part`` before the next one is asked for."""
        step = self._ctx.steps[self._call.step]
        sha, body = content_hash.pack(answer)
        self._ctx.has_parts = True

        def once() -> None:
            with transaction.atomic():
                self._fence()
                StepArtifact.objects.update_or_create(
                    step=step, name=_name(part), defaults={"sha256": sha, "body": body}
                )

        checkpoints.retrying(once)
        fault_injection.point(f"{step.name}-part")

    def spent(
        self, *, input_tokens: int = 0, output_tokens: int = 0, audio_seconds: float = 0.0, cost: float = 0.0
    ) -> None:
        """Add what a part has cost to the call's record."""
        self._call.input_tokens += input_tokens
        self._call.output_tokens += output_tokens
        self._call.audio_seconds += audio_seconds
        self._call.cost += cost

    def _as_worker(self) -> None:
        """The worker that makes the call itself got on: its claims and its time begin anew."""
        lease.write(self._ctx.lease, claims=1)
        self._ctx.more_time()


def _name(part: str) -> str:
    return f"{StepArtifact.PART}{part[:24]}"
