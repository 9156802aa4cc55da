"""What a request that takes several paid calls keeps of each, so that a retry goes on after the last one.

The port of a vendor carries it in its request; whoever asks decides where the answers are kept.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Protocol


class PartialResults(Protocol):
    """Keeps the parts of an answer that were paid for. ``part`` is ``part_id`` of everything that the answer depends
    on; answers are JSON."""

    def get(self, part: str) -> Any:
        """The answer that was kept, or None."""

    def keep(self, part: str, answer: Any) -> None:
        """Make the answer durable before the next call. May raise to stop the whole request (it was canceled)."""

    def spent(
        self, *, input_tokens: int = 0, output_tokens: int = 0, audio_seconds: float = 0.0, cost: float = 0.0
    ) -> None:
        """A call was answered, and will be billed, whatever the answer is worth. ``cost`` in US dollars."""


class NothingKept:
    """Keeps no partial results, for callers that do not come back."""

    def get(self, part: str) -> Any:
        return None

    def keep(self, part: str, answer: Any) -> None:
        pass

    def spent(
        self, *, input_tokens: int = 0, output_tokens: int = 0, audio_seconds: float = 0.0, cost: float = 0.0
    ) -> None:
        pass


def part_id(*what: Any) -> str:
    """Return the id of a part, which is the same for the same JSON."""
    return hashlib.sha256(json.dumps(what, sort_keys=True, ensure_ascii=True, default=str).encode()).hexdigest()
