"""Firebase Cloud Messaging, HTTP v1. A thin client: firebase-admin has no setting for the address."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from django.conf import settings

from omi.core.bounded_http import bounded_client
from omi.core.env import env_str
from omi.core.errors import ErrorKind, MissingDependency, Outcome, ProviderError
from omi.core.vendor_errors import retry_after, safe_code
from omi.push.base import PushResult

VENDOR = "fcm"
TIMEOUT = 10.0
_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_TRANSIENT = {"UNAVAILABLE", "INTERNAL", "QUOTA_EXCEEDED"}
_OFFICIAL = "https://fcm.googleapis.com"


class FcmPush:
    """Sends notifications through Firebase Cloud Messaging."""

    name = VENDOR

    def __init__(self) -> None:
        self._credentials: Any = None
        self._lock = threading.Lock()

    def send(self, tokens: Sequence[str], title: str, body: str, data: Mapping[str, str]) -> PushResult:
        if not settings.GOOGLE_CLOUD_PROJECT:
            raise MissingDependency(VENDOR, "GOOGLE_CLOUD_PROJECT", "Set it to the id of the Firebase project.")
        delivered, unregistered = 0, []
        failure: ProviderError | None = None
        headers = {"Authorization": f"Bearer {self._token()}"}
        with bounded_client(httpx, timeout=TIMEOUT) as client:
            client.headers.update(headers)
            for token in tokens:
                try:
                    self._send_one(client, token, title, body, data)
                    delivered += 1
                except ProviderError as error:
                    if error.code == "UNREGISTERED":
                        unregistered.append(token)
                    else:
                        failure = error
        return PushResult(delivered, tuple(unregistered), failure)

    def _send_one(self, client: httpx.Client, token: str, title: str, body: str, data: Mapping[str, str]) -> None:
        message = {
            "message": {
                "token": token,
                "notification": {"title": title, "body": body},
                "data": {key: str(value) for key, value in data.items()},
            }
        }
        try:
            answer = client.post(
                f"{settings.FCM_URL.rstrip('/')}/v1/projects/{settings.GOOGLE_CLOUD_PROJECT}/messages:send",
                json=message,
            )
        except httpx.HTTPError as error:
            raise ProviderError(
                VENDOR,
                "the push service is out of reach",
                kind=ErrorKind.TRANSIENT,
                code=type(error).__name__,
                outcome=Outcome.TIMEOUT if isinstance(error, httpx.TimeoutException) else None,
            ) from error
        if answer.status_code != 200:
            raise _error(answer)

    def _token(self) -> str:
        """An OAuth token of the service account. Stand-ins on another address take a fixed one from FCM_TOKEN."""
        if settings.FCM_URL.rstrip("/") != _OFFICIAL:
            return env_str("FCM_TOKEN", "stand-in")
        import google.auth
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request

        with self._lock:
            try:
                if self._credentials is None:
                    self._credentials, _ = google.auth.default(scopes=[_SCOPE])
                if not self._credentials.valid:
                    self._credentials.refresh(Request())
            except GoogleAuthError as error:
                kind = ErrorKind.TRANSIENT if getattr(error, "retryable", False) else ErrorKind.PERMANENT
                raise ProviderError(VENDOR, "no credentials for Google", kind=kind, code="credentials") from error
            return str(self._credentials.token)


def _error(answer: httpx.Response) -> ProviderError:
    code = _code(answer)
    if code in _TRANSIENT or answer.status_code in {408, 429} or answer.status_code >= 500:
        kind = ErrorKind.TRANSIENT
    else:
        kind = ErrorKind.PERMANENT
    return ProviderError(
        VENDOR,
        "the device is gone" if code == "UNREGISTERED" else "the push service refused the message",
        kind=kind,
        code=safe_code(code),
        retry_after=retry_after(answer.headers),
        outcome=Outcome.CONFIG_ERROR if answer.status_code in {401, 403} else None,
    )


def _code(answer: httpx.Response) -> str:
    """FCM's own code from the details; else Google's status; else the HTTP status."""
    try:
        error = answer.json()["error"]
        for detail in error.get("details", []):
            if detail.get("errorCode"):
                return str(detail["errorCode"])
        return str(error.get("status") or answer.status_code)
    except (ValueError, KeyError, TypeError, AttributeError):
        return str(answer.status_code)
