"""The requests of docs/for-app-developers.md, made as they stand there, from the first to the last."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.api.conftest import Caller, read

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "for-app-developers.md").read_text(encoding="utf-8")
REQUEST = re.compile(r"```http\n(GET|POST|PUT|PATCH|DELETE) (\S+)\n(.*?)```", re.DOTALL)


def test_every_request_of_the_page_is_answered_with_success(db: None) -> None:
    app = Caller("reader")
    known: dict[str, str] = {}
    made = []
    for method, path, rest in REQUEST.findall(PAGE):
        for name, value in known.items():
            path, rest = path.replace(f"${name}", value), rest.replace(f"${name}", value)
        text = "\n".join(line for line in rest.splitlines() if not line.startswith("Authorization: Bearer $TOKEN"))
        answer = app.send(method, path, json.loads(text) if text.strip() else None)
        made.append(f"{method} {path.split('?')[0]}")
        assert answer.status_code in (200, 204), (method, path, answer)
        read(answer)
        if path.startswith("/v1/memories?trigger"):
            known["MEMORY"] = answer.json()["memory"]["id"]
            known["SEGMENT"] = answer.json()["memory"]["transcript_segments"][1]["id"]
        if path == "/v1/users/people":
            known["PERSON"] = answer.json()["id"]
        if path.startswith("/v1/search"):
            (hit,) = answer.json()["hits"]
            assert (hit["memory_id"], hit["passage"]["start"]) == (known["MEMORY"], 0.0)
    assert len(made) == PAGE.count("```http") >= 17
    assert app.get("/v1/memories").status_code == 401, "the account is erased"
