"""No push: the app learns of everything through its socket, server-sent events and lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from omi.push.base import PushResult


class NoPush:
    """The push port's adapter that sends nothing."""

    name = "none"

    def send(self, tokens: Sequence[str], title: str, body: str, data: Mapping[str, str]) -> PushResult:
        return PushResult()
