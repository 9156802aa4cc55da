"""Every route of the API, in every place where a client writes, with texts that databases do not agree about.

Run as a process of its own by ``test_odd_bytes``, on the database that DATABASE_URL names. Prints one line of JSON:
how many requests were sent, and those that a client would have seen as the server's fault.
"""

from __future__ import annotations

import copy
import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_from_bytes

import django

django.setup()

from django.core.files.uploadedfile import SimpleUploadedFile  # noqa: E402
from django.test import Client  # noqa: E402

from memories.repository import memories, processing  # noqa: E402
from memories.shapes import Memory, ProcessingMemory  # noqa: E402
from omi.accounts import tokens  # noqa: E402
from speakers import people  # noqa: E402
from tests.acceptance.schema import Operation, example, operations  # noqa: E402
from transcription.segments import Segment  # noqa: E402

ODD = [b"\0", b"a\0b", b"\xff\xed\xa0\x80", b"..", b"a/b", b"__x__", b"x" * 2048, "é".encode() * 1024, b"9" * 300]
"""As bytes, for some are no text: NUL, half of a surrogate pair, invalid UTF-8."""
TEXTS = ["a\0b", "\ud800", "x" * 2048]
UID = "odd-bytes"


def furnish() -> dict[str, str]:
    now = datetime.now(UTC)
    segment = Segment(id="s", text="boat", start=0, end=1)
    memories.create_memory(UID, Memory(id="m", created_at=now, transcript_segments=[segment]))
    processing.create(UID, ProcessingMemory(id="p", created_at=now, memory_id="m"))
    return {"memory_id": "m", "processing_memory_id": "p", "person_id": people.create_person(UID, "Ben").id}


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


def requests(operation: Operation, known: dict[str, str]) -> Iterator[tuple[str, bytes | None]]:
    """Addresses and bodies, each with one odd thing in it."""

    def address(path: str, query: dict[str, str]) -> str:
        for name in re.findall(r"{(\w+)}", path):
            path = path.replace(f"{{{name}}}", known.get(name, "0"))
        return path + ("?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else "")

    fits = {
        item["name"]: str(example(item["schema"], known.get(item["name"])))
        for item in operation.parameters
        if item["in"] == "query"
    }
    good = example(operation.body_schema, None, known) if operation.body_schema else None
    body = json.dumps(good).encode() if good is not None else None
    for odd in ODD:
        quoted = quote_from_bytes(odd, safe="")
        for name in re.findall(r"{(\w+)}", operation.path):
            yield address(operation.path.replace(f"{{{name}}}", quoted), fits), body
        for name in fits:
            yield address(operation.path, {**fits, name: quoted}), body
    if good is not None:
        for number in range(len(list(places(good)))):
            for text in TEXTS:
                changed = copy.deepcopy(good)
                holder, key = list(places(changed))[number]
                holder[key] = text
                yield address(operation.path, fits), json.dumps(changed).encode()


def upload(client: Client, operation: Operation, known: dict[str, str]) -> Iterator[tuple[str, int]]:
    path = operation.path
    for name in re.findall(r"{(\w+)}", path):
        path = path.replace(f"{{{name}}}", known.get(name, "0"))
    for text in ("a\0b", "x" * 2048):
        fields = dict.fromkeys(("name", "consent_version", "is_user", "person_id"), text)
        file = SimpleUploadedFile("talk.wav", b"no audio")
        yield f"upload {text[:20]!r}", client.post(path, {"file": file, **fields}).status_code


def main() -> int:
    known, sent, wrong = furnish(), 0, []
    client = Client(headers={"Authorization": f"Bearer {tokens.mint(UID)}"}, raise_request_exception=False)
    for operation in operations():
        if operation.path == "/v1/users/delete-account" or operation.name == "DELETE /v1/memories/{memory_id}":
            known = {**known, "memory_id": "never-was"} if "memory_id" in operation.path else known
        if operation.path == "/v1/users/delete-account":
            continue  # takes no input
        for path, body in requests(operation, known):
            answer = client.generic(operation.method, path, body or b"", "application/json")
            sent += 1
            if answer.status_code >= 500:
                wrong.append([operation.name, path[:120], (body or b"")[:200].decode(), answer.status_code])
        if "multipart/form-data" in operation.bodies:
            for told, code in upload(client, operation, known):
                sent += 1
                if code >= 500:
                    wrong.append([operation.name, told, "", code])
        known["memory_id"] = "m"
    for odd in ODD:
        for path in ("/v1/events?after=", "/v1/vendors/audio/", "/v3/speech-samples/", "/", "/admin/login/?next="):
            answer = client.get(path + quote_from_bytes(odd, safe=""))
            sent += 1
            if answer.status_code >= 500:
                wrong.append(["GET", path, repr(odd[:20]), answer.status_code])
    print(json.dumps({"sent": sent, "wrong": wrong}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
