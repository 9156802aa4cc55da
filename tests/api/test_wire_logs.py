"""What a server writes down while it is used: every line is JSON, and no secret stands in any of them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.support.servers import web_server

pytestmark = pytest.mark.process
SECRET = "s3cr3t-value-of-a-query"


def used(folder: Any, form: str) -> Iterator[str]:
    with web_server(folder, OMI_LOG_LEVEL="INFO", OMI_LOG_FORMAT=form, NO_COLOR="1") as server:
        with server.app("ana") as app:
            token = app.headers["Authorization"].split()[1]
            assert app.get(f"/v1/memories?limit=5&cursor=&secret={SECRET}").status_code == 200
            assert app.get(f"/v1/nothing?token={token}").status_code == 404
            assert app.get(f"/v1/vendors/audio/{token}").status_code == 403
            assert httpx.get(f"{app.base_url}/v1/memories", headers={"Authorization": "Bearer x"}).status_code == 401
            for query in (f"token={token}", f"uid=ana&key={SECRET}"):
                try:
                    with connect(f"ws://127.0.0.1:{server.port}/listen?{query}", open_timeout=20):
                        pass
                except InvalidStatus:
                    pass
        until = time.monotonic() + 20
        while "/listen" not in server.log.read_text() and time.monotonic() < until:
            time.sleep(0.1)
    written = server.log.read_text()
    assert token not in written
    assert token.split(":")[2] not in written  # the signature alone
    assert SECRET not in written
    yield written


@pytest.fixture(scope="module")
def as_json(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from used(tmp_path_factory.mktemp("json"), "json")


@pytest.fixture(scope="module")
def for_people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from used(tmp_path_factory.mktemp("people"), "console")


def test_every_line_is_json_and_the_access_lines_are_among_them(as_json: str) -> None:
    lines = [json.loads(line) for line in as_json.splitlines()]
    requests = [line for line in lines if line["event"] == "http"]
    [listed] = [line for line in requests if line["path"].startswith("/v1/memories?limit")]
    assert listed["path"] == "/v1/memories?limit=***&cursor=&secret=***"
    assert (listed["method"], listed["status"], listed["level"]) == ("GET", 200, "info")
    assert listed["seconds"] >= 0
    assert any(line["event"] == "socket" and line["path"].startswith("/listen") for line in lines)
    assert any(line.get("path") == "/v1/vendors/audio/***" for line in lines)


def test_people_read_lines_with_the_time_of_day(for_people: str) -> None:
    [line] = [line for line in for_people.splitlines() if "/v1/memories?limit" in line]
    assert line[2] == ":" and line[5] == ":"  # noqa: PT018
    assert "status=200" in line
    assert "{" not in line
