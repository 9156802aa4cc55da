"""The push port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from omi.core.errors import ProviderError


@dataclass(frozen=True, slots=True)
class PushResult:
    """What became of a notification. ``unregistered``: tokens that the vendor will never deliver to again; the caller
    forgets them. ``failure``: why some device was not reached; not raised, so that dead tokens are forgotten all the
    same."""

    delivered: int = 0
    unregistered: tuple[str, ...] = ()
    failure: ProviderError | None = None


class Push(Protocol):
    """The port that sends notifications to a user's devices."""

    name: str

    def send(self, tokens: Sequence[str], title: str, body: str, data: Mapping[str, str]) -> PushResult:
        """Send one notification to all devices and say what became of each; raises ProviderError only where no device
        could be tried (configuration, credentials)."""
