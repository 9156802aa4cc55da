"""Firebase Cloud Messaging: messages:send, and the OAuth token endpoint for a service account."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from demo.vendors.http import bearer, body_json, error_maker, fault, new_id, refuse, state_of
from demo.vendors.state import KEY, Fault

STATUS = {
    400: ("INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    401: ("UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"),
    403: ("PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
    404: ("NOT_FOUND", "UNREGISTERED"),
    429: ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
    500: ("INTERNAL", "INTERNAL"),
    503: ("UNAVAILABLE", "UNAVAILABLE"),
}
FIELDS = {
    "fid",
    "token",
    "topic",
    "condition",
    "notification",
    "data",
    "android",
    "apns",
    "webpush",
    "fcm_options",
    "name",
}


@error_maker("fcm")
def error(status: int, fault: Fault) -> web.Response:
    name, code = STATUS.get(status, ("UNKNOWN", "UNSPECIFIED_ERROR"))
    detail = {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": fault.get("code", code)}
    said = fault.get("message", f"simulated {code}")
    return web.json_response(
        {"error": {"code": status, "status": name, "message": said, "details": [detail]}}, status=status
    )


async def send(request: web.Request) -> web.StreamResponse:
    state = state_of(request)
    if not state.authorised("fcm", bearer(request)):
        return refuse("fcm", 401, message="Request had invalid authentication credentials.")
    body = await body_json(request)
    message: Any = body.get("message") if isinstance(body, dict) else None
    if not isinstance(message, dict) or set(message) - FIELDS:
        return refuse("fcm", 400, message="Invalid JSON payload received.")
    targets = [k for k in ("fid", "token", "topic", "condition") if message.get(k)]
    if len(targets) != 1:
        return refuse("fcm", 400, message="Exactly one of token, fid, topic or condition is required")
    data = message.get("data") or {}
    if not all(isinstance(k, str) and isinstance(v, str) for k, v in data.items()):
        return refuse("fcm", 400, message="Invalid value at 'message.data': strings only")
    if sum(len(k) + len(v) for k, v in data.items()) > 4096:
        return refuse("fcm", 400, message="Android message is too big")
    target = str(message[targets[0]])
    if fault(request, "unregistered") or target.startswith("unregistered"):
        return refuse("fcm", 404, message="Requested entity was not found.")
    project = request.match_info["project"]
    if not body.get("validate_only"):
        state.store["fcm"].setdefault("messages", []).append(message)
    return web.json_response({"name": f"projects/{project}/messages/{new_id()}"})


async def token(request: web.Request) -> web.StreamResponse:
    """What a service account's ``token_uri`` answers."""
    return web.json_response({"access_token": KEY, "expires_in": 3600, "token_type": "Bearer"})


def routes() -> list[web.RouteDef]:
    return [
        web.post("/fcm/v1/projects/{project}/messages:send", send, name="fcm.send"),
        web.post("/fcm/token", token, name="fcm.token"),
    ]
