"""Figures and details are for operators; anybody may ask whether the server is ready, and reads no store by it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from omi import health
from omi.core.errors import ErrorKind, ProviderError

pytestmark = pytest.mark.django_db
OUTSIDE = {"REMOTE_ADDR": "203.0.113.7"}
PROXIED = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.7"}


@pytest.fixture(autouse=True)
def look_anew() -> Iterator[None]:
    health.forget()
    yield
    health.forget()


@pytest.mark.parametrize("who", [OUTSIDE, PROXIED])
def test_metrics_and_details_are_not_public(client: Client, who: dict[str, str]) -> None:
    answer = client.get("/metrics", **who)  # type: ignore[arg-type]
    assert (answer.status_code, b"omi_" in answer.content) == (401, False)
    ready = client.get("/readyz", **who)  # type: ignore[arg-type]
    assert (ready.status_code, ready.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("who", [OUTSIDE, PROXIED])
def test_a_token_opens_them_from_elsewhere(client: Client, settings: Any, who: dict[str, str]) -> None:
    settings.OMI_METRICS_TOKEN = "a-long-token-of-the-operators"
    headers = {"Authorization": f"Bearer {settings.OMI_METRICS_TOKEN}"}
    assert client.get("/metrics", headers=headers, **who).status_code == 200  # type: ignore[arg-type]
    assert "checks" in client.get("/readyz", headers=headers, **who).json()  # type: ignore[arg-type]
    wrong = {"Authorization": "Bearer a-long-token-of-nobody"}
    assert client.get("/metrics", headers=wrong, **who).status_code == 401  # type: ignore[arg-type]


def test_an_empty_token_opens_nothing(client: Client) -> None:
    headers = {"Authorization": "Bearer "}
    assert client.get("/metrics", headers=headers, **OUTSIDE).status_code == 401  # type: ignore[arg-type]


def test_this_machine_reads_both(client: Client) -> None:
    assert b"omi_" in client.get("/metrics").content
    assert client.get("/readyz").json()["checks"]["documents"]["ok"] is True


def test_a_hundred_questions_read_the_store_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr(health, "_documents", lambda: looks.append(1))
    monkeypatch.setattr(health, "FRESH", 3600.0)
    for _ in range(100):
        assert client.get("/readyz", **OUTSIDE).status_code == 200  # type: ignore[arg-type]
    assert len(looks) == 1


def test_what_is_out_of_reach_is_503_without_saying_what(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def down() -> None:
        raise ProviderError("firestore", "out of reach", kind=ErrorKind.TRANSIENT)

    monkeypatch.setattr(health, "_documents", down)
    answer = client.get("/readyz", **OUTSIDE)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable"})


def test_the_bare_address_says_what_is_here(client: Client) -> None:
    """``make serve`` sends a newcomer there; it was a 404."""
    page = client.get("/")
    assert page.status_code == 200
    told = page.content.decode()
    for link in ("/docs", "/schema", "/admin/", "/healthz"):
        assert f'href="{link}"' in told
        assert client.get(link).status_code in (200, 302)
    assert client.head("/").status_code == 200
    assert client.post("/").status_code == 405
    assert client.get("/static/omi/home.css").status_code == 200


def test_plain_http_is_redirected_but_for_what_watches_the_server(settings: Any) -> None:
    """Prometheus and a load balancer ask on this machine, without TLS."""
    settings.SECURE_SSL_REDIRECT = True
    client = Client()
    assert client.get("/admin/").status_code == 301
    assert [client.get(path).status_code for path in ("/metrics", "/healthz", "/readyz")] == [200, 200, 200]
