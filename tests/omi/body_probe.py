"""An application that tells what its server handed it. Run by daphne in ``test_daphne_body``."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from django.conf import settings

from omi.serving import body as daphne_body
from omi.serving import limits

limits.install()
settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1 << 30  # the plain bodies of these tests are large


async def probe(scope: Any, receive: Any, send: Any) -> None:
    digest, sizes, kind = hashlib.sha256(), [], ""
    while True:
        message = await receive()
        kind = message["type"]
        if kind != "http.request":
            break
        digest.update(message["body"])
        sizes.append(len(message["body"]))
        if scope["path"] == "/slow" and len(sizes) == 2:
            Path(os.environ["PROBE_FILE"]).write_text("begun")
            await asyncio.sleep(1.5)
        if not message["more_body"]:
            break
    told = {"sha256": digest.hexdigest(), "sizes": sizes, "ended_with": kind}
    if scope["path"] == "/slow":
        Path(os.environ["PROBE_FILE"]).write_text(json.dumps(told))
    body = json.dumps(told).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


application = daphne_body.drawing(probe)
