"""``/listen`` with a window: ``GET /bench/inside`` tells what only the process itself can count."""

from __future__ import annotations

import asyncio
import gc
import json
from collections import Counter
from typing import Any

from omi.asgi import application as served


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http" or scope["path"] != "/bench/inside":
        await served(scope, receive, send)
        return
    gc.collect()
    tasks = Counter(task.get_name().rstrip("0123456789-") for task in asyncio.all_tasks())
    found = {"tasks": sum(tasks.values()), "by_name": tasks.most_common(8), "objects": len(gc.get_objects())}
    head = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": json.dumps(found).encode()})
