"""An application that answers with as much as the path asks for (megabytes)."""

from __future__ import annotations

from typing import Any

import daphne.server  # noqa: F401  as under daphne

from omi.serving import flow

flow.install()


async def application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(int(scope["path"].strip("/"))):
        await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
