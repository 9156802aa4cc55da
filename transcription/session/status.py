"""What a session says of its state to the client, as ``service_status`` messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_FAILING = {
    "journal": "The server cannot keep a copy of the audio at the moment.",
    "storage": "The transcript cannot be stored at the moment; it is tried again.",
}


class SessionStatus:
    """Tells the client how vendors and stores do. ``send`` takes one message, which the socket gives its type."""

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self._send = send
        self._failing: set[str] = set()

    def vendor(self, status: str, provider: str, reason: str, retryable: bool) -> None:
        """A vendor's state: ``ready``, ``stt_failed``, ``degraded``."""
        message: dict[str, Any] = {"status": status, "provider": provider, "reason": reason}
        if status == "stt_failed":
            message["retryable"] = retryable
            message["status_text"] = "Transcription is interrupted; the audio is kept and will be transcribed."
        elif status == "degraded":
            message["status_text"] = "This machine transcribes as many streams as it can; the audio is kept for later."
        self._send(message)

    def mark(self, what: str, failing: bool) -> None:
        """Tell the client once when ``what`` (``journal``, ``storage``) begins to fail, and once when it is well."""
        if failing == (what in self._failing):
            return
        if failing:
            self._failing.add(what)
            self._send({"status": "degraded", "reason": what, "status_text": _FAILING[what]})
        else:
            self._failing.discard(what)
            self._send({"status": "ready", "reason": f"{what}_recovered", "provider": ""})
