"""Signed ID tokens through Google's own SDK, with a key of our own in the place of Google's certificates."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from omi.accounts import identity

pytestmark = pytest.mark.django_db
PROJECT = "demo-signed"
Sign = Callable[..., str]


def key_pair() -> tuple[rsa.RSAPrivateKey, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    return key, certificate.public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture(scope="module")
def keys() -> tuple[rsa.RSAPrivateKey, str]:
    return key_pair()


class Certificates:
    """A response of the address where Google publishes its certificates."""

    def __init__(self, pem: str, status: int = 200) -> None:
        self.status, self.headers = status, {"cache-control": "max-age=0"}
        self.data = json.dumps({"ours": pem}).encode()


@pytest.fixture
def google(keys: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The SDK's real verification; only the download of certificates and the user look-up answer from here."""
    import firebase_admin
    from firebase_admin import auth

    from omi.stores.google import firebase_app

    for name in ("FIREBASE_AUTH_EMULATOR_HOST", "FIRESTORE_EMULATOR_HOST", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    settings.OMI_AUTH, settings.GOOGLE_CLOUD_PROJECT = "firebase", PROJECT
    monkeypatch.setattr("omi.stores.google.emulated", lambda: True)  # no look-up of credentials on this machine
    answer: dict[str, Any] = {"certificates": Certificates(keys[1])}

    def fetch(self: Any, url: str, method: str = "GET", **_: Any) -> Any:
        found = answer["certificates"]
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr("google.auth.transport.requests.Request.__call__", fetch)
    monkeypatch.setattr("firebase_admin._token_gen.CertificateFetchRequest.__call__", fetch, raising=False)
    monkeypatch.setattr(auth.Client, "_check_jwt_revoked_or_disabled", lambda *_: None)
    yield answer
    firebase_admin.delete_app(firebase_app())


@pytest.fixture
def sign(keys: tuple[rsa.RSAPrivateKey, str]) -> Sign:
    from google.auth import crypt, jwt

    def make(key: rsa.RSAPrivateKey | None = None, **more: Any) -> str:
        pem = (key or keys[0]).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        now = int(time.time())
        claims = {
            "iss": f"https://securetoken.google.com/{PROJECT}", "aud": PROJECT, "sub": "ana", "iat": now - 10,
            "auth_time": now - 10, "exp": now + 3600, **more,
        }  # fmt: skip
        return str(jwt.encode(crypt.RSASigner.from_string(pem, key_id="ours"), claims).decode())

    return make


def test_a_signed_token_is_taken(google: Any, sign: Sign) -> None:
    assert identity.verify_token(sign()).uid == "ana"


def test_expired_early_and_foreign_tokens_are_refused(google: Any, sign: Sign) -> None:
    now = int(time.time())
    for wrong in (
        {"exp": now - 60}, {"iat": now + 600, "exp": now + 4000}, {"aud": "other"}, {"sub": ""},
        {"iss": "https://securetoken.google.com/other"},
    ):  # fmt: skip
        with pytest.raises(identity.InvalidToken) as caught:
            identity.verify_token(sign(**wrong))
        assert caught.value.outcome == ("expired" if wrong == {"exp": now - 60} else "invalid")


def test_another_key_a_changed_claim_and_no_signature_are_refused(google: Any, sign: Sign) -> None:
    head, body, signature = sign().split(".")
    other_body = sign(sub="bob").split(".")[1]
    for token in (sign(key_pair()[0]), f"{head}.{other_body}.{signature}", f"{head}.{body}."):
        with pytest.raises(identity.InvalidToken):
            identity.verify_token(token)


def test_certificates_that_cannot_be_had_sign_nobody_out(google: Any, sign: Sign) -> None:
    """503, never 401."""
    from google.auth.exceptions import TransportError

    for broken in (TransportError("no route"), Certificates("", status=503)):
        google["certificates"] = broken
        with pytest.raises(identity.IdentityUnavailable):
            identity.verify_token(sign())
