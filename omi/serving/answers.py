"""An answer that fails half-way ends as a broken transfer, never as a whole-looking file and never as silence.

Daphne answers 500 where the application failed. Where the answer had begun already it cannot, raises itself, and with
that ends the loop that cleans up after every other request; the client waits for the rest for ever.
"""

from __future__ import annotations

import sys
from typing import Any


def install() -> None:
    """Replace daphne's request class by one that cuts the connection of a broken answer."""
    if "daphne.server" not in sys.modules:
        return
    from daphne import http_protocol

    if not issubclass(http_protocol.WebRequest, Breaking):
        http_protocol.WebRequest = type("BreakingWebRequest", (Breaking, http_protocol.WebRequest), {})


class Breaking:
    """A mixin of ``daphne.http_protocol.WebRequest`` that cuts the connection where an answer fails half-way."""

    channel: Any
    _response_started: bool

    def handle_exception(self, exception: BaseException) -> None:
        if not self._response_started:
            super().handle_exception(exception)  # type: ignore[misc]
        elif self.channel is not None and self.channel.transport is not None:
            self.channel.transport.abortConnection()
