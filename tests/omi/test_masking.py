"""What looks like a secret is masked in every line; what staff need to read stays."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core import signing

from omi.accounts import tokens
from omi.core import logging as omi_logging
from omi.core.masking import masked

TOKEN = tokens.mint("ana")
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJ1aWQiOiJhbmEifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"GET /listen?token={TOKEN}&language=en 101", "GET /listen?token=***&language=*** 101"),
        (f"Not Found: /v3/sample/{TOKEN}", "Not Found: /v3/sample/***"),
        (f"Authorization: Bearer {JWT}", "Authorization: Bearer ***"),
        (f"token {JWT} refused", "token *** refused"),
        (signing.dumps(["ana", "a.wav"], salt="speakers.sample"), "***"),
        ("https://bucket/x.wav?X-Goog-Signature=abc123&Expires=17", "https://bucket/x.wav?X-Goog-Signature=***&Expires=***"),
        ("Authorization: Token abcdef", "Authorization: Token abcdef"),
    ],
    ids=["query", "path", "bearer", "web token", "signed", "bucket", "nothing"],  # a token differs in each process
)  # fmt: skip
def test_tokens_are_masked(text: str, kept: str) -> None:
    assert masked(text) == kept


@pytest.mark.parametrize(
    "text",
    ["users/ana/memories/6f9e9a0e-2f6b-4a0e-9f0a-7c1f0a3d5b21", "run 12 of step transcribe ended: timeout at 10:20:31",
     "2026-11-28T22:58:15.132216Z", "127.0.0.1:55114", "postgres://localhost:5432/omi", "Q Cluster starting.",
     "memories.pipeline.steps.transcribe:42"],
)  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize("form", ["json", "console"])
def test_other_packages_lines_are_masked_too(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    out = io.StringIO()
    monkeypatch.setattr("sys.stderr", out)
    omi_logging.configure({"level": "INFO", "format": form})
    try:
        logging.getLogger("some.library").warning("cannot open %s", f"https://host/a?key={TOKEN}")
    finally:
        monkeypatch.undo()
        omi_logging.configure(django_settings.LOGGING)
    line = out.getvalue()
    assert TOKEN not in line
    assert "https://host/a?key=***" in line
    told: Any = json.loads(line) if form == "json" else {}
    assert form == "console" or told["logger"] == "some.library"
