"""What is pasted into a ticket: ids, times and the failure. No title, no name and no word of anybody."""

from __future__ import annotations

from memories.admin import moments
from memories.admin.answers import told
from memories.admin.trace import Trace
from memories.models import MemoryRow


def text(row: MemoryRow, trace: Trace | None, link: str) -> str:
    """Plain text, a fact a line."""
    lines = [
        f"Memory: {row.memory_id}",
        f"User: {row.uid}",
        f"Created: {moments.absolute(row.created_at)}",
        f"Post-processing: {row.postprocessing_status or 'none'}",
    ]
    if trace is not None:
        run, message = trace.run, told(trace.run)
        lines.append(f"Run: {run.pk} ({run.kind}), {run.outcome or run.state}, by {run.actor}")
        lines.append(f"Run began: {moments.absolute(run.created_at)}")
        if run.finished_at is not None:
            lines.append(f"Run ended: {moments.absolute(run.finished_at)}")
        if message is not None:
            lines.append(f"Failure: {message.id} (fault: {message.fault}): {message.sentence}")
        trouble = trace.last_trouble
        if trouble is not None:
            step = next((item.name for item in trace.steps if item.pk == trouble.step_id), "")
            vendor = f", vendor {trouble.vendor}" if trouble.vendor else ""
            code = f", code {trouble.error_code}" if trouble.error_code else ""
            lines.append(f"Last error: step {step}, attempt {trouble.number}{vendor}{code}")
        calls = [item.reference for item in trace.calls if item.reference][-5:]
        if calls:
            lines.append(f"Vendor references: {', '.join(calls)}")
    return "\n".join([*lines, f"Link: {link}"])
