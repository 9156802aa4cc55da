"""The push port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PushResult:
    """``unregistered``: tokens that the vendor will never deliver to again; the caller forgets them."""

    delivered: int = 0
    unregistered: tuple[str, ...] = ()


class Push(Protocol):
    name: str

    def send(self, tokens: Sequence[str], title: str, body: str, data: Mapping[str, str]) -> PushResult:
        """Raises ProviderError only, and only if no token took the message for a reason that may pass."""
