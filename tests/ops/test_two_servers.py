"""Figures are right with two web servers, and with a worker that serves no HTTP."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.ops.deployment import Deployment, until
from tests.support.processes import free_port, running

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def second(lived_in: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Another web server of the same deployment, in which nothing has happened."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running(
        [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "omi.asgi:application"],
        ready=lambda: _answers(url), log=tmp_path_factory.mktemp("second") / "log",
        env={**lived_in.installation.environment, "PYTHONPATH": str(ROOT)},
    ):  # fmt: skip
        yield url


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def told(url: str) -> dict[str, float]:
    lines = httpx.get(f"{url}/metrics", timeout=30).text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


def counters_of_the_deployment(figures: dict[str, float]) -> dict[str, float]:
    """By the page: what stands under Runs, and the seconds and ends of live sessions."""
    names = "|".join(("memory_", "omi_audio_(?!dropped)", "omi_sessions_(ended|recovered)"))
    return {
        name: value
        for name, value in figures.items()
        if re.match(names, name) and re.search(r"_(total|sum|count|bucket)(\{|$)", name)
    }


def test_both_servers_tell_the_same_of_the_deployment(lived_in: Deployment, second: str) -> None:
    def same() -> bool:
        first, other = (counters_of_the_deployment(told(url)) for url in (lived_in.url, second))
        return len(first) > 100 and first == other

    until(same, 60, "the servers differ")


def test_what_one_process_counts_is_its_own(lived_in: Deployment, second: str) -> None:
    """The second server has seen no search: a sum over both is right, as the page says of this scope."""
    # The first one may have been started anew since the day that it had (test_runbooks).
    assert lived_in.app("lived").post("/v1/memories/search", json={"query": "talk", "limit": 1}).status_code == 200
    assert told(lived_in.url)['omi_search_seconds_count{outcome="answered"}'] >= 1
    assert 'omi_search_seconds_count{outcome="answered"}' not in told(second)


def test_what_a_worker_counted_is_told_by_a_web_server(second: str) -> None:
    """The worker compared a transcript with the shown one and finished tasks; it has no port."""
    figures = told(second)
    assert sum(value for name, value in figures.items() if name.startswith("memory_transcripts_assessed_total")) >= 1
    assert figures["omi_worker_last_task_timestamp_seconds"] > 1.7e9


def test_more_users_make_no_more_series(lived_in: Deployment) -> None:
    """After three users did the same, the series are those that there were after one."""

    def memories(uid: str) -> None:
        app = lived_in.app(uid)
        memory = app.create_memory()
        app.wait(f"/v1/memories/{memory['id']}", lambda answer: answer.get("structured", {}).get("title"), 90)
        assert app.post("/v1/memories/search", json={"query": "station", "limit": 1}).status_code == 200

    memories("first-of-many")
    before = until(lambda: _settled(lived_in.url), 60, "the series do not come to rest")
    for number in range(3):
        memories(f"one-of-many-{number}")
    after = until(lambda: _settled(lived_in.url), 60, "the series do not come to rest")
    assert {name for name in after - before if "omi_" in name or "memory_" in name} == set()
    assert not any("of-many" in name for name in after)


def _settled(url: str) -> set[str] | None:
    """The names of all series, once no run is under way."""
    figures = told(url)
    at_work = sum(value for name, value in figures.items() if name.startswith("memory_postprocessing_unfinished"))
    return None if at_work else set(figures)
