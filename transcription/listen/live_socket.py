"""What the registries of open sockets know of a socket: the consumer implements it, and none of them imports it."""

from __future__ import annotations

from typing import Protocol


class LiveSocket(Protocol):
    """One open ``/listen`` connection. ``last_message`` is the monotonic time of the newest message from its client."""

    last_message: float

    @property
    def signed_in_at(self) -> float | None:
        """When its user signed in (Unix seconds); None while the user is not known."""

    async def drain(self) -> None:
        """End because the process is asked to stop."""

    async def end_sign_in(self, sentence: str, *, keep: bool) -> None:
        """End because the user's sign-in was ended; ``keep`` False: what was said is discarded."""

    def give_way(self) -> None:
        """End because another connection of the same user needs this one's slot. Returns at once."""
