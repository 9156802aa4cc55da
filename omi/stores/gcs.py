"""The private bucket of audio objects: django-storages, never public, created once, with short signed addresses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from storages.backends.gcloud import GoogleCloudStorage

from omi.core.env import env_str

CHUNK = 8 * 1024 * 1024
"""Bytes per part of a resumable upload (a multiple of 256 KiB): what one upload holds in memory."""


class AudioBucket(GoogleCloudStorage):  # type: ignore[misc]
    """The bucket of audio objects at Google. ``if_generation_match=0`` on upload: a name is written once, whatever
    retries or races do."""

    def get_default_settings(self) -> dict[str, Any]:
        return super().get_default_settings() | {  # type: ignore[no-any-return]
            "default_acl": None,
            "querystring_auth": True,
            "file_overwrite": True,
            "blob_chunk_size": CHUNK,
            "object_parameters": {"cache_control": "private, no-store"},
            "iam_sign_blob": not env_str("STORAGE_EMULATOR_HOST"),
        }

    def get_object_parameters(self, name: str) -> dict[str, Any]:
        return dict(self.object_parameters)

    def _save(self, name: str, content: Any) -> str:
        from google.api_core.exceptions import PreconditionFailed

        blob = self.bucket.blob(name, chunk_size=CHUNK)
        blob.cache_control = "private, no-store"
        content.seek(0)
        try:
            blob.upload_from_file(content, content_type="application/octet-stream", if_generation_match=0)
        except PreconditionFailed:
            # The name is random: only an earlier try of this very upload can have written it.
            blob.reload()
            if blob.size != content.size:
                raise
        return name

    def signed_url(self, name: str, seconds: int) -> str:
        """V4, GET only. The emulator checks no signature: it gets an address made with a throw-away key."""
        blob = self.bucket.blob(name)
        emulator = env_str("STORAGE_EMULATOR_HOST")
        options: dict[str, Any] = {"version": "v4", "expiration": timedelta(seconds=seconds), "method": "GET"}
        if emulator:
            options |= {"api_access_endpoint": emulator, "credentials": _emulator_signer()}
        elif not hasattr(self.client._credentials, "sign_bytes"):
            options |= _iam_signer(self.client._credentials)
        return str(blob.generate_signed_url(**options))


def _iam_signer(credentials: Any) -> dict[str, Any]:
    """On Google's own machines there is no private key: IAM's signBlob signs for the service account."""
    from google.auth.transport.requests import Request

    if not credentials.valid:
        credentials.refresh(Request())
    return {"service_account_email": credentials.service_account_email, "access_token": credentials.token}


def _emulator_signer() -> Any:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from google.oauth2 import service_account

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return service_account.Credentials.from_service_account_info(
        {
            "private_key": key.decode(),
            "client_email": "emulator@example.invalid",
            "token_uri": "https://example.invalid/token",
        }
    )
