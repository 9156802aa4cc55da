"""How long a vendor is waited for, in seconds: every number of a run, from one answer to a whole job.

A worker itself waits ``OMI_CALL_PATIENCE_SECONDS`` for any answer (``client.ask``), then the run is suspended and these
numbers count. How often and how long a vendor that failed is asked again says ``engine.retry_policy``, with the time of
an optional step (``OPTIONAL_PATIENCE``). ``LIMIT`` of a step is another matter: after it a worker counts as hung.
"""

from __future__ import annotations

from typing import Final

POLL: Final = 60.0
"""For the answer about a job that the vendor has: an adapter's own limits are shorter."""

STRUCTURE: Final = 120.0
"""For each call of a summary, and of the sections of a template: a long talk takes several."""

EMOTIONS: Final = 120.0
"""For each part of a recording whose emotions are asked for."""

EMBEDDING: Final = 120.0
"""For a vector; the embedder's own limit is shorter (60 s of ``OpenAIEmbedder``)."""

MARGIN: Final = 60.0
"""Beyond a call's own limit, until its answer is not expected any more: connecting, sending, storing it."""

LOOK_AGAIN: Final = 600.0
"""After which a suspended run looks for the answer by itself, whatever the deadline (``lease.LONGEST_WAIT`` bounds due
times)."""

TURN: Final = 2.0
"""About, that a run is suspended for while its worker has as many calls out as it may have."""


def submission(seconds: float) -> float:
    """Return how many seconds are allowed for taking a recording of ``seconds``: a vendor that answers at once
    transcribes it meanwhile."""
    return max(120.0, 3 * seconds)


def job(seconds: float) -> float:
    """Return how many seconds are allowed for a queued job on a recording of ``seconds``, from its submission; then the
    next provider is asked."""
    return 1800.0 + 3 * seconds
