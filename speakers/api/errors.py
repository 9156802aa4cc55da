"""Answers that are no success: ``{"detail": sentence, "code": stable name}``, written by ``memories.api.errors``."""

from __future__ import annotations


class Refused(Exception):
    """The request cannot be done. ``code`` is stable, ``detail`` a sentence for people."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
