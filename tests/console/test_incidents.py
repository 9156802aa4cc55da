"""The five prepared incidents, found, understood, repaired and verified by clicks alone; a replay over 300 runs that
is paused, killed and undone; no serious fault of accessibility on any page. Real Chromium, daphne and qcluster."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from demo import incidents
from demo.servers import ROOT, Installation
from demo.vendors.server import VendorServer
from tests.acceptance.test_admin_browser import CHROMIUM, accessible, log_in
from tests.support import axe

pytestmark = [pytest.mark.process, pytest.mark.browser]

RUNS = 300
PATIENCE = 120.0


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[Installation, VendorServer]]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with incidents.throw_away() as made:
        yield made


@pytest.fixture(scope="module")
def page(place: tuple[Installation, VendorServer]) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # playwright's loop runs in this thread; Django is not used in it
    with sync_playwright() as tools:
        started = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        shown = started.new_context(viewport={"width": 1280, "height": 900}).new_page()
        shown.set_default_timeout(20_000)
        broken: list[str] = []
        shown.on("pageerror", lambda error: broken.append(str(error)))
        shown.on("response", lambda answer: broken.append(answer.url) if answer.status >= 500 else None)
        shown.on("console", lambda said: broken.append(said.text) if "Content Security Policy" in said.text else None)
        log_in(shown, place[0])
        yield shown
        started.close()
        assert broken == []
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


def home(page: Any) -> None:
    page.get_by_role("link", name="Home", exact=True).first.click()


def until(page: Any, text: str, *, seconds: float = PATIENCE) -> None:
    """Look again as a person does, until the page says so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if re.search(text, page.locator("main").inner_text()):
            return
        time.sleep(0.5)
        page.reload()
    raise AssertionError(f"the page does not say {text!r}: {page.locator('main').inner_text()[:1500]}")


def search(page: Any, asked: str) -> None:
    page.get_by_label("Any id").fill(asked)
    page.get_by_role("button", name="Go", exact=True).click()


def act(page: Any, verb: str, reason: str) -> None:
    """Open an action of a memory's page, read what it would do, and do it."""
    page.get_by_role("link", name=re.compile(f"^{verb}")).first.click()
    page.get_by_label(re.compile("^Reason")).first.fill(reason)
    page.locator("form[method=post] input[type=submit].default").first.click()


def memory_of(page: Any, uid: str) -> None:
    """From the search box to the newest memory of a user."""
    search(page, uid)
    page.locator("section[aria-labelledby=memories] tbody th a").first.click()


def resolve(page: Any, name: str, reason: str) -> None:
    home(page)
    page.get_by_role("link", name=name).first.click()
    page.locator("#reason-resolve").fill(reason)
    page.get_by_role("button", name="Resolve").click()
    assert "resolved" in page.locator(".badge").first.inner_text()


def test_1_a_vendors_quota(place: tuple[Installation, VendorServer], page: Any) -> None:
    incidents.prepare(1, *place)
    home(page)
    page.get_by_role("link", name="deepgram is not called").click()
    page.get_by_label("Reason").first.fill("the vendor has raised our limit")
    page.get_by_role("button", name="Close: call it now").click()
    home(page)
    page.get_by_role("link", name="A service's limit is reached").click()
    assert "6 failures of 3 users" in page.locator("main").inner_text()
    page.get_by_role("link", name="Replay these runs").click()
    page.get_by_label("Name of the incident").fill("Quota of deepgram")
    page.get_by_label("Reason").fill("the vendor has raised our limit")
    page.get_by_label("Runs a minute").fill("600")
    page.get_by_role("button", name="Preview").click()
    assert "6 runs of 3 users" in page.locator("main").inner_text()
    page.get_by_role("button", name="Begin: 6 runs").click()
    until(page, "done: 6")
    resolve(page, "A service's limit is reached", "limit raised, all replayed")
    home(page)
    assert "is not called" not in page.locator("main").inner_text()


def test_2_damaged_audio(place: tuple[Installation, VendorServer], page: Any) -> None:
    incidents.prepare(2, *place)
    memory_of(page, "dora")
    page.get_by_role("link", name=re.compile("^Set status")).first.click()
    page.get_by_label("Status").select_option("canceled")
    page.get_by_label(re.compile("^Reason")).first.fill("the upload is damaged; asked the user to send it again")
    page.locator("form[method=post] input[type=submit].default").first.click()
    assert "canceled" in page.locator("main").inner_text().lower()
    home(page)
    row = page.get_by_role("row").filter(has_text="prepare_audio")
    row.get_by_role("link").first.click()
    assert "brings the same result" in page.locator("main").inner_text()
    page.locator("#reason-resolve").fill("the user uploads it again")
    page.get_by_role("button", name="Resolve").click()


def test_3_a_stuck_lease(place: tuple[Installation, VendorServer], page: Any) -> None:
    incidents.prepare(3, *place)
    home(page)
    row = page.get_by_role("row").filter(has_text="another-machine:4711:1").filter(has_text="frozen")
    row.get_by_role("link", name=re.compile("^run ")).click()
    act(page, "Cancel", "its worker is frozen")
    act(page, "Retry", "the worker was frozen")
    until(page, r"(?s)success")
    home(page)
    assert "Nothing is stuck." in page.locator("main").inner_text()


def test_4_a_worse_transcript(place: tuple[Installation, VendorServer], page: Any) -> None:
    incidents.prepare(4, *place)
    memory_of(page, "emma")
    act(page, "Show another|Activate|Show", "the new transcript is nonsense")
    until(page, "deepgram_streaming")
    app = incidents.app_of(place[0], "emma")
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        text = str(app.call("GET", "/v1/memories"))
        if "two hundred grams" in text and incidents_nonsense() not in text:
            return
        time.sleep(0.5)
    raise AssertionError(text[:500])


def incidents_nonsense() -> str:
    return "wreck of people"


@pytest.mark.long
def test_5_the_wrong_speaker(place: tuple[Installation, VendorServer], page: Any) -> None:
    incidents.prepare(5, *place)
    app = incidents.app_of(place[0], "finn")

    def users() -> int:
        (memory,) = app.call("GET", "/v1/memories")
        return sum(bool(segment["is_user"]) for segment in memory["transcript_segments"])

    assert users() == 0
    memory_of(page, "finn")
    act(page, "Identify", "an old version mixed the voices up")
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and not users():
        time.sleep(0.5)
    assert users() > 0


@pytest.mark.long
def test_a_replay_over_300_runs_is_paused_killed_resumed_and_undone(
    place: tuple[Installation, VendorServer], page: Any
) -> None:
    running = place[0]
    running.manage("simulate", "seed", "many", "gina", str(RUNS))
    home(page)
    page.get_by_role("row").filter(has_text="structure").get_by_role("link").first.click()
    page.get_by_role("link", name="Replay these runs").click()
    page.get_by_label("Name of the incident").fill("Three hundred")
    page.get_by_label("Reason").fill("a rehearsal")
    page.get_by_label("Runs a minute").fill("600")
    page.get_by_role("button", name="Preview").click()
    page.get_by_role("button", name=f"Begin: {RUNS} runs").click()
    until(page, r"done: [1-9]")
    steer(page, "Pause")
    assert "paused" in page.locator(".badge").first.inner_text().lower()
    steer(page, "Resume")
    os.killpg(running.worker_pid, signal.SIGKILL)
    log = (running.folder / "worker2.log").open("wb")
    again = subprocess.Popen(
        [sys.executable, "manage.py", "qcluster"], cwd=ROOT, env=running.environment, stdout=log, stderr=log,
        start_new_session=True,
    )  # fmt: skip
    try:
        until(page, f"done: {RUNS}", seconds=400)
        running.manage("simulate", "seed", "changed", "gina", "5")
        steer(page, "Undo")
        until(page, f"undone: {RUNS}", seconds=90)
        assert page.get_by_text("shows deepgram_streaming again").count() == 5
    finally:
        os.killpg(again.pid, signal.SIGKILL)
        again.wait(10)
        log.close()


def steer(page: Any, verb: str) -> None:
    page.get_by_label("Reason").first.fill("a rehearsal")
    page.get_by_role("button", name=verb, exact=True).click()


PAGES = ("/admin/", "/admin/console/failures/?status=all", "/admin/console/replays/", "/admin/console/replays/new/",
         "/admin/console/people/", "/admin/console/live/", "/admin/console/vendors/",
         "/admin/console/vendors/deepgram/",
         "/admin/console/audit/", "/admin/console/find/?q=nothing", "/admin/console/people/gina/",
         "/admin/console/failures/1/", "/admin/console/replays/1/")  # fmt: skip


@pytest.mark.long
def test_no_page_has_a_serious_fault_of_accessibility(place: tuple[Installation, VendorServer], page: Any) -> None:
    seen = 0
    for address in PAGES:
        found = page.goto(place[0].url + address)
        if found.status == 404:  # of an incident that was not run with this test
            continue
        seen += 1
        accessible(page)
        for theme, width in (("light", 1280), ("dark", 360)):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=theme)
            wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wide <= 1, (address, wide)
            assert axe.serious(page) == [], (address, theme)
    page.set_viewport_size({"width": 1280, "height": 900})
    assert seen >= 12
