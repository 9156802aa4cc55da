"""No input makes any route of the OpenAPI document answer 500, and every answer is JSON with a ``detail``.

In this process, through Django's test client: thousands of requests in seconds. The routes, their parameters and their
bodies are read from the document, so a route that is added is fuzzed without a change here.
"""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from omi.accounts import tokens
from tests.acceptance.schema import Operation, document, example, operations
from tests.support.migrated import keep, restore

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "15"))
"""Per route; more by ``FUZZ_EXAMPLES=500``."""

ODD_TEXT = st.sampled_from(
    [
        "",
        "null",
        "0",
        "-1",
        "true",
        "NaN",
        "nan",
        "1e999",
        "9" * 400,
        "9" * 5000,
        "\x00",
        "a\x00b",
        "�",
        "../../etc/passwd",
        "%00",
        "é",
        "🧠",
        "__x__",
        ".",
        "..",
        "a/b",
        " ",
        "\u202e",
        "x" * 2000,
        "' OR 1=1 --",
        "{{7*7}}",
        "2026-13-45",
        "²",
        "١",
    ]
)
ODD = st.one_of(
    ODD_TEXT,
    st.none(),
    st.booleans(),
    st.integers(min_value=-(10**30), max_value=10**30),
    st.floats(),
    st.just([]),
    st.just({}),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
OPERATIONS = list(operations())


@cache
def _client() -> Client:
    return Client(headers={"Authorization": f"Bearer {tokens.mint('fuzz')}"}, raise_request_exception=False)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the database with ``known`` things is kept, once they were made."""
    return tmp_path_factory.mktemp("fuzz") / "known.sqlite3"


@pytest.fixture
def known(transactional_db: None, kept: Path) -> dict[str, str]:
    """Things that exist, so that fuzzing gets past the first 404: the same for every route, made once."""
    from omi.stores import audio

    names = kept.with_suffix(".json")
    if names.exists():
        restore(kept)
    else:
        made = _made()
        keep(kept)
        names.write_text(json.dumps(made))
    found: dict[str, str] = json.loads(names.read_text())
    audio.put("fuzz", "recording", bytes(1000), memory_id=found["memory_id"], keep_for=None)
    return found


def _made() -> dict[str, str]:
    from datetime import UTC, datetime

    from memories.repository import processing, transcripts
    from memories.shapes import ProcessingMemory
    from tests.acceptance.wire import creation
    from transcription.segments import Segment

    client = _client()
    made = client.post("/v1/memories?trigger_integrations=false", creation(), content_type="application/json").json()
    person = client.post("/v1/users/people", {"name": "Anna"}, content_type="application/json").json()
    memory_id = made["memory"]["id"]
    spoken = [Segment(text="Hi there.", speaker="SPEAKER_00", start=0, end=1)]
    transcripts.save_transcript("fuzz", memory_id, "deepgram_streaming", spoken, {})
    processing.create("fuzz", ProcessingMemory(id="p-1", created_at=datetime.now(UTC), timer_start=1.0))
    kept = {"captured_at": "2026-11-20T12:00:00Z", "codec": "pcm16", "size": 9, "sha256": "0" * 64}
    batch = client.post("/v1/sync", {"files": [kept]}, content_type="application/json").json()
    healing = client.post("/v1/vocabulary/healings", {"heard": "a", "term": "b"}, content_type="application/json")
    return {
        "healing_id": healing.json()["id"],
        "batch_id": batch["id"],
        "number": "0",
        "memory_id": memory_id,
        "person_id": person["id"],
        "processing_memory_id": "p-1",
        "model": "deepgram_streaming",
        "index": "0",
        "file_format": "vtt",
        "sample_id": "6f9e9a0e-2f6b-4a0e-9f0a-7c1f0a3d5b21",
    }


@pytest.mark.parametrize("operation", OPERATIONS, ids=[operation.name for operation in OPERATIONS])
def test_no_input_makes_a_route_answer_500(operation: Operation, known: dict[str, str]) -> None:
    if operation.path == "/v1/users/delete-account":
        pytest.skip("takes no input, and would end the user of this test; tests/api has it")

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize="FUZZ_EXAMPLES" not in os.environ,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def attack(data: st.DataObject) -> None:
        method, path, body, kind, headers = _request(operation, known, data)
        answer = _send(method, path, body, kind, headers)
        shown = (
            method,
            path[:300],
            str(body)[:600],
            answer.status_code,
            answer.content[:300] if not answer.streaming else "",
        )
        assert answer.status_code < 500 or answer.status_code == 503, shown
        if answer.status_code == 503:
            assert answer.headers.get("Retry-After"), shown
        if 400 <= answer.status_code < 500 and answer.status_code != 416:
            assert "detail" in json.loads(answer.content), shown

    attack()


def _request(
    operation: Operation, known: dict[str, str], data: st.DataObject
) -> tuple[str, str, Any, str, dict[str, str]]:
    from urllib.parse import quote, urlencode

    path = operation.path
    for name in re.findall(r"{(\w+)}", path):
        odd = ODD_TEXT.map(lambda text: quote(text.encode("utf-8", "surrogatepass"), safe="") or "%20")
        value = data.draw(st.one_of(st.just(known.get(name, "x")), st.just(known.get(name, "x")), odd), label=name)
        path = path.replace(f"{{{name}}}", value)
    query, headers = [], {}
    for parameter in operation.parameters:
        fits = st.just(example(parameter["schema"], known.get(parameter["name"])))
        value = data.draw(st.one_of(st.none(), fits.map(_text), ODD_TEXT), label=parameter["name"])
        if value is None:
            continue
        if parameter["in"] == "query":
            query.append((parameter["name"], value.encode("utf-8", "surrogatepass")))
        elif parameter["in"] == "header" and value.isprintable() and value.isascii():
            headers[parameter["name"]] = value
    if operation.path.endswith("/recording/audio"):
        ranges = [
            "bytes=0-",
            "bytes=-1",
            "bytes=9-1",
            "bytes=-",
            "bytes=" + "9" * 5000 + "-",
            "lines=1-2",
            "bytes=0-0,2-3",
        ]
        headers["Range"] = data.draw(st.sampled_from(ranges))
    address = path + ("?" + urlencode(query) if query else "")
    kind = data.draw(st.sampled_from(operation.bodies)) if operation.bodies else ""
    return operation.method, address, _body(operation, kind, known, data) if kind else None, kind, headers


def _body(operation: Operation, kind: str, known: dict[str, str], data: st.DataObject) -> Any:
    if kind == "multipart/form-data":
        content = data.draw(st.sampled_from([b"", b"x", b"RIFF", bytes(100)]))
        file = SimpleUploadedFile(data.draw(st.sampled_from(["a.wav", "../a.wav", "a\x00.wav", "🧠" * 200])), content)
        return data.draw(st.sampled_from([{"file": file}, {"file": "text"}, {}, {"name": "An\x00na", "file": file}]))
    good = example(operation.body_schema, None, known)
    how = data.draw(st.sampled_from(["one odd field", "one odd field", "good", "odd", "broken"]), label="body")
    if how == "broken":
        return data.draw(
            st.sampled_from([b"", b"{", b"\xff\xfe", b"[" * 5000, b'{"a": NaN}', b"1" * 6000, b"null", b'"\\ud800"'])
        )
    if how == "odd":
        return json.dumps(data.draw(ODD)).encode()
    if how == "one odd field":
        places = list(_places(good))
        if places:
            holder, key = data.draw(st.sampled_from(places), label="where")
            holder[key] = data.draw(ODD, label="what")
    return json.dumps(good).encode()


def _places(value: Any) -> Any:
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _send(method: str, path: str, body: Any, kind: str, headers: dict[str, str]) -> Any:
    client = _client()
    if kind == "multipart/form-data":
        from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

        content = encode_multipart(BOUNDARY, body)
        return client.generic(method, path, content, MULTIPART_CONTENT, headers=headers)
    return client.generic(method, path, body or b"", kind or "application/json", headers=headers)


def test_the_document_itself_is_served_and_complete() -> None:
    """Every route of ours stands in it: what is missing would not be fuzzed, nor asked for by a stranger."""
    from tests.acceptance.schema import UNDOCUMENTED, routes

    documented = {re.sub(r"{\w+}", "{}", path) for path in document()["paths"]}
    assert routes() - documented == UNDOCUMENTED
    assert documented - routes() == set()
