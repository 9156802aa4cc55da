"""fal's callbacks: only fal's own, only fresh ones (the original checked nothing)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache

from demo.vendors import fal_webhook
from demo.vendors.server import VendorServer
from omi.core.errors import ErrorKind, ProviderError
from transcription.vendors.batch.webhook import WebhookRefused, verify

BODY = b'{"request_id": "r1", "status": "OK", "payload": {"chunks": []}}'


@pytest.fixture(autouse=True)
def _no_keys_kept() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def refusal(headers: dict[str, str], body: bytes = BODY, now: float | None = None) -> str:
    with pytest.raises(WebhookRefused) as caught:
        verify(headers, body, now)
    return caught.value.reason


def test_fals_own_callback_is_taken_in_any_case_of_headers(vendors: VendorServer) -> None:
    headers = fal_webhook.signed(vendors.state, BODY, "r1")
    assert verify(headers, BODY).request_id == "r1"
    assert verify({name.upper(): value for name, value in headers.items()}, BODY).request_id == "r1"


@pytest.mark.parametrize("missing", ["Request-Id", "User-Id", "Timestamp", "Signature"])
def test_every_header_is_needed(vendors: VendorServer, missing: str) -> None:
    headers = fal_webhook.signed(vendors.state, BODY, "r1")
    del headers[f"X-Fal-Webhook-{missing}"]
    assert refusal(headers) == "missing"


def test_one_changed_byte_breaks_it(vendors: VendorServer) -> None:
    headers = fal_webhook.signed(vendors.state, BODY, "r1")
    assert refusal(headers, BODY + b" ") == "signature"
    assert refusal({**headers, "X-Fal-Webhook-Request-Id": "r2"}) == "signature"
    assert refusal({**headers, "X-Fal-Webhook-User-Id": "someone"}) == "signature"
    assert refusal({**headers, "X-Fal-Webhook-Signature": "zz"}) == "signature"


def test_another_key_is_refused(vendors: VendorServer) -> None:
    assert refusal(fal_webhook.signed(vendors.state, BODY, "r1", wrong=True)) == "signature"


@pytest.mark.parametrize(("age", "taken"), [(-301, False), (-299, True), (299, True), (301, False), (86400, False)])
def test_only_five_minutes_around_now_count(vendors: VendorServer, age: int, taken: bool) -> None:
    now = time.time()
    headers = fal_webhook.signed(vendors.state, BODY, "r1", at=int(now) - age)
    if taken:
        assert verify(headers, BODY, float(int(now))).request_id == "r1"
    else:
        assert refusal(headers, now=float(int(now))) == "stale"


def test_keys_are_fetched_once_a_day_and_after_a_change_once_per_window(vendors: VendorServer) -> None:
    headers = fal_webhook.signed(vendors.state, BODY, "r1")
    for _ in range(3):
        verify(headers, BODY)
    assert len(vendors.log("fal", "jwks")) == 1
    vendors.set(fal_signing_key=fal_webhook.Ed25519PrivateKey.generate())
    verify(fal_webhook.signed(vendors.state, BODY, "r1"), BODY)
    assert len(vendors.log("fal", "jwks")) == 2
    for _ in range(5):  # a stranger knocking does not make us ask fal each time
        refusal(fal_webhook.signed(vendors.state, BODY, "r1", wrong=True))
    assert len(vendors.log("fal", "jwks")) == 2


@pytest.mark.parametrize("fault", [{"kind": "refuse", "status": 503}, {"kind": "html"}, {"kind": "drop"}])
def test_without_keys_nothing_is_decided(vendors: VendorServer, fault: dict[str, Any]) -> None:
    vendors.faults("fal", fault)
    with pytest.raises(ProviderError) as caught:
        verify(fal_webhook.signed(vendors.state, BODY, "r1"), BODY)
    assert caught.value.kind is ErrorKind.TRANSIENT
    assert verify(fal_webhook.signed(vendors.state, BODY, "r1"), BODY)
