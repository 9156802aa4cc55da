"""fal.ai webhooks: signed deliveries with the simulator's own Ed25519 key, and its JWKS."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from typing import Any

import aiohttp
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from demo.vendors.http import new_id, state_of
from demo.vendors.state import Fault, State

USER = "sim-user"
ATTEMPTS, EVERY_S = 11, 720.0  # the first and ten more within two hours


def key(state: State) -> Ed25519PrivateKey:
    """The signing key of this server."""
    made: Ed25519PrivateKey = state.options.setdefault("fal_signing_key", Ed25519PrivateKey.generate())
    return made


async def jwks(request: web.Request) -> web.StreamResponse:
    raw = key(state_of(request)).public_key().public_bytes_raw()
    x = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    other = base64.urlsafe_b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode().rstrip("=")
    keys = [{"kty": "OKP", "crv": "Ed25519", "kid": str(k), "use": "sig", "x": v} for k, v in enumerate((other, x))]
    return web.json_response({"keys": keys})


def signed(state: State, body: bytes, request_id: str, at: float | None = None, wrong: bool = False) -> dict[str, str]:
    """Headers of a delivery. ``wrong`` signs with a key that is not in the JWKS."""
    stamp = str(int(time.time() if at is None else at))
    message = "\n".join([request_id, USER, stamp, hashlib.sha256(body).hexdigest()]).encode()
    private = Ed25519PrivateKey.generate() if wrong else key(state)
    return {
        "X-Fal-Webhook-Request-Id": request_id,
        "X-Fal-Webhook-User-Id": USER,
        "X-Fal-Webhook-Timestamp": stamp,
        "X-Fal-Webhook-Signature": private.sign(message).hex(),
    }


async def deliver(state: State, job: dict[str, Any], ask: Fault) -> None:
    """POST the outcome until a 2xx. ``ask``: mode twice|late|never|bad_signature|unsigned|old|other_id, seconds."""
    mode = ask.get("mode")
    if mode == "never":
        return
    await asyncio.sleep(ask.get("seconds", 1.0 if mode == "late" else 0.0))
    request_id = new_id() if mode == "other_id" else job["id"]
    failed = job["failed"]
    content: dict[str, Any] = {"request_id": request_id, "gateway_request_id": request_id}
    content |= {"status": "ERROR" if failed else "OK", "payload": job["output"]}
    if failed:
        content |= {"error": f"Unexpected status code: {failed.status}", "payload": {"detail": failed.detail}}
    body = json.dumps(content).encode()
    for copy in range(2 if mode == "twice" else 1):
        for _ in range(ATTEMPTS):
            at = time.time() - 600 if mode == "old" else None
            headers = {} if mode == "unsigned" else signed(state, body, request_id, at, mode == "bad_signature")
            headers["Content-Type"] = "application/json"
            try:
                async with (
                    aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(15)) as session,
                    session.post(job["webhook"], data=body, headers=headers) as answer,
                ):
                    job["deliveries"].append({"status": answer.status, "copy": copy, "mode": mode})
                    if answer.status < 300:
                        break
            except (aiohttp.ClientError, TimeoutError) as problem:
                job["deliveries"].append({"error": repr(problem), "copy": copy, "mode": mode})
            await asyncio.sleep(EVERY_S * state.scale)
